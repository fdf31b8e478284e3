"""What is to happen when: the virtual clock of a simulation."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Any

from taut.queue.simulate.job import Ran

__all__ = ["ACTS", "ENDS", "HAPPENS", "Agenda", "tell"]

ENDS, HAPPENS, ACTS = 0, 1, 2
"""What comes first of what happens at the same moment: jobs that end, then all else, then what owners do about it."""


class Agenda:
    """Events in their order. now: seconds since the beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, int, Callable[[Any], None], Any]] = []
        self._sequence = itertools.count()
        self._stopped = False

    def at(self, time: float, call: Callable[[Any], None], what: Any = None) -> None:
        """Call ``call(what)`` at second `time`, after whatever ends at that moment."""
        self._push(time, ACTS, call, what)

    def _push(self, time: float, rank: int, call: Callable[[Any], None], what: Any) -> None:
        heapq.heappush(self._heap, (time, rank, next(self._sequence), call, what))

    def run(self, until: float = math.inf) -> None:
        """Let time pass until nothing is left to happen, the clock shows `until`, or somebody calls `stop`."""
        self._stopped, heap = False, self._heap
        self._settle()
        while heap and not self._stopped:
            at = heap[0][0]
            if at > until:
                break
            self.now = at
            while heap and heap[0][0] == at:
                _, _, _, call, what = heapq.heappop(heap)
                call(what)
            self._settle()
        if until < math.inf and not self._stopped:
            self.now = max(self.now, until)

    def stop(self) -> None:
        """Have `run` return."""
        self._stopped = True

    def _settle(self) -> None:
        """All that happens at this moment has happened."""


def tell(ran: Ran) -> None:
    """Let the owner of a job know how a life of it ended."""
    if ran.job.owner is not None:
        ran.job.owner.ended(ran.job, ran.why)
