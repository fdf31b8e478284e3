"""Regularised evolution: one mutation of the best of some, and the oldest die."""

from __future__ import annotations

import dataclasses

import numpy as np

from taut.samplers.base import Note
from taut.samplers.geometry import Geometry
from taut.samplers.options import number, whole
from taut.samplers.population.base import PopulationSampler
from taut.samplers.population.ended import Ended
from taut.samplers.population.variation import Genes, finished, mutated_once
from taut.snapshot import Snapshot
from taut.space.prior import Floats

__all__ = ["EvolutionSampler"]


@dataclasses.dataclass(frozen=True)
class Alive:
    """trials: those that ended last, the oldest first. standing: (k,) less is better, infinite where they failed."""

    trials: Ended | None
    standing: Floats


@dataclasses.dataclass(frozen=True)
class EvolutionSampler(PopulationSampler[Alive]):
    """Regularised (ageing) evolution: a child differs from a good trial in one parameter; nobody lives long.

    Choose it for architectures and other spaces of choices and conditions, with many workers, and for noisy
    losses: a trial that was lucky dies out, and only what is good again and again stays. For few trials `tpe`
    is better; for numbers alone `cma` and `differential`.

    The `population` trials that ended last are alive. For each child, `tournament` of them are drawn, and the
    best of those is its parent; one parameter is changed, to a value nearby if it is a number or an ordinal, to
    another one if it is a choice. While fewer are alive, a tournament is smaller in proportion.

    population: trials alive. 2 to 10,000, 50 by default; fewer forget sooner and are greedier.
    tournament: how many are drawn for a parent. 1 to `population`, 12 by default (or all, if the population is
        smaller). More is greedier.
    startup: trials drawn from the priors before the first child. 1 to 10,000, 20 by default.
    mutation_eta: how short the steps of mutations are. 0 to 1,000, 10 by default: a twelfth of the range on average.

    Source: Real, Aggarwal, Huang & Le, AAAI 2019, arXiv:1802.01548, algorithm 1. Departures: children before
    the population is full; numbers are mutated, too (polynomial mutation, as in `genetic`); age is counted by
    when trials ended.
    """

    population: int = 50
    tournament: int = 12
    startup: int = 20
    mutation_eta: float = 10.0

    def __post_init__(self) -> None:
        whole("population", self.population, 2, 10_000)
        whole("tournament", self.tournament, 1, 10_000)
        whole("startup", self.startup, 1, 10_000)
        number("mutation_eta", self.mutation_eta, 0.0, 1000.0)

    def size(self, geometry: Geometry) -> int:
        return self.startup

    def begun(self, geometry: Geometry, snapshot: Snapshot) -> Alive:
        return Alive(None, np.empty(0))

    def ready(self, state: Alive) -> bool:
        return bool(np.isfinite(state.standing).any())

    def grown(self, geometry: Geometry, state: Alive, ended: Ended, snapshot: Snapshot) -> Alive:
        trials = (ended if state.trials is None else state.trials.and_(ended)).rows(
            slice(-self.population, None)
        )
        return Alive(trials, trials.standing())

    def child(
        self, geometry: Geometry, state: Alive, number: int, snapshot: Snapshot, rng: np.random.Generator
    ) -> tuple[Floats, Note | None]:
        assert state.trials is not None
        lasting = np.flatnonzero(np.isfinite(state.standing))
        drawn = rng.permutation(lasting)[: max(1, round(self.tournament * len(lasting) / self.population))]
        parent = Genes.of(state.trials, int(drawn[state.standing[drawn].argmin()]))
        genes = mutated_once(geometry, parent, self.mutation_eta, rng)
        return finished(geometry, genes, self.mutation_eta, snapshot, rng), None
