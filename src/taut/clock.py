"""Time as a value that is handed in: the wall clock, or one that a test or the planner moves."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "VirtualClock", "WallClock"]


class Clock(Protocol):
    """Where effects (never decisions) get the time from; seconds since the epoch."""

    def now(self) -> float: ...


class WallClock:
    """The machine's own clock, to the microsecond (what the log keeps)."""

    def now(self) -> float:
        return time.time_ns() // 1000 / 1e6  # in half the time that `round` takes


class VirtualClock:
    """A clock that stands still until it is moved: for tests and simulated queues."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by `seconds` >= 0."""
        if seconds < 0:
            raise ValueError(f"a clock cannot go back by {-seconds} s")
        self._now += seconds
