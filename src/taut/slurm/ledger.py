"""Device hours: what a study's jobs have used, and what they may use yet. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from taut.slurm.jobs import Life, ending

__all__ = ["Entry", "Hours", "reserved", "tasks_within", "used"]


class Hours(NamedTuple):
    """Devices times hours. A budget is such a value, infinite where there is no limit."""

    gpu: float = 0.0
    cpu: float = 0.0


class Entry(msgspec.Struct, frozen=True):
    """A round that was or may be submitted: an array, or one job.

    job: its id, that of the whole array. tasks: how many jobs it has. gpus, cpus, minutes: what each of them holds,
    and for how long at most. slots: trials side by side in each.
    """

    job: int
    tasks: int
    gpus: int
    cpus: int
    minutes: int
    slots: int = 1

    def hours(self, seconds: float) -> Hours:
        """What one of the jobs uses in so many seconds."""
        return Hours(self.gpus * seconds / 3600, self.cpus * seconds / 3600)


def used(lives: Iterable[Life], entries: Iterable[Entry] = ()) -> Hours:
    """What these lives of jobs have held so far, every life of a requeued job included.

    entries: the rounds they belong to; these tell the devices where accounting does not count them.
    """
    rounds = {entry.job: entry for entry in entries}
    return _sum(_hours(life, rounds.get(life.submitted), life.elapsed) for life in lives)


def reserved(entries: Iterable[Entry], lives: Iterable[Life]) -> Hours:
    """What these rounds have used, and may use at most until their jobs are over.

    Jobs that wait or run count with their whole time limit, those that are over with what they used:
    nothing if they were cancelled before they began. A job counts once more when it is requeued, not before.
    """
    of: dict[int, list[Life]] = {}
    for life in lives:
        of.setdefault(life.submitted, []).append(life)
    return _sum(_reserved(entry, of.get(entry.job, [])) for entry in entries)


def _reserved(entry: Entry, lives: list[Life]) -> Hours:
    parts, latest, rest_is_over = [], {}, False
    for life in sorted(lives, key=lambda life: life.life):
        if life.task is None and (life.array is not None or entry.tasks > 1):
            rest_is_over = ending(life) is not None  # tasks that did not start, told together
        else:
            latest[life.task] = life
            parts.append(_at_most(life, entry))
    coming = sum(life.state == "REQUEUED" for life in latest.values())  # the next life is not shown yet
    if not rest_is_over:
        coming += max(entry.tasks - len(latest), 0)
    whole = entry.hours(60.0 * entry.minutes)
    return _sum([*parts, Hours(coming * whole.gpu, coming * whole.cpu)])


def _at_most(life: Life, entry: Entry) -> Hours:
    if ending(life) is not None:
        return _hours(life, entry, life.elapsed)
    minutes = entry.minutes if life.minutes is None else life.minutes
    return _hours(life, entry, max(life.elapsed, 60.0 * minutes))


def tasks_within(budget: Hours, entry: Entry, taken: Hours) -> int:
    """How many of the entry's tasks fit into what `taken` leaves of a hard `budget`, at their whole time limit."""
    whole = entry.hours(60.0 * entry.minutes)
    fits: float = entry.tasks
    for limit, gone, each in zip(budget, taken, whole, strict=True):
        if each > 0:
            fits = min(fits, (limit - gone) / each + 1e-9)  # sums of floats may be a hair above
    return max(math.floor(fits), 0)


def _hours(life: Life, entry: Entry | None, seconds: float) -> Hours:
    gpus = life.gpus or (entry.gpus if entry else 0)
    cpus = life.cpus or (entry.cpus if entry else 0)
    return Hours(gpus * seconds / 3600, cpus * seconds / 3600)


def _sum(parts: Iterable[Hours]) -> Hours:
    parts = list(parts)
    return Hours(math.fsum(part.gpu for part in parts), math.fsum(part.cpu for part in parts))
