"""Asking a running command to checkpoint: SIGUSR1, for those of its processes that know what to do with it.

The default action of SIGUSR1 is to end the process, and an unchanged script must not die of being asked. So
only processes that catch the signal get it, as /proc shows; on systems without it nobody is asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

__all__ = ["Asking", "Contents", "contents", "members"]

Contents = dict[str, tuple[int, int, int]]
"""Inode, size and time of change of the files below a directory, by path."""


class Asking:
    """Asks the processes of one group, once each, also those that begin to catch the signal later."""

    def __init__(self) -> None:
        self._looks = 0
        self._seen: set[int] = set()
        self._told: set[int] = set()

    @property
    def begun(self) -> bool:
        """Whether there was one look only, so that nobody has been asked yet."""
        return self._looks == 1

    @property
    def in_vain(self) -> bool:
        """Whether there is nobody to ask, as far as two looks can tell."""
        return self._looks > 1 and not self._told

    def look(self, members: Collection[int]) -> None:
        """Ask those members of the group that catch the signal, and did so when we looked before.

        A process that was just forked has its parent's handlers until it starts its own program; the signal
        would meet it there without any.
        """
        self._looks += 1
        catching = _catching(members)
        for pid in (catching & self._seen) - self._told:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGUSR1)
            self._told.add(pid)
        self._seen = catching


def contents(directory: Path) -> Contents:
    """What files there are in `directory` and below, comparable with what there is later."""
    found: Contents = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):  # just removed
                status = os.lstat(path)
                found[path] = status.st_ino, status.st_size, status.st_mtime_ns
    return found


class _Process(NamedTuple):
    parent: int
    command: bytes


def _catching(members: Collection[int]) -> set[int]:
    """Those `members` of a group that catch SIGUSR1.

    Plain copies of a catching parent (a data loader's processes) are left out: they have its handlers without
    having asked for them, and would save what they do not hold.
    """
    found: dict[int, _Process] = {}
    for pid in members:
        with contextlib.suppress(OSError, LookupError, ValueError):  # it has ended
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            if int(status["SigCgt"], 16) >> (signal.SIGUSR1 - 1) & 1:
                found[pid] = _Process(int(status["PPid"]), Path(f"/proc/{pid}/cmdline").read_bytes())
    return {
        pid
        for pid, process in found.items()
        if process.parent not in found or found[process.parent].command != process.command
    }


def members() -> defaultdict[int, list[int]]:
    """The numbers of all processes of the machine by their group; nothing without /proc."""
    found = defaultdict(list)
    with contextlib.suppress(OSError):  # no /proc
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError):  # it has ended
                    found[os.getpgid(int(name))].append(int(name))
    return found
