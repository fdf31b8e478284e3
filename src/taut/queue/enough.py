"""How many trials a budget of hours is enough for, where nobody has said how many are wanted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from taut.decide import busy
from taut.definition import Budget
from taut.snapshot import Snapshot

__all__ = ["MANY", "Left", "bounded", "ended_by", "enough"]

MANY = 1_000_000  # trials; more than anybody plans

_TURNS, _NEAR = 6, 0.03  # until a number of trials changes by less than that


def bounded(budget: Budget) -> bool:
    """Whether a budget says how much is to be done, so that jobs can be planned for it."""
    return any(each is not None for each in (budget.trials, budget.gpu_hours, budget.hours))


def ended_by(budget: Budget, most: int | None) -> Budget:
    """The budget of a study whose sampler has only so many trials (a grid): without another one it says how many are wanted."""
    wanted = budget.trials
    if most is None or (wanted is None and bounded(budget)):
        return budget
    return msgspec.structs.replace(budget, trials=most if wanted is None else min(wanted, most))


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


def enough(left: Left, needs: Callable[[int], tuple[float, float]], first: int, most: int = MANY) -> int:
    """The number of trials whose jobs need what is left; at least 1, and at most `most`.

    needs: of a number of trials, the unit-hours that their jobs hold, and the seconds from the first trial to the last. first: a guess.
    """
    trials = max(min(first, most), 1)
    for _ in range(_TURNS):
        hours, seconds = needs(trials)
        factor = min(left.hours / max(hours, 1e-9), left.seconds / max(seconds, 1e-9))
        before, trials = trials, max(min(int(trials * factor), most), 1)
        if abs(trials - before) <= _NEAR * before:
            break
    return trials
