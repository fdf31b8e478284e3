"""The Gaussian process given its hyperparameters: what it says of points that were not tried."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from taut.samplers.gp.kernel import Hyper, covariance
from taut.space.prior import Floats

__all__ = ["Posterior", "Root"]


class Root:
    """The Cholesky factor of the covariance of some rows of features, which more rows can be added to."""

    def __init__(self, x: Floats, hyper: Hyper, group: NDArray[np.int64]) -> None:
        """x: (n, p) features."""
        self.hyper = hyper
        self._scale = hyper.scale(group)
        self._scaled = x * self._scale
        self.factor, self.noise = _cholesky(covariance(self._scaled, self._scaled, hyper.signal), hyper.noise)

    def __len__(self) -> int:
        return len(self._scaled)

    def extended(self, x: Floats, noise: float | None = None) -> Root:
        """With the rows x (m, p) added: O(n^2 m) rather than O(n^3). noise: of these rows, the root's own if not given."""
        if not len(x):
            return self
        more = object.__new__(Root)
        more.hyper, more._scale, more.noise = self.hyper, self._scale, self.noise
        scaled = x * self._scale
        n, m = len(self), len(x)
        side = blas.dtrsm(1.0, self.factor, covariance(self._scaled, scaled, self.hyper.signal), lower=1)
        corner = covariance(scaled, scaled, self.hyper.signal) - side.T @ side
        more._scaled = np.concatenate((self._scaled, scaled))
        more.factor = np.zeros((n + m, n + m), order="F")
        more.factor[:n, :n] = self.factor
        more.factor[n:, :n] = side.T
        more.factor[n:, n:] = _cholesky(corner, self.noise if noise is None else noise)[0]
        return more

    def cross(self, x: Floats) -> Floats:
        """(n, m) covariances of the rows with the features x (m, p)."""
        return covariance(
            x * self._scale, self._scaled, self.hyper.signal
        ).T  # column by column, as BLAS has it

    def left_out(self, y: Floats) -> tuple[Floats, Floats]:
        """Means and variances (n,) of each output y, had it been left out (Rasmussen & Williams, equation 5.12)."""
        alpha = lapack.dpotrs(self.factor, y, lower=1)[0]
        half = lapack.dtrtri(self.factor, lower=1)[0]
        precision = np.einsum("ij,ij->j", half, half)
        return np.asarray(y - alpha / precision), np.asarray(1.0 / precision)


class Posterior:
    """Mean and variance at any features, given outputs at the rows of a root (Rasmussen & Williams, algorithm 2.1).

    Rows beyond the outputs are pending: their outputs are taken to be what the others lead to expect, which leaves the
    mean as it is and takes variance away around them (the Kriging believer of Ginsbourger, Le Riche & Carraro, 2010).
    """

    def __init__(self, root: Root, y: Floats, level: float = 0.0) -> None:
        """level: added to every mean; what is expected where nothing is known."""
        n = len(y)
        self.root, self._level = root, level
        self._alpha = np.zeros(len(root))
        self._alpha[:n] = lapack.dpotrs(np.asfortranarray(root.factor[:n, :n]), y, lower=1)[0]
        self.fitted: Floats = y - root.noise * self._alpha[:n] + level
        """(n,) means at the rows themselves."""

    def mean(self, x: Floats) -> Floats:
        """(m,)"""
        return np.asarray(self._alpha @ self.root.cross(x) + self._level)

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Means and variances (m,) of the function without noise."""
        cross = self.root.cross(x)
        mean = self._alpha @ cross + self._level
        solved = blas.dtrsm(1.0, self.root.factor, cross, lower=1, overwrite_b=1)
        variance = self.root.hyper.signal - np.einsum("ij,ij->j", solved, solved)
        return mean, np.maximum(variance, 1e-10)


def _cholesky(k: Floats, noise: float) -> tuple[Floats, float]:
    """Lower factor of k + noise I, with as much more noise as rounding makes necessary, and the noise."""
    for extra in (0.0, 1e-8, 1e-6, 1e-4, 1e-2):
        full = k.copy(order="F")
        np.fill_diagonal(full, k.diagonal() + noise + extra)
        factor, info = lapack.dpotrf(full, lower=1, clean=1, overwrite_a=1)
        if not info:
            return np.asarray(factor), noise + extra
    raise np.linalg.LinAlgError("the covariance has no Cholesky factor")
