"""Limits: a trial stops when a metric leaves them."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np

from taut.errors import InputError
from taut.pruners.base import Judgement, Pruner
from taut.pruners.stopping import check_number
from taut.snapshot import Snapshot

__all__ = ["ThresholdPruner"]


@dataclasses.dataclass(frozen=True)
class ThresholdPruner(Pruner):
    """Stops a trial when a metric leaves its limits, or is no number.

    Choose it where it is known what no sound trial reports (a loss above that of guessing, a norm of gradients that explodes).
    What a result must keep to count at all belongs in `subject_to`.

    metric: the one that is watched; the first objective by default.
    lower, upper: its limits, which it may touch, in its own units. At least one of them must be given.
    grace: the first step at which they hold. At least 0, the default.
    """

    metric: str | None = None
    lower: float | None = None
    upper: float | None = None
    grace: float = 0.0

    def __post_init__(self) -> None:
        if self.metric is not None and (not isinstance(self.metric, str) or not self.metric.isidentifier()):
            raise InputError(f"metric = {self.metric!r} is not the name of one", ("pruner", "metric"))
        for name in ("lower", "upper"):
            value = getattr(self, name)
            if value is not None:
                check_number(name, value, -math.inf, math.inf, "a limit that the metric may touch")
        if self.lower is None and self.upper is None:
            raise InputError(
                "without a limit nothing is watched; give lower, upper or both", ("pruner", "upper")
            )
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise InputError(f"lower = {self.lower:g} is above upper = {self.upper:g}", ("pruner", "lower"))
        check_number("grace", self.grace, 0.0, math.inf, "the first step at which the limits hold")

    def judge(self, snapshot: Snapshot, number: int, since: float = -np.inf) -> Judgement:
        low = -math.inf if self.lower is None else self.lower
        high = math.inf if self.upper is None else self.upper
        objective = snapshot.definition.objectives[0].metric
        metric = objective if self.metric is None else self.metric
        new = itertools.takewhile(
            lambda event: event.s > since and event.s >= self.grace, reversed(snapshot.curves.of(number))
        )
        latest = True
        for event in new:
            if metric in event.y:
                value = event.y[metric]
                if value is None or not low <= value <= high:
                    return Judgement.STOP
            if latest and objective in event.y:
                latest = False
                if event.y[objective] is None:
                    return Judgement.STOP
        return Judgement.GO
