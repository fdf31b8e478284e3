"""What a study that goes to the queue leaves open, chosen for it: from what its own trials and jobs have shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from taut.definition import Definition
from taut.queue.account import bounds, widened, width
from taut.queue.enough import MANY, Left, bounded, enough
from taut.queue.plan import Goal, Plan, Queue, make, outline
from taut.queue.shapes import Bounds
from taut.queue.work import Work, ended
from taut.slurm.jobs import Life
from taut.slurm.settings import NOTICE, Settings
from taut.slurm.site import Site
from taut.snapshot import Snapshot

__all__ = ["applied", "begun", "choose", "for_budget", "room_of"]

_WORKERS = 8  # at the same time, where nothing bounds them
_JOBS = 256  # for which limits are asked, where nobody says how many trials are wanted


def choose(
    definition: Definition,
    snapshot: Snapshot,
    settings: Settings,
    site: Site,
    lives: Sequence[Life],
    queue: Queue,
    now: float,
    hours: float = math.inf,
    most: int | None = None,
) -> Plan | None:
    """The best plan for what is left, with all that the study says itself; None where too little is known to plan.

    hours: GPU-hours that are left. most: trials that there can be, of a grid.

    Raises `InputError` where no job can carry a trial.
    """
    budget = definition.budget
    if not bounded(budget) or not ended(snapshot):
        return None
    work = Work.of(snapshot, begun(lives), trials=budget.trials or most or MANY)
    if work.trials < 1:
        return None
    left = Left.of(budget, snapshot, now, hours)
    room = room_of(definition, settings, site, work.trials)
    return for_budget(work, queue, room, now, left, wanted=budget.trials is not None)


def room_of(
    definition: Definition, settings: Settings, site: Site | None, trials: int, shorter: float | None = None
) -> Bounds:
    """What a plan must keep to; all is open that the study does not say. shorter: as for `bounds`."""
    any_mode = "mode" not in definition.on.get("slurm", {})
    return bounds(settings, site, min(trials, _JOBS), shorter, wider=True, any_mode=any_mode)


def for_budget(
    work: Work,
    queue: Queue,
    room: Bounds,
    now: float,
    left: Left,
    *,
    wanted: bool = True,
    goal: Goal = "trade",
) -> Plan:
    """The best plan that a budget pays for. wanted: whether somebody has said how many trials; else it is for as many as what is left is enough for, and at most those of `work`.

    Without a number of trials and of GPU-hours there is no end to how many jobs would be of use, so there are eight, if nobody says more.
    """
    room = room._replace(reserve=left.hours)
    if wanted:
        return make(work, queue, room, now, goal=goal, budget=left.hours)
    if math.isinf(left.hours) and room.workers is None:
        room = room._replace(workers=_WORKERS)
    each = work.trial.time.mean
    first = min(
        left.hours * 3600.0 / (room.units * each),
        left.seconds * (room.workers or _WORKERS) * min(room.wide) / each,
    )

    def needs(trials: int) -> tuple[float, float]:
        return outline(work._replace(trials=trials), queue, room, now, goal)

    trials = enough(left, needs, int(min(first, MANY)), work.trials)
    whole = trials == work.trials  # of a grid; it ends before what is left
    plan = make(work._replace(trials=trials), queue, room, now, goal=goal)
    if (cost := plan.best.outlook.cost[1]) > left.hours and trials > 1:  # a sketch has said less
        trials, whole = max(int(trials * left.hours / cost), 1), False
        plan = make(work._replace(trials=trials), queue, room, now, goal=goal)
    return plan if whole else plan._replace(enough=left.words)


def applied(settings: Settings, plan: Plan) -> Settings:
    """The settings with what the plan has chosen."""
    shape = plan.best.shape
    minutes = math.ceil(shape.walltime / 60)
    if (
        settings.time is None and settings.notice != NOTICE
    ):  # the study's own: a job has to be longer than that
        minutes = max(minutes, math.ceil(2 * settings.notice / 60))
    return msgspec.structs.replace(
        widened(settings, width(settings, shape.slots)),
        time=minutes if settings.time is None else settings.time,
        workers=shape.workers if settings.workers is None else settings.workers,
        mode=shape.mode,
    )


def begun(lives: Iterable[Life]) -> dict[tuple[int, int], float]:
    """When jobs started, by number and life."""
    return {(life.id, life.life): life.start for life in lives if life.start is not None}
