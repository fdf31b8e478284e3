"""The unit cube as models see it: which axes count, which are ordered, and where values lie on them.

Numbers and ordinals are points on [0, 1] (the logarithmic kinds in their logarithm), discrete ones at the middle of their
cells. A choice keeps the middle of its cell too, but only whether two are equal means anything.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from taut.space import Space, choice
from taut.space.prior import Bools, Floats

__all__ = ["Geometry"]

_COUNTED = 10**300  # points; more would be no float
_FINE = 10_000  # an axis of more cells is as good as continuous


class Geometry:
    """What samplers ask of a space, worked out once. Use `Geometry.of(space)`, which keeps it.

    free: columns that have more than one value. choices (as a set: unordered): those of them without an order; ordered: the rest.
    cells: (d,) values of each column, 0 where it is continuous or as good as continuous. conditional: columns that not every
    trial has. size: how many different points there are, infinite for a continuous space. repeats: whether the same point may be drawn
    twice: where no continuous parameter is in every trial.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.d = len(space)
        cells = space.cells.copy()
        single = np.array([_constant(p) for p in space.columns], bool)
        unordered = np.array([isinstance(p, choice) for p in space.columns], bool)
        self.free: NDArray[np.int64] = np.flatnonzero(~single)
        self.choices: NDArray[np.int64] = np.flatnonzero(~single & unordered)
        self.ordered: NDArray[np.int64] = np.flatnonzero(~single & ~unordered)
        self.conditional: NDArray[np.int64] = np.array(
            [j for j, name in enumerate(space.searched) if name in space.conditions.when and not single[j]],
            np.int64,
        )
        self.unordered = frozenset(self.choices.tolist())
        self.size = (
            np.inf
            if (cells[self.free] == 0).any()
            else float(min(math.prod(cells[self.free].tolist()), _COUNTED))
        )
        always = np.setdiff1d(self.free, self.conditional)
        self.repeats = not bool((cells[always] == 0).any())
        fine = (cells > _FINE) & ~unordered  # the values of a choice are not near each other, however many
        self._fine = [j for j in self.free.tolist() if fine[j]]
        self.cells = np.where(fine, 0, cells)
        self.discrete: NDArray[np.int64] = np.flatnonzero((self.cells > 1) & ~single)
        # Where the middles of the cells lie; evenly for most kinds, unevenly for logarithmic integers.
        self.middles: dict[int, Floats] = {}
        for j in self.discrete.tolist():
            edges = (np.arange(self.cells[j]) + 0.5) / self.cells[j]
            self.middles[j] = self._middles(j, edges)

    @staticmethod
    @functools.lru_cache(maxsize=64)
    def of(space: Space) -> Geometry:
        return Geometry(space)

    def _middles(self, j: int, evenly: Floats) -> Floats:
        parameter = self.space.columns[j]
        middles = parameter.encode(parameter.decode(evenly))
        if isinstance(parameter, choice) or np.allclose(middles, evenly):
            return middles
        fine = np.linspace(0.0, 1.0, 64 * len(evenly) + 1)
        return np.unique(parameter.encode(parameter.decode(fine)))

    def snap(self, unit: Floats) -> Floats:
        """`unit` (n, d) with every discrete value in the middle of its cell."""
        snapped = unit.copy()
        for j, middles in self.middles.items():
            snapped[:, j] = middles[self.nearest(j, unit[:, j])]
        for j in self._fine:
            parameter = self.space.columns[j]
            snapped[:, j] = parameter.encode(parameter.decode(np.clip(unit[:, j], 0.0, 1.0)))
        return snapped

    def nearest(self, j: int, u: Floats) -> NDArray[np.int64]:
        middles = self.middles[j]
        edges = (middles[1:] + middles[:-1]) / 2
        return np.searchsorted(edges, u, side="right")

    def codes(self, unit: Floats) -> Floats:
        """Codes of points of the cube; NaN where a parameter is inactive."""
        return self.space.decode(np.minimum(np.maximum(unit, 0.0), 1.0))  # quicker than `clip`

    def drawn(self, rng: np.random.Generator) -> Floats:
        """(d,) a point drawn from the priors, with a value for every parameter, whatever its condition."""
        return np.asarray(
            self.space.encode(self.space.quantile(rng.random((1, self.d)), conditions=False))[0]
        )

    def settle(self, unit: Floats) -> tuple[Floats, Bools | None]:
        """Points as they come out when they are evaluated, 0.5 where inactive; and what is active, if that differs."""
        if not len(self.conditional):
            return self.snap(unit), None
        codes = self.codes(unit)
        return self.space.encode(codes), ~np.isnan(codes)


def _constant(parameter: object) -> bool:
    ends = parameter.decode(np.array([0.0, 1.0]))  # type: ignore[attr-defined]
    return bool(ends[0] == ends[1])
