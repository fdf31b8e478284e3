"""What was expected of jobs when they were submitted, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from taut.events import Planned
from taut.queue.plan import Plan, Queue
from taut.queue.predicted import usual
from taut.queue.simulate import Lognormal
from taut.slurm.jobs import Life
from taut.slurm.rounds import Submission
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["Kept", "kept", "promised"]

_SLACK = 60.0  # seconds that a job takes to end after the last trial, which count as its cost


def promised(plan: Plan, unit: str, now: float, queue: Queue | None = None) -> Planned | None:
    """The plan's own expectation, as it goes into the log; None where even the 90 % quantile never ends: that is no expectation.

    queue: what was known of its waits; without it the course that was expected cannot be drawn later.
    """
    shape, outlook = plan.best.shape, plan.best.outlook
    if not math.isfinite(outlook.finish[2]):
        return None
    return Planned(
        trials=plan.work.trials,
        jobs=shape.workers,
        minutes=math.ceil(shape.walltime / 60),
        slots=shape.slots,
        units=shape.units,
        unit=unit,
        finish=outlook.finish,
        cost=outlook.cost,
        strength=plan.strength,
        t=now,
        mode=msgspec.UNSET if shape.mode == "async" else shape.mode,
        trial=_rounded(plan.work.trial.time),
        overhead=_rounded(plan.work.overhead.time),
        waits=msgspec.UNSET if queue is None else usual(plan, queue, now),
    )


def _rounded(time: Lognormal) -> tuple[float, float]:
    return round(time.mean, 3), round(time.spread, 4)


class Kept(NamedTuple):
    """A promise and what came. finish: seconds after it, when the last of its trials had ended; None while they have not. cost: unit-hours that jobs
    held since then; None where that is not known. done: how many of its trials have ended. early: seconds after it, when the study came to its end before all of them had, for
    the reason `why`; None where it did not."""

    promise: Planned
    finish: float | None
    cost: float | None
    done: int
    early: float | None = None
    why: str = ""

    @property
    def in_time(self) -> bool | None:
        """Whether the end lay between the 10 and the 90 % that were expected; None while nobody can say."""
        return (
            None if self.finish is None else self.promise.finish[0] <= self.finish <= self.promise.finish[2]
        )

    @property
    def in_budget(self) -> bool | None:
        """The same of the cost."""
        if self.cost is None or self.finish is None:
            return None
        return self.promise.cost[0] <= self.cost <= self.promise.cost[2]


def kept(
    snapshot: Snapshot,
    rounds: Sequence[Submission] = (),
    lives: Sequence[Life] | None = None,
    over: str | None = None,
) -> list[Kept]:
    """Every promise, the oldest first.

    rounds, lives: what was submitted, and what accounting says of it; without lives no cost is known. A cost counts until the promise was kept, or
    the study came to its end. over: why that is, where it has.
    """
    ended = np.sort(snapshot.finished[snapshot.where(State.COMPLETE, State.PRUNED, State.FAILED)])
    found = []
    for promise in sorted(snapshot.planned, key=lambda each: each.t):
        since = ended[ended >= promise.t]
        finish = float(since[promise.trials - 1]) - promise.t if len(since) >= promise.trials else None
        last = float(since[-1]) - promise.t if len(since) else 0.0
        early = last if finish is None and over is not None else None
        until = early if finish is None else finish
        cost = None if until is None or lives is None else _held(promise, until, rounds, lives)
        why = "" if early is None else over or ""
        found.append(Kept(promise, finish, cost, min(len(since), promise.trials), early, why))
    return found


def _held(promise: Planned, finish: float, rounds: Sequence[Submission], lives: Sequence[Life]) -> float:
    """Unit-hours of jobs that were submitted with the promise or later, up to its end."""
    devices = {
        one.job: one.gpus if promise.unit == "GPU" else one.cpus
        for one in rounds
        if one.job is not None and one.t >= promise.t and one.kind == "job"
    }
    until, held = promise.t + finish, 0.0
    for life in lives:
        if life.submitted in devices and life.start is not None:
            end = life.start + life.elapsed if life.end is None else life.end
            held += max(min(end, until + _SLACK) - life.start, 0.0) * devices[life.submitted]
    return held / 3600.0
