"""Populations of which only the best stay: what genetic algorithms have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from taut.samplers.geometry import Geometry
from taut.samplers.population.ended import Ended
from taut.samplers.population.variation import Genes, crossed, mutated, mutated_once

__all__ = ["Stock", "best", "child"]

_CROSSOVER = 0.9  # p_c: children that have two parents


@dataclasses.dataclass(frozen=True)
class Stock:
    """parents: who has children now, the best first. count: how many trials have ended; failed ones only count.

    kept: the parents after the last whole generation. since: who has ended since then, without a failure.
        Parents are chosen from both together, as soon as a trial ends (steady state), and it makes no
        difference how many are taken in at a time.
    """

    parents: Ended
    kept: Ended
    since: Ended
    count: int

    @staticmethod
    def of_nobody(d: int) -> Stock:
        none = np.empty((0, 0))
        nobody = Ended(np.empty(0, np.int64), np.empty((0, d)), np.empty((0, d), bool), none, none)
        return Stock(nobody, nobody, nobody, 0)

    def and_(self, ended: Ended, every: int, chosen: Callable[[Ended], NDArray[np.int64]]) -> Stock:
        """After these trials, too; at most up to the next whole generation of `every`. chosen: who stays, the best first."""
        count = self.count + len(ended)
        since = _both(self.since, ended.rows(np.asarray(np.isfinite(ended.loss).all(axis=1))))
        both = _both(since.rows(slice(None, None, -1)), self.kept)  # of equal ones the newer is ahead
        parents = both.rows(chosen(both)) if len(both) else both
        if count % every == 0:
            return Stock(parents, parents, since.rows(slice(0)), count)
        return Stock(parents, self.kept, since, count)


def _both(one: Ended, other: Ended) -> Ended:
    return one.and_(other) if len(one) and len(other) else one if len(one) else other


def best(ended: Ended, count: int) -> NDArray[np.int64]:
    """Rows of the best `count`, by standing."""
    return np.argsort(ended.standing(), kind="stable")[:count]


def child(
    geometry: Geometry, one: Genes, other: Genes, etas: tuple[float, float], rng: np.random.Generator
) -> Genes:
    """Crossed, mutated, and different from its parents. etas: of crossover and mutation."""
    made = crossed(geometry, one, other, etas[0], rng) if rng.random() < _CROSSOVER else one
    made = mutated(geometry, made, etas[1], rng)
    if any(np.array_equal(made.unit, parent.unit) for parent in (one, other)):
        return mutated_once(geometry, made, etas[1], rng)
    return made
