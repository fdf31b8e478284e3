"""The Python face of a study: create or resume it, run it, ask and tell, read what came out."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, overload

import msgspec
import numpy as np

from taut.clock import Clock, WallClock
from taut.decide import Done, Start, Wait
from taut.definition import Budget, Definition, Method, Objective
from taut.errors import InputError, StudyError
from taut.executors import objective as objectives
from taut.executors.base import Executor
from taut.executors.inline import InlineExecutor
from taut.executors.objective import Objective as Function
from taut.metrics.pareto import best_first, front
from taut.opening import open_store
from taut.snapshot import Snapshot
from taut.space import Space
from taut.store import Ended
from taut.trial import State, Trial, TrialRecord
from taut.verdict import numbers, verdict
from taut.worker import Mode, Worker

__all__ = ["Study", "Trials"]


class Trials(Sequence[TrialRecord]):
    """The trials of a study by number, as they were when asked for."""

    def __init__(self, records: Sequence[TrialRecord]) -> None:
        self._records = records

    @overload
    def __getitem__(self, index: int) -> TrialRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Trials: ...
    def __getitem__(self, index: int | slice) -> TrialRecord | Trials:
        return Trials(self._records[index]) if isinstance(index, slice) else self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"<{len(self)} trials>"

    def to_frame(self) -> Any:
        """A pandas DataFrame, one row for each trial; parameters and metrics are columns of their own."""
        import pandas

        rows = [
            {
                **{
                    key: value
                    for key, value in msgspec.structs.asdict(record).items()
                    if key not in ("params", "values")
                },
                **{f"params_{name}": value for name, value in record.params.items()},
                **{f"values_{name}": value for name, value in record.values.items()},
            }
            for record in self._records
        ]
        return pandas.DataFrame(rows)


class _Direct:
    """The channel of trials that were asked for: straight into the study."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None:
        self._study.store.report(trial.number, trial.attempt, step, numbers(values))

    def should_stop(self, trial: Trial) -> bool:
        return False

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None:
        self._study.tell(trial, **values)


class _Interrupts:
    """Notes whether Ctrl-C was pressed, and lets it do what it always does.

    A generator whose loop is left by an exception learns nothing of the exception; and an interruption is
    not the trial's fault.
    """

    seen = False

    def __enter__(self) -> _Interrupts:
        main = threading.current_thread() is threading.main_thread()
        self._ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._ours:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        raise KeyboardInterrupt


class Study:
    """A study: a space, an objective, and all that was tried. The directory `path` is the study.

    Choose `run` to have it work through a function, `work` to write the loop yourself in a script that any
    number of processes may run, `ask` and `tell` for everything else. A path that exists is resumed; its
    definition must then be the same, or extend it (wider ranges, more choices, another budget).

    path: directory to keep the study in, made with the first trial; None keeps it in memory.
    space: what to tune; may be left out when the study exists.
    minimize, maximize: metric names; several objectives may be given.
    subject_to: conditions on metrics that a good trial fulfils, such as ``"memory_gb <= 40"``.
    trials: how many finished trials the whole study is to have, over all workers and resumptions.
    sampler: a method's name, or a mapping with its options, such as ``{"method": "grid", "resolution": 5}``.
    seed: trial n of a study depends on (seed, n) and on what was known; nothing else is random.
    retries: how often a trial is started again after its worker died.

    Raises `InputError` for wrong input, with nothing written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        space: Space | None = None,
        *,
        minimize: str | Sequence[str] = (),
        maximize: str | Sequence[str] = (),
        subject_to: str | Sequence[str] = (),
        trials: int | None = None,
        until: str | None = None,
        sampler: str | Mapping[str, Any] | None = None,
        seed: int | None = None,
        retries: int | None = None,
        name: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._path = None if path is None else Path(path)
        if space is not None and not isinstance(space, Space):
            raise InputError(
                f"the space is a {type(space).__name__}; write taut.Space(lr=taut.loguniform(1e-5, 1e-3))",
                ("space",),
            )
        objectives = [Objective(metric, True) for metric in _texts(minimize)]
        objectives += [Objective(metric, False) for metric in _texts(maximize)]
        asked: dict[str, Any] = {
            "space": None if space is None else space.to_json(),
            "objectives": objectives or None,
            "subject_to": _texts(subject_to) or None,
            "sampler": None if sampler is None else _method(sampler),
            "seed": seed,
            "retries": retries,
        }
        asked = {key: value for key, value in asked.items() if value is not None}
        limits = {key: value for key, value in (("trials", trials), ("until", until)) if value is not None}

        def define(now: Definition | None) -> Definition | None:
            if now is None:
                if space is None:
                    return None
                now = Definition(name or (self._path.resolve().name if self._path else "study"), {}, [])
            budget = msgspec.structs.replace(now.budget, **limits)
            return msgspec.structs.replace(now, budget=budget, **asked)

        self.store = open_store(self._path, define, clock or WallClock())
        weakref.finalize(self, self.store.close)

    @classmethod
    def of(cls, path: Path, definition: Definition | None = None, clock: Clock | None = None) -> Study:
        """Create or resume the study in `path` from a whole definition; None resumes what is there."""
        study = cls.__new__(cls)
        study._path = path
        study.store = open_store(path, lambda now: definition or now, clock or WallClock())
        weakref.finalize(study, study.store.close)
        return study

    # ------------------------------------------------------------------ what it is

    @property
    def path(self) -> Path | None:
        return self._path

    @property
    def definition(self) -> Definition:
        return self.store.snapshot.definition

    @property
    def space(self) -> Space:
        return self.store.snapshot.space

    @property
    def snapshot(self) -> Snapshot:
        """All that is known now."""
        self.store.refresh()
        return self.store.snapshot

    @property
    def trials(self) -> Trials:
        """Every trial that was started, by number."""
        snapshot = self.snapshot
        return Trials(snapshot.records(snapshot.known))

    @property
    def best(self) -> TrialRecord:
        """The best complete trial that fulfils the constraints; with several objectives use `pareto`.

        Raises `StudyError` while there is none.
        """
        order = self.ranking
        if not order:
            counts = self.snapshot.counts
            if counts[State.COMPLETE]:
                conditions = " and ".join(self.definition.subject_to)
                raise StudyError(f"none of {counts[State.COMPLETE]} complete trials fulfils {conditions}")
            failed, running = counts[State.FAILED], counts[State.RUNNING]
            raise StudyError(f"no trial is complete yet ({failed} failed, {running} running)")
        return self.snapshot.records(order[:1])[0]

    @property
    def ranking(self) -> list[int]:
        """Numbers of complete trials that fulfil the constraints, best first (by the first objective)."""
        return best_first(self.snapshot)

    @property
    def pareto(self) -> Trials:
        """The trials that no other beats in every objective, sorted by the first."""
        snapshot = self.snapshot
        return Trials(snapshot.records(front(snapshot)))

    # ------------------------------------------------------------------ running

    def run(
        self,
        objective: Function,
        *,
        trials: int | None = None,
        workers: int = 1,
        mode: Mode = "async",
        hours: float | None = None,
    ) -> Study:
        """Evaluate `objective` until the budget is used up.

        objective: ``train(trial)`` or ``train(**params)``, returning a number or a dict of metrics.
        trials: finished trials that the whole study is to have (not: this many more).
        workers: trials that run side by side, each in a warm process; 1 runs them in this process.
        mode: ``async``, ``batch`` (all of a batch must finish before the next is chosen) or ``sequential``.
        hours: no trial is started after so many hours of this call.

        Ctrl-C stops at once and leaves a study that can be resumed. Returns the study.
        """
        if mode not in ("sequential", "batch", "async"):
            raise InputError(f'{mode!r} is not a mode; use "async", "batch" or "sequential"', ("mode",))
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise InputError(f"{workers!r} workers; use a whole number from 1", ("workers",))
        if not callable(objective):
            raise InputError(
                f"{objective!r} is not a function; give train(trial) or train(**params)", ("objective",)
            )
        endless = math.isinf(self.store.proposals.limit) and self.definition.budget == Budget()
        if trials is None and hours is None and endless:
            raise InputError(
                "no end is in sight: give trials=100 (finished trials of the whole study)", ("trials",)
            )
        self.budget(trials)
        executor = self._executor(objective, workers)
        deadline = None if hours is None else time.monotonic() + hours * 3600
        try:
            Worker(self.store, executor, mode=mode, deadline=deadline).run()
        finally:
            self._warn()
        return self

    def _executor(self, objective: Function, workers: int) -> Executor:
        main, names, optional = self.definition.objectives[0].metric, self.space.names, self.space.optional
        with_trial = objectives.takes_trial(objective, names, optional)
        if workers == 1:
            return InlineExecutor(objective, with_trial, main, self.store.report)
        from taut.executors.pool import PoolExecutor

        return PoolExecutor(objective, slots=workers, names=names, optional=sorted(optional), main=main)

    def budget(self, trials: int | None) -> None:
        """Set the number of finished trials that the whole study is to have."""
        if trials is None:
            return
        if isinstance(trials, bool) or not isinstance(trials, (int, np.integer)) or trials < 1:
            raise InputError(f"{trials!r} trials; use a whole number from 1", ("trials",))
        if trials != self.definition.budget.trials:
            budget = msgspec.structs.replace(self.definition.budget, trials=int(trials))
            self.store.revise(msgspec.structs.replace(self.definition, budget=budget))

    def _warn(self) -> None:
        for problem in self.store.journal.problems:
            warnings.warn(f"{self._path}: {problem}; the line was skipped", stacklevel=3)

    # ------------------------------------------------------------------ ask and tell

    @overload
    def ask(self) -> Trial: ...
    @overload
    def ask(self, count: int) -> list[Trial]: ...
    def ask(self, count: int | None = None) -> Trial | list[Trial]:
        """The next trial, or the next `count` at once. Whoever asks must `tell`.

        Raises `StudyError` when the budget is used up.
        """
        wanted = 1 if count is None else count
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            raise InputError(f"{count!r} is not a number of trials; use a whole number from 1", ("count",))
        trials: list[Trial] = []
        while len(trials) < wanted:
            decision = self.store.next(free=wanted - len(trials), ahead=False)
            if isinstance(decision, Start):
                trials += self._trials(decision)
            elif trials:
                break
            else:
                raise StudyError(f"nothing to ask for: {decision.why}")
        return trials[0] if count is None else trials

    def tell(self, trial: Trial | int | Sequence[Trial], /, **values: Any) -> None:
        """Say how a trial went: ``tell(trial, loss=0.3)``. When it returns the result is on disk.

        A list of trials takes one sequence for each metric, and is written with a single flush.
        """
        if isinstance(trial, (Trial, int, np.integer)):
            self._tell([trial], [values])
            return
        if not isinstance(trial, Sequence) or not all(isinstance(each, Trial) for each in trial):
            raise InputError(
                f"{trial!r} is not a trial; give one from study.ask(), its number, or a list of them"
            )
        rows: list[dict[str, Any]] = [{} for _ in trial]
        for name, column in values.items():
            if not hasattr(column, "__len__") or len(column) != len(trial):
                raise InputError(
                    f"{column!r} for {len(trial)} trials; give a list with a value for each", (name,)
                )
            for row, value in zip(rows, column, strict=True):
                row[name] = value
        self._tell(trial, rows)

    def fail(self, trial: Trial | int, error: str | BaseException) -> None:
        """Say that a trial failed, and why: a text, or the exception."""
        text = error if isinstance(error, str) else "".join(traceback.format_exception(error)).rstrip()
        self._tell([trial], [{}], text)

    def _tell(
        self, trials: Sequence[Trial | int], values: Sequence[Mapping[str, Any]], error: str | None = None
    ) -> None:
        ended = []
        for trial, metrics in zip(trials, values, strict=True):
            number = trial.number if isinstance(trial, Trial) else int(trial)
            attempt = trial.attempt if isinstance(trial, Trial) else self._attempt(number)
            self._untold(number, attempt)
            ended.append(Ended(number, attempt, verdict(self.store.must, metrics, error)))
        self.store.finish(ended)
        for trial in trials:
            if isinstance(trial, Trial):
                trial.told = True

    def _attempt(self, number: int) -> int:
        snapshot = self.snapshot
        if not 0 <= number < snapshot.size or snapshot.attempt[number] < 0:
            raise InputError(f"there is no trial {number}; {len(snapshot.known)} were started", ("trial",))
        return int(snapshot.attempt[number])

    def _untold(self, number: int, attempt: int) -> None:
        snapshot = self.store.snapshot
        if number < snapshot.size and snapshot.ended(number, attempt):
            raise InputError(f"trial {number} was told before; what was told first stands", ("trial",))

    def work(self, *, mode: Mode = "async") -> Iterator[Trial]:
        """Trials to evaluate, until the study is done: the loop of a warm worker.

        Any number of processes may run the same loop at the same time. End each trial with `trial.tell`;
        without it the last reported values count. A trial whose loop body raises goes back to the queue.
        """
        batch = 0 if mode == "async" else 1  # there is one slot: a batch is one trial
        pause, reaped = 0.0, -np.inf
        with _Interrupts() as interrupts:
            while True:
                if time.monotonic() - reaped > 2.0:
                    self.store.reap()
                    reaped = time.monotonic()
                decision = self.store.next(batch)
                if isinstance(decision, Done):
                    break
                if isinstance(decision, Wait):
                    self.store.check_progress()
                    pause = min(pause * 2 or 0.01, 0.5)
                    time.sleep(pause)
                    continue
                pause = 0.0
                (trial,) = self._trials(decision)
                try:
                    yield trial
                except BaseException:
                    if not trial.told:
                        why = (
                            "it was interrupted"
                            if interrupts.seen
                            else "its loop was left before it was told"
                        )
                        self.store.release([(trial.number, trial.attempt)], why, blame=not interrupts.seen)
                    raise
                if not trial.told:
                    self.tell(trial, **trial.last)
        self.store.give_back("its worker ended before it began")
        self._warn()

    def _trials(self, start: Start) -> list[Trial]:
        store, attempt, channel = self.store, start.attempt, _Direct(self)
        return [
            Trial(n, attempt, params, channel, store.trial_seed(n), store.trial_directory(n))
            for n, params in zip(start.numbers, start.params, strict=True)
        ]

    def close(self) -> None:
        """Give back what is held and end this process's log."""
        self.store.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise TypeError("a study in memory cannot be sent to another process; give it a path")
        return Study, (str(self._path.absolute()),)  # there it is opened again, with a log of its own

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = self.store.snapshot.counts
        told = ", ".join(
            f"{counts[state]} {state.name.lower()}" for state in State if counts[state] and state
        )
        return f"<Study {str(self._path) if self._path else 'in memory'}: {told or 'no trials yet'}>"


def _texts(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _method(sampler: str | Mapping[str, Any] | None) -> Method:
    if sampler is None:
        return Method("random")
    if isinstance(sampler, str):
        return Method(sampler)
    options = dict(sampler)
    if "method" not in options:
        raise InputError('a sampler needs its method, for instance {"method": "random"}', ("sampler",))
    return Method(options.pop("method"), options)
