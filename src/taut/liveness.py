"""Who writes a log, and whether that process still lives.

Asked in this order: the process table, where writer and reader share a machine; else a lease, judged by
the file server's own clock (both times come from it, so the hosts' clocks do not matter). For writers in jobs of a queue
`scheduler.py` is asked first.
"""

from __future__ import annotations

import functools
import getpass
import os
import platform
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from taut import allocation
from taut.events import Opened

__all__ = ["LEASE", "TRUSTED", "gone", "introduce", "local", "lost"]

LEASE = 600.0  # seconds without a sign of life after which a writer on another host counts as dead
TRUSTED = 6 * LEASE  # the same while the queue says that its job runs: the file system may hang
_RESTART = 60.0  # the same for one on a host of our name but with another boot id: a namesake may be alive


@functools.lru_cache(maxsize=1)
def _here() -> tuple[str, str, str]:
    """This machine: host name, boot id, process-id namespace."""
    return socket.gethostname(), _read("/proc/sys/kernel/random/boot_id").strip(), _link("/proc/self/ns/pid")


def introduce(now: float) -> Opened:
    """The event with which this process begins to write."""
    host, boot, space = _here()
    return Opened(
        host=host,
        boot=boot,
        space=space,
        pid=os.getpid(),
        born=_born(os.getpid()) or "",
        user=_user(),
        environment=_environment(),
        t=now,
        job=allocation.here() or msgspec.UNSET,
    )


def local(writer: Opened | None) -> bool:
    """Whether this machine's process table knows about `writer`, so that asking costs next to nothing."""
    host, boot, space = _here()
    return writer is not None and (writer.host, writer.boot, writer.space) == (host, boot, space)


def gone(writer: Opened) -> str | None:
    """Why `writer` must be dead by this machine's process table; None while it lives, or is elsewhere."""
    if not local(writer) or _alive(writer.pid, writer.born) is not False:
        return None
    return f"process {writer.pid} on {writer.host} is gone"


def lost(
    writer: Opened | None, log: Path, now: Callable[[], float] | None = None, lease: float = LEASE
) -> str | None:
    """Why `writer`, whose file is `log`, must be dead; None while it lives or nobody can tell yet.

    writer: None where its first line was not seen: it may just have begun, or be on a file system that
    shows new files late. now: the file server's time; by default it is asked with a file made beside `log`. lease:
    seconds of silence that are forgiven.
    """

    def silence_of(log: Path) -> float:
        try:
            return (now or (lambda: _server_time(log.parent)))() - log.stat().st_mtime
        except OSError:
            return 0.0  # it cannot be told

    if writer is None:
        silence = silence_of(log)
        return f"{log.name} never said who writes it" if silence > LEASE else None
    host, boot, space = _here()
    if writer.host == host and writer.boot == boot and writer.space == space:
        alive = _alive(writer.pid, writer.born)
        if alive is not None:
            return None if alive else f"process {writer.pid} on {host} is gone"
    silence = silence_of(log)
    if writer.host == host and writer.boot and writer.boot != boot and silence > _RESTART:
        return f"{host} was restarted"
    if silence > lease:
        return f"no sign of life from {writer.host} (process {writer.pid}) for {silence:.0f} s"
    return None


def _server_time(folder: Path) -> float:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as probe:
        os.utime(probe.fileno())
        return os.fstat(probe.fileno()).st_mtime


def _alive(pid: int, born: str) -> bool | None:
    """Whether the process that began at `born` still lives; None if its number is all that can be seen."""
    now = _born(pid)
    if now:
        return not born or now == born
    if now is None:
        return False
    return None if born else True


def _born(pid: int) -> str | None:
    """The start time of a living process, empty if it is hidden, or None if there is none.

    A zombie does not live.
    """
    text = _read(f"/proc/{pid}/stat")
    if text:
        fields = text.rpartition(")")[2].split()  # the name before may itself hold spaces and brackets
        return None if len(fields) < 20 or fields[0] in "ZX" else fields[19]
    # No such process, no /proc (macOS), or one that hides the processes of others (hidepid).
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


@functools.lru_cache(maxsize=1)
def _environment() -> dict[str, str]:
    import numpy

    return {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "processor": _processor(),
        "system": f"{sys.platform} {platform.machine()}",
    }


def _processor() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have a user number without a name
        return str(os.getuid())


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
