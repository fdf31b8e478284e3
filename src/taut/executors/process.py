"""One warm Python process, as its parent has it: started, spoken to, and buried."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path

from taut.errors import InputError
from taut.executors.base import Task
from taut.executors.board import Board
from taut.executors.child import Broken, Ready, Setup, decode_said, encode
from taut.executors.guardian import Guardian
from taut.executors.memory import Memory
from taut.executors.places import Place, pinned
from taut.executors.spool import settle
from taut.executors.threads import thread_limit
from taut.metrics.meters.watch import Watch

__all__ = ["WarmProcess"]

_NAP = 0.005
_ROOT = str(Path(__file__).parents[2])
# Our own place goes in front of the import path; the parent's whole path arrives with the setup, and not in
# PYTHONPATH, which the objective's own child processes would inherit.
_START = (
    "import sys; sys.path.insert(0, sys.argv[3]); "
    "from taut.executors.child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


class WarmProcess:
    """One warm process and the socket to it. watch: told when its trials begin, in which slot."""

    def __init__(
        self, setup: Setup, guardian: Guardian, board: Board, place: Place, watch: Watch, slot: int
    ) -> None:
        ours, theirs = socket.socketpair()
        handed = [theirs.fileno(), board.descriptor]
        self._memory = Memory()
        with theirs, pinned(place.cpus):
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START, *map(str, handed), _ROOT],
                pass_fds=handed,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={
                    **os.environ,
                    **thread_limit(setup.slots, place),
                    **place.environment,
                    **guardian.environment,
                },
            )
        self._guardian, self._watch, self._slot = guardian, watch, slot
        guardian.watch(self.process.pid)
        self.connection = Connection(ours.detach())
        with contextlib.suppress(OSError):  # it was killed at once: `ready` says so
            self.connection.send_bytes(encode(setup))
        self.tasks: deque[Task] = deque()  # the first is running
        self.since = math.inf
        self.loaded = False
        self.before: WarmProcess | None = None
        """The one in its place before, while that has not ended yet: until then no trial begins here."""
        self.alone_by = math.inf  # when that one is ended
        self._captured = setup.capture
        self._last: Task | None = None  # the one that ran last, as far as we know

    def ready(self) -> str | None:
        """Wait until the objective is loaded; how the process ended if it did so before. Raises `InputError` if it cannot be loaded."""
        try:
            said = decode_said(self.connection.recv_bytes())
        except (EOFError, OSError):
            return self.epitaph()
        if isinstance(said, Broken):
            context = "" if said.clear else "the objective cannot be loaded in a worker process:\n"
            raise InputError(context + said.error, ("function",))
        assert isinstance(said, Ready)
        self.loaded = True
        return None

    def send(self, task: Task) -> None:
        self.tasks.append(task)
        if self.before is None:
            self._hand(task)

    def follow(self, before: WarmProcess | None, alone_by: float) -> None:
        """Let no trial begin here before that one is gone; the owner buries it when it has ended, at `alone_by` at the latest."""
        self.before, self.alone_by = before, alone_by

    def go_on(self) -> None:
        """The one before is gone."""
        self.before = None
        for task in self.tasks:
            self._hand(task)

    def has_loaded(self) -> None:
        """It says so itself, and was perhaps given its trial before."""
        self.loaded = True
        if self.tasks and self.before is None:
            self.begin()

    def _hand(self, task: Task) -> None:
        if self.loaded and task is self.tasks[0]:
            self.begin()
        with contextlib.suppress(OSError):  # it just died: the next poll says so
            self.connection.send_bytes(encode(task))

    def ended_one(self) -> None:
        """The task that was running is over."""
        self.tasks.popleft()
        if self.tasks:
            self.begin()

    def begin(self) -> None:
        """The first of its tasks runs from now on."""
        task, self.since, self._memory = self.tasks[0], time.monotonic(), Memory()
        self._watch.begin((task.number, task.attempt), self._slot, self.process.pid, self.since)
        self._last = task if task.directory is not None else None

    def late(self, timeout: float) -> bool:
        return bool(self.tasks) and time.monotonic() - self.since >= timeout

    def ended(self, patience: float) -> bool:
        """Whether the process ends within `patience` seconds. Its number stays taken until `bury`."""
        deadline = time.monotonic() + patience
        while self.process.returncode is None:
            try:
                if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    return True
            except ChildProcessError:  # somebody else has waited for it
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_NAP)
        return True

    def signal(self, number: signal.Signals) -> None:
        """Signal the process and what it started; never a stranger that got its number later."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def bury(self) -> int:
        """End the process and what it started, for good; its exit code."""
        self.signal(signal.SIGKILL)
        code = self._memory.wait(self.process)
        if self._captured and self._last is not None:
            settle(self._last, self.process.pid)
        self._guardian.forget(self.process.pid)
        return code

    def epitaph(self) -> str:
        """How the process, which said no more, ended; nothing of it is left afterwards."""
        if not self.ended(1.0):
            self.bury()
            return "closed its connection"
        code = self.bury()
        if code < 0:
            ran_out = self._memory.ran_out if -code == signal.SIGKILL else False
            if ran_out:
                return f"ran out of memory{self._memory.amounts}"
            hint = ", perhaps for want of memory" if ran_out is None else ""
            return f"was killed by {signal.Signals(-code).name}{hint}"
        return f"ended with exit code {code}"
