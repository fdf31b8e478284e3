"""`taut run --on slurm`: submit what carries a study to its end, say so, and return."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import msgspec

from taut import allocation, submission
from taut.cli.common import CODE, based, value_text, warm_start_text
from taut.definition import Budget, Definition
from taut.duration import in_words
from taut.errors import InputError
from taut.frozen import changed, freeze
from taut.jobplan import Planned, entries, plan, settings_of, words
from taut.opening import make_proposals, trials_in_all
from taut.queue import cache
from taut.queue.account import unit
from taut.queue.promise import promised
from taut.queue.screen import because, brief
from taut.samplers.base import unheard
from taut.slurm import accounts, limits
from taut.slurm.calls import NoAnswer, SlurmError, call, myself, required
from taut.slurm.jobs import Job
from taut.slurm.reasons import plain
from taut.slurm.rounds import Rounds, Submission, follows
from taut.study import Study

__all__ = ["requested", "submit"]

_BEGAN = time.time()
_INSISTS = 300.0  # seconds for which a job tries to reach the controller
_PAUSE = 65.0  # seconds between; by then a round that nobody answered for counts as given up


def requested(
    definition: Definition, workers: int | None, mode: str | None, gpu_hours: float | None
) -> Definition:
    """The definition with what the command line says of the jobs; it holds for later rounds, too."""
    asked = {**definition.on.get("slurm", {})}
    if workers is not None:
        asked["workers"] = workers
    if mode is not None:
        asked["mode"] = mode
    budget = definition.budget
    if gpu_hours is not None:
        budget = msgspec.structs.replace(budget, gpu_hours=gpu_hours)
    return msgspec.structs.replace(definition, on={**definition.on, "slurm": asked}, budget=budget)


def submit(
    definition: Definition, folder: Path, dry_run: bool, project: Path | None, keep: Callable[[], None]
) -> int:
    """Submit jobs for the study in `folder`.

    project: where the user's files are, None where only the study is known. keep: called once the study is there, to
    keep its file beside it.
    """
    while True:
        try:
            return _submit(definition, folder, dry_run, project, keep)
        except NoAnswer as error:
            # Nobody is there to type it again for a job, and one bad minute is to end no study.
            job = allocation.here()
            if job is None or time.time() - _BEGAN > _INSISTS:
                raise
            click.echo(f"taut: {error}; it is tried again in {_PAUSE:.0f} s", err=True)
            time.sleep(_PAUSE)


def _submit(
    definition: Definition, folder: Path, dry_run: bool, project: Path | None, keep: Callable[[], None]
) -> int:
    required()
    frozen = settings_of(definition).snapshot
    if frozen:
        definition = based(definition, CODE)
    space = definition.parsed_space()
    if definition.budget == Budget() and make_proposals(definition, space).endless:
        raise InputError(
            "no end is in sight: add [budget] trials = 100 to the file, or give --trials or --gpu-hours"
        )
    folder = folder.absolute()
    rounds = Rounds(folder / "slurm")
    study = Study.of(folder, definition, hold=True)
    try:
        if study.store.done:
            click.echo(f"the study in {folder} is finished; nothing is submitted")
            return 0
        number = rounds.latest + 1
        there = submission.active(rounds, study.definition.name)
        if not there and (problem := submission.stalled(rounds, study.snapshot)):
            click.echo(f"taut: {problem}", err=True)
            return 1
        lost = bool(there) and not any(follows(job.name) for job in there)
        planned, learned = _plan(
            study, folder, rounds, max(rounds.latest, 0) if there else number, fresh=not there
        )
        source = learned.said(time.time())
        for note in (*planned.notes, unheard(study.store.proposals.sampler, study.definition)):
            if note:
                click.echo(f"note: {note}", err=True)
        if dry_run:
            for line in _expected(planned, source):
                click.echo(f"# {line}")
            _show(planned, rounds)
            return 0
        if frozen and project is not None:
            _freeze(project, folder)
        study.store.save()
        keep()
        if not there:
            now = time.time()
            done = submission.submit(planned, rounds, now)
            if planned.chosen and (
                promise := promised(planned.chosen, unit(planned.settings), now, learned.waits)
            ):
                study.store.write([promise], durable=True)
            _say_submitted(study, folder, rounds, done, _expected(planned, source))
            return 0
        _say_active(there, folder)
        jobs = {job.array or job.id for job in there}
        if lost:
            record = submission.follow(planned, rounds, there, time.time())
            click.echo(f"job {record.job} was missing: it follows, and submits what is then left")
            jobs.add(record.job or 0)
        _say_what_next(folder, sorted(jobs))
        return 0
    finally:
        study.close()


def _plan(
    study: Study, folder: Path, rounds: Rounds, number: int, fresh: bool
) -> tuple[Planned, cache.Learned]:
    """The jobs to submit, which the cluster would take, and what is known of its queue. fresh: none of the study's are on the queue."""
    site = limits.read(myself())
    if site.config is None:
        call("scontrol", "show", "config")  # which says why
        raise SlurmError("Slurm did not say how it is configured; try again")
    lives = None
    if fresh:
        lives = accounts.ask([entry.job for entry in entries(rounds)]) or []
    learned, now = cache.load(site.config.cluster), time.time()
    most = trials_in_all(study.definition)

    def planned(lean: bool) -> Planned:
        return plan(
            study.definition,
            study.snapshot,
            folder,
            rounds,
            site,
            lives,
            number,
            lean,
            learned.waits,
            now,
            most,
        )

    found = planned(lean=True)
    submission.check(found)
    if not submission.takes_successor(found):
        found = planned(lean=False)
    return found, learned


def _expected(planned: Planned, source: str) -> list[str]:
    """What is expected of the jobs, and from what."""
    if planned.chosen is None:
        return []
    return [f"planned: {brief(planned.chosen, unit(planned.settings))}", because(planned.chosen, source)]


def _freeze(project: Path, folder: Path) -> None:
    """Copy the project into the study, once; say so where it has changed since."""
    leave_out = [folder, project / "runs"]
    count = freeze(project, folder / CODE, leave_out)
    if count:
        click.echo(f"{count} files copied to {folder / CODE}: what jobs run does not change any more")
    elif different := changed(project, folder / CODE, leave_out):
        some = ", ".join(different[:3]) + (f" and {len(different) - 3} more" if len(different) > 3 else "")
        click.echo(
            f"note: the study goes on with its copy of the project, from which {some} differ now", err=True
        )


def _show(planned: Planned, rounds: Rounds) -> None:
    before: str | None = None
    for step in planned.steps:
        place = rounds.place(step.record.round)
        click.echo(f"# {place / step.record.kind}.sh, submitted with:")
        click.echo(f"# {shlex.join(words(step, place, before))}")
        click.echo(step.script)
        before = f"JOB-OF-{step.record.kind.upper()}-{step.record.round}"


def _say_submitted(
    study: Study, folder: Path, rounds: Rounds, done: list[Submission], expected: list[str]
) -> None:
    trials = study.definition.budget.trials
    finished = study.store.snapshot.n_finished
    goal = f"{trials} trials, {finished} of them finished" if trials else f"{finished} trials finished"
    click.echo(f"study {study.definition.name} in {folder}: {goal}")
    if line := warm_start_text(study.definition):
        click.echo(line)
    for record in done:
        script = rounds.place(record.round) / f"{record.kind}.sh"
        if record.kind == "next":
            click.echo(f"job {record.job} follows, and submits what is then left  ({script})")
            continue
        devices = f"{record.gpus} GPU{'s' if record.gpus != 1 else ''}, " if record.gpus else ""
        span = "" if record.minutes is None else f", {in_words(record.minutes * 60)}"
        side = f", {record.slots} trials side by side" if record.slots > 1 else ""
        click.echo(
            f"job {record.job}: {record.tasks} worker{'s' if record.tasks != 1 else ''}, at most {record.at_once} "
            f"at a time, each {devices}{record.cpus} CPU{'s' if record.cpus != 1 else ''}{span}{side}  ({script})"
        )
    for text in expected:
        click.echo(text)
    _say_what_next(folder, [record.job for record in done])


def _say_what_next(folder: Path, jobs: Iterable[int | None]) -> None:
    click.echo(f"nothing here needs to stay; look at it with: {shlex.join(['taut', 'status', str(folder)])}")
    click.echo(f"to stop it: scancel {' '.join(map(str, jobs))}")


def _say_active(jobs: list[Job], folder: Path) -> None:
    running = sum(job.state == "RUNNING" for job in jobs)
    numbers = ", ".join(value_text(number) for number in sorted({job.array or job.id for job in jobs}))
    click.echo(
        f"the study in {folder} has jobs already ({numbers}): {running} running, {len(jobs) - running} waiting; "
        "no more are submitted; what was changed holds for them, and for later rounds"
    )
    waiting = [job for job in jobs if job.state == "PENDING" and not follows(job.name)]
    for reason in sorted({job.reason for job in waiting if job.reason}):
        click.echo(f"  waiting: {plain(reason)}")
