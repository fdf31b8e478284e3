"""Population-based training, and what its kinds have in common.

A trial keeps its parameters for life: it is one stretch of a run, and a run whose parameters change is a line of trials, each of which
goes on from the checkpoint of the one before. Members wait at every comparison, so that each has left a checkpoint of that very step
for others to go on from; then whoever is next either goes on, or gives up its place to a new trial that descends from a better one.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from taut.definition import Definition
from taut.errors import InputError, nearest
from taut.events import Descent
from taut.fidelity import Fidelity
from taut.ladder import Ladder
from taut.pruners.base import Judgement, Pruner
from taut.pruners.populationtraining.members import Members, part
from taut.pruners.populationtraining.perturb import differing
from taut.pruners.stopping import check_number
from taut.snapshot import Snapshot
from taut.space.prior import Floats

__all__ = ["PbtPruner", "PopulationPruner"]

_PARTS = 10  # comparisons of a whole run, by default
_MOST = 1000  # comparisons, at most
_PARENT, _CHILD = 0x9B7, 0x9B8  # so that no other method's numbers are these


@dataclasses.dataclass(frozen=True)
class PopulationPruner(Pruner):
    """Members, comparisons and places; subclasses say what a copy tries. For the options see `PbtPruner`."""

    needs_fidelity: ClassVar[bool] = True

    population: int = 12
    interval: float | None = None
    quantile: float = 0.25
    resample: float = 0.25
    explore: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name, least, most, what in (
            ("population", 2, 10_000, "so many members train side by side"),
            ("quantile", 0.0, 0.5, "the part that goes on from the best of as many"),
            ("resample", 0.0, 1.0, "how likely a parameter is drawn from its prior again"),
        ):
            check_number(name, getattr(self, name), least, most, what, whole=name == "population")
        if self.interval is not None:
            what = "after so many steps members are compared"
            check_number("interval", self.interval, 0.0, math.inf, what, open_=True)
        if part(self.quantile, self.population) < 1:
            raise InputError(
                f"quantile = {self.quantile:g} of {self.population} members is nobody; let it be at least "
                f"{math.ceil(100 / self.population) / 100:g}, or population larger",
                ("pruner", "quantile"),
            )
        if self.explore is not None:
            object.__setattr__(self, "explore", _named(self.explore))

    def settled(self, definition: Definition) -> Pruner:
        fidelity = definition.fidelity
        if fidelity is None:
            return self
        if not fidelity.resume:
            raise InputError(
                "members of a population go on from each other's checkpoints; write resume = true, and see to it that trials "
                "save themselves and go on from trial.resumed_from",
                ("pruner", "fidelity", "resume"),
            )
        self._check_explored(definition)
        settled = dataclasses.replace(self, interval=self.interval or _usual(fidelity))
        often = fidelity.max / settled._interval
        if often > _MOST or len(settled.rungs(definition)) < 2:
            times = f"{often:.0f} times" if often > _MOST else "never"
            raise InputError(
                f"with interval = {settled._interval:g} members are compared {times} before {fidelity.max:g}; "
                f"let it be from {fidelity.max / _MOST:g} to less than {fidelity.max:g}, such as {fidelity.max / 2:g}",
                ("pruner", "interval"),
            )
        return settled

    def _check_explored(self, definition: Definition) -> None:
        searched = definition.parsed_space().searched if self.explore is not None else ()
        for name in self.explore or ():
            if name not in searched:
                raise InputError(
                    f"{name!r} is no parameter that is searched{nearest(name, searched)}; there are: {', '.join(searched)}",
                    ("pruner", "explore"),
                )

    @property
    def _interval(self) -> float:
        assert self.interval is not None, "settled with the study"
        return self.interval

    @property
    def pauses(self) -> bool:
        return True

    @property
    def founders(self) -> int:
        return self.population

    def rungs(self, definition: Definition) -> list[float]:
        return [] if definition.fidelity is None else _rungs(definition.fidelity, self._interval)

    def judge(self, snapshot: Snapshot, number: int, since: float = -np.inf) -> Judgement:
        steps = self.rungs(snapshot.definition)
        ladder = Ladder.of(snapshot, steps)
        top = ladder.height(number) - 1
        if top < 0 or top == len(steps) - 1 or since >= steps[top]:
            return Judgement.GO  # nothing new, or nothing above
        if steps[top] < snapshot.goals.get(number, (0, -np.inf))[1]:
            return Judgement.GO  # it descends from there, or begins again on its way to where it was
        if ladder.lost(number, top):
            return Judgement.STOP
        return Judgement.GO if self._passes(snapshot, number, top) else Judgement.PAUSE

    def _passes(self, snapshot: Snapshot, number: int, rung: int) -> bool:
        """Whether a member need not wait: it is its turn, it keeps its place, and nobody will go on from it."""
        members = self.members(snapshot)
        if not members.founded or members.leads(number, rung) or members.behind(number, rung):
            return False
        return all(members.place(n) > rung for n in snapshot.waiting) and not members.places

    def promotable(self, snapshot: Snapshot, closing: bool = False) -> Sequence[int]:
        if not snapshot.waiting:
            return ()
        members = self.members(snapshot)
        waiting, places = members.waiting, set(members.places)
        if not places.isdisjoint(
            waiting
        ):  # breadth first: they are replaced before anybody goes on from further up
            lowest = members.place(waiting[0])
            waiting = [n for n in waiting if members.place(n) == lowest]
        return [n for n in waiting if n not in places]

    def goal(self, snapshot: Snapshot, number: int) -> float | None:
        steps = self.rungs(snapshot.definition)
        at = snapshot.waiting.get(number)
        if (
            at is None and number in snapshot.goals
        ):  # it died on its way there, or further up if it did not have to wait
            goal, last = snapshot.goals[number][1], snapshot.curves.last(number)
            if last is None or last.s < goal:
                return goal
            at = last.s
        if at is None:
            descent = snapshot.descents.get(number)
            if descent is None and number >= self.population:
                descent = self.descent(snapshot, number)
            at = 0.0 if descent is None else descent.step
        return steps[min(bisect.bisect_right(steps, at), len(steps) - 1)]

    # ------------------------------------------------------------------ whose place a new trial takes

    def room(self, snapshot: Snapshot) -> float:
        members = self.members(snapshot)
        return self.population + members.heirs + len(members.places)

    def descent(self, snapshot: Snapshot, number: int) -> Descent | None:
        members = self.members(snapshot)
        places, turn = members.places, members.unused(number)
        if turn >= len(places):
            return None
        instead = places[turn]
        for rung in range(members.place(instead), -1, -1):
            parents = members.parents(rung, instead)
            if parents:
                rng = np.random.default_rng([snapshot.definition.seed, number, _PARENT])
                parent = parents[int(rng.integers(len(parents)))]
                attempt, step = members.checkpoint(parent, rung) or (0, 0.0)
                return Descent(instead, parent, attempt, step)
        return Descent(instead)  # nobody has saved anything yet: another founder, so to speak

    def explored(self, snapshot: Snapshot, number: int, descent: Descent) -> dict[str, Any] | None:
        if descent.parent is None:
            return None
        rng = np.random.default_rng([snapshot.definition.seed, number, _CHILD])
        names = snapshot.space.searched if self.explore is None else self.explore
        siblings = [
            n for n, d in snapshot.descents.items() if (d.parent, d.step) == (descent.parent, descent.step)
        ]
        others = snapshot.codes[[descent.parent, *siblings]]
        codes = self.explored_from(snapshot, descent.parent, descent.step, names, others, rng)
        return snapshot.space.params(codes[None])[0]

    @abstractmethod
    def explored_from(
        self,
        snapshot: Snapshot,
        parent: int,
        step: float,
        names: Sequence[str],
        others: Floats,
        rng: np.random.Generator,
    ) -> Floats:
        """(d,) codes of a trial that goes on from `parent` at `step`, with other values of the parameters `names`.

        others: (m, d) codes of those that went on from there already, the parent's first; it is to be none of them, if it can.
        """

    def members(self, snapshot: Snapshot) -> Members:
        return Members.of(snapshot, self.rungs(snapshot.definition), self.population, self.quantile)

    def account(self, snapshot: Snapshot) -> str | None:
        fidelity = snapshot.definition.fidelity
        if fidelity is None:
            return None
        trials = snapshot.definition.budget.trials
        if trials is not None and trials <= self.population:
            enough = self.population + part(self.quantile, self.population) * (
                len(self.rungs(snapshot.definition)) - 1
            )
            return (
                f"{min(trials, self.population)} members, none of which is ever replaced: trials = {trials} leaves no room for "
                f"copies; leave it out, or let it be {enough}"
            )
        return (
            f"{self.population} members, compared after every {self._interval:g} of {fidelity.max:g} {fidelity.name}s; "
            f"{len(snapshot.heirs)} were replaced so far"
        )


@dataclasses.dataclass(frozen=True)
class PbtPruner(PopulationPruner):
    """Population-based training: a population trains side by side, and whoever falls behind goes on as a copy of one that is ahead, with
    parameters near the other's.

    Choose it where the best value of a parameter changes during training (learning rate, regularisation, exploration), and
    there is compute for about as many whole runs as there are members: it finds a schedule within one run's time. It needs objectives
    that resume. Where parameters are to be constant, `asha` finds them at less cost.

    population: members, each about the cost of a whole run. From 2, 12 by default; there may be fewer workers.
    interval: steps between two comparisons, each of which costs a save and a load. Above 0; a tenth of the fidelity's max by default.
    quantile: of the members compared, the part that is replaced, and the part they go on from. Above 0, at most 0.5; 0.25 by default.
    resample: how likely a parameter of a copy is drawn from its prior again, in place of being moved. From 0 to 1, 0.25 by default.
    explore: the parameters that may change in a copy; all of them by default. Name only those that a checkpoint does not depend on: a
        network of another width cannot go on from it.

    Source: Jaderberg et al., "Population based training of neural networks", arXiv:1711.09846, with truncation selection and with both of its
    ways to explore. Departures: a member is compared with all that have come to its step by then, whenever they did, not with where
    the others happen to be; who is replaced is decided when its turn comes to go on, the lowest step first.
    """

    def explored_from(
        self,
        snapshot: Snapshot,
        parent: int,
        step: float,
        names: Sequence[str],
        others: Floats,
        rng: np.random.Generator,
    ) -> Floats:
        return differing(snapshot.space, others, names, self.resample, rng)


def _named(names: object) -> tuple[str, ...]:
    """The option `explore`, checked."""
    if isinstance(names, Sequence) and not isinstance(names, str) and names:
        found = tuple(name for name in names if isinstance(name, str))
        if len(found) == len(names):
            return found
    raise InputError(
        f'explore = {names!r} must be a list of parameters; write explore = ["learning_rate"], or leave it out for all',
        ("pruner", "explore"),
    )


def _usual(fidelity: Fidelity) -> float:
    """The interval where none is given: whole steps where the fidelity has such."""
    interval = max(fidelity.max / _PARTS, fidelity.min)
    whole = float(fidelity.min).is_integer() and float(fidelity.max).is_integer()
    return float(math.ceil(interval)) if whole else interval


def _rungs(fidelity: Fidelity, interval: float) -> list[float]:
    """Every `interval` steps, where there are such, and the last step."""
    return _steps(fidelity.min, fidelity.max, tuple(fidelity.levels), interval)


@functools.lru_cache(maxsize=64)
def _steps(low: float, high: float, levels: tuple[float, ...], interval: float) -> list[float]:
    fidelity = Fidelity("step", high, low, levels=list(levels))
    count = min(int(high / interval), 2 * _MOST)
    return sorted({high, *(fidelity.settle(k * interval) for k in range(1, count + 1))})
