"""The memory of processes and all that they have started, from /proc; nothing where there is none."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from taut import machine

__all__ = ["Tree", "Trees"]


_MORE = 1.03  # times as much resident memory as before, and it is worth finding out how much of it is shared


class Tree(NamedTuple):
    """pids: the processes of one tree. memory: bytes that they hold together, at least; at their peak it is exact."""

    pids: list[int]
    memory: int


class Trees:
    """Looks at several trees at once, again and again. Make it before the first of them begins.

    Whoever is there by then is a stranger, and whoever is a stranger remains one. So a look costs one listing of the processes, and a few
    files for each of ours.
    """

    def __init__(self) -> None:
        self._strangers = _there()
        self._ours: dict[int, int] = {}  # the root of each process that is known
        self._roots: set[int] = (
            set()
        )  # all that live: what a trial has started may serve the next one in the same process
        self._groups, self._group = _read("/proc/self/cgroup"), machine.memory_group()
        self._resident: dict[
            int, int
        ] = {}  # by root: what its processes held when their shares were last looked at

    def begin(self, root: int) -> None:
        """Another trial begins in this process."""
        self._roots.add(root)
        self._resident.pop(root, None)

    def look(self, roots: Collection[int]) -> dict[int, Tree]:
        """The tree of each of these that lives. A root has a session of its own, or is found as an ancestor.

        A tree in a control group of its own holds what that holds, less the files that it has cached. Else one process holds its
        resident memory; several hold their proportional parts of what they share, as copies of a parent do. That is looked at only when they
        have grown: at other times they are said to hold no more than the largest of them.
        """
        self._roots.update(roots)
        self._find()
        members: dict[int, list[int]] = {root: [] for root in roots}
        for pid, root in self._ours.items():
            if root in members:
                members[root].append(pid)
        return {root: Tree(pids, self._memory(root, pids)) for root, pids in members.items() if pids}

    def _find(self) -> None:
        there, roots = _there(), self._roots
        roots &= there
        self._strangers &= there
        self._strangers -= roots
        self._ours = {pid: root for pid, root in self._ours.items() if pid in there and root in roots}
        fresh = {pid: found for pid in there - self._strangers - self._ours.keys() if (found := _kin(pid))}
        for pid in fresh:
            line = [pid]
            while line[-1] in fresh and line[-1] not in roots and len(line) <= len(fresh):
                line.append(fresh[line[-1]][0])
            root = self._ours.get(line[-1], line[-1])
            if root not in roots:
                root = next((fresh[one][1] for one in line if one in fresh and fresh[one][1] in roots), root)
            if root in roots:
                self._ours[pid] = root
            else:
                self._strangers.add(pid)

    def _memory(self, root: int, pids: list[int]) -> int:
        if _read(f"/proc/{root}/cgroup") != self._groups:
            group = machine.memory_group(root)
            if (
                group not in (None, self._group)
                and _processes(group) <= set(pids)
                and (held := machine.held(group))
            ):
                return held
        sizes = [_sizes(pid) for pid in pids]
        highest = max((peak for _, peak in sizes), default=0)
        resident = sum(size for size, _ in sizes)
        if len(pids) == 1:
            return max(highest, resident)
        if resident <= _MORE * self._resident.get(root, 0):
            return highest
        self._resident[root] = resident
        shares = [_share(pid) for pid in pids]  # takes a millisecond for each 100 MB
        return max(highest, resident if None in shares else sum(share or 0 for share in shares))


def _there() -> set[int]:
    """The numbers of all processes."""
    try:
        return {int(name) for name in os.listdir("/proc") if name.isdigit()}
    except OSError:
        return set()


def _kin(pid: int) -> tuple[int, int] | None:
    """Parent and session of a process; None if it has ended."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return (int(fields[1]), int(fields[3])) if len(fields) > 3 else None


def _processes(group: Path) -> set[int]:
    try:
        return {int(line) for line in (group / "cgroup.procs").read_text().split()}
    except (OSError, ValueError):
        return set()


def _sizes(pid: int) -> tuple[int, int]:
    """Bytes of resident memory, now and at the highest; 0 of a process that has ended."""
    text = _read(f"/proc/{pid}/status")
    return _field(text, b"\nVmRSS:"), _field(text, b"\nVmHWM:")


def _share(pid: int) -> int | None:
    """Bytes of resident memory, of what is shared its part; None where that may not be read, or it has ended."""
    text = _read(f"/proc/{pid}/smaps_rollup")
    return _field(text, b"\nPss:") if text else None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _field(text: bytes, name: bytes) -> int:
    try:
        return int(text.partition(name)[2].split(None, 1)[0]) * 1024
    except (LookupError, ValueError):
        return 0
