"""When a worker has to leave: the end of its job, or a request to go before it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

from taut import allocation
from taut.duration import in_words

__all__ = ["LAST", "WHOLE", "Walltime"]

_NOTICE = 120.0  # seconds
LAST = 5.0  # seconds before the end at which nothing may run any more
WHOLE = 0.9  # of a job's time is as good as all of it
_EARLY = 70.0  # seconds by which Slurm's notice may come before its time, since it looks at the clock once a minute


class Walltime:
    """How long this process may work, and who asked it to leave.

    ends: end of the job, seconds since the epoch; infinite where there is none, or it is not known yet. whole: seconds
    that are as good as all that the job has had since the first decision.
    notice: seconds before the end at which running trials are asked to checkpoint; where none is given, 120, or a
    quarter of a short job. grace: seconds between a
    request to end at once (SIGTERM) and the moment at which Slurm kills.

    It reads the wall clock because Slurm does; no decision is replayed from it.
    """

    def __init__(self, ends: float = math.inf, notice: float | None = None, grace: float = 20.0) -> None:
        self._began = time.time()
        self._given = notice
        self.until(ends)
        self.grace = grace
        self.hooks: list[
            Callable[[], None]
        ] = []  # called once there is a reason to leave; in a signal handler, too
        self._asked: str | None = None
        self._killed = math.inf  # when the grace is over, on the monotonic clock

    @classmethod
    def here(cls) -> Walltime:
        """That of the job that this process runs in; endless outside of a job, or while its end is not known."""
        ends = allocation.ends(os.environ) if allocation.here() else None
        return cls(math.inf if ends is None else ends)

    def begin(self) -> None:
        """The first decision is near: what went before, such as loading a model, happens in every job."""
        self._began = time.time()
        self.until(self.ends)

    def until(self, ends: float) -> None:
        """Learn when the job ends."""
        self.ends = ends
        span = max(ends - self._began, 0.0)
        self.whole = WHOLE * max(span - LAST, 0.0)
        self.notice = min(_NOTICE, span / 4) if self._given is None else self._given

    def be_given(self, notice: float) -> None:
        """Be asked so many seconds before the end."""
        self.notice = self._given = notice

    def ask(self, why: str, at_once: bool = False) -> None:
        """Have this worker leave: it starts no more trials and asks those that run to checkpoint.

        at_once: a kill follows after `grace` seconds, and `why` says more than what was known before. Safe to
        call from a signal handler.
        """
        if at_once or self._asked is None:
            self._asked = why
        if at_once:
            self._killed = min(self._killed, time.monotonic() + self.grace)
        for hook in self.hooks:
            hook()

    def heed(self) -> None:
        """The queue has given notice. If that is early, and the end is known, the notice still to come is enough."""
        if not self.notice < self.left < self.notice + _EARLY:
            self.ask("its job was given notice to end")

    @property
    def left(self) -> float:
        """Seconds until the job ends."""
        return self.ends - time.time()

    def leaving(self) -> str | None:
        """Why this worker starts nothing more; None while it may. Calls the hooks when the notice is due."""
        if self._asked is None and self.ends < math.inf and self.left < self.notice:
            self.ask(f"its job ends in {in_words(max(self.left, 0.0))}")
        return self._asked

    def overstayed(self, seconds: float) -> bool:
        """Whether the grace after a request to end at once was over so many seconds ago."""
        return time.monotonic() > self._killed + seconds

    @property
    def over(self) -> bool:
        """Whether what runs has to be ended now."""
        return self.late or self.overstayed(0.0)

    @property
    def late(self) -> bool:
        """Whether the job's own time is over, rather than that somebody wants its place."""
        return self.left < LAST
