"""What is decided before a study goes to the queue, and what its trials are like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from taut.errors import InputError, nearest
from taut.queue.simulate.times import Lognormal

__all__ = ["Mode", "Objective", "Shape", "Trials"]

Mode = Literal["async", "batch", "sequential"]
Objective = Callable[[Mapping[str, Any], "float | None"], Mapping[str, float]]
"""Metrics of a trial with these parameters, at this step; None at the end of a trial without steps. A pure function."""


class Shape(NamedTuple):
    """The jobs of a study.

    walltime: seconds. workers: jobs at a time. trials: of one job, at most; None: as many as fit. slots: trials side by side in a job. units: GPUs (or
    cores) of one job, divided among its slots. mode: "async": nobody waits for anybody; "batch": so many trials as all slots take (times
    `trials`, where given) start together, in jobs of their own, when the batch before has ended; "sequential": one at a time.
    """

    walltime: float
    workers: int = 1
    trials: int | None = None
    slots: int = 1
    units: int = 1
    mode: Mode = "async"
    partition: str | None = None

    @property
    def batch(self) -> int:
        """Trials that start together; 1 is sequential, 0 is asynchronous."""
        if self.mode == "batch":
            return self.workers * self.slots * (self.trials or 1)
        return 1 if self.mode == "sequential" else 0

    def check(self) -> None:
        """Raise `InputError` for what the types cannot say."""
        if self.mode not in get_args(Mode):
            raise InputError(
                f"{self.mode!r} is no mode{nearest(self.mode, get_args(Mode))}; there are: {', '.join(get_args(Mode))}",
                ("mode",),
            )
        if not 0.0 < self.walltime < math.inf:
            raise InputError(f"{self.walltime:g} s must be above 0 and finite", ("walltime",))
        for name in ("workers", "slots", "units", "trials"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{value} must be 1 or more", (name,))
        if self.mode == "sequential" and self.workers * self.slots > 1:
            raise InputError(
                "a sequential study has one worker with one slot; let workers and slots be 1", ("mode",)
            )


class Trials(NamedTuple):
    """What trials do.

    objective: what they find. time: how long a whole one takes; a function of the parameters gives the mean, and `spread` is then what
    is added to it. failing: the share of attempts that fail, at some moment on their way. saves: whether they checkpoint when their
    job gives notice, so that the next attempt goes on from there. seed: attempt a of trial n is the same in every course.
    """

    objective: Objective
    time: Lognormal | Callable[[Mapping[str, Any]], float]
    spread: float = 0.0
    failing: float = 0.0
    saves: bool = False
    seed: int = 0

    def seconds(self, number: int, params: Mapping[str, Any]) -> float:
        """How long trial `number` takes as a whole."""
        normal = float(np.random.default_rng([self.seed, number, 3]).standard_normal())
        if isinstance(self.time, Lognormal):
            return float(self.time.at(normal))
        return float(Lognormal(self.time(params), self.spread).at(normal))

    def fails(self, number: int, attempt: int) -> float:
        """The share of its time after which an attempt fails; infinite where it does not."""
        if not self.failing:
            return math.inf
        chance, where = np.random.default_rng([self.seed, number, attempt, 4]).random(2)
        return float(where) if chance < self.failing else math.inf

    def check(self) -> None:
        """Raise `InputError` for what the types cannot say."""
        if isinstance(self.time, Lognormal):
            self.time.check("time")
        Lognormal(1.0, self.spread).check()
        if not 0.0 <= self.failing < 1.0:
            raise InputError(
                f"{self.failing} is no share of trials that fail; 0 to below 1 is allowed", ("failing",)
            )
