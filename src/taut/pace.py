"""How fast the trials of this process come and go, as running means: what the size of a claim and the way of a flush depend on."""

from __future__ import annotations

import math

__all__ = ["Pace"]

_BLOCK_TIME = 0.25  # seconds of work that a block of claimed numbers should hold at most
_LARGEST_BLOCK = 256
_TINY = 0.002  # seconds
_ENOUGH = 32  # trials, before one is taken for tiny that has not begun
_QUICK = 0.005  # seconds from one end to the next: far longer, and what takes time is to choose trials, not to hand them out
_WEIGHT = 0.05  # of the latest trial in a mean


class Pace:
    """Told of each trial; times are seconds of one clock, whichever.

    between: from the end of one trial to the end of the next, pauses included. length: what one of them runs.
    flush: until results are on the disk. `between` and `length` are infinite until they are known.
    """

    def __init__(self, now: float) -> None:
        self.between = self.length = math.inf
        self.flush = 0.0
        self._ran = 0
        self._ended = now

    def ran(self, seconds: float) -> None:
        """A trial has run so long."""
        self.length = _mean(self.length, max(seconds, 0.0))
        self._ran += 1

    def flushed(self, seconds: float) -> None:
        """It took so long to bring results to the disk."""
        self.flush = _mean(self.flush or math.inf, seconds)

    def ended(self, count: int, now: float) -> None:
        """So many trials have ended since the last time."""
        before, self._ended = self._ended, now
        self.between = _mean(self.between, (now - before) / count)

    @property
    def tiny(self) -> bool:
        """Whether trials take so little that a flush for each would be most of the time."""
        return self.length < max(_TINY, self.flush)

    @property
    def hasty(self) -> bool:
        """Whether the next trial, too, will be so tiny that to wait for its turn costs it nothing, and is chosen so quickly that it helps.

        Where a model chooses, it would only know less: of each trial ahead it has not heard.
        """
        quick = self.between <= max(self.length, _QUICK)
        return self._ran >= _ENOUGH and self.tiny and quick

    @property
    def block(self) -> float:
        """How many numbers to claim at once at most, so that a claim costs little of the time."""
        return min(_BLOCK_TIME / self.between, _LARGEST_BLOCK)


def _mean(before: float, latest: float) -> float:
    """A running mean; `before` is infinite at first."""
    return latest if math.isinf(before) else before + _WEIGHT * (latest - before)
