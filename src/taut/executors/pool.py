"""Several slots on this machine: warm Python processes that each load the objective once."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any

import msgspec

from taut.errors import InputError, StudyError
from taut.executors.base import HEED, Asked, Died, Executor, Message, Outcome, Paused, Report, Task
from taut.executors.board import Board
from taut.executors.child import Answer, Broken, Ready, Setup, decode_said, encode
from taut.executors.guardian import Guardian
from taut.executors.objective import Objective
from taut.executors.places import ANYWHERE, Place, devices, quietest
from taut.executors.process import WarmProcess
from taut.metrics.meters.watch import Watch, merged

__all__ = ["PoolExecutor", "pickled"]

_GRACE = 1.2  # seconds between SIGTERM and SIGKILL
_LEAVE = 2.0  # seconds in which a process that is not needed any more may end by itself
_NAP = 0.02  # seconds between two looks at whether it has, while a trial waits for that


class PoolExecutor(Executor):
    """`slots` warm processes. Choose it for Python objectives that are to run side by side.

    Processes rather than threads: objectives may hold the interpreter lock, change global state or
    crash. The objective is imported by name where it has one; functions of the main program and closures
    are sent by value, so no ``if __name__ == "__main__"`` is needed.

    names: of the space's parameters. optional: those that not every trial has. main: the objectives, whose values
    a bare number or a tuple gives. base: goes in front of the import path. timeout: seconds that a trial may take,
    loading not included. capture: send what trials print to files in their directories. places: the GPUs and
    CPUs of each slot; None leaves that to the objective. prunes: whether the study has a pruner. A process is given its next trial ahead only
    without a timeout and a pruner: seconds would count from the wrong moment, and answers would stand behind the trial. fresh: each trial has a
    process of its own, and pays for its imports: the cure where trials leave memory behind, or change what the next ones see.

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
        fresh: bool = False,
    ) -> None:
        self.slots = slots
        self._places = [ANYWHERE] * slots if places is None else list(places)
        assert len(self._places) == slots, "each slot has its place"
        self._timeout = timeout
        self.spare = 0 if prunes or fresh or timeout is not None else slots
        self._fresh = fresh
        self._watch = Watch(devices(self._places))
        self.gpus = any(place.gpus for place in self._places)
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
        self.stopped: dict[tuple[int, int], dict[str, float]] = {}
        self._children: list[WarmProcess] = []
        try:
            self._children = [self._child(slot) for slot in range(slots)]
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
        busy: dict[Any, WarmProcess] = {child.connection: child for child in self._children if child.tasks}
        found: list[Message] = []
        if self._timeout is not None and busy:
            first = min(child.since for child in busy.values()) + self._timeout
            timeout = max(0.0, min(timeout, first - time.monotonic()))
        until = time.monotonic() + timeout
        while busy:
            if self.asked:
                self._board.ask()
            now = time.monotonic()
            self._watch.look(now)
            left = max(0.0, until - now)
            for connection in wait(list(busy), min(left, _NAP if self._see_off(now) else HEED)):
                found += self._hear(busy[connection])
            if found or left <= HEED:
                break
        if self._timeout is not None:
            for child in busy.values():
                if child.late(self._timeout):
                    found += self._hear(child)  # it may have ended in time, and we come late
                if child.late(self._timeout):
                    found.append(self._overdue(child))
        return found

    def _overdue(self, child: WarmProcess) -> Outcome:
        (task,) = child.tasks
        child.bury()
        child.tasks.clear()
        used = self._seen(task.number, task.attempt)
        return Outcome(task.number, task.attempt, {}, error=f"timed out after {self._timeout:g} s", used=used)

    def _seen(self, number: int, attempt: int) -> dict[str, float]:
        return self._watch.end((number, attempt), time.monotonic())

    def _hear(self, child: WarmProcess) -> list[Message]:
        """All that one child has said by now."""
        found: list[Message] = []
        try:
            while child.tasks and child.connection.poll():
                said = decode_said(child.connection.recv_bytes())
                if isinstance(said, Ready):  # it was given its trial before it had loaded the objective
                    child.has_loaded()
                elif isinstance(said, Broken):
                    said = Outcome(child.tasks[0].number, child.tasks[0].attempt, {}, error=said.error)
                if isinstance(said, (Report, Asked)):
                    found.append(said)
                elif isinstance(said, (Outcome, Paused)):
                    used = merged(said.used, self._seen(said.number, said.attempt))
                    found.append(msgspec.structs.replace(said, used=used))
                    child.ended_one()
                    if self._fresh:
                        self._renew(child)
                        break
        except (EOFError, OSError):
            task = child.tasks.popleft()
            used = self._seen(task.number, task.attempt)
            found.append(Died(task.number, task.attempt, f"its process {child.epitaph()}", used=used))
            if child.tasks:
                self._revive(child)
        return found

    def _renew(self, child: WarmProcess) -> None:
        """Another process in place of one that has had its trial. It loads the objective while the other one ends, as programs do."""
        slot = self._children.index(child)
        self._replace(slot)
        self._children[slot].follow(child, time.monotonic() + _LEAVE)

    def _see_off(self, now: float) -> bool:
        """Bury the processes that have ended by themselves, or did not in their time; whether a trial has to wait for another one."""
        waiting = False
        for child in self._children:
            if child.before is None:
                continue
            if child.before.ended(0.0) or now >= child.alone_by:
                child.before.bury()
                child.go_on()
            else:
                waiting |= bool(child.tasks)
        return waiting

    def _revive(self, child: WarmProcess) -> None:
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
        old = self._children[slot]
        old.connection.close()
        self._children[slot] = self._child(slot)
        self._children[slot].follow(old.before, old.alone_by)

    def _child(self, slot: int) -> WarmProcess:
        place = self._places[slot]
        return WarmProcess(self._setup, self._guardian, self._board, place, self._watch, slot)

    def stop(self, kill: bool = False) -> None:
        self._board.end()
        before = [child.before for child in self._children if child.before is not None]
        for child in (*self._children, *before):
            child.signal(signal.SIGKILL if kill else signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        for child in (*self._children, *before):
            child.ended(deadline - time.monotonic())
            if child.tasks:  # the others have not begun
                key = child.tasks[0].number, child.tasks[0].attempt
                self.stopped[key] = self._seen(*key)
            child.bury()
            child.tasks.clear()
            child.before = None

    def close(self) -> None:
        for child in self._children:
            child.connection.close()  # an idle child ends by itself
        while any(child.before is not None for child in self._children):  # so do those that had their trial
            self._see_off(time.monotonic())
            time.sleep(_NAP)
        self.stop()
        self._children = []
        self._guardian.close()
        self._board.release()


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
