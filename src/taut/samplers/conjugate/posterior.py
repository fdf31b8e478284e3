"""What the conjugate model knows, to look at and to draw from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taut.definition import Objective
from taut.samplers.conjugate.candidates import Points
from taut.samplers.conjugate.features import Features
from taut.samplers.conjugate.regression import NormalInverseGamma
from taut.samplers.conjugate.targets import Scaling
from taut.samplers.geometry import Geometry
from taut.space.prior import Floats

__all__ = ["Posterior"]


@dataclass(frozen=True, eq=False)
class Posterior:
    """The posterior of all objectives, from `ConjugateSampler.posterior`: see `predict`.

    lengthscales: of the kernels, one for each of `regressions`; `weights` says how probable each is.
    regressions: a column for each objective and a last one for feasibility, in the units of `scaling`.
    risky: whether any trial has failed or broken a constraint.
    """

    geometry: Geometry
    features: Features
    lengthscales: tuple[float, ...]
    regressions: Sequence[NormalInverseGamma]
    scaling: Scaling
    objectives: Sequence[Objective]
    risky: bool

    @cached_property
    def weights(self) -> Floats:
        """(lengthscales,) the probability of each, all having been as probable before."""
        evidence = np.array([one.evidence()[: len(self.objectives)].sum() for one in self.regressions])
        weights = np.exp(evidence - evidence.max())
        return np.asarray(weights / weights.sum())

    def predict(self, params: Sequence[Mapping[str, Any]], *, noise: bool = False) -> tuple[Floats, Floats]:
        """Means and standard deviations (n, m) of the objectives at `params`, in the metrics' own units.

        Outcomes far on the bad side count as less bad than they were (see `reach`), and so does the mean. Before anything is
        known the deviation may be infinite.

        noise: of what one more trial would report, rather than of its expected value.
        Raises `InputError` for parameters that the space does not allow.
        """
        points = Points.of(self.geometry, self.geometry.space.codes(params))
        angles = self.features.angles(points.unit, points.active)
        m = len(self.objectives)
        mean, square = np.zeros((len(points), m)), np.zeros((len(points), m))
        for weight, scale, one in zip(self.weights, self.lengthscales, self.regressions, strict=True):
            freedom, centre, width = one.predict(self.features.cosines(angles, scale), noise=noise)
            spread = freedom / (freedom - 2.0) if freedom > 2.0 else np.inf
            mean += weight * centre[:, :m]
            square += weight * (centre[:, :m] ** 2 + spread * width[:, :m] ** 2)
        deviation = np.sqrt(np.maximum(square - mean**2, 0.0)) * self.scaling.scale
        signs = np.where([one.minimize for one in self.objectives], 1.0, -1.0)
        return signs * (mean * self.scaling.scale + self.scaling.centre), deviation

    def draws(
        self, points: Points, count: int, generator: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """`count` functions drawn from the posterior, at `points`: which of them, and their values (n, k, m + 1)."""
        which = generator.choice(len(self.weights), size=count, p=self.weights)
        # Single precision is ten times as quick for cosines, and far finer than what one draw differs from the next.
        angles = self.features.angles(points.unit, points.active).astype(np.float32)
        for i in np.unique(which):
            mine = np.flatnonzero(which == i)
            _, beta = self.regressions[i].draw(generator, len(mine))
            phi = self.features.cosines(angles, self.lengthscales[i])
            values = phi @ beta.reshape(len(beta), -1).astype(np.float32)
            yield mine, values.reshape(len(points), *beta.shape[1:]).astype(np.float64)
