"""The processes of a test cluster: known by what stands in their environment, as Linux shows it in /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

MARK = "TAUT_TEST_CLUSTER"  # in the environment of every daemon: the cluster's directory
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))  # where Debian has daemons


class ClusterError(Exception):
    """The test cluster does not do what it should; the message says which part, and where to look."""


class Daemons:
    """The daemons of the cluster in `directory`, by name. Each writes `log/NAME.out`; the process ids lie in
    `run/NAME.pid`, so that another process can stop them."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._directory = directory
        self._mark = f"{MARK}={directory}"
        self._environment = {**os.environ, **environment, MARK: str(directory), "PATH": PATH}
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *words: str) -> None:
        """Start a daemon; without effect if it runs."""
        if self.pid(name) is not None:
            return
        with (self._directory / "log" / f"{name}.out").open("ab") as output:
            child = subprocess.Popen(
                words,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                start_new_session=True,
            )
        self._children.append(child)
        (self._directory / "run" / f"{name}.pid").write_text(f"{child.pid}\n")
        # Linux shows the environment an instant after the program has begun.
        wait_for(lambda: bool(environment(child.pid)) or child.poll() is not None, 5.0, name)

    def pid(self, name: str) -> int | None:
        """The process id of a daemon that runs, and has not merely left its number to somebody else."""
        try:
            pid = int((self._directory / "run" / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if self._mark in environment(pid) else None

    def stop(self, *names: str) -> None:
        """End daemons with SIGTERM, and wait 20 s at most."""
        for name in names:
            if (pid := self.pid(name)) is not None:
                os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(ClusterError):
            wait_for(lambda: not any(map(self.pid, names)), 20.0, "the end of the daemons")

    def once(self, *words: str) -> None:
        """Run a program to its end. Raises ClusterError if it fails."""
        done = subprocess.run(
            words,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise ClusterError(f"{' '.join(words)}: exit code {done.returncode}:\n{done.stdout}")

    def reap(self) -> None:
        """Wait for those that this process has started; they have been killed."""
        for child in self._children:
            child.wait()
        self._children.clear()


def environment(pid: int) -> list[str]:
    """What a process was started with, as NAME=value; empty for one that has ended."""
    try:
        data = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return []
    return [entry for entry in data.decode(errors="replace").split("\0") if entry]


def marked(entry: str, variable: str = "") -> list[int]:
    """The processes, save this one, with `entry` in their environment and, if it is named, `variable`."""

    def fits(pid: int) -> bool:
        entries = environment(pid)
        if entry not in entries:
            return False
        return not variable or any(other.startswith(f"{variable}=") for other in entries)

    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and fits(pid)]


def kill(find: Callable[[], Sequence[int]], timeout: float = 20.0) -> None:
    """Kill what `find` finds until it finds nothing; `timeout` in seconds. Raises ClusterError."""

    def none_left() -> bool:
        pids = find()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    wait_for(none_left, timeout, "the end of killed processes")


def wait_for(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Wait until `condition` holds; `timeout` in seconds. Raises ClusterError, which says `what`."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {timeout:g} s")
        time.sleep(0.05)
