"""Who is nearest to being the best while nobody is: by what was reported, with the step, or by constraints that nobody keeps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from taut.ladder import Ladder
from taut.metrics.pareto import least_broken
from taut.pruners.base import Pruner
from taut.snapshot import Snapshot
from taut.space import Expression
from taut.standing import standing
from taut.trial import State

__all__ = ["Leader", "leader", "nearest_miss", "rungs", "short"]

_ETA = 3.0  # for steps at which to look where the pruner has none of its own


class Leader(NamedTuple):
    """The most promising trial. at: the step in words, as in ``epoch 9 of 27``. values: its objectives there."""

    number: int
    at: str
    values: dict[str, float]

    def __str__(self) -> str:
        values = ", ".join(f"{name} = {value:.6g}" for name, value in self.values.items())
        return f"at {self.at} trial {self.number} leads with {values}"


def leader(snapshot: Snapshot, pruner: Pruner | None) -> Leader | None:
    """Who leads on the highest rung that any trial is on, of those that have not failed and keep the constraints so far.

    Where the study has no fidelity, trials are compared at the furthest step that half of them have reached. None if no trial has
    reported its objectives.
    """
    fidelity = snapshot.definition.fidelity
    steps = rungs(snapshot, pruner) if fidelity is not None else _halfway(snapshot)
    if not steps:
        return None
    ladder = Ladder.of(snapshot, steps)
    size = min(len(ladder), snapshot.size)  # a report may be read before the start of its trial
    fine = snapshot.state[:size] != State.FAILED
    for rung in reversed(range(len(steps))):
        slack = ladder.slacks(rung)[:size]
        there = np.flatnonzero(fine & (ladder.heights[:size] > rung) & ~(slack > 0.0).any(axis=1))
        merit = standing(ladder.losses[there, rung], slack[there])
        if np.isfinite(merit).any():
            number = int(there[merit.argmin()])
            names = [objective.metric for objective in snapshot.definition.objectives]
            values = {name: float(ladder.raw(name)[number, rung]) for name in names}
            step = steps[rung]
            return Leader(number, f"step {step:g}" if fidelity is None else fidelity.told(step), values)
    return None


def nearest_miss(snapshot: Snapshot) -> str | None:
    """The complete trial that breaks the constraints least, in words, of a study in which none keeps them; None if none is complete."""
    number, count = least_broken(snapshot), snapshot.counts[State.COMPLETE]
    if number is None:
        return None
    conditions = snapshot.definition.subject_to
    names = sorted({name for text in conditions for name in Expression.parse(text).names})
    values = ", ".join(f"{name} = {snapshot.values(name)[number]:.6g}" for name in names)
    trials = f"{count} complete trial{'s' if count > 1 else ''}"
    return f"none of {trials} fulfils {' and '.join(conditions)}; trial {number} is nearest, with {values}"


def rungs(snapshot: Snapshot, pruner: Pruner | None) -> list[float]:
    """The steps at which trials are compared, the lowest first; none where the study has no fidelity."""
    definition = snapshot.definition
    if pruner is not None:
        return pruner.rungs(definition)
    return [] if definition.fidelity is None else definition.fidelity.rungs(_ETA)


def short(snapshot: Snapshot, number: int) -> str | None:
    """Where a trial was last heard of, if that was before the end of a whole one."""
    fidelity, last = snapshot.definition.fidelity, snapshot.curves.last(number)
    if fidelity is None or last is None or last.s >= fidelity.max:
        return None
    return fidelity.told(last.s)


def _halfway(snapshot: Snapshot) -> list[float]:
    last = (snapshot.curves.last(n) for n in snapshot.curves.trials())
    steps = sorted((event.s for event in last if event is not None), reverse=True)
    return [steps[(len(steps) - 1) // 2]] if steps else []
