"""NSGA-III: the first fronts stay, and of the last one those that fill empty niches."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np

from taut.samplers.base import Note
from taut.samplers.geometry import Geometry
from taut.samplers.history import History
from taut.samplers.options import number, whole
from taut.samplers.population.base import PopulationSampler
from taut.samplers.population.elite import EVERY, Stock, child
from taut.samplers.population.ended import Ended
from taut.samplers.population.niches import directions, fulfilled, niched
from taut.samplers.population.variation import Genes, finished
from taut.snapshot import Snapshot
from taut.space.prior import Floats

__all__ = ["NSGA3Sampler"]

_TAG = 0x93  # so that the lots of niches are no other numbers


class Held(NamedTuple):
    """stock: the parents, who stand by their fronts alone. ideal: (m,) the least loss in each objective so far."""

    stock: Stock
    ideal: Floats


@dataclasses.dataclass(frozen=True)
class NSGA3Sampler(PopulationSampler[Held]):
    """Non-dominated sorting with reference directions: approaches the trade-off of many objectives evenly.

    Choose it for four objectives and more, some hundred trials and more, in any space. With two or three,
    `nsga2` is as good and simpler.

    As `nsga2`, but of the last front that fits in part, those trials stay that are nearest to directions with
    few others: directions are spread evenly over the objectives' trade-offs, between scales that the extreme
    trials set. There are as many as fit into the population.

    population: trials that have children. 4 to 10,000, 50 by default.
    startup: trials drawn from the priors before the first child. 2 to 10,000, 20 by default.
    crossover_eta, mutation_eta: as in `genetic`; 0 to 1,000, 30 and 20 by default.

    Sources: Deb & Jain, IEEE Trans. Evol. Comput. 18, 2014; constraints: Jain & Deb, in the same volume.
    Departures: small generations, and children before there is a whole population; each parent is the better of two by
    front (there, any); extreme points are sought after scaling, so that units make no difference.
    """

    partial: ClassVar[bool] = False

    population: int = 50
    startup: int = 20
    crossover_eta: float = 30.0
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

    def begun(self, geometry: Geometry, snapshot: Snapshot) -> Held:
        return Held(Stock.of_nobody(geometry.d), np.array([np.inf]))

    def ready(self, state: Held) -> bool:
        return len(state.stock.parents) > 0 and state.stock.count >= self.startup

    def grown(self, geometry: Geometry, state: Held, ended: Ended, snapshot: Snapshot) -> Held:
        ideal = np.minimum(state.ideal, ended.loss[fulfilled(ended)].min(axis=0, initial=np.inf))
        count = state.stock.count + len(ended)
        rng = np.random.default_rng([snapshot.definition.seed, count, _TAG])
        stock = state.stock.and_(ended, EVERY, lambda both: niched(both, self.population, ideal, rng))
        return Held(stock, ideal)

    def child(
        self, geometry: Geometry, state: Held, number: int, snapshot: Snapshot, rng: np.random.Generator
    ) -> tuple[Floats, Note | None]:
        parents, merit = state.stock.parents, state.stock.merit
        first, second = rng.integers(len(parents), size=(2, 2))
        rows = np.where(merit[second] < merit[first], second, first)
        one, other = (Genes.of(parents, row) for row in rows.tolist())
        genes = child(geometry, one, other, (self.crossover_eta, self.mutation_eta), rng)
        return finished(geometry, genes, self.mutation_eta, snapshot, rng), None

    def account(self, snapshot: Snapshot) -> str | None:
        objectives = len(History.of(snapshot).objectives)
        if objectives == 1:
            return 'one objective: nsga3 is a genetic algorithm whose parents are drawn; method = "genetic" is quicker'
        count = len(directions(objectives, self.population))
        return f"{count} directions between {objectives} objectives, for a population of {self.population}"
