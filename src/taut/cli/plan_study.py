"""The study that a plan is for: what its file or its directory knows of it, and what the command line says of its work."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from taut.cli.common import is_frozen, locate, open_study
from taut.cli.work import at_least_one
from taut.definition import Budget, Definition
from taut.duration import parse_duration
from taut.errors import InputError
from taut.jobplan import entries, settings_of
from taut.opening import trials_in_all
from taut.queue.choice import begun
from taut.queue.enough import MANY, bounded, ended_by
from taut.queue.plan import Plan, Queue
from taut.queue.present import present
from taut.queue.work import Known, Work
from taut.slurm import accounts, ledger
from taut.slurm.calls import SlurmError, available, call, myself
from taut.slurm.jobs import FINAL, SQUEUE, WAITING, Job, Life, parse_squeue
from taut.slurm.rounds import Rounds, follows
from taut.slurm.settings import Settings
from taut.snapshot import Snapshot
from taut.study import Study

__all__ = ["KnownStudy", "Said", "known_study", "seconds_of"]


class KnownStudy(NamedTuple):
    """What there is of the study. file: where it was read from, if that is a TOML file; folder: None if it was never run. lives: of its jobs. jobs: those
    of them that wait or run, but for successors. over: why the study is at its end, if it is."""

    target: str
    definition: Definition
    snapshot: Snapshot
    settings: Settings
    file: Path | None
    folder: Path | None
    rounds: Rounds | None
    lives: list[Life] | None
    jobs: list[Job]
    over: str | None

    @property
    def most(self) -> int | None:
        """How many trials there can be, of a grid."""
        return trials_in_all(self.definition)

    @property
    def budget(self) -> Budget:
        """What is to be done; a grid without another end ends with its last cell."""
        return ended_by(self.definition.budget, self.most)

    @property
    def budget_left(self) -> float | None:
        """GPU-hours that are not used; what jobs may use yet that are on the queue is not, since a plan stands in their place."""
        budget = self.definition.budget.gpu_hours
        if budget is None or not self.settings.gpus:
            return None
        spent = ledger.used(self.lives or (), entries(self.rounds)).gpu if self.rounds else 0.0
        return max(budget - spent, 0.0)

    @property
    def standing(self) -> str:
        """How many of its jobs run and wait, in words."""
        wait = sum(job.state in WAITING for job in self.jobs)
        run = len(self.jobs) - wait
        said = [f"{run} run{'s' * (run == 1)}"] * (run > 0) + [f"{wait} wait{'s' * (wait == 1)}"] * (wait > 0)
        return ", ".join(said)

    def present(self, plan: Plan, queue: Queue, now: float) -> Plan:
        """The plan beside what the study's jobs on the queue will bring, if there are any."""
        records = [one for one in self.rounds.all() if one.kind == "job"] if self.rounds and self.jobs else []
        if not records:
            return plan
        there = present(
            plan.work,
            self.snapshot,
            self.jobs,
            records[-1],
            queue,
            now,
            mode=self.settings.mode,
            partition=plan.best.shape.partition,
        )
        return plan._replace(there=there)

    def located(self, error: InputError) -> InputError:
        if self.file is None or not error.at or error.at[0].startswith("-"):
            return error
        from taut.studyfile import located

        return located(error, self.file)


def known_study(target: str) -> KnownStudy:
    """The study, as its file says it today and its directory knows it; looking leaves no trace."""
    path = Path(target)
    file: Path | None = None
    over: str | None = None
    if path.is_dir() or is_frozen(path):
        study, folder = open_study(target), locate(target)
        definition, snapshot, over = study.definition, study.snapshot, study.store.over
    else:
        from taut.cli.run import _read
        from taut.layout import place

        file, definition = path, _read(path)
        folder = place(path, definition.name)
        if (folder / "definition").is_dir():
            study = Study.of(folder)
            snapshot, over = study.snapshot, study.store.over
        else:
            folder, snapshot = None, Snapshot(definition)
    settings = settings_of(definition)
    rounds, lives, jobs = None, None, list[Job]()
    if folder is not None and (folder / "slurm").is_dir():
        rounds = Rounds(folder.absolute() / "slurm")
        lives = accounts.lives(rounds.folder, [one.job for one in rounds.all() if one.job is not None])
        jobs = _jobs(rounds, definition.name)
    return KnownStudy(target, definition, snapshot, settings, file, folder, rounds, lives, jobs, over)


def _jobs(rounds: Rounds, name: str) -> list[Job]:
    """The study's jobs that wait or run, as far as Slurm answers."""
    prefix = rounds.prefix(name)
    with contextlib.suppress(SlurmError):
        found = parse_squeue(call(*SQUEUE, "-u", myself())) if available() else []
        mine = [job for job in found if job.name.startswith(prefix) and not follows(job.name)]
        return [job for job in mine if job.state not in FINAL]
    return []


class Said(NamedTuple):
    """What the command line says of the work."""

    trials: int | None
    trial: float | None
    spread: float | None
    overhead: float | None

    def checked(self) -> Said:
        at_least_one("--trials", self.trials)
        if self.spread is not None and self.trial is None:
            raise InputError(
                "it belongs to a time; give --trial-time, too, or leave it out: what trials took has its own",
                ("--spread",),
            )
        if self.spread is not None and not 0.0 <= self.spread <= 10.0:
            raise InputError(f"{self.spread:g} is no spread; 0 to 10 is allowed, such as 0.4", ("--spread",))
        return self

    def work(self, known: KnownStudy) -> Work:
        trial = None if self.trial is None else Known.said(self.trial, *_given(self.spread))
        overhead = None if self.overhead is None else Known.said(self.overhead)
        try:
            trials, most = known.budget.trials if self.trials is None else self.trials, known.most
            if trials is None and bounded(known.budget):
                trials = MANY
            if trials is not None and most is not None:
                trials = min(trials, most)
            return Work.of(
                known.snapshot, begun(known.lives or ()), trials=trials, trial=trial, overhead=overhead
            )
        except InputError as error:
            raise known.located(error) from None


def _given(value: float | None) -> tuple[float, ...]:
    return () if value is None else (value,)


def seconds_of(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except InputError as error:
        raise error.under(option) from None
