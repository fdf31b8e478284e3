"""NSGA-II: the first fronts stay, and of the last one those that stand alone."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from taut.samplers.base import Note
from taut.samplers.geometry import Geometry
from taut.samplers.history import History
from taut.samplers.options import number, whole
from taut.samplers.population.base import PopulationSampler
from taut.samplers.population.elite import EVERY, Stock, best, child
from taut.samplers.population.ended import Ended
from taut.samplers.population.variation import Genes, finished
from taut.snapshot import Snapshot
from taut.space.prior import Floats

__all__ = ["NSGA2Sampler"]


@dataclasses.dataclass(frozen=True)
class NSGA2Sampler(PopulationSampler[Stock]):
    """Non-dominated sorting genetic algorithm: approaches the whole trade-off of two or three objectives.

    Choose it for some hundred trials and more with two or three objectives, with or without constraints, in any
    space. For four objectives and more, where nearly every trial is on the front, use `nsga3`; for few and
    expensive trials `gp`; with one objective it is a genetic algorithm with a large population, and `genetic`
    is quicker.

    Trials stand by the front they are on, within a front by how far their neighbours are (crowding distance),
    and those that break constraints behind all others, by how much. The best `population` have children, each
    parent the better of two drawn ones; crossover and mutation are those of `genetic`. Who has children is
    decided anew after every fifth trial.

    population: trials that have children. 4 to 10,000, 50 by default; a front is covered by at most so many.
    startup: trials drawn from the priors before the first child. 2 to 10,000, 20 by default.
    crossover_eta, mutation_eta: as in `genetic`; 0 to 1,000, 15 and 20 by default.

    Sources: Deb, Pratap, Agarwal & Meyarivan, IEEE Trans. Evol. Comput. 6, 2002. Departures: small generations (one by one
    in Durillo et al., EMO 2009), and children before there is a whole population.
    """

    partial: ClassVar[bool] = False

    population: int = 50
    startup: int = 20
    crossover_eta: float = 15.0
    mutation_eta: float = 20.0

    def __post_init__(self) -> None:
        whole("population", self.population, 4, 10_000)
        whole("startup", self.startup, 2, 10_000)
        number("crossover_eta", self.crossover_eta, 0.0, 1000.0)
        number("mutation_eta", self.mutation_eta, 0.0, 1000.0)

    def size(self, geometry: Geometry) -> int:
        return EVERY

    def designed(self, geometry: Geometry) -> int:
        return self.startup

    def begun(self, geometry: Geometry, snapshot: Snapshot) -> Stock:
        return Stock.of_nobody(geometry.d)

    def ready(self, state: Stock) -> bool:
        return len(state.parents) > 0 and state.count >= self.startup

    def grown(self, geometry: Geometry, state: Stock, ended: Ended, snapshot: Snapshot) -> Stock:
        return state.and_(ended, EVERY, lambda both: best(both, self.population))

    def child(
        self, geometry: Geometry, state: Stock, number: int, snapshot: Snapshot, rng: np.random.Generator
    ) -> tuple[Floats, Note | None]:
        drawn = rng.integers(len(state.parents), size=(2, 2)).min(axis=1)  # the better come first
        one, other = (Genes.of(state.parents, row) for row in drawn.tolist())
        genes = child(geometry, one, other, (self.crossover_eta, self.mutation_eta), rng)
        return finished(geometry, genes, self.mutation_eta, snapshot, rng), None

    def account(self, snapshot: Snapshot) -> str | None:
        objectives = len(History.of(snapshot).objectives)
        if objectives == 1:
            return 'one objective: nsga2 is a genetic algorithm with a large population; method = "genetic" is quicker'
        if objectives > 3:
            return f'{objectives} objectives: nearly every trial is on the front; method = "nsga3" tells them apart'
        return None
