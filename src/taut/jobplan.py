"""The jobs that carry a study: how many, how large, in what order, and their scripts. Nothing is run or written.

A round is one array of `taut worker` jobs. Behind the last array waits one job more, its successor, which starts when
all have ended, however they ended, and submits what is left; so a study goes on after any failure of nodes and
jobs. In batch mode each batch is a round, and depends on the one before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from taut.definition import Definition
from taut.errors import InputError
from taut.slurm import ledger, limits
from taut.slurm.jobs import Life
from taut.slurm.limits import Checked, Request
from taut.slurm.rounds import Rounds, Submission
from taut.slurm.settings import NOTICE, Settings, usual_notice
from taut.slurm.site import Site
from taut.slurm.steps import Step, steps, words
from taut.snapshot import Snapshot
from taut.studyfile.slurm import settings as read_settings

if TYPE_CHECKING:
    from taut.queue.pilot import Pilot
    from taut.queue.plan import Plan, Queue

__all__ = ["Planned", "Step", "entries", "plan", "settings_of", "words"]

_WORKERS = 8  # at the same time, where the file leaves it to us
_REST = 25  # tasks for each that may run at a time, at most, where nothing is planned; what is left then is the successor's
_SPARE = 1.2  # times as many jobs as a plan expects to start: those that nobody needs are cancelled
_AHEAD = 10  # batches that are submitted at once, at most
_FOLLOW = 10  # minutes that a successor may take


class Planned(NamedTuple):
    """What is to be submitted, in this order, and what the user should know of it. chosen: what is expected of it; None where too little is known."""

    settings: Settings
    steps: list[Step]
    notes: list[str]
    chosen: Plan | None = None


def settings_of(definition: Definition) -> Settings:
    """What the study's jobs ask for."""
    return read_settings(definition.on.get("slurm", {}))


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
    most: int | None = None,
) -> Planned:
    """The jobs that carry the study on from what `snapshot` knows. Writes nothing.

    What the study leaves open (time, workers, mode, trials side by side) is that of the best plan, as soon as a trial has shown how long one takes; until then a few
    trials begin. A round has about as many jobs as the plan expects to start, so that what they leave is planned anew.

    folder: the study's absolute directory. rounds: what it has submitted so far. lives: what accounting knows of the study's jobs so far; None leaves the
    budget of GPU-hours aside. number: of the first round, which has to be the next one from before the queue was
    asked for the study's jobs: whoever has begun it meanwhile then keeps us from submitting another. lean: whether
    the successor asks for one CPU alone; some partitions take no such job. queue: what is known of its waits; None plans nothing. now: seconds since the epoch.
    most: trials that there can be, of a grid.

    Raises `InputError` where a job like these can never start, cannot carry a trial, or does not fit into the GPU-hours that are left. Only where the study
    says itself how long its jobs are is that a note, and they go as they are.
    """
    # Much to load, for those who only ask what was submitted.
    from taut.queue.choice import applied, choose
    from taut.queue.enough import bounded, ended_by
    from taut.queue.pilot import pilot
    from taut.queue.screen import too_short

    definition = msgspec.structs.replace(definition, budget=ended_by(definition.budget, most))
    settings = settings_of(definition)
    if definition.budget.gpu_hours is not None:
        settings = msgspec.structs.replace(settings, requeue=False)  # a second life would be paid for twice
    open_time = settings.time is None
    begins = pilot(definition, snapshot, settings, rounds.all())
    chosen, notes, paid = None, list[str](), math.inf
    if lives is not None:
        paid = _left(definition, settings, rounds, lives)
    if queue is not None and lives is not None and begins is None:
        try:
            chosen = choose(definition, snapshot, settings, site, lives, queue, now, paid, most)
        except InputError as error:
            if open_time:
                raise  # no time of ours would do
            notes.append(f"not planned: {error}")
        if open_time and settings.mode != "batch" and not bounded(definition.budget):
            notes.append("not planned: a plan needs an end; add [budget] trials = 100, gpu_hours or hours")
    if chosen is not None:
        notes += [line.strip() for line in too_short(chosen)]
        notice = settings.notice if settings.notice != NOTICE else None
        settings = applied(settings, chosen)
        settings = msgspec.structs.replace(settings, notice=notice or usual_notice(settings.time))
    trials = definition.budget.trials
    left = math.inf if trials is None else max(trials - snapshot.n_finished, 1)
    jobs = math.ceil(left / settings.slots) if left < math.inf else math.inf  # of one trial for each slot
    wanted = settings.workers or _WORKERS if begins is None else begins.jobs
    workers = 1 if settings.mode == "sequential" else int(min(wanted, jobs))
    batch = settings.mode == "batch"
    several = _REST * workers if chosen is None else max(math.ceil(_SPARE * chosen.best.jobs), workers)
    tasks = workers if batch or begins else int(min(jobs, several))
    batches = int(min(math.ceil(jobs / tasks) if jobs < math.inf else _AHEAD, _AHEAD)) if batch else 1
    checked = limits.check(Request.of(settings, tasks * batches, workers), site)
    if begins and settings.time is None:
        begins, minutes = _short_enough(
            begins, settings, checked, site, paid, lean and _takes(_lean(settings), site)
        )
        settings, workers, tasks = msgspec.structs.replace(settings, time=minutes), begins.jobs, begins.jobs
        checked = limits.check(Request.of(settings, tasks, workers), site)
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
        progress=snapshot.progress,
        finished=snapshot.n_finished,
    )
    if begins:
        notes.append(begins.words)
    each = None if begins is None else begins.each
    found = steps(first, batches, settings, follower, folder, rounds, site, each)
    return Planned(settings, found, notes, chosen)


def _short_enough(
    begins: Pilot, settings: Settings, checked: Checked, site: Site, paid: float, lean: bool
) -> tuple[Pilot, int]:
    """A pilot and the minutes of its jobs, which nobody has said: the partition's own, if these are few enough. paid: GPU-hours that are left; where they do
    not pay for all, there are fewer jobs first, and then one that is shorter. lean: whether the successor needs none of them.

    Raises `InputError` where that is shorter than a job that was too short.
    """
    from taut.queue.account import longest

    usual = math.inf if checked.minutes is None else checked.minutes
    minutes = begins.within(usual, longest(settings, site))
    if not settings.gpus or math.isinf(paid):
        return begins, int(minutes)
    pays = max(60 * paid // settings.gpus, 0)
    if not lean:
        pays -= min(_FOLLOW, pays // 2)
    minutes = min(minutes, pays)
    if minutes < max(begins.least, 1):
        why = f", and jobs of {begins.least} min were too short for a trial" if begins.least else ""
        raise InputError(
            f"{max(paid, 0.0):.2f} GPU-hours are left: they pay for one job of {pays:.0f} min{why}; "
            "raise the budget (--gpu-hours), or have trials checkpoint",
            ("budget", "gpu_hours"),
        )
    return begins.of(int(min(begins.jobs, pays // minutes))), int(minutes)


def _left(definition: Definition, settings: Settings, rounds: Rounds, lives: Sequence[Life]) -> float:
    """GPU-hours that are not spent or reserved; infinite without such a budget."""
    budget = definition.budget.gpu_hours
    if budget is None:
        return math.inf
    if not settings.gpus:
        raise InputError(
            "gpu_hours is the budget, and the jobs ask for no GPU; write gpus = 1 in [on.slurm], or use trials or hours",
            ("budget", "gpu_hours"),
        )
    return budget - ledger.reserved(entries(rounds), lives).gpu


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
    """What the successor asks for. It only submits, so it runs as `taut run` did: no container, no set-up, nothing to save."""
    asked = _lean(settings) if lean else msgspec.structs.replace(settings, time=_short(settings))
    return msgspec.structs.replace(asked, container=[], setup=[], python=None, notice=0)


def _takes(settings: Settings, site: Site) -> bool:
    try:
        limits.check(Request.of(settings, 1, 1), site)
    except InputError:
        return False
    return True


def _affordable(
    definition: Definition, settings: Settings, follower: Settings, rounds: Rounds, lives: Sequence[Life]
) -> float:
    """How many jobs the budget of GPU-hours pays for, each for all of its time; infinite without such a budget."""
    budget = definition.budget.gpu_hours
    if budget is None:
        return math.inf
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
