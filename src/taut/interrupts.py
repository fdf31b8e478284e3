"""Being asked to stop or to leave, while a study runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from taut import allocation
from taut.errors import Interrupted
from taut.walltime import Walltime

__all__ = ["Interrupts"]

_LOOK = 0.5  # seconds between two looks at the clock
_MORE = 2.0  # seconds beyond the grace in which a worker may leave by itself


class Interrupts:
    """Notes whether the program was asked to stop, and lets the request do what it does.

    Ctrl-C raises KeyboardInterrupt, as ever. SIGTERM (a job's end, a preemption) raises `Interrupted`, a SystemExit, where
    it would else end the program without a word: what runs can then be given back, and nobody takes an
    interruption for the trial's fault. Handlers that the user has set stay as they are.

    In a job of a queue, SIGUSR1 (a notice before its end) asks trials to checkpoint; SIGTERM does, too, and raises
    only when the grace is over that the queue gives. A thread watches the clock, so that the end of the job is noticed
    while the objective keeps the program busy.

    end: what raises instead of Interrupted, for programs that end in their own way; it then takes the place of
    handlers that are there.
    """

    seen = False

    def __init__(self, walltime: Walltime, end: Callable[[], None] | None = None) -> None:
        self._walltime = walltime
        self._end = end
        self._left = threading.Event()
        self._process = os.getpid()
        self._clock: threading.Thread | None = None

    def __enter__(self) -> Interrupts:
        self._before: dict[signal.Signals, Any] = {}
        in_job = allocation.here() is not None
        if in_job:
            self._clock = threading.Thread(target=self._watch, name="taut-walltime", daemon=True)
            self._clock.start()
        if threading.current_thread() is threading.main_thread():
            for number, default in (
                (signal.SIGINT, signal.default_int_handler),
                (signal.SIGTERM, signal.SIG_DFL),
                (signal.SIGUSR1, signal.SIG_DFL),
            ):
                if number == signal.SIGUSR1 and not in_job:
                    continue
                if signal.getsignal(number) is default or (self._end and number == signal.SIGTERM):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        try:
            if self._clock is not None:
                self._clock.join()  # what it still sends must not meet the handlers that were there before
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _watch(self) -> None:
        """Notice the end of the job; after a SIGTERM, repeat it when the grace is over."""
        walltime = self._walltime
        while not self._left.wait(_LOOK):
            walltime.leaving()
            if walltime.overstayed(_MORE) and not self._left.is_set():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # one that was forked meanwhile, as pools of processes do
            signal.signal(number, self._before[signal.Signals(number)])
            os.kill(os.getpid(), number)
            return
        job = allocation.here()
        if number == signal.SIGUSR1:
            self._walltime.heed()
        elif number == signal.SIGTERM and job is not None and not self.seen:
            self.seen = True
            why = allocation.ending(job) or "its job was told to end: preempted, cancelled or out of time"
            self._walltime.ask(why, at_once=True)
        elif number == signal.SIGTERM:
            self.seen = True
            if self._end is not None:
                self._end()
            raise Interrupted(128 + number)
        else:
            self.seen = True
            raise KeyboardInterrupt
