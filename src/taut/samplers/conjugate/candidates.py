"""Where a drawn model is looked at: points from the priors, and steps from good trials; none that was tried before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taut.samplers.base import Codes
from taut.samplers.geometry import Geometry
from taut.space.prior import Bools, Floats

__all__ = ["Points", "among", "keys", "near", "unseen"]

_MOST = 1 << 16  # a space of more points is not listed
_STEPS = 1e-3, 0.3  # smallest and largest step, as a part of the range
_STILL = 1e-3  # of a step, for the parameters that the step leaves alone: no value is tried twice for nothing


@dataclass(frozen=True)
class Points:
    """codes: (n, d) as they are proposed. unit: (n, d) where they lie. active: (n, d), or None where all always are."""

    codes: Codes
    unit: Floats
    active: Bools | None

    @staticmethod
    def of(geometry: Geometry, codes: Codes) -> Points:
        return Points(
            codes, geometry.space.encode(codes), ~np.isnan(codes) if len(geometry.conditional) else None
        )

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: NDArray[np.int64] | Bools) -> Points:
        return Points(self.codes[rows], self.unit[rows], None if self.active is None else self.active[rows])


def keys(unit: Floats) -> NDArray[np.int64]:
    """(n,) a number for each point; equal points have equal numbers."""
    whole = np.rint(unit * 2.0**40).astype(np.int64)
    odd = np.random.default_rng(unit.shape[1]).integers(1, 2**62, unit.shape[1]) * 2 + 1
    return np.asarray((whole * odd).sum(axis=1))


def among(mine: NDArray[np.int64], known: NDArray[np.int64]) -> Bools:
    """(n,) which of the numbers `mine` are in `known`, which is sorted."""
    if not len(known):
        return np.zeros(len(mine), bool)
    return np.asarray(known[np.minimum(np.searchsorted(known, mine), len(known) - 1)] == mine)


def near(geometry: Geometry, parents: Floats, count: int, generator: np.random.Generator) -> Codes:
    """(count, d) steps from points (p, d): of few or many parameters, wide or small."""
    free = geometry.free
    unit = parents[generator.integers(len(parents), size=count)]
    if not len(free):
        return geometry.codes(unit)
    low, high = np.log(_STEPS)
    width = np.exp(generator.uniform(low, high, (count, 1)))
    share = np.array([1.0, 3.0 / len(free), 1.5 / len(free)])[generator.integers(3, size=(count, 1))]
    moved = generator.random((count, len(free))) < share
    moved[np.arange(count), generator.integers(len(free), size=count)] = True
    steps = width * generator.standard_normal((count, len(free)))
    steps = np.where(moved, steps, _STILL * steps)
    cells = geometry.cells[free]
    # A step of a discrete parameter leads to another value at least.
    least = np.where(moved & (cells > 0), 1.0 / np.maximum(cells, 1), 0.0)
    steps = np.where(np.abs(steps) < least, np.copysign(least, steps), steps)
    place = unit[:, free] + steps
    place = np.where(place < 0.0, -place, place)
    place = np.clip(np.where(place > 1.0, 2.0 - place, place), 0.0, 1.0)
    unordered = np.isin(free, geometry.choices)
    place = np.where(moved & unordered, generator.random(place.shape), place)
    unit[:, free] = place
    return geometry.codes(unit)


def unseen(
    geometry: Geometry,
    parents: Floats,
    count: int,
    needed: int,
    seen: NDArray[np.int64],
    generator: np.random.Generator,
) -> Points:
    """Up to `count` different points that are not among `seen` (sorted keys), half of them near `parents`; at least `needed` if there are.

    Every one of them where the space has no more than `count`. Points that were seen only where the space has no others.
    """
    if geometry.size > count:
        local = count // 2 if len(parents) else 0
        codes = geometry.space.quantile(generator.random((count - local, geometry.d)))
        if local:
            codes = np.concatenate((codes, near(geometry, parents, local, generator)))
        points = Points.of(geometry, codes)
        fresh = _fresh(points, seen)
        if len(fresh) >= needed or geometry.size > _MOST or len(geometry.middles) < len(geometry.free):
            return fresh if len(fresh) else points
    points = Points.of(geometry, _all(geometry))
    fresh = _fresh(points, seen)
    return fresh if len(fresh) else points


def _fresh(points: Points, seen: NDArray[np.int64]) -> Points:
    mine, first = np.unique(keys(points.unit), return_index=True)
    return points[np.sort(first[~among(mine, seen)])]


def _all(geometry: Geometry) -> Codes:
    """Every point of a discrete space."""
    unit = np.full((int(geometry.size), geometry.d), 0.5)
    sizes = [len(geometry.middles[j]) for j in geometry.free.tolist()]
    digits = np.unravel_index(np.arange(len(unit)), sizes) if sizes else ()
    for j, digit in zip(geometry.free.tolist(), digits, strict=True):
        unit[:, j] = geometry.middles[j][digit]
    return geometry.codes(unit)
