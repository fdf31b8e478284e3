"""What really happened, as a timeline: a lane for each slot of a worker, or for each GPU's worth of a job."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from taut.events import Allocation, Opened
from taut.queue.timeline import Bar, Kind, Timeline
from taut.slurm.jobs import Life
from taut.slurm.rounds import Submission
from taut.snapshot import Snapshot
from taut.spells import Spells, spells
from taut.trial import State

__all__ = ["Jobs", "actual"]

_PAUSE = 0.002  # of the whole course: shorter pauses between two trials are not shown as idle time
_TOGETHER = 1e-3  # seconds by which two attempts of one slot may seem to overlap


class Jobs(NamedTuple):
    """What the queue says of a study's jobs.

    lives: every life of each. submitted: when jobs were, seconds since the epoch. slots: trials side by side in a job, by the number under
    which it was submitted.
    """

    lives: tuple[Life, ...] = ()
    submitted: tuple[float, ...] = ()
    slots: Mapping[int, int] = MappingProxyType({})

    @staticmethod
    def of(submissions: Iterable[Submission], lives: Iterable[Life]) -> Jobs:
        """From what was submitted, and what accounting says of it."""
        known = [one for one in submissions if one.job is not None]
        return Jobs(
            tuple(lives),
            tuple(one.t for one in known if one.kind == "job"),
            {one.job: one.slots for one in known if one.job is not None},
        )


class _Stay(NamedTuple):
    """A worker's time on one node, with what ran in each of its slots: rows of `Spells`, in order."""

    place: str
    job: str | None
    begin: float
    end: float
    slots: list[list[int]]


def actual(snapshot: Snapshot, now: float, jobs: Jobs | None = None) -> Timeline:
    """The course of a study up to `now` (seconds since the epoch).

    jobs: what the queue knows; with it a worker's overhead begins with its job, and its idle time ends with it. Otherwise overhead is what
    lies between a worker's first word and its first trial.

    Attempts that led to nothing count as failed, those of trials that wait on a rung as pruned. How long an attempt ran whose worker died
    without a word is not known, so it is not there. Workers that follow each other on a node share its lanes.
    """
    ran = spells(snapshot, now)
    stays = sorted(_stays(snapshot, ran, now, jobs or Jobs()), key=lambda stay: (stay.begin, stay.place))
    submitted = () if jobs is None else jobs.submitted
    if not stays:
        return Timeline((), (), (0.0,) * len(submitted), min(submitted, default=now))
    zero = min([stay.begin for stay in stays] + list(submitted))
    pause = _PAUSE * (max(stay.end for stay in stays) - zero)
    kinds = _kinds(snapshot, ran)
    lanes, bars = _Lanes(), list[tuple[tuple[str, int], Bar]]()
    for stay in stays:
        for key, rows in zip(lanes.take(stay), stay.slots, strict=True):
            bars += [(key, bar) for bar in _slot(stay, rows, ran, kinds, pause)]
    order = {key: lane for lane, key in enumerate(sorted(lanes.keys))}
    counts: dict[str, int] = {}
    for place, _ in lanes.keys:
        counts[place] = counts.get(place, 0) + 1
    return Timeline(
        tuple(f"{place} {i + 1}" if counts[place] > 1 else place for place, i in order),
        tuple(bar._replace(lane=order[key], begin=bar.begin - zero, end=bar.end - zero) for key, bar in bars),
        tuple(sorted(second - zero for second in submitted)),
        zero,
    )


def _stays(snapshot: Snapshot, ran: Spells, now: float, jobs: Jobs) -> Iterable[_Stay]:
    lives = {(life.id, life.life): life for life in jobs.lives}
    rows: dict[int, list[int]] = {}
    for row in np.argsort(ran.begin, kind="stable").tolist():
        rows.setdefault(int(ran.writer[row]), []).append(row)
    for writer, opened in snapshot.writers.items():
        mine = rows.pop(writer, [])
        alive = writer not in snapshot.closed
        if stay := _stay(opened, mine, ran, lives, jobs.slots, now, alive):
            yield stay
    for writer, mine in rows.items():  # its first line is not there, or was damaged
        slots = _slots(mine, ran)
        yield _Stay(f"worker {writer}", None, ran.begin[mine[0]], float(ran.end[mine].max()), slots)


def _stay(
    opened: Opened,
    rows: list[int],
    ran: Spells,
    lives: Mapping[tuple[int, int], Life],
    width: Mapping[int, int],
    now: float,
    alive: bool,
) -> _Stay | None:
    job = opened.job if isinstance(opened.job, Allocation) else None
    life = None if job is None else lives.get((job.id, job.life))
    if not rows and life is None:
        return None  # somebody who only looked, or told of others
    begin, end = opened.t, opened.t
    if rows:
        begin, end = min(begin, float(ran.begin[rows[0]])), float(ran.end[rows].max())
    if life is not None and life.start is not None:
        begin = min(begin, life.start)
        end = max(end, (now if alive else begin) if life.end is None else life.end)
    slots = _slots(rows, ran)
    if life is not None:
        slots += [[] for _ in range(width.get(life.submitted, 1) - len(slots))]
    place = job.node if job is not None else opened.host
    return _Stay(place or "?", None if job is None else job.label, begin, end, slots)


def _slots(rows: list[int], ran: Spells) -> list[list[int]]:
    """The rows of one worker in as many slots as it had trials at a time; each goes to the slot that was free first."""
    slots: list[list[int]] = []
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for row in rows:
        while busy and busy[0][0] <= ran.begin[row] + _TOGETHER:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            slots.append([])
            free.append(len(slots) - 1)
        slot = heapq.heappop(free)
        slots[slot].append(row)
        heapq.heappush(busy, (float(ran.end[row]), slot))
    return slots or [[]]


class _Lanes:
    """Hands out the lanes of each node: the first that are free."""

    def __init__(self) -> None:
        self.keys: list[tuple[str, int]] = []
        self._until: dict[str, list[float]] = {}

    def take(self, stay: _Stay) -> list[tuple[str, int]]:
        until = self._until.setdefault(stay.place, [])
        free = [i for i, end in enumerate(until) if end <= stay.begin + _TOGETHER][: len(stay.slots)]
        while len(free) < len(stay.slots):
            free.append(len(until))
            until.append(-math.inf)
            self.keys.append((stay.place, free[-1]))
        for i in free:
            until[i] = stay.end
        return [(stay.place, i) for i in free]


def _kinds(snapshot: Snapshot, ran: Spells) -> list[Kind]:
    states, lost = snapshot.state[ran.number].tolist(), ran.lost.tolist()
    found: list[Kind] = []
    for n, state, gone in zip(ran.number.tolist(), states, lost, strict=True):
        if gone or state == State.FAILED:
            found.append("failed")
        else:
            found.append("pruned" if state == State.PRUNED or n in snapshot.waiting else "useful")
    return found


def _slot(stay: _Stay, rows: list[int], ran: Spells, kinds: list[Kind], pause: float) -> Iterable[Bar]:
    """What one slot did, on lane 0, in seconds since the epoch: overhead up to its first trial, then trials and pauses."""
    at = stay.begin
    first = min([float(ran.begin[slot[0]]) for slot in stay.slots if slot], default=stay.end)
    if first > at:
        yield Bar(0, at, first, "overhead", None, stay.job)
        at = first
    for row in rows:
        begin, end = max(float(ran.begin[row]), at), float(ran.end[row])
        if begin - at > pause:
            yield Bar(0, at, begin, "idle", None, stay.job)
        if end > begin:
            yield Bar(0, begin, end, kinds[row], int(ran.number[row]), stay.job)
        at = max(at, end)
    if stay.end - at > pause:
        yield Bar(0, at, stay.end, "idle", None, stay.job)
