"""Whose turn it is to ask Slurm: a chain of files, so that many processes on many machines ask as one."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path

__all__ = ["Turns"]


class Turns:
    """Turns in `folder`: whoever creates ``turn-8`` when ``turn-7`` is old enough has turn 8.

    Creation is exclusive, so one process wins; nothing is held, so one that dies with its turn only wastes it.
    No host's clock is compared with another's: how old a turn is counts from when this process first saw it,
    and for the first one that it sees it comes from the file server.

    skew: what this machine's clock shows more than the file server's, seconds, as of the last look at both.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.skew = 0.0
        self._newest = -1
        self._since = 0.0  # the newest turn is at least as old as this, by the monotonic clock

    def take(self, pause: float) -> tuple[int, float] | None:
        """Our turn and the file server's time of it, if the last one is older than `pause` seconds; else None.

        Raises `OSError` where nothing can be written.
        """
        if self._newest >= 0 and time.monotonic() - self._since < pause:
            return None
        self._catch_up()
        if self._newest >= 0 and time.monotonic() - self._since < pause:
            return None
        mine = self._newest + 1
        path = self.folder / f"turn-{mine}"
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        except FileExistsError:
            self._see(mine, 0.0)
            return None
        self._catch_up()  # our entry has made a network file system show the folder as it is
        if self._newest > mine:
            path.unlink(missing_ok=True)  # the chain had gone on, and its beginning was swept away
            return None
        then = path.stat().st_mtime
        self.skew = time.time() - then
        self._sweep(mine)
        return mine, then

    def _catch_up(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        newest = max(_numbers(self.folder), default=-1)
        if newest <= self._newest:
            return
        age = 0.0
        if self._newest < 0:
            with contextlib.suppress(FileNotFoundError):  # swept away meanwhile: there is a newer one
                age = self._server_time() - (self.folder / f"turn-{newest}").stat().st_mtime
        self._see(newest, max(age, 0.0))

    def _see(self, turn: int, age: float) -> None:
        self._newest, self._since = turn, time.monotonic() - age

    def _server_time(self) -> float:
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".clock-") as probe:
            then = os.fstat(probe.fileno()).st_mtime
        self.skew = time.time() - then
        return then

    def _sweep(self, turn: int) -> None:
        for number in _numbers(self.folder):
            if number < turn - 1:
                (self.folder / f"turn-{number}").unlink(missing_ok=True)


def _numbers(folder: Path) -> list[int]:
    return [int(found[1]) for name in os.listdir(folder) if (found := re.fullmatch(r"turn-(\d+)", name))]
