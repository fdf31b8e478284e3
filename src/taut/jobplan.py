"""The jobs that carry a study: how many, how large, in what order, and their scripts. Nothing is run or written.

A round is one array of `taut worker` jobs. Behind the last array waits one job more, its successor, which starts when
all have ended, however they ended, and submits what is left; so a study goes on after any failure of nodes and
jobs. In batch mode each batch is a round, and depends on the one before.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from taut.definition import Definition
from taut.errors import InputError
from taut.slurm import ledger, limits, script
from taut.slurm.jobs import Life
from taut.slurm.limits import Checked, Request
from taut.slurm.rounds import Rounds, Submission
from taut.slurm.settings import NOTICE, Settings, usual_notice
from taut.slurm.site import Site
from taut.snapshot import Snapshot
from taut.studyfile.slurm import settings as read_settings

if TYPE_CHECKING:
    from taut.queue.plan import Plan, Queue

__all__ = ["Planned", "Step", "entries", "plan", "progress", "settings_of", "words"]

_WORKERS = 8  # at the same time, where the file leaves it to us
_REST = 25  # tasks for each that may run at a time, at most; what is left then is the successor's
_AHEAD = 10  # batches that are submitted at once, at most
_FOLLOW = 10  # minutes that a successor may take
_MARGIN = 5.0  # seconds of the time that Slurm gives between SIGTERM and SIGKILL that are left unused


class Step(NamedTuple):
    """One job to submit: its record, its script, and the words of sbatch but for the dependency."""

    record: Submission
    script: str
    dependent: bool


class Planned(NamedTuple):
    """What is to be submitted, in this order, and what the user should know of it. chosen: what is expected of it; None where too little is known."""

    settings: Settings
    steps: list[Step]
    notes: list[str]
    chosen: Plan | None = None


def settings_of(definition: Definition) -> Settings:
    """What the study's jobs ask for."""
    return read_settings(definition.on.get("slurm", {}))


def progress(snapshot: Snapshot) -> int:
    """A number that grows with whatever the study reaches: results, trials that came to a rung or saved themselves, retries used up."""
    releases = snapshot.releases
    return snapshot.n_finished + len(releases.parked) + releases.saves + releases.blames


def plan(
    definition: Definition,
    snapshot: Snapshot,
    folder: Path,
    rounds: Rounds,
    site: Site,
    lives: Sequence[Life] | None,
    number: int,
    lean: bool = True,
    queue: Queue | None = None,
    now: float = 0.0,
) -> Planned:
    """The jobs that carry the study on from what `snapshot` knows. Writes nothing.

    A time and a number of workers that the study leaves open are those of the best plan, as soon as a trial has shown how long one takes. Until then the
    time is the partition's own, and a round whose time is open is small, so that the next one is planned.

    folder: the study's absolute directory. rounds: what it has submitted so far. lives: what accounting knows of the study's jobs so far; None leaves the
    budget of GPU-hours aside. number: of the first round, which has to be the next one from before the queue was
    asked for the study's jobs: whoever has begun it meanwhile then keeps us from submitting another. lean: whether
    the successor asks for one CPU alone; some partitions take no such job. queue: what is known of its waits; None plans nothing. now: seconds since the epoch.

    Raises `InputError` where a job like these can never start, or does not fit into the GPU-hours that are left.
    """
    # Much to load, for those who only ask what was submitted.
    from taut.queue.choice import applied, choose, is_first

    settings = settings_of(definition)
    if definition.budget.gpu_hours is not None:
        settings = msgspec.structs.replace(settings, requeue=False)  # a second life would be paid for twice
    opened = settings.time is None and settings.mode != "batch"
    pilot = opened and is_first(definition, snapshot)
    small = pilot
    chosen, notes, paid = None, list[str](), math.inf
    if queue is not None and lives is not None:
        paid = _left(definition, rounds, lives)
        try:
            chosen = choose(definition, snapshot, settings, site, lives, queue, now, paid)
        except InputError as error:
            notes.append(f"not planned: {error}")
            small = opened
        if opened and definition.budget.trials is None:
            notes.append(
                "not planned: a plan needs a number of trials; add [budget] trials = 100, or give --trials"
            )
    if chosen is not None:
        notice = settings.notice if settings.notice != NOTICE else None
        settings = applied(settings, chosen)
        settings = msgspec.structs.replace(settings, notice=notice or usual_notice(settings.time))
    trials = definition.budget.trials
    left = math.inf if trials is None else max(trials - snapshot.n_finished, 1)
    jobs = math.ceil(left / settings.slots) if left < math.inf else math.inf  # of one trial for each slot
    workers = 1 if settings.mode == "sequential" else int(min(settings.workers or _WORKERS, jobs))
    batch = settings.mode == "batch"
    tasks = workers if batch or small else int(min(jobs, _REST * workers))
    batches = int(min(math.ceil(jobs / tasks) if jobs < math.inf else _AHEAD, _AHEAD)) if batch else 1
    checked = limits.check(Request.of(settings, tasks * batches, workers), site)
    if small and settings.time is None and settings.gpus and paid < math.inf:
        # Nobody has said how long a job is to be, so it is not longer than is paid for.
        minutes = max(int(60 * paid / (settings.gpus * tasks)), 1)
        if checked.minutes is None or minutes < checked.minutes:
            settings = msgspec.structs.replace(settings, time=minutes)
            checked = limits.check(Request.of(settings, tasks * batches, workers), site)
    notes += _notes(settings, checked)
    if not checked.tasks and lives is not None:
        raise _full(checked)
    if settings.time is None and settings.notice == NOTICE:
        settings = msgspec.structs.replace(settings, notice=usual_notice(checked.minutes))
    settings = msgspec.structs.replace(settings, time=checked.minutes)
    most = max(checked.tasks, 1)
    tasks, batches = min(tasks, most), max(min(batches, most // tasks), 1)
    follower = _follower(settings, lean and _takes(_lean(settings), site))
    affordable = math.inf if lives is None else _affordable(definition, settings, follower, rounds, lives)
    if affordable < tasks * batches:
        notes.append(
            f"the GPU-hours that are left pay for {affordable:.0f} job{'s' if affordable >= 2 else ''}"
        )
        tasks = int(min(tasks, affordable))
        batches = int(affordable // tasks)
    first = Submission(
        kind="job",
        round=number,
        name=rounds.prefix(definition.name),
        tasks=tasks,
        at_once=min(workers, tasks, checked.at_once),
        gpus=settings.gpus,
        cpus=settings.cpus or 1,
        minutes=settings.time,
        slots=settings.slots,
        progress=progress(snapshot),
        finished=snapshot.n_finished,
    )
    if pilot:
        notes.append(
            f"how long trials take is not known yet: {tasks} jobs begin, and what follows is planned from them"
        )
    return Planned(settings, _steps(first, batches, settings, follower, folder, rounds, site), notes, chosen)


def _left(definition: Definition, rounds: Rounds, lives: Sequence[Life]) -> float:
    """GPU-hours that are not spent or reserved; infinite without such a budget."""
    budget = definition.budget.gpu_hours
    return math.inf if budget is None else budget - ledger.reserved(entries(rounds), lives).gpu


def _full(checked: Checked) -> InputError:
    why = "".join(f": {note}" for note in checked.notes[:1])
    return InputError(
        f"no more jobs may be submitted now{why}; wait for some to end, then try again", ("on", "slurm")
    )


def _notes(settings: Settings, checked: Checked) -> list[str]:
    length = (
        [] if settings.time or not checked.minutes else [f"time: {checked.minutes} min, {checked.source}"]
    )
    return [*checked.notes, *length]


def _lean(settings: Settings) -> Settings:
    """One CPU for some minutes, where the study's jobs go."""
    return msgspec.structs.replace(
        settings, gpus=0, gpu_type=None, cpus=1, memory=None, constraint=None, extra=[], time=_short(settings)
    )


def _short(settings: Settings) -> int:
    return _FOLLOW if settings.time is None else min(_FOLLOW, settings.time)


def _follower(settings: Settings, lean: bool) -> Settings:
    """What the successor asks for. It only submits, so it runs as `taut run` did: no container, no set-up."""
    asked = _lean(settings) if lean else msgspec.structs.replace(settings, time=_short(settings))
    return msgspec.structs.replace(asked, container=[], setup=[], python=None)


def _takes(settings: Settings, site: Site) -> bool:
    try:
        limits.check(Request.of(settings, 1, 1), site)
    except InputError:
        return False
    return True


def _steps(
    first: Submission,
    batches: int,
    settings: Settings,
    follower: Settings,
    folder: Path,
    rounds: Rounds,
    site: Site,
) -> list[Step]:
    """The arrays, each waiting for the one before, and the successor."""
    steps: list[Step] = []
    for number in range(first.round, first.round + batches):
        record = msgspec.structs.replace(first, round=number, name=f"{first.name}{number}")
        steps.append(Step(record, _worker_script(settings, record, folder, site), number > first.round))
    after = msgspec.structs.replace(
        record,
        kind="next",
        name=f"{record.name}.{rounds.successor(record.round)}",
        tasks=None,
        at_once=1,
        gpus=follower.gpus,
        cpus=follower.cpus or 1,
        minutes=follower.time,
        slots=1,
    )
    return [*steps, Step(after, _next_script(follower, after, folder), True)]


def _affordable(
    definition: Definition, settings: Settings, follower: Settings, rounds: Rounds, lives: Sequence[Life]
) -> float:
    """How many jobs the budget of GPU-hours pays for, each for all of its time; infinite without such a budget."""
    budget = definition.budget.gpu_hours
    if budget is None:
        return math.inf
    if not settings.gpus:
        raise InputError(
            "gpu_hours is the budget, and the jobs ask for no GPU; write gpus = 1 in [on.slurm], or use trials or hours",
            ("budget", "gpu_hours"),
        )
    if settings.time is None:
        raise InputError(
            'a budget of gpu_hours needs jobs of a known length; write, for instance, time = "2h"',
            ("on", "slurm", "time"),
        )
    spent = ledger.reserved(entries(rounds), lives)
    one = ledger.Entry(0, 10**6, settings.gpus, settings.cpus or 1, settings.time, settings.slots)
    after = follower.gpus * (follower.time or 0) / 60
    count = ledger.tasks_within(ledger.Hours(budget - after, math.inf), one, spent)
    if count < 1:
        each = one.hours(60.0 * settings.time).gpu
        raise InputError(
            f"one job may use {each:g} GPU-hours ({settings.gpus} x {settings.time} min), and {max(budget - spent.gpu, 0.0):.2f} "
            f"of {budget:g} are left; ask for less time, or raise the budget (--gpu-hours)",
            ("budget", "gpu_hours"),
        )
    return count


def entries(rounds: Rounds) -> list[ledger.Entry]:
    """The study's jobs as the ledger has them."""
    return [
        ledger.Entry(one.job, one.tasks or 1, one.gpus, one.cpus, one.minutes or 0, one.slots)
        for one in rounds.all()
        if one.job is not None
    ]


def _worker_script(settings: Settings, record: Submission, folder: Path, site: Site) -> str:
    more = ["--notice", f"{settings.notice}s"]
    if site.config is not None and site.config.kill_wait is not None:
        more += ["--grace", f"{max(site.config.kill_wait - _MARGIN, 1.0):g}s"]
    if settings.mode == "batch":
        more += ["--batch", str((record.tasks or 1) * settings.slots), "--once"]
    place = folder / "slurm" / f"{record.round:04d}"
    return script.job_script(
        settings,
        name=record.name,
        log=script.log_pattern(place, "%a.log"),
        remarks=[f"A worker of the study in {folder}, round {record.round}. Made by taut run --on slurm."],
        command=script.worker_words(settings, folder, *more),
    )


def _next_script(settings: Settings, record: Submission, folder: Path) -> str:
    return script.job_script(
        settings,
        name=record.name,
        log=script.log_pattern(folder / "slurm" / f"{record.round:04d}", "next.log"),
        remarks=[
            f"Starts when the jobs before have ended, and submits what is left of the study in {folder}."
        ],
        command=[sys.executable, "-m", "taut", "run", str(folder), "--on", "slurm"],
    )


def words(step: Step, place: Path, before: int | str | None) -> list[str]:
    """The words that submit a step. before: the job that it waits for."""
    return script.submit_words(
        place / f"{step.record.kind}.sh",
        tasks=step.record.tasks,
        at_once=step.record.at_once,
        dependency=f"afterany:{before}" if step.dependent else None,
    )
