"""What densities need to know of a space: its columns by how they are modelled, and what is believed before any trial."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped,unused-ignore]

from taut.samplers.beliefs import Beliefs
from taut.samplers.geometry import Geometry
from taut.space import Space
from taut.space.prior import Floats

__all__ = ["Axes", "Prior", "mass", "truncated"]

_TINY = 1e-30  # least probability of a cell, so that it has a logarithm
_COARSE = 32  # up to so many cells, kernels are integrated over each
_FLAT = 30.0  # standard deviation, in ranges, of a normal distribution that is as good as uniform
_EVIDENCE = 10.0  # trials that weigh as much as a belief


class Prior(NamedTuple):
    """mean, std: (s,) a truncated normal for each smooth column. tables: for each coarse column, the probability of its cells."""

    mean: Floats
    std: Floats
    tables: list[Floats]


class Axes:
    """The columns of a space that densities are over; use `Axes.of(space)`, which keeps it.

    smooth: columns that are continuous, or have so many cells that they may be taken as continuous.
    coarse: columns with few cells, and choices. edges: where the cells of each coarse column end, None for a choice.
    """

    def __init__(self, space: Space) -> None:
        self.geometry = geometry = Geometry.of(space)
        self._beliefs = beliefs = Beliefs.of(space)
        choices = set(geometry.choices.tolist())
        few = [j in choices or 1 < geometry.cells[j] <= _COARSE for j in geometry.free.tolist()]
        self.coarse: list[int] = geometry.free[few].tolist()
        self.smooth: NDArray[np.int64] = geometry.free[~np.array(few, bool)]
        self.edges = [None if j in choices else _edges(geometry.middles[j]) for j in self.coarse]
        self.counts = [space.columns[j].cells for j in self.coarse]
        self.plain = self._prior(0.0)
        self.believed = bool(beliefs.pull.any() or beliefs.odds)

    @staticmethod
    @functools.lru_cache(maxsize=64)
    def of(space: Space) -> Axes:
        return Axes(space)

    def prior(self, trials: int) -> Prior:
        """What is believed after so many trials: the parameters' priors, narrowed around start values.

        A belief is a normal density around the start value. Its power fades with evidence as in piBO (Hvarfner et al.,
        ICLR 2022), which for a normal density means that it widens.
        """
        return self._prior(_EVIDENCE / (_EVIDENCE + trials)) if self.believed else self.plain

    def cells(self, unit: Floats) -> NDArray[np.int64]:
        """(n, c) the cell of each point in each coarse column."""
        found = np.empty((len(unit), len(self.coarse)), np.int64)
        for i, (j, edges, count) in enumerate(zip(self.coarse, self.edges, self.counts, strict=True)):
            u = unit[:, j]
            found[:, i] = (
                np.minimum(u * count, count - 1)
                if edges is None
                else np.searchsorted(edges[1:-1], u, "right")
            )
        return found

    def _prior(self, power: float) -> Prior:
        bells = [self._bell(j, power) for j in self.smooth.tolist()]
        mean, std = np.array(bells).reshape(-1, 2).T
        tables = []
        for j, edges, count in zip(self.coarse, self.edges, self.counts, strict=True):
            if edges is None:
                weights = np.exp(power * self._beliefs.odds.get(j, np.zeros(count)))
                tables.append(weights / weights.sum())
            else:
                centre, spread = self._bell(j, power)
                tables.append(mass((edges - centre) / spread))
        return Prior(mean, std, tables)

    def _bell(self, j: int, power: float) -> tuple[float, float]:
        """Mean and standard deviation, in the unit cube, of what is believed of an ordered column."""
        mean, precision = self._beliefs.bell(j, power)
        return mean, 1.0 / math.sqrt(max(precision, _FLAT**-2))


def mass(z: Floats) -> Floats:
    """(..., k) what a standard normal restricted to z[..., 0] .. z[..., k] has between its edges `z` (..., k + 1)."""
    flip = z[..., :1] > 0  # far out on the right 1 - p has lost its digits
    p = np.diff(ndtr(np.where(flip, -z, z)), axis=-1)
    p = np.maximum(np.where(flip, -p, p), _TINY)
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


def truncated(mean: Floats, std: Floats, u: Floats) -> Floats:
    """Normal numbers restricted to [0, 1], by inverting the distribution function at `u`."""
    flip = mean < 0
    centre = np.where(flip, 1.0 - mean, mean)
    low, high = ndtr(-centre / std), ndtr((1.0 - centre) / std)
    x = centre + std * ndtri(low + u * (high - low))
    return np.asarray(np.clip(np.where(flip, 1.0 - x, x), 0.0, 1.0))


def _edges(middles: Floats) -> Floats:
    """(k + 1,) where cells end: each has its middle in the middle."""
    edges = np.zeros(len(middles) + 1)
    for i, middle in enumerate(middles.tolist()):
        edges[i + 1] = 2.0 * middle - edges[i]
    edges[-1] = 1.0
    return edges
