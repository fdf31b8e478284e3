"""Populations of which only the best stay: what genetic algorithms have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.samplers.geometry import Geometry
from taut.samplers.population.ended import Ended
from taut.samplers.population.variation import Genes, crossed, mutated, mutated_once
from taut.space.prior import Floats

__all__ = ["EVERY", "Chosen", "Stock", "best", "child"]

EVERY = 5
"""Trials after which parents are chosen anew, where that takes long: each front is as good as if it were done after each of them."""

_CROSSOVER = 0.9  # p_c: children that have two parents


class Chosen(NamedTuple):
    """rows: (k,) who stays, the best first. merit: (k,) how they stand, less is better."""

    rows: NDArray[np.int64]
    merit: Floats


@dataclasses.dataclass(frozen=True)
class Stock:
    """parents: who has children now, the best first. merit: (k,) how they stand, less is better. count: how many trials have ended; failed ones only count.

    kept: the parents after the last whole generation. since: who has ended since then, without a failure.
        Parents are chosen from both together, as soon as a trial ends (steady state), and it makes no
        difference how many are taken in at a time.
    """

    parents: Ended
    merit: Floats
    kept: Ended
    since: Ended
    count: int

    @staticmethod
    def of_nobody(d: int) -> Stock:
        none = np.empty((0, 0))
        nobody = Ended(np.empty(0, np.int64), np.empty((0, d)), np.empty((0, d), bool), none, none)
        return Stock(nobody, np.empty(0), nobody, nobody, 0)

    def and_(self, ended: Ended, every: int, chosen: Callable[[Ended], Chosen]) -> Stock:
        """After these trials, too; at most up to the next whole generation of `every`."""
        count = self.count + len(ended)
        since = self.since.and_(ended.with_results())
        both = since.rows(slice(None, None, -1)).and_(self.kept)  # of equal ones the newer is ahead
        if not len(both):
            return dataclasses.replace(self, count=count)
        rows, merit = chosen(both)
        parents = both.rows(rows)
        if count % every == 0:
            return Stock(parents, merit, parents, since.rows(slice(0)), count)
        return Stock(parents, merit, self.kept, since, count)


def best(ended: Ended, count: int) -> Chosen:
    """The best `count`, by standing."""
    merit = ended.standing()
    rows = np.argsort(merit, kind="stable")[:count]
    return Chosen(rows, merit[rows])


def child(
    geometry: Geometry, one: Genes, other: Genes, etas: tuple[float, float], rng: np.random.Generator
) -> Genes:
    """Crossed, mutated, and different from its parents. etas: of crossover and mutation."""
    made = crossed(geometry, one, other, etas[0], rng) if rng.random() < _CROSSOVER else one
    made = mutated(geometry, made, etas[1], rng)
    if any(np.array_equal(made.unit, parent.unit) for parent in (one, other)):
        return mutated_once(geometry, made, etas[1], rng)
    return made
