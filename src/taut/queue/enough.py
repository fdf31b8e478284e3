"""How many trials a budget of hours is enough for, where nobody has said how many are wanted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from taut.decide import busy
from taut.definition import Budget
from taut.snapshot import Snapshot

__all__ = ["MANY", "Left", "bounded", "enough"]

MANY = 1_000_000  # trials; more than anybody plans

_TURNS, _NEAR = 6, 0.03  # until a number of trials changes by less than that


def bounded(budget: Budget) -> bool:
    """Whether a budget says how much is to be done, so that jobs can be planned for it."""
    return any(each is not None for each in (budget.trials, budget.gpu_hours, budget.hours))


class Left(NamedTuple):
    """What is left of a budget: unit-hours that jobs may hold, and seconds during which trials may run; infinite where nobody has said."""

    hours: float = math.inf
    seconds: float = math.inf

    @classmethod
    def of(cls, budget: Budget, snapshot: Snapshot, now: float, hours: float = math.inf) -> Left:
        """hours: GPU-hours that are left."""
        seconds = math.inf if budget.hours is None else max(3600.0 * budget.hours - busy(snapshot, now), 0.0)
        return cls(hours, seconds)

    @property
    def words(self) -> str:
        said = [f"{self.hours:g} GPU-h"] * (self.hours < math.inf)
        said += [f"{self.seconds / 3600:.3g} h"] * (self.seconds < math.inf)
        return f"as many as {' and '.join(said)} are enough for"


def enough(left: Left, needs: Callable[[int], tuple[float, float]], first: int) -> int:
    """The number of trials whose jobs need what is left; at least 1.

    needs: of a number of trials, the unit-hours that their jobs hold, and the seconds from the first trial to the last. first: a guess.
    """
    trials = max(first, 1)
    for _ in range(_TURNS):
        hours, seconds = needs(trials)
        factor = min(left.hours / max(hours, 1e-9), left.seconds / max(seconds, 1e-9))
        before, trials = trials, max(min(int(trials * factor), MANY), 1)
        if abs(trials - before) <= _NEAR * before:
            break
    return trials
