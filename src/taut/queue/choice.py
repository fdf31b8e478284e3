"""What a study that goes to the queue leaves open, chosen for it: from what its own trials and jobs have shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from taut.definition import Definition
from taut.queue.account import bounds
from taut.queue.plan import Plan, Queue, make
from taut.queue.work import Work, ended
from taut.slurm.jobs import Life
from taut.slurm.settings import NOTICE, Settings
from taut.slurm.site import Site
from taut.snapshot import Snapshot

__all__ = ["applied", "begun", "choose", "is_first"]


def is_first(definition: Definition, snapshot: Snapshot) -> bool:
    """Whether a round would be the first of a study that can be planned once a trial has shown how long one takes."""
    return definition.budget.trials is not None and not ended(snapshot)


def choose(
    definition: Definition,
    snapshot: Snapshot,
    settings: Settings,
    site: Site,
    lives: Sequence[Life],
    queue: Queue,
    now: float,
    budget: float = math.inf,
) -> Plan | None:
    """The best plan for what is left, with time and workers as the study says them, where it does; None where too little is known to plan.

    budget: GPU-hours that are left.

    Raises `InputError` where no job can carry a trial.
    """
    if definition.budget.trials is None or not ended(snapshot):
        return None
    work = Work.of(snapshot, begun(lives))
    if work.trials < 1:
        return None
    room = bounds(settings, site, work.trials)._replace(reserve=budget)
    return make(work, queue, room, now, budget=budget)


def applied(settings: Settings, plan: Plan) -> Settings:
    """The settings with what the plan has chosen."""
    minutes = math.ceil(plan.best.shape.walltime / 60)
    if (
        settings.time is None and settings.notice != NOTICE
    ):  # the study's own: a job has to be longer than that
        minutes = max(minutes, math.ceil(2 * settings.notice / 60))
    workers = settings.workers if settings.workers is not None else plan.best.shape.workers
    return msgspec.structs.replace(
        settings, time=minutes if settings.time is None else settings.time, workers=workers
    )


def begun(lives: Iterable[Life]) -> dict[tuple[int, int], float]:
    """When jobs started, by number and life."""
    return {(life.id, life.life): life.start for life in lives if life.start is not None}
