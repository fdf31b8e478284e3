"""What came of a simulation: its timeline, and where a study's hours went."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from taut.queue.simulate.campaign import Campaign, Queue
from taut.queue.simulate.free import bits
from taut.queue.simulate.job import Job, Ran
from taut.queue.simulate.worker import Stretch
from taut.queue.timeline import Bar, Kind, Timeline
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["Hours", "bars_of", "hours", "timeline"]


class Hours(NamedTuple):
    """A study's unit-hours: GPU-hours, where the units are GPUs.

    requested: the walltimes of the jobs that started. held: from their starts to their ends. overhead: before their first trials. useful: of attempts
    that counted. lost: of attempts that came to nothing. idle: of slots without a trial. jobs: how many started.
    """

    requested: float
    held: float
    overhead: float
    useful: float
    lost: float
    idle: float
    jobs: int

    @property
    def efficiency(self) -> float:
        """The part of what was held that was useful."""
        return self.useful / self.held if self.held else 0.0


def hours(campaign: Campaign) -> Hours:
    """Where the hours of a study went whose jobs have ended."""
    lives = [ran for ran in campaign.queue.ran if ran.job.owner is campaign]
    requested = sum(ran.job.walltime * ran.job.units for ran in lives)
    held = sum((ran.end - ran.start) * ran.job.units for ran in lives)
    overhead = _seconds(campaign, lambda each: each.trial is None)
    lost = _seconds(campaign, lambda each: each.trial is not None and each.lost)
    useful = _seconds(campaign, lambda each: each.trial is not None and not each.lost)
    idle = max(held - overhead - lost - useful, 0.0)
    return Hours(
        requested / 3600, held / 3600, overhead / 3600, useful / 3600, lost / 3600, idle / 3600, len(lives)
    )


def _seconds(campaign: Campaign, which: Callable[[Stretch], bool]) -> float:
    """Unit-seconds of stretches of a kind."""
    found = sum((each.end - each.begin) * each.job.units for each in campaign.stretches if which(each))
    return found / campaign.shape.slots


def timeline(
    queue: Queue, campaign: Campaign | None = None, begin: float = 0.0, end: float = math.inf
) -> Timeline:
    """What each GPU did from second `begin` to `end` of the simulation; both become 0 and `end - begin`.

    Where a job's slots share a GPU, its lane shows the first of them.
    """
    shown = _until(queue, end)
    lanes = tuple(queue.lane(node, unit) for node in range(queue.nodes) for unit in range(queue.units))
    stretches: dict[tuple[Job, float], list[Stretch]] = {}
    if campaign is not None:
        for each in campaign.stretches:
            stretches.setdefault((each.job, each.life), []).append(each)
    bars: list[Bar] = []
    lives: dict[Job, int] = {}
    for ran, held in _assigned(shown, queue.nodes, queue.units):
        lives[ran.job] = life = lives.get(ran.job, 0) + 1
        if campaign is None or ran.job.owner is not campaign:
            bars += [Bar(lane, ran.start, ran.end, "other") for lane in held]
        else:
            bars += bars_of(ran, held, stretches.get((ran.job, life), []), campaign)
    cut = [
        bar._replace(begin=max(bar.begin, begin) - begin, end=min(bar.end, end) - begin)
        for bar in bars
        if bar.end > begin and bar.begin < end
    ]
    submitted = (
        () if campaign is None else tuple(at - begin for at in campaign.submitted if begin <= at <= end)
    )
    return Timeline(lanes, tuple(sorted(cut)), submitted)


def _until(queue: Queue, end: float) -> list[Ran]:
    """The lives of jobs by their starts; those that go on are taken as far as they may."""
    going = [Ran(job, job.start, planned, "finished", job.mask) for planned, _, job in queue.running]
    return sorted(
        (ran for ran in [*queue.ran, *going] if ran.start < end), key=lambda ran: (ran.start, ran.job.number)
    )


def _assigned(lives: Iterable[Ran], nodes: int, units: int) -> Iterable[tuple[Ran, list[int]]]:
    """Which lanes each life holds; the simulation itself counts units without telling them apart."""
    free = [list(range(units)) for _ in range(nodes)]
    ends: list[tuple[float, int, list[int]]] = []
    for number, ran in enumerate(lives):
        while ends and ends[0][0] <= ran.start:
            for lane in heapq.heappop(ends)[2]:
                heapq.heappush(free[lane // units], lane % units)
        held = [
            node * units + heapq.heappop(free[node]) for node in bits(ran.mask) for _ in range(ran.job.per)
        ]
        heapq.heappush(ends, (ran.end, number, held))
        yield ran, held


def bars_of(ran: Ran, held: list[int], stretches: list[Stretch], campaign: Campaign) -> list[Bar]:
    """The bars of one of the study's jobs: what its slots did, and where they were idle."""
    slots, name = campaign.shape.slots, ran.job.name
    bars: list[Bar] = []
    for i, lane in enumerate(held):
        slot = i * slots // len(held)
        at = ran.start
        for each in sorted(each for each in stretches if each.slot == slot):
            if each.begin > at:
                bars.append(Bar(lane, at, each.begin, "idle", None, name))
            bars.append(
                Bar(lane, each.begin, each.end, _kind(each, campaign.desk.snapshot), each.trial, name)
            )
            at = each.end
        if ran.end > at:
            bars.append(Bar(lane, at, ran.end, "idle", None, name))
    return bars


def _kind(stretch: Stretch, snapshot: Snapshot) -> Kind:
    if stretch.trial is None:
        return "overhead"
    if stretch.lost:
        return "failed"
    state = snapshot.state[stretch.trial]
    return "pruned" if state == State.PRUNED or stretch.trial in snapshot.waiting else "useful"
