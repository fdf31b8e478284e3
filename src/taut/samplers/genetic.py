"""The genetic algorithm: the best of two or more are crossed, a little is changed, and the best stay."""

from __future__ import annotations

import dataclasses

import numpy as np

from taut.samplers.base import Note
from taut.samplers.geometry import Geometry
from taut.samplers.history import History
from taut.samplers.options import number, whole
from taut.samplers.population.base import PopulationSampler
from taut.samplers.population.elite import Stock, best, child
from taut.samplers.population.ended import Ended
from taut.samplers.population.variation import Genes, finished
from taut.snapshot import Snapshot
from taut.space.prior import Floats

__all__ = ["GeneticSampler"]


@dataclasses.dataclass(frozen=True)
class GeneticSampler(PopulationSampler[Stock]):
    """Steady-state genetic algorithm: a child of two good trials for each free worker; the best so far have children.

    Choose it for many cheap trials with parameters of all kinds and conditions: it asks little of the loss (an
    order is enough) and of the machine. For numbers alone, `cma` and `differential` come closer to the best;
    for a few hundred trials or less, `gp` and `tpe` find better values; for the trade-off of several
    objectives, use `nsga2`.

    Parents are the best of `tournament` drawn ones. Numbers and ordinals are recombined by simulated binary
    crossover, choices inherited from either parent; then each parameter is changed with probability 1/d. Trials
    that break constraints come after those that keep them; several objectives count by fronts, and within a
    front by how alone a trial is.

    population: trials that have children, and that are drawn from the priors before the first child. 4 to
        10,000, 20 by default.
    tournament: how many are drawn for each parent. More is greedier. 1 to 1,000, 3 by default.
    crossover_eta: how near children are to a parent, in ordered parameters. 0 to 1,000, 2 by default, which
        spreads them widely.
    mutation_eta: how short the steps of mutations are. 0 to 1,000, 10 by default: a twelfth of the range on average.

    Sources: Deb & Agrawal, Complex Systems 9, 1995 (crossover); Deb & Goyal, Computer Science and Informatics
    26, 1996 (mutation); Deb, Comput. Methods Appl. Mech. Eng. 186, 2000 (constraints); Whitley, ICGA 1989
    (steady state). Departures: of the two children of a crossover one is made; a discrete value that is mutated
    always changes.
    """

    population: int = 20
    tournament: int = 3
    crossover_eta: float = 2.0
    mutation_eta: float = 10.0

    def __post_init__(self) -> None:
        whole("population", self.population, 4, 10_000)
        whole("tournament", self.tournament, 1, 1000)
        number("crossover_eta", self.crossover_eta, 0.0, 1000.0)
        number("mutation_eta", self.mutation_eta, 0.0, 1000.0)

    def size(self, geometry: Geometry) -> int:
        return self.population

    def begun(self, geometry: Geometry, snapshot: Snapshot) -> Stock:
        return Stock.of_nobody(geometry.d)

    def ready(self, state: Stock) -> bool:
        return len(state.parents) > 0 and state.count >= self.population

    def grown(self, geometry: Geometry, state: Stock, ended: Ended, snapshot: Snapshot) -> Stock:
        return state.and_(ended, self.size(geometry), lambda both: best(both, self.population))

    def child(
        self, geometry: Geometry, state: Stock, number: int, snapshot: Snapshot, rng: np.random.Generator
    ) -> tuple[Floats, Note | None]:
        drawn = rng.integers(len(state.parents), size=(2, self.tournament)).min(axis=1)  # the best come first
        one, other = (Genes.of(state.parents, row) for row in drawn.tolist())
        genes = child(geometry, one, other, (self.crossover_eta, self.mutation_eta), rng)
        return finished(geometry, genes, self.mutation_eta, snapshot, rng), None

    def account(self, snapshot: Snapshot) -> str | None:
        objectives = len(History.of(snapshot).objectives)
        if objectives == 1:
            return None
        return f'{objectives} objectives: the best {self.population} are those of the first fronts; method = "nsga2" keeps more'
