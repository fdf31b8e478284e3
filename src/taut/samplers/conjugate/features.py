"""Random Fourier features: a Matern-5/2 kernel as a short vector of cosines, so that regression on it is linear."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from taut.samplers.geometry import Geometry
from taut.space.prior import Bools, Floats

__all__ = ["Features"]

Real = TypeVar("Real", np.float32, np.float64)
_DIFFERENT = 0.7  # of a one-hot vector: two choices are as far apart as the ends of a number's range
_FREEDOM = 5.0  # twice the smoothness of the kernel: Matern-5/2


class Features:
    """Maps points of a space to vectors whose inner products are close to a Matern-5/2 kernel of their distance.

    ``phi(x) = sqrt(2/m) cos(W z/l + b)``: z holds the ordered parameters on [0, 1], each choice as a one-hot vector times 0.7,
    and for each conditional parameter whether it is there; rows of W follow the kernel's spectral density, a Student t with 5
    degrees of freedom (Rahimi & Recht, "Random features for large-scale kernel machines", NIPS 2007; the density is that of
    Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, equation 4.15).

    count: m, the number of features. The kernel's error falls as 1/sqrt(m).
    """

    def __init__(self, geometry: Geometry, count: int, generator: np.random.Generator) -> None:
        self.geometry = geometry
        self.count = count
        cells = geometry.space.cells
        sizes = [len(geometry.ordered), *cells[geometry.choices].tolist(), len(geometry.conditional)]
        tails = np.sqrt(generator.chisquare(_FREEDOM, count) / _FREEDOM)
        ordered, *choices, present = (generator.standard_normal((size, count)) / tails for size in sizes)
        self._ordered: Floats = ordered
        self._choices: list[Floats] = [_DIFFERENT * block for block in choices]
        self._present: Floats = _DIFFERENT * present
        self._phase = generator.uniform(0.0, 2.0 * np.pi, count)

    def angles(self, unit: Floats, active: Bools | None) -> Floats:
        """(n, m) W z of points of the unit cube; `active` (n, d) says which parameters are there, None: all."""
        geometry = self.geometry
        angles: Floats = unit[:, geometry.ordered] @ self._ordered
        for j, block in zip(geometry.choices.tolist(), self._choices, strict=True):
            level = np.minimum((unit[:, j] * len(block)).astype(np.int64), len(block) - 1)
            angles += block[level]
        if len(geometry.conditional):
            if active is None:
                angles += self._present.sum(axis=0)
            else:
                angles += active[:, geometry.conditional].astype(float) @ self._present
        return angles

    def cosines(self, angles: NDArray[Real], lengthscale: float) -> NDArray[Real]:
        """(n, m) phi, from `angles` and a lengthscale, as precise as `angles` are."""
        phi = angles / angles.dtype.type(lengthscale)
        phi += self._phase.astype(angles.dtype)
        np.cos(phi, out=phi)
        phi *= angles.dtype.type(np.sqrt(2.0 / self.count))
        return phi
