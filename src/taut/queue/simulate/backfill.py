"""Which waiting jobs start now: the three policies, as functions of what is free, what runs and who waits.

Only what users have asked for counts, as on a real queue: nobody knows that a job will end early.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from taut.queue.simulate.free import Free
from taut.queue.simulate.job import Job
from taut.queue.simulate.profile import Profile, Running

__all__ = ["POLICIES", "Conservative", "Easy", "FirstCome", "Rule"]


class Reservation:
    """Nodes that are kept for a job from `at` on. spare: units that are left besides it, where it gets a single node."""

    __slots__ = ("at", "mask", "spare")

    def __init__(self, at: float, mask: int, spare: int) -> None:
        self.at, self.mask, self.spare = at, mask, spare


def shadow(free: Free, running: Running, job: Job, allowed: int) -> Reservation:
    """The earliest moment at which `job` surely starts, and where, if nobody else starts before."""
    later, nodes, per = free.copy(), job.nodes, job.per
    ends = iter(running)
    end = next(ends, None)
    while end is not None:
        at = end[0]
        while end is not None and end[0] == at:
            later.give(end[2].mask, end[2].per)
            end = next(ends, None)
        mask = later.fit(nodes, per, allowed)
        if mask:
            return Reservation(at, mask, later.on(mask.bit_length() - 1) - per if nodes == 1 else 0)
    return Reservation(math.inf, 0, 0)


class Rule(ABC):
    """A policy at work on a queue. free, running: what the simulation keeps up to date."""

    def __init__(self, free: Free, running: Running) -> None:
        self._free, self._running = free, running

    @abstractmethod
    def begin(self, now: float) -> None:
        """The whole queue is about to be asked: forget what was kept for whom."""

    @abstractmethod
    def place(self, job: Job, now: float, up: int) -> int:
        """The nodes (as bits) on which `job` starts at once, among those that are `up`; 0 if it waits.

        Jobs are asked in the order of the queue, and one that gets nodes takes them before the next is asked.
        """


class FirstCome(Rule):
    """Nobody overtakes who waits for a node that he could use, too."""

    def begin(self, now: float) -> None:
        self._blocked = 0

    def place(self, job: Job, now: float, up: int) -> int:
        mask = self._free.fit(job.nodes, job.per, job.allowed & up & ~self._blocked)
        if not mask:
            self._blocked |= job.allowed
        return mask


class Easy(Rule):
    """Who would not delay the first that waits in each partition starts."""

    def begin(self, now: float) -> None:
        self._kept: dict[int, Reservation] = {}

    def place(self, job: Job, now: float, up: int) -> int:
        allowed, per = job.allowed & up, job.per
        if not self._free.least[per] & allowed and job.partition in self._kept:
            return 0
        for kept in self._kept.values():
            if now + job.walltime > kept.at and (job.nodes > 1 or kept.spare < per):
                allowed &= ~kept.mask
        mask = self._free.fit(job.nodes, per, allowed)
        if mask:
            for kept in self._kept.values():
                if mask == kept.mask and now + job.walltime > kept.at:
                    kept.spare -= per
        elif job.partition not in self._kept:
            taken = 0
            for kept in self._kept.values():
                taken |= kept.mask
            self._kept[job.partition] = shadow(self._free, self._running, job, job.allowed & up & ~taken)
        return mask


class Conservative(Rule):
    """Everybody who waits has a place, the earliest that delays nobody before him; who has it now starts.

    Places are given anew, in the order of the queue, whenever something has ended, as Slurm does.
    """

    def begin(self, now: float) -> None:
        self._profile = Profile(self._free, self._running, now)

    def place(self, job: Job, now: float, up: int) -> int:
        self._profile.pass_to(now)
        at, mask = self._profile.reserve(job, job.allowed & up)
        return mask if at <= now else 0


POLICIES: dict[str, type[Rule]] = {"first-come": FirstCome, "easy": Easy, "conservative": Conservative}
