"""What trials print, kept with them; without a file for each of thousands that are over in a moment and print nothing.

A process writes into files of the trial that it runs. After a trial that was brief and silent it writes into files of
its own instead, in `trials/.HOST-PID`, which become the trial's if it prints something after all, also if the process dies of it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from pathlib import Path

from taut.executors.base import Executor, Task

__all__ = ["Spool", "settle"]

_BRIEF = 0.1  # seconds
_NAMES = ("stdout", "stderr")


class Spool:
    """Sends what this process prints where it belongs."""

    def __init__(self) -> None:
        self._brief = False  # what the last trial was
        self._own: Path | None = None  # our own directory, while we write there
        self._began = 0.0

    def begin(self, task: Task) -> None:
        self._began = time.monotonic()
        if self._brief and self._own is None:
            self._own = _own(task, os.getpid())
            self._own.mkdir(exist_ok=True)
            self._send([self._own / name for name in _NAMES])
        elif not self._brief:
            folder = Executor.trial_directory(task)
            self._send([folder / name for name in _named(task)])

    def end(self, task: Task) -> None:
        _flush()
        silent = not any(os.fstat(descriptor).st_size for descriptor in (1, 2))
        self._brief = silent and time.monotonic() - self._began < _BRIEF
        if self._own is not None and not self._brief:
            settle(task, os.getpid())
            self._own = None

    def _send(self, paths: list[Path]) -> None:
        _flush()
        for descriptor, path in enumerate(paths, 1):
            with open(path, "wb") as file:
                os.dup2(file.fileno(), descriptor)
            name = _NAMES[descriptor - 1]
            if getattr(sys, name).closed:
                setattr(sys, name, os.fdopen(descriptor, "w", closefd=False))


def settle(task: Task, pid: int) -> None:
    """Give a trial what process `pid` has printed into files of its own, and remove those."""
    own = _own(task, pid)
    with contextlib.suppress(OSError):
        for name, named in zip(_NAMES, _named(task), strict=True):
            if (own / name).stat().st_size:
                os.replace(own / name, Executor.trial_directory(task) / named)
            else:
                (own / name).unlink()
        own.rmdir()


def _own(task: Task, pid: int) -> Path:
    assert task.directory is not None
    return Path(task.directory).parent / f".{socket.gethostname()}-{pid}"


def _named(task: Task) -> list[str]:
    return [f"{name}.{task.attempt}" if task.attempt else name for name in _NAMES]


def _flush() -> None:
    for name in _NAMES:
        with contextlib.suppress(OSError, ValueError):  # the objective may have closed it
            getattr(sys, name).flush()
