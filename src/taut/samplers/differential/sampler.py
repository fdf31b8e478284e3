"""The sampler: its options, and what is remembered of a trial."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from taut.errors import InputError, nearest
from taut.samplers.base import Note
from taut.samplers.differential.children import by_history, by_place, child
from taut.samplers.differential.members import Members, founded
from taut.samplers.geometry import Geometry
from taut.samplers.population.base import PopulationSampler
from taut.samplers.population.ended import Ended
from taut.samplers.untried import Tried
from taut.snapshot import Snapshot
from taut.space.prior import Floats

__all__ = ["DifferentialSampler"]

_VARIANTS = ("adaptive", "rand1bin")
_CLASSIC = 20  # NP of rand1bin
_FEWEST = 4  # N_min: a target and three others
_TRIES = 8  # to find a point that was not tried


@dataclasses.dataclass(frozen=True)
class DifferentialSampler(PopulationSampler[Members]):
    """Differential evolution: a trial is a good one, moved by the differences between others, so steps shrink as the population does.

    Choose it for hundreds or thousands of cheap trials over numbers, for many workers, and with `hyperband` as a pruner (that is
    DEHB). For fewer trials than 20 for each parameter, models (`gp`, `tpe`) find better values.

    Each trial that has ended takes part in the next proposal; nobody waits. Choices are inherited or drawn, never added;
    constraints, failures and several objectives decide who stays. When all members are in one place, a round begins
    again from the best and a population of twice the size.

    variant: "adaptive" learns F and CR from the children that came to be members, and moves members towards the best (SHADE; where the
        budget is given in trials, the population shrinks towards its end: L-SHADE). "rand1bin" is the classical one: F = CR = 0.5, and trial
        n competes with the best of its place, n modulo the population. It is slower, and drawn less towards what is best so far.
    population: members. From 4 to 10000; 4 + 6 ln d of d parameters by default, 20 with "rand1bin". Larger ones find better values, later.

    Sources: Storn & Price, J. Global Optimization 11, 1997; Tanabe & Fukunaga, CEC 2014, pp. 1658-1665 (L-SHADE); Awad, Mallik
    & Hutter, IJCAI 2021, arXiv:2105.09821 (DEHB). Departures of "adaptive": who ends drives out the worst member and not
    its target; a success counts by the place that it takes and not by the loss it saves; the archive forgets the oldest and not any;
    populations are small, and begin again.
    """

    variant: str = "adaptive"
    population: int | None = None

    def __post_init__(self) -> None:
        if self.variant not in _VARIANTS:
            raise InputError(
                f'variant = {self.variant!r} is not known; use "adaptive" or "rand1bin"'
                + nearest(str(self.variant), _VARIANTS),
                ("sampler", "variant"),
            )
        size = self.population
        whole = isinstance(size, int) and not isinstance(size, bool)
        if size is not None and not (whole and _FEWEST <= size <= 10_000):
            raise InputError(
                f"population = {size!r} must be a whole number from 4 to 10000; leave it out for one that suits the space",
                ("sampler", "population"),
            )

    def size(self, geometry: Geometry) -> int:
        if self.population is not None:
            return self.population
        if self.variant == "rand1bin":
            return _CLASSIC
        return _FEWEST + int(6.0 * math.log(max(len(geometry.free), 1)))

    def begun(self, geometry: Geometry, snapshot: Snapshot) -> Members:
        return founded(self.size(geometry), geometry.d)

    def ready(self, state: Members) -> bool:
        return len(state.now) >= state.least

    def grown(self, geometry: Geometry, state: Members, ended: Ended, snapshot: Snapshot) -> Members:
        return state.and_(ended, self.size(geometry), snapshot, places=self.variant == "rand1bin")

    def child(
        self, geometry: Geometry, state: Members, number: int, snapshot: Snapshot, rng: np.random.Generator
    ) -> tuple[Floats, Note | None]:
        members = min(_room(state, snapshot.definition.budget.trials), len(state.now))
        tried = Tried.of(snapshot) if geometry.repeats else None
        for _ in range(_TRIES):
            if self.variant == "rand1bin":
                parents, note = by_place(state, number, rng), None
            else:
                parents = by_history(state, members, rng)
                note = {"F": _short(parents.scale), "CR": _short(parents.rate)}
            unit = child(geometry, parents, rng)
            if tried is None or tried.fresh(geometry.codes(unit[None]))[0]:
                break
        return unit, note

    def account(self, snapshot: Snapshot) -> str | None:
        state = self.state(snapshot)
        if not self.ready(state):
            return "draws from the priors until there is a population"
        if self.variant == "rand1bin":
            return f"{len(state.now)} members"
        members = min(_room(state, snapshot.definition.budget.trials), len(state.now))
        scale, rate = state.memory.means
        return f"{members} members; F about {scale:.2f} and CR about {rate:.2f} have worked"


def _room(state: Members, trials: int | None) -> int:
    """Members that have children. Eq. 10: from `size` down to N_min, linearly, at the end of the trials that were asked for."""
    if trials is None or trials <= state.begun:
        return state.size
    share = min((state.count - state.begun) / (trials - state.begun), 1.0)
    return max(round(state.size + (_FEWEST - state.size) * share), _FEWEST)


def _short(value: float) -> float:
    """With four digits: notes are written into the log."""
    return float(f"{value:.4g}")
