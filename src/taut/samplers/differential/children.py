"""How a child is made: whose differences are added to whom, and which genes come from where."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from taut.samplers.differential.members import ARCHIVE, Members
from taut.samplers.geometry import Geometry
from taut.space.prior import Bools, Floats

__all__ = ["Parents", "by_history", "by_place", "child"]

_GREED = 0.11  # p: the share of the members that are best
_CLASSIC = 0.5, 0.5  # F and CR of rand/1/bin
_STRAY = 0.1  # of choices in a mutant are drawn anew, or a value that the best have not would never come back


class Parents(NamedTuple):
    """unit, active: (5, d) the target, the base, who it is drawn towards, and two whose difference is added; scale: F. rate: CR."""

    unit: Floats
    active: Bools
    scale: float
    rate: float


def by_history(state: Members, members: int, rng: np.random.Generator) -> Parents:
    """Of the first `members`: current-to-pbest/1, with F and CR as they have worked (L-SHADE, eq. 1 to 3)."""
    scale, rate = state.memory.drawn(rng)
    target = int(rng.integers(members))
    best = int(rng.integers(min(max(round(_GREED * members), 2), members)))
    first = (target + 1 + int(rng.integers(members - 1))) % members
    # x_r2 may be a former member, too: of the latest ones.
    former = min(round(ARCHIVE * members), len(state.former))
    second = int(rng.integers(members + former - 2))
    for taken in sorted((target, first)):
        second += second >= taken
    which = [target, target, best, first, min(second, members - 1)]
    unit, active = state.now.unit[which], state.now.active[which]
    if second >= members:
        unit[-1], active[-1] = (
            state.former.unit[members - second - 1],
            state.former.active[members - second - 1],
        )
    return Parents(unit, active, scale, rate)


def by_place(state: Members, number: int, rng: np.random.Generator) -> Parents:
    """For the place of trial `number`: rand/1, with constant F and CR."""
    now, count = state.now, len(state.now)
    here = np.flatnonzero(now.numbers % state.size == number % state.size)
    target = int(here[0]) if len(here) else number % count
    base, first, second = ((target + 1 + rng.choice(count - 1, 3, replace=False)) % count).tolist()
    which = [target, base, base, first, second]
    return Parents(now.unit[which], now.active[which], *_CLASSIC)


def child(geometry: Geometry, parents: Parents, rng: np.random.Generator) -> Floats:
    """(d,) a child, in any space and within its bounds."""
    unit, scale = parents.unit, parents.scale
    if len(geometry.conditional):
        # A gene that some parents lack is for all of those one and the same draw from the priors: they do not differ in it.
        space = geometry.space
        drawn = space.encode(space.quantile(rng.random((1, geometry.d)), conditions=False))
        unit = np.where(parents.active, unit, drawn)
    target, base, best, first, second = unit
    # Eq. 3: v = x + F (x_pbest - x) + F (x_r1 - x_r2); rand/1 has x_r0 in place of both x and x_pbest.
    mutant = base + scale * (best - base) + scale * (first - second)
    # Eq. 4: half way from the target to the bound that the mutant is beyond.
    mutant = np.where(mutant < 0.0, target / 2.0, np.where(mutant > 1.0, (1.0 + target) / 2.0, mutant))
    if len(geometry.choices):
        mutant[geometry.choices] = _choices(unit[1:, geometry.choices], scale, rng)
    # Eq. 5: binomial crossover; one gene comes from the mutant in any case.
    crossed = rng.random(geometry.d) < parents.rate
    crossed[geometry.free[int(rng.integers(len(geometry.free)))]] = True
    return np.asarray(np.where(crossed, mutant, target))


def _choices(unit: Floats, scale: float, rng: np.random.Generator) -> Floats:
    """Eq. 3 where nothing can be added: with probability F a step is taken as a whole; where two do not differ, there is none."""
    base, best, first, second = unit
    draws = rng.random((4, len(base)))
    value = np.where(draws[0] < scale, best, base)
    value = np.where((draws[1] < scale) & (first != second), first, value)
    return np.asarray(np.where(draws[2] < _STRAY, draws[3], value))
