"""Trials on any `concurrent.futures.Executor`: the standard pools, Dask, MPI, and whatever else speaks it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import hashlib
import inspect
import os
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from pathlib import Path

import msgspec

from taut.errors import InputError, StudyError
from taut.executors.base import Asked, Died, Executor, Message, Outcome, Paused, Report, Task
from taut.executors.mailbox import LEAVE, Box, Letters
from taut.executors.objective import Objective, call, live
from taut.executors.pool import pickled
from taut.metrics.meters.own import OwnProcess
from taut.verdict import metrics

__all__ = ["FuturesExecutor", "Pool"]

Pool = concurrent.futures.Executor
_GAP = (0.002, 0.1)  # seconds between two looks into the boxes: after news, and at most
_GRACE = 1.2  # seconds in which trials may end that were asked to


class _Errand(msgspec.Struct, frozen=True):
    """What goes to wherever a trial runs. objective: pickled, with its `digest`. box: where to leave letters."""

    task: Task
    objective: bytes
    digest: str
    with_trial: bool
    main: list[str]
    box: str
    prunes: bool


class _Return(msgspec.Struct, frozen=True):
    """What comes back. problem: why the objective could not be loaded there; then there is no end."""

    end: Outcome | Paused | None = None
    reports: list[Report] = []
    problem: str = ""


_loaded: dict[str, Objective] = {}
"""The objectives of this process, by their digests: loaded once, so that what they keep stays warm."""
_loading = threading.Lock()
_own = functools.cache(OwnProcess)
_KEPT = 4  # objectives: several studies may use one pool at the same time


def evaluate(errand: bytes) -> bytes:
    """Run one trial, wherever this is called. Bytes both ways: engines differ in what else they carry."""
    todo = msgspec.msgpack.decode(errand, type=_Errand)
    try:
        objective = _load(todo)
    except Exception:
        return msgspec.msgpack.encode(_Return(problem=traceback.format_exc().rstrip()))
    letters = Letters(Path(todo.box), todo.prunes)
    trial = live(todo.task, todo.task.params, letters)
    alone = (
        threading.current_thread() is threading.main_thread()
    )  # else others' work would be taken for its own
    if alone:
        _own().begin()
    end = call(objective, trial, todo.with_trial, todo.main)
    del trial
    if alone:
        end = msgspec.structs.replace(end, used={**_own().end(), **_own().clean()})
    if isinstance(end, Outcome):
        try:  # as floats, since NumPy's or PyTorch's own cannot be encoded
            end = msgspec.structs.replace(end, values=metrics(todo.main, end.values))
        except InputError as error:
            end = msgspec.structs.replace(end, values={}, error=end.error or str(error))
    return msgspec.msgpack.encode(_Return(end, letters.reports))


def _load(todo: _Errand) -> Objective:
    with _loading:  # where trials run in threads, they share one
        if todo.digest not in _loaded:
            import pickle  # the bytes come from our own worker, by the way that its user has chosen

            while len(_loaded) >= _KEPT:
                del _loaded[next(iter(_loaded))]
            _loaded[todo.digest] = pickle.loads(todo.objective)
        return _loaded[todo.digest]


def _ready() -> None:
    """Something to run that harms no pool."""


class FuturesExecutor(Executor):
    """Hands trials to a pool, up to `slots` at a time. Choose it where an engine runs already: Dask, MPI, a pool of your own.

    slots: None asks the pool, as far as pools can tell.
    pool: a `concurrent.futures.Executor`, which is used and left as it is; or a function that makes one, which is called again
        when a pool broke, and whose pool is shut down in the end.
    place: a directory in which trials leave letters while they run (reports, and whether to stop); None takes one of this machine
        alone. Where a trial does not see it, its reports come with its result, and it cannot be pruned on the way.
    prunes: whether the study has a pruner.

    An objective's own exceptions come back as an outcome. A future that ends in any other way was lost with whatever ran it, and the
    trial is tried again. Where a pool breaks as a whole, as pools of processes do, nobody knows whose fault it was: those that ran then
    are tried again one by one. The first time that somebody cancels a trial's future is not the trial's fault.

    Raises `InputError` for what is no pool, and where the objective cannot be sent or loaded; `StudyError` once the pool takes no more.
    """

    def __init__(
        self,
        pool: Pool | Callable[[], Pool],
        objective: Objective,
        *,
        slots: int | None,
        with_trial: bool,
        main: Sequence[str],
        place: Path | None = None,
        prunes: bool = False,
    ) -> None:
        self._objective = pickled(objective)  # before a pool is made, which would be left behind
        self._digest = hashlib.sha256(self._objective).hexdigest()
        self._with_trial, self._main, self._prunes = with_trial, list(main), prunes
        self._place = place
        self._made: Path | None = None
        self._running: dict[Future[bytes], Box] = {}
        self._tasks: dict[Future[bytes], Task] = {}
        self._returned = False  # whether any trial has come back
        self._cancelled: set[int] = set()  # trials whose future somebody has cancelled
        self._suspects: set[int] = set()  # trials that ran when the pool broke
        self._crowd = 0  # how many those were
        self._gap = _GAP[0]
        self._make = None if isinstance(pool, Pool) else pool
        self._pool: Pool = pool if isinstance(pool, Pool) else _made(pool)
        try:
            self._all = _size(self._pool) if slots is None else slots
        except InputError:
            self.close()
            raise

    @property
    def slots(self) -> int:  # type: ignore[override]
        """One while it is not known which trial broke the pool."""
        return 1 if self._suspects else self._all

    @property
    def _boxes(self) -> Path:
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="letters-", dir=self._place))
        return self._made

    def start(self, task: Task) -> None:
        if task.number not in self._suspects:
            self._suspects.clear()  # nothing of theirs is left to try again
        box = Box(self._boxes, task)
        errand = msgspec.msgpack.encode(
            _Errand(
                task,
                self._objective,
                self._digest,
                self._with_trial,
                self._main,
                str(box.path),
                self._prunes,
            )
        )
        try:
            future = self._pool.submit(evaluate, errand)
        except Exception as error:  # broken, or shut down: pools have different words for it
            future = self._renewed(error).submit(evaluate, errand)
        self._running[future], self._tasks[future] = box, task
        self._gap = _GAP[0]

    def poll(self, timeout: float) -> Sequence[Message]:
        until = time.monotonic() + timeout
        while self._running:
            if self.asked:
                (self._boxes / LEAVE).touch()
            found = self._news()
            pause = 0.0 if found else max(0.0, min(until - time.monotonic(), self._gap))
            done = concurrent.futures.wait(
                list(self._running), pause, concurrent.futures.FIRST_COMPLETED
            ).done
            for future in [future for future in self._running if future in done]:
                found += self._ended(future)
            self._gap = _GAP[0] if found else min(2 * self._gap, _GAP[1])
            if found or time.monotonic() >= until:
                return found
        return ()

    def answer(self, number: int, attempt: int, stop: bool) -> None:
        for future, box in self._running.items():
            task = self._tasks[future]
            if (task.number, task.attempt) == (number, attempt):
                box.answer(stop)

    def stop(self, kill: bool = False) -> None:
        """Cancel what has not begun. What runs cannot be ended from here; it is asked to make way and not waited for much longer."""
        if self._running:
            (self._boxes / LEAVE).touch()
        going = [future for future in self._running if not future.cancel()]
        left = concurrent.futures.wait(going, 0.0 if kill else _GRACE).not_done
        self._running.clear()
        self._tasks.clear()
        if self._make is not None:
            _end(self._pool, kill=bool(left))

    def close(self) -> None:
        if self._make is not None:
            _end(self._pool)
        if self._made is not None:  # whoever still runs takes that for a request to leave
            shutil.rmtree(self._made, ignore_errors=True)

    def _news(self) -> list[Message]:
        """What trials have said meanwhile. One look tells which of them have said anything: there may be a thousand."""
        try:
            there = set(os.listdir(self._boxes))
        except OSError:
            return []
        return [said for box in self._running.values() if box.path.name in there for said in box.news()]

    def _ended(self, future: Future[bytes]) -> list[Message]:
        box, task = self._running.pop(future), self._tasks.pop(future)
        late: list[Message] = [said for said in box.news() if not isinstance(said, Asked)]
        shutil.rmtree(box.path, ignore_errors=True)
        error = CancelledError("it was cancelled") if future.cancelled() else future.exception()
        if error is not None:
            return [*late, self._lost(task, error)]
        told = msgspec.msgpack.decode(future.result(), type=_Return)
        if told.end is None:
            self._unloadable(told.problem)
            return [Died(task.number, task.attempt, f"the objective cannot be loaded there:\n{told.problem}")]
        self._returned = True
        self._suspects.discard(task.number)
        return [*late, *told.reports[box.heard :], told.end]

    def _lost(self, task: Task, error: BaseException) -> Died:
        why = f"whatever ran it was lost: {type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, CancelledError):
            first = task.number not in self._cancelled
            self._cancelled.add(task.number)
            return Died(task.number, task.attempt, why, blame=not first)
        if not isinstance(error, BrokenExecutor):
            if isinstance(error, ImportError) or isinstance(error.__cause__, ImportError):
                self._unloadable(str(error.__cause__ or error))
            return Died(task.number, task.attempt, why)
        if not self._crowd:  # the first that says so
            self._crowd = len(self._running) + 1
        self._suspects.add(task.number)
        return Died(task.number, task.attempt, why, blame=self._crowd == 1)

    def _unloadable(self, problem: str) -> None:
        """Raises `InputError` unless trials have been run elsewhere; then one place misses what others have."""
        if not self._returned:
            raise InputError(
                f"the objective cannot be loaded where the pool runs trials:\n{problem}\n"
                "Python, taut and the modules that the objective imports must be the same there as here",
                ("executor",),
            )

    def _renewed(self, error: Exception) -> Pool:
        why = f"{type(error).__name__}: {error}".rstrip(": ")
        if self._make is None:
            raise StudyError(
                f"the pool takes no more trials ({why}); what was told is safe. "
                "Give a function that makes a pool, executor=lambda: ProcessPoolExecutor(4), and it is made again"
            ) from error
        _end(self._pool)
        self._pool, self._crowd = _made(self._make), 0
        try:
            check = self._pool.submit(_ready)
            if isinstance(
                error, BrokenExecutor
            ):  # others may be a cluster's, whose workers come when they come
                check.result()
        except Exception as again:
            raise StudyError(
                f"the pool broke ({why}), and a new one, too, before it was given a trial ({type(again).__name__}: "
                f"{again}); what was told is safe. Try the function that makes it by itself, with its initializer"
            ) from again
        return self._pool


def _made(make: Callable[[], Pool]) -> Pool:
    """The pool that a function makes. Raises `InputError` if it makes none, or is something that only looks like a pool."""
    alike = hasattr(make, "submit") and not inspect.isclass(make)
    pool: object = make if alike else make()
    if isinstance(pool, Pool):
        return pool
    advice = "give a concurrent.futures.Executor, or a function that makes one"
    if hasattr(pool, "get_executor"):
        advice = "it has one: give its get_executor()"
    raise InputError(f"a {type(pool).__name__} is no executor; {advice}", ("executor",))


def _end(pool: Pool, kill: bool = False) -> None:
    """Shut down a pool of our own without waiting. kill: end its processes, for which Python would wait at its own end."""
    processes = list((getattr(pool, "_processes", None) or {}).values()) if kill else []
    known = inspect.signature(pool.shutdown).parameters
    more = {"cancel_futures": True} if "cancel_futures" in known else {}  # Dask's pool does not know it
    with contextlib.suppress(Exception):  # it may be broken, or gone with its cluster
        pool.shutdown(wait=False, **more)
    for process in processes:
        process.kill()


def _size(pool: Pool) -> int:
    """How many workers a pool has. Raises `InputError` if it does not tell."""
    for name in (
        "num_workers",
        "_max_workers",
    ):  # of mpi4py's pool; of the standard ones, which tell nobody else
        found = getattr(pool, name, None)
        if isinstance(found, int) and found > 0:
            return found
    raise InputError(
        f"a {type(pool).__name__} does not tell how many workers it has; give workers=8 for eight trials at a time",
        ("workers",),
    )
