"""The Python face of a study: create or resume it, run it, ask and tell, read what came out."""

from __future__ import annotations

import os
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import msgspec
import numpy as np

from taut.asktell import AskTell
from taut.clock import Clock, WallClock
from taut.definition import Budget, Definition
from taut.errors import InputError, StudyError
from taut.executors import objective as objectives
from taut.executors.base import Executor
from taut.executors.inline import InlineExecutor
from taut.executors.objective import Objective as Function
from taut.executors.places import devices, of_job
from taut.given import definer, hours_of, mode_of, place_of, reference_given, whole
from taut.interrupts import Interrupts
from taut.leading import leader, nearest_miss
from taut.lineage import Stretch, lineage
from taut.metrics.knee import knee
from taut.metrics.meters import lacking
from taut.metrics.pareto import Front, best_first, reference_of, volume
from taut.opening import open_store
from taut.readings import READINGS
from taut.samplers.base import unheard
from taut.snapshot import Snapshot
from taut.space import Expression, Space
from taut.trial import State, Trial, TrialRecord
from taut.warm import work
from taut.worker import Mode, Worker

if TYPE_CHECKING:
    from taut.executors.futures import Pool
    from taut.reports.plots import Plots

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
        try:
            import pandas
        except ModuleNotFoundError:
            raise InputError("to_frame needs pandas, which is not installed: pip install pandas") from None

        rows = [
            {
                **{
                    key: value
                    for key, value in msgspec.structs.asdict(record).items()
                    if key not in ("params", "values", "meters")
                },
                **{f"params_{name}": value for name, value in record.params.items()},
                **{f"values_{name}": value for name, value in record.values.items()},
                **{f"meters_{name}": value for name, value in record.meters.items()},
            }
            for record in self._records
        ]
        return pandas.DataFrame(rows)


class Study:
    """A study: a space, an objective, and all that was tried. The directory `path` is the study.

    Choose `run` to have it work through a function, `work` to write the loop yourself in a script that any
    number of processes may run, `ask` and `tell` for everything else. A path that exists is resumed; its
    definition must then be the same, or extend it (wider ranges, more choices, another budget).

    path: directory to keep the study in, made with the first trial; None keeps it in memory.
    space: what to tune; may be left out when the study exists.
    minimize, maximize: metric names; several objectives may be given.
    subject_to: conditions on metrics that a good trial fulfils, such as ``"memory_gb <= 40"``.
    prefer: which of several objectives matter more: an order such as ``["loss within 1%", "gpu_hours"]``, or weights such as
        ``{"loss": 0.8, "gpu_hours": 0.2}``. `best` and the sampler go by it. Empty: nothing is preferred any more.
    reference: from where `hypervolume` is measured: a bad value for each objective.
    trials: how many finished trials the whole study is to have, over all workers and resumptions.
    sampler: a method's name, or a mapping with its options, such as ``{"method": "grid", "resolution": 5}``; "auto" in a
        new study if left out.
    pruner: who stops trials that promise little: a method's name, or a mapping with its options and the study's fidelity, such
        as ``{"method": "asha", "fidelity": {"name": "epoch", "min": 1, "max": 27}}``; nobody if left out.
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
        prefer: str | Sequence[str] | Mapping[str, float] | None = None,
        reference: Mapping[str, float] | None = None,
        trials: int | None = None,
        until: str | None = None,
        sampler: str | Mapping[str, Any] | None = None,
        pruner: str | Mapping[str, Any] | None = None,
        seed: int | None = None,
        retries: int | None = None,
        warm_start: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        name: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        place = None if path is None else place_of(path)
        label = place.resolve().name if place else "study"
        aims = minimize, maximize, subject_to, prefer, reference
        define = definer(label, space, *aims, trials, until, sampler, pruner, seed, retries, warm_start, name)
        self._begin(place, define, clock)
        for earlier in self.definition.warm_start if warm_start is not None else ():
            if not earlier.complete:
                warnings.warn(
                    f"{earlier.study} has no complete trial, so there is nothing to learn from it; "
                    "it was read once, and what it finds later is not looked at",
                    stacklevel=2,
                )
        if warm_start is not None and (note := unheard(self.store.proposals.sampler, self.definition)):
            warnings.warn(note, stacklevel=2)

    @classmethod
    def of(
        cls,
        path: Path,
        definition: Definition | None = None,
        clock: Clock | None = None,
        hold: bool = False,
    ) -> Study:
        """Create or resume the study in `path` from a whole definition; None resumes what is there.

        hold: nothing is written, not even a changed definition, before `store.save`.
        """
        study = cls.__new__(cls)
        study._begin(path, lambda now: definition or now, clock, hold)
        return study

    def _begin(
        self,
        path: Path | None,
        define: Callable[[Definition | None], Definition | None],
        clock: Clock | None,
        hold: bool = False,
    ) -> None:
        self._path = path
        self.store = open_store(path, define, clock or WallClock(), hold)
        self._desk = AskTell(self.store)
        weakref.finalize(self._desk, self.store.close)  # which live trials hold as well

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
        with self.store.lock:
            self.store.refresh()
        return self.store.snapshot

    @property
    def trials(self) -> Trials:
        """Every trial that was started, by number."""
        snapshot = self.snapshot
        return Trials(snapshot.records(snapshot.known))

    @property
    def best(self) -> TrialRecord:
        """The best complete trial that fulfils the constraints; what others reported on their way does not count.

        With several objectives it is the best by what the study prefers, and without a preference by the first of them; `pareto` has
        all that matter.

        Raises `StudyError` while there is none. Where complete trials break constraints, it names the one that breaks them least;
        where trials have only reported, the most promising one, and at which step.
        """
        order = self.ranking
        if not order:
            counts = self.snapshot.counts
            if broken := nearest_miss(self.store.snapshot):
                raise StudyError(broken)
            promising = leader(self.store.snapshot, self.store.proposals.pruner)
            if promising is not None:
                raise StudyError(f"no trial is complete yet; {promising}")
            failed, running = counts[State.FAILED], counts[State.RUNNING]
            raise StudyError(f"no trial is complete yet ({failed} failed, {running} running)")
        return self.snapshot.records(order[:1])[0]

    def lineage(self, trial: TrialRecord | int) -> list[Stretch]:
        """The stretches of the run that ended with a trial of a population, the first one first: their trials, steps and parameters."""
        return lineage(self.snapshot, trial if isinstance(trial, int) else trial.number)

    @property
    def ranking(self) -> list[int]:
        """Numbers of complete trials that fulfil the constraints, best first; see `best`."""
        return best_first(self.snapshot)

    @property
    def pareto(self) -> Trials:
        """The trials that no other beats in every objective, sorted by the first.

        Where the sampler looks for the best at every cost (`aim = "front"`), the cost counts as an objective here.
        """
        snapshot = self.snapshot
        return Trials(snapshot.records(Front.of(snapshot).numbers))

    @property
    def knee(self) -> TrialRecord | None:
        """The trial of `pareto` from which a little more of one objective costs much of another; None if the front has no such bend.

        Objectives are scaled by their range on the front; the knee lies farthest below the line between its ends.
        """
        snapshot = self.snapshot
        front = Front.of(snapshot)
        row = knee(front.loss)
        return None if row is None else snapshot.records(front.numbers[[row]])[0]

    @property
    def reference(self) -> dict[str, float]:
        """From where `hypervolume` is measured: what the study states, else the worst value of each objective so far.

        The worst of the complete trials that fulfil the constraints moves while the study runs; to compare over time, or with
        another study, state a reference. Empty while there is neither.
        """
        return reference_of(self.snapshot)

    def hypervolume(self, reference: Mapping[str, float] | None = None) -> float:
        """The volume of outcomes that `pareto` beats and that are better than a reference; exact, the larger the better.

        reference: a value for each objective, by its metric; that of the study if left out (see `reference`).
        """
        objectives = self.definition.objectives
        return volume(self.snapshot, None if reference is None else reference_given(reference, objectives))

    @property
    def plot(self) -> Plots:
        """Figures of what is known now: ``study.plot.history()``, `importance`, `parallel`, `slice`, `contour`, `curves`, `pareto`, `gantt`."""
        from taut.reports.plots import Plots

        return Plots(self.snapshot, self.store.clock.now(), self.store.proposals.pruner)

    # ------------------------------------------------------------------ running

    def run(
        self,
        objective: Function,
        *,
        trials: int | None = None,
        workers: int | None = None,
        mode: Mode = "async",
        hours: float | None = None,
        executor: Pool | Callable[[], Pool] | None = None,
        fresh_process: bool = False,
    ) -> Study:
        """Evaluate `objective` until the budget is used up.

        objective: ``train(trial)`` or ``train(**params)``, returning a number or a dict of metrics.
        trials: finished trials that the whole study is to have (not: this many more).
        workers: trials that run side by side, each in a warm process; 1, the default, runs them in this process.
        mode: ``async``, ``batch`` (all of a batch must finish before the next is chosen) or ``sequential``.
        hours: no trial is started after so many hours of this call.
        executor: where to run trials instead: any `concurrent.futures.Executor`, or a function that makes one (and makes it again if
            it breaks). Then `workers` is how many trials it has at a time; by default what the pool says of itself.
        fresh_process: give each trial a process of its own, where trials leave memory behind or change what the next ones see. Each
            then pays for its imports.

        Ctrl-C stops at once and leaves a study that can be resumed. Returns the study.
        """
        mode_of(mode)
        workers = None if workers is None else whole("workers", workers, 1)
        limit = None if trials is None else whole("trials", trials, 1)
        hours = hours_of(hours)
        if not callable(objective):
            raise InputError(
                f"{objective!r} is not a function; give train(trial) or train(**params)", ("objective",)
            )
        endless = self.store.proposals.endless and self.definition.budget == Budget()
        if trials is None and hours is None and endless:
            raise InputError(
                "no end is in sight: give trials=100 (finished trials of the whole study)", ("trials",)
            )
        if executor and fresh_process:
            raise InputError(
                "the pool decides in which process a trial runs; leave it out, or give workers= instead of executor=",
                ("fresh_process",),
            )
        slots = (
            self._pool(executor, objective, workers)
            if executor
            else self._executor(objective, workers or 1, fresh_process)
        )
        self.budget(limit)
        caution = self.store.proposals.sampler.warning(self.space) if self.space.names else None
        for note in (caution, lacking.caution(self.store.must, slots.gpus)):
            if note:
                warnings.warn(note, stacklevel=2)
        deadline = None if hours is None else time.monotonic() + hours * 3600
        try:
            with Interrupts(self.store.walltime):
                Worker(self.store, slots, mode=mode, deadline=deadline).run()
        finally:
            self._warn()
        return self

    def _pool(self, pool: Pool | Callable[[], Pool], objective: Function, workers: int | None) -> Executor:
        from taut.executors.futures import FuturesExecutor

        if not callable(pool) and not hasattr(pool, "submit"):
            raise InputError(
                f"{pool!r} is no executor; give a concurrent.futures.Executor, or a function that makes one",
                ("executor",),
            )
        return FuturesExecutor(
            pool,
            objective,
            slots=workers,
            with_trial=objectives.takes_trial(objective, self.space.names, self.space.optional),
            main=[objective.metric for objective in self.definition.objectives],
            place=self._path,
            prunes=self.definition.pruner is not None,
        )

    def _executor(self, objective: Function, workers: int, fresh: bool) -> Executor:
        main = [objective.metric for objective in self.definition.objectives]
        names, optional = self.space.names, self.space.optional
        with_trial = objectives.takes_trial(objective, names, optional)
        places = of_job(workers)
        if workers == 1 and not fresh:
            report, stops = self.store.report, self.store.referee.stops
            until = self.definition.budget.until
            asked = [*self.store.must, str(self.definition.sampler.options.get("cost"))]
            asked += Expression.parse(until).names if until is not None else ()
            thrifty = not any(name in READINGS for name in asked)
            return InlineExecutor(objective, with_trial, main, report, stops, devices(places)[0], thrifty)
        from taut.executors.pool import PoolExecutor

        return PoolExecutor(
            objective,
            slots=workers,
            names=names,
            optional=sorted(optional),
            main=main,
            places=places,
            prunes=self.definition.pruner is not None,
            fresh=fresh,
        )

    def budget(self, trials: int | None) -> None:
        """Set the number of finished trials that the whole study is to have; None leaves it as it is."""
        if trials is None:
            return
        trials = whole("trials", trials, 1)

        def change(now: Definition) -> Definition:
            return msgspec.structs.replace(now, budget=msgspec.structs.replace(now.budget, trials=trials))

        self.store.revise(change)

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
        trials = self._desk.ask(1 if count is None else whole("count", count, 1))
        return trials[0] if count is None else trials

    def tell(self, trial: Trial | int | Sequence[Trial], /, **values: Any) -> None:
        """Say how a trial went: ``tell(trial, loss=0.3)``. When it returns the result is on disk.

        A list of trials takes one sequence for each metric, and is written with a single flush.
        """
        if isinstance(trial, (Trial, int, np.integer)):
            self._desk.tell_all([trial], [values])
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
        self._desk.tell_all(trial, rows)

    def fail(self, trial: Trial | int, error: str | BaseException) -> None:
        """Say that a trial failed, and why: a text, or the exception."""
        text = error if isinstance(error, str) else "".join(traceback.format_exception(error)).rstrip()
        self._desk.tell_all([trial], [{}], text)

    def work(self, *, mode: Mode = "async") -> Iterator[Trial]:
        """Trials to evaluate, until the study is done: the loop of a warm worker.

        Any number of processes may run the same loop at the same time. End each trial with `trial.tell`;
        without it the last reported values count. A trial whose loop body raises goes back to the queue. A study
        without a budget goes on until it is stopped. In a job of Slurm the loop ends before the job does: no trial is
        started that will probably not fit, and `trial.should_checkpoint()` says when to save and `trial.pause()`.
        """
        batch = mode_of(mode)
        yield from work(self.store, self._desk, 1 if batch is None else batch)  # one slot: a batch of one
        self._warn()

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
        told = ", ".join(f"{n} {state.name.lower()}" for state, n in self.store.snapshot.tally().items())
        return f"<Study {str(self._path) if self._path else 'in memory'}: {told or 'no trials yet'}>"
