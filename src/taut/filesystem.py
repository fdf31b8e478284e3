"""Measurements of a file system: what it is, and whether it does what a study's log relies on.

Everything is measured with real files, and with real processes where two of them matter. What is seen from
one host says nothing about a second one that shares the file system.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "Mount",
    "Race",
    "append_delays",
    "clock_lead",
    "hard_link_problem",
    "mount_of",
    "outcome",
    "race",
    "sync_rate",
]

RACERS = 4
NAMES = 200
APPENDS = 40
_GAP = 0.01  # seconds between appends
_PROBES = Path(__file__).with_name("probes.py")
_PATIENCE = 3.0  # seconds for which another process is waited for

_sync = getattr(os, "fdatasync", os.fsync)


class Mount(NamedTuple):
    """Where a file system is mounted, its type (``ext4``, ``nfs4``), its device or server, its options."""

    point: str
    kind: str
    source: str
    options: tuple[str, ...]


def mount_of(path: Path, table: str | None = None) -> Mount | None:
    """The mount that holds `path`; None where the system has no table of mounts.

    table: in the form of /proc/mounts, which is read if it is not given.
    """
    if table is None:
        try:
            table = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
    place = os.path.realpath(path)
    found = None
    for line in table.splitlines():
        fields = [_unescape(field) for field in line.split(" ")]
        if len(fields) < 4:
            continue
        source, point, kind, options = fields[:4]
        within = place == point or place.startswith(point.rstrip("/") + "/")
        # Of two mounts on one point the later hides the earlier.
        if within and (found is None or len(point) >= len(found.point)):
            found = Mount(point, kind, source, tuple(options.split(",")))
    return found


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


class Race(NamedTuple):
    """How a race for names went: how many were tried, which had not exactly one winner, what went wrong."""

    names: int
    wrong: list[int]
    error: str | None


def race(folder: Path, kind: str, racers: int = RACERS, count: int = NAMES) -> Race:
    """Let `racers` processes create the same `count` names in the new `folder`, all at once.

    kind: ``file`` (O_EXCL) or ``link`` (symbolic links). Raises `TimeoutError` if they do not end in time.
    """
    folder.mkdir()
    jobs = [["race", kind, str(folder), str(me), str(count), "1"] for me in range(racers)]
    with _processes(jobs) as processes:
        results = [json.loads(_output(process)) for process in processes]
    return outcome(results, folder, kind)


def outcome(results: Sequence[dict[str, Any]], folder: Path, kind: str) -> Race:
    """How a race in `folder` went, from what `probes.race` returned in each of its processes, in their order."""
    tried = max(result["tried"] for result in results)
    winners: list[list[int]] = [[] for _ in range(tried)]
    for me, result in enumerate(results):
        for name in result["won"]:
            winners[name].append(me)
    wrong = [
        name
        for name, who in enumerate(winners)
        if len(who) != 1 or (kind == "link" and os.readlink(folder / str(name)) != str(who[0]))
    ]
    return Race(tried, wrong, next((result["error"] for result in results if result["error"]), None))


def hard_link_problem(folder: Path) -> str | None:
    """Why a hard link in `folder` is not the exclusive creation of a whole file; None if it is."""
    first, second = folder / "hard", folder / "hard-again"
    first.write_bytes(b"whole")
    try:
        os.link(first, second)
    except OSError as error:
        return f"cannot be made: {error.strerror}"
    if second.read_bytes() != b"whole" or not os.path.samefile(first, second):
        return "lead to another file"
    try:
        os.link(first, second)
    except FileExistsError:
        return None
    return "replace a name that exists"


def append_delays(folder: Path, count: int = APPENDS) -> list[float]:
    """Seconds until this process sees each of `count` lines that another appends; only of those that came."""
    path = folder / "appended"
    path.touch()
    seen: list[float] = []
    rest = b""
    with _processes([["append", str(path), str(count), str(_GAP)]]):
        fd = os.open(path, os.O_RDONLY)
        try:
            end = time.monotonic() + _PATIENCE
            while len(seen) < count and time.monotonic() < end:
                data = os.read(fd, 1 << 16)
                now = time.monotonic()
                *lines, rest = (rest + data).split(b"\n")
                seen += [max(now - float(line), 0.0) for line in lines]
                if not data:
                    time.sleep(0.0005)
        finally:
            os.close(fd)
    return seen


def sync_rate(folder: Path, seconds: float = 0.4, most: int = 400) -> float:
    """How many appends of one log line each reach the disk in a second, one after the other."""
    line = b"x" * 199 + b"\n"
    fd = os.open(folder / "synced", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        done, begin = 0, time.perf_counter()
        while done < most and (done < 3 or time.perf_counter() - begin < seconds):
            os.write(fd, line)
            _sync(fd)
            done += 1
        return done / (time.perf_counter() - begin)
    finally:
        os.close(fd)


def clock_lead(folder: Path) -> float:
    """Seconds by which the file server's clock is ahead of this host's; negative if behind."""
    path = folder / "clock"
    path.touch()
    before = time.time()
    os.utime(path)
    after = time.time()
    stamp = path.stat().st_mtime
    return min(stamp - before, 0.0) if stamp < after else max(stamp - after, 0.0)


@contextmanager
def _processes(jobs: list[list[str]]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes of `probes.py`, one for each job, that all began just now. None of them is left behind."""
    start, go = os.pipe()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        try:
            for job in jobs:
                command = [sys.executable, "-I", "-S", str(_PROBES), *job]
                processes.append(subprocess.Popen(command, stdin=start, stdout=subprocess.PIPE))
            end = time.monotonic() + _PATIENCE
            for process in processes:
                assert process.stdout is not None
                if not select.select([process.stdout], [], [], max(end - time.monotonic(), 0.0))[0]:
                    raise TimeoutError(f"a process had not started after {_PATIENCE:.0f} s")
                process.stdout.readline()
        finally:
            os.close(start)
            os.close(go)  # the sign to begin
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _output(process: subprocess.Popen[bytes]) -> bytes:
    try:
        text = process.communicate(timeout=_PATIENCE)[0]
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"a process had not ended after {_PATIENCE:.0f} s") from None
    if process.returncode != 0:
        raise ChildProcessError(f"a process of the check failed (exit code {process.returncode})")
    return text
