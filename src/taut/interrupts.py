"""Being asked to stop, while a study runs in the user's own program."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Notes whether the program was asked to stop, and lets the request do what it does.

    Ctrl-C raises KeyboardInterrupt, as ever. SIGTERM (a job's end, a preemption) raises SystemExit, where
    it would else end the program without a word: what runs can then be given back, and nobody takes an
    interruption for the trial's fault. Handlers that the user has set stay as they are.
    """

    seen = False

    def __enter__(self) -> Interrupts:
        self._before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number, default in (
                (signal.SIGINT, signal.default_int_handler),
                (signal.SIGTERM, signal.SIG_DFL),
            ):
                if signal.getsignal(number) is default:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        if number == signal.SIGTERM:
            raise SystemExit(128 + number)
        raise KeyboardInterrupt
