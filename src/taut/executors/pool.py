"""Several slots on this machine: warm Python processes that each load the objective once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from taut.errors import InputError, StudyError
from taut.executors.base import HEED, Asked, Died, Executor, Message, Outcome, Paused, Report, Task
from taut.executors.board import Board
from taut.executors.child import Answer, Broken, Ready, Setup, decode_said, encode
from taut.executors.guardian import Guardian
from taut.executors.memory import Memory
from taut.executors.objective import Objective
from taut.executors.places import ANYWHERE, Place, pinned, quietest
from taut.executors.spool import settle
from taut.executors.threads import thread_limit

__all__ = ["PoolExecutor", "pickled"]

_GRACE = 1.2  # seconds between SIGTERM and SIGKILL
_NAP = 0.005
_ROOT = str(Path(__file__).parents[2])
# Our own place goes in front of the import path; the parent's whole path arrives with the setup, and not in
# PYTHONPATH, which the objective's own child processes would inherit.
_START = (
    "import sys; sys.path.insert(0, sys.argv[3]); "
    "from taut.executors.child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


class PoolExecutor(Executor):
    """`slots` warm processes. Choose it for Python objectives that are to run side by side.

    Processes rather than threads: objectives may hold the interpreter lock, change global state or
    crash. The objective is imported by name where it has one; functions of the main program and closures
    are sent by value, so no ``if __name__ == "__main__"`` is needed.

    names: of the space's parameters. optional: those that not every trial has. main: the objectives, whose values
    a bare number or a tuple gives. base: goes in front of the import path. timeout: seconds that a trial may take,
    loading not included. capture: send what trials print to files in their directories. places: the GPUs and
    CPUs of each slot; None leaves that to the objective. prunes: whether the study has a pruner. A process is given its next trial ahead only
    without a timeout and a pruner: seconds would count from the wrong moment, and answers would stand behind the trial.

    Raises `InputError` when the objective cannot be loaded.
    """

    def __init__(
        self,
        objective: Objective | str,
        *,
        slots: int,
        names: Sequence[str],
        optional: Sequence[str] = (),
        main: Sequence[str],
        base: str | None = None,
        timeout: float | None = None,
        capture: bool = False,
        places: Sequence[Place] | None = None,
        prunes: bool = False,
    ) -> None:
        self.slots = slots
        self._places = [ANYWHERE] * slots if places is None else list(places)
        assert len(self._places) == slots, "each slot has its place"
        self._timeout = timeout
        self.spare = 0 if prunes or timeout is not None else slots
        self._guardian = Guardian()
        self._board = Board()
        by_name = objective if isinstance(objective, str) else _name(objective)
        self._setup = Setup(
            path=[path for path in [base, *sys.path] if path is not None],
            name=by_name,
            pickled=None if by_name else pickled(objective),
            names=list(names),
            optional=list(optional),
            main=list(main),
            slots=slots,
            capture=capture,
            prunes=prunes,
        )
        self._children: list[_Child] = []
        try:
            self._children = [self._child(place) for place in self._places]
            for slot in range(slots):
                self._load(slot)
        except BaseException:
            self.stop(kill=True)
            self.close()
            raise

    def start(self, task: Task) -> None:
        fewest = min(len(child.tasks) for child in self._children)
        free = [n for n, child in enumerate(self._children) if len(child.tasks) == fewest]
        slot = quietest(self._places, free)
        child = self._children[slot]
        if not child.tasks and child.ended(0.0):
            child.bury()
            self._replace(slot)
            self._load(slot)
        self._children[slot].send(task)

    def _load(self, slot: int) -> None:
        """Wait until the process of a slot has loaded the objective. One that is killed meanwhile is replaced, once."""
        why = self._children[slot].ready()
        if why is None:
            return
        self._replace(slot)
        again = self._children[slot].ready()
        if again is not None:
            name = self._setup.name
            alone = f' with python -c "import {name.partition(":")[0]}"' if name else ""
            raise StudyError(
                f"a worker process {why} while it loaded the objective, and the next one in its place {again}: "
                f"see whether it loads by itself{alone}; if memory is short, take fewer workers"
            )

    def poll(self, timeout: float) -> Sequence[Message]:
        busy: dict[Any, _Child] = {child.connection: child for child in self._children if child.tasks}
        found: list[Message] = []
        if self._timeout is not None and busy:
            first = min(child.since for child in busy.values()) + self._timeout
            timeout = max(0.0, min(timeout, first - time.monotonic()))
        until = time.monotonic() + timeout
        while busy:
            if self.asked:
                self._board.ask()
            left = max(0.0, until - time.monotonic())
            for connection in wait(list(busy), min(left, HEED)):
                found += self._hear(busy[connection])
            if found or left <= HEED:
                break
        if self._timeout is not None:
            found += [self._overdue(child) for child in busy.values() if child.late(self._timeout)]
        return found

    def _overdue(self, child: _Child) -> Outcome:
        (task,) = child.tasks
        child.bury()
        child.tasks.clear()
        return Outcome(task.number, task.attempt, {}, error=f"timed out after {self._timeout:g} s")

    def _hear(self, child: _Child) -> list[Message]:
        """All that one child has said by now."""
        found: list[Message] = []
        try:
            while child.tasks and child.connection.poll():
                said = decode_said(child.connection.recv_bytes())
                if isinstance(said, (Report, Outcome, Paused, Asked)):
                    found.append(said)
                    if not isinstance(said, (Report, Asked)):
                        child.ended_one()
        except (EOFError, OSError):
            task = child.tasks.popleft()
            found.append(Died(task.number, task.attempt, f"its process {child.epitaph()}"))
            if child.tasks:
                self._revive(child)
        return found

    def _revive(self, child: _Child) -> None:
        """Another process in place of one that died, for the tasks that had not begun in it."""
        slot = self._children.index(child)
        self._replace(slot)
        self._load(slot)
        for task in child.tasks:
            self._children[slot].send(task)

    def answer(self, number: int, attempt: int, stop: bool) -> None:
        for child in self._children:
            if any((task.number, task.attempt) == (number, attempt) for task in child.tasks):
                with contextlib.suppress(OSError):  # it just died: the next poll says so
                    child.connection.send_bytes(encode(Answer(stop)))

    def _replace(self, slot: int) -> None:
        self._children[slot].connection.close()
        self._children[slot] = self._child(self._places[slot])

    def _child(self, place: Place) -> _Child:
        return _Child(self._setup, self._guardian, self._board, place)

    def stop(self, kill: bool = False) -> None:
        self._board.end()
        for child in self._children:
            child.signal(signal.SIGKILL if kill else signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        for child in self._children:
            child.ended(deadline - time.monotonic())
            child.bury()
            child.tasks.clear()

    def close(self) -> None:
        for child in self._children:
            child.connection.close()  # an idle child ends by itself
        self.stop()
        self._children = []
        self._guardian.close()
        self._board.release()


class _Child:
    """One warm process and the socket to it."""

    def __init__(self, setup: Setup, guardian: Guardian, board: Board, place: Place) -> None:
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
        self._guardian = guardian
        guardian.watch(self.process.pid)
        self.connection = Connection(ours.detach())
        with contextlib.suppress(OSError):  # it was killed at once: `ready` says so
            self.connection.send_bytes(encode(setup))
        self.tasks: deque[Task] = deque()  # the first is running
        self.since = 0.0
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
        return None

    def send(self, task: Task) -> None:
        self.tasks.append(task)
        if len(self.tasks) == 1:
            self._begins()
        with contextlib.suppress(OSError):  # it just died: the next poll says so
            self.connection.send_bytes(encode(task))

    def ended_one(self) -> None:
        """The task that was running is over."""
        self.tasks.popleft()
        if self.tasks:
            self._begins()

    def _begins(self) -> None:
        task, self.since, self._memory = self.tasks[0], time.monotonic(), Memory()
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


def _name(objective: Objective) -> str | None:
    """`module:attribute` if that gives this very object in another process too."""
    module, qualified = getattr(objective, "__module__", None), getattr(objective, "__qualname__", "")
    if not module or module == "__main__" or "<" in qualified:
        return None
    found: Any = sys.modules.get(module)
    for part in qualified.split("."):
        found = getattr(found, part, None)
    return f"{module}:{qualified}" if found is objective else None


def pickled(objective: Objective | str) -> bytes:
    """The objective by value, as far as it cannot be imported elsewhere. Raises `InputError` if that cannot be done."""
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(objective)
    except Exception as error:
        raise InputError(
            f"the objective cannot be sent to worker processes: {error}; put it into a module and what it "
            "needs inside of it, or use workers=1"
        ) from error
    return data
