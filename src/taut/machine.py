"""What this process may use of the machine: cores, memory, open files, and the programs beside it.

Inside a job or a container that is less than what the machine has; the limits of its control groups count,
in either version of their files.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Answer", "Program", "cores", "held", "kills", "memory", "memory_group", "open_files"]

_GROUPS = Path("/sys/fs/cgroup")
_SELF = Path("/proc/self/cgroup")


def cores() -> float:
    """Cores that this process may use: by its affinity and by the quota of its control group."""
    try:
        usable = float(len(os.sched_getaffinity(0)))
    except AttributeError:  # macOS
        usable = float(os.cpu_count() or 1)
    for folder in _groups("cpu"):
        quota, period = (_text(folder / "cpu.max").split() or ["", ""])[:2]
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():
            usable = min(usable, int(quota) / int(period))
    return usable


def memory() -> tuple[int, int] | None:
    """Bytes of memory: free for this process, and its share in all; None where the system does not say."""
    lines = (line.split() for line in _text(Path("/proc/meminfo")).splitlines())
    sizes = {words[0]: int(words[1]) * 1024 for words in lines if len(words) > 1}
    if "MemTotal:" not in sizes:
        return None
    total = sizes["MemTotal:"]
    free = sizes.get("MemAvailable:", sizes.get("MemFree:", 0))
    for folder in _groups("memory"):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _text(folder / limit_name), _text(folder / used_name)
            if limit.isdigit() and used.isdigit():
                total = min(total, int(limit))
                free = min(free, max(int(limit) - int(used) + _reclaimable(folder), 0))
    return free, total


def kills() -> int | None:
    """A count that grows when a process is killed for want of memory; None where the system keeps none.

    It is about the processes in this one's control group and, in a job of Slurm, in all of the job's.
    """
    counts = [count for count in map(_killed, _counters()) if count is not None]
    return sum(counts) if counts else None


@functools.cache  # the hot path of short trials; a process stays in its group
def _counters() -> tuple[Path, ...]:
    """Files with the count of the innermost group that has one, and of a Slurm job's.

    Version 2 counts in each group what happened further in, too; version 1 does not.
    """
    folders = dict.fromkeys(_groups("memory"))
    files = [folder / name for folder in folders for name in ("memory.events", "memory.oom_control")]
    having = [file for file in files if _killed(file) is not None]
    return *having[:1], *(file for file in having[1:] if file.parent.name.startswith("job_"))


def _killed(file: Path) -> int | None:
    for line in _text(file).splitlines():
        key, _, count = line.partition(" ")
        if key == "oom_kill":
            return int(count)
    return None


def memory_group(pid: int | None = None) -> Path | None:
    """The folder of the innermost control group that counts the memory of a process (None: of this one)."""
    return next(
        (
            folder
            for folder in _groups("memory", _SELF if pid is None else Path(f"/proc/{pid}/cgroup"))
            if (folder / "memory.current").is_file() or (folder / "memory.usage_in_bytes").is_file()
        ),
        None,
    )


def held(group: Path) -> int | None:
    """Bytes that a control group holds, less the files that it has cached; None if it is gone."""
    used = _text(group / "memory.current") or _text(group / "memory.usage_in_bytes")
    return max(int(used) - _reclaimable(group), 0) if used.isdigit() else None


def _reclaimable(folder: Path) -> int:
    """Bytes of cached files, which a control group counts as used and gives up when asked."""
    sizes = dict(line.split()[:2] for line in _text(folder / "memory.stat").splitlines() if " " in line)
    return int(sizes.get("total_inactive_file", sizes.get("inactive_file", "0")))


def open_files() -> int | None:
    """How many files this process may have open at once; None for no limit."""
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _groups(controller: str, source: Path | None = None) -> Iterator[Path]:
    """Folders of the control groups that hold this process, or the one of which `source` tells, from the innermost out."""
    for line in _text(source or _SELF).splitlines():
        _, names, path = line.split(":", 2)
        if names == "":
            roots = [_GROUPS, _GROUPS / "unified"]
        elif controller in names.split(","):
            roots = [_GROUPS / controller, _GROUPS / names]
        else:
            continue
        for root in roots:
            folder = root / path.lstrip("/")
            # In a container the outer part of the path may not be there; its root then holds the limits.
            while folder.is_relative_to(root):
                yield folder
                folder = folder.parent


class Answer(NamedTuple):
    """Whether a program ended well, and what it said."""

    ok: bool
    text: str


class Program:
    """A program that was asked something, so that it may answer while other things are done."""

    def __init__(self, *command: str) -> None:
        self.path = shutil.which(command[0])
        self._process: subprocess.Popen[str] | None = None
        self._problem = ""
        if self.path is not None:
            try:
                self._process = subprocess.Popen(
                    [self.path, *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )
            except OSError as error:
                self._problem = error.strerror or str(error)

    def answer(self, seconds: float) -> Answer | None:
        """What it said within `seconds`; None if there is no such program."""
        if self.path is None:
            return None
        if self._process is None:
            return Answer(False, self._problem)
        try:
            text = self._process.communicate(timeout=seconds)[0].strip()
        except subprocess.TimeoutExpired:
            self.end()
            return Answer(False, f"no answer after {seconds:g} s")
        return Answer(self._process.returncode == 0, text)

    def end(self) -> None:
        """Leave no process behind. Safe to call at any time."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
