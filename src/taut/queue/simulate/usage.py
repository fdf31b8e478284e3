"""What each user has at the moment, and whether one job more would break a limit."""

from __future__ import annotations

import math

from taut.queue.simulate.cluster import Limits
from taut.queue.simulate.job import Job

__all__ = ["Usage"]


class Usage:
    """Of one user in one partition: jobs that run, and how many are submitted in all."""

    __slots__ = ("_ends", "_limits", "jobs", "submitted", "units")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.units = self.jobs = self.submitted = 0
        self._ends = 0.0  # units times the second at which each may end, over the jobs that run

    def add(self, job: Job) -> None:
        self.units += job.units
        self.jobs += 1
        self._ends += job.units * job.planned

    def remove(self, job: Job) -> None:
        self.units -= job.units
        self.jobs -= 1
        self._ends = self._ends - job.units * job.planned if self.jobs else 0.0

    @property
    def full(self) -> bool:
        """Whether no more jobs may be submitted."""
        return self.submitted >= self._limits.submitted

    def opens(self, job: Job, now: float) -> float:
        """From when on `job` may run, if nobody ends before: `now`, or infinity if time alone does not help."""
        limits, units = self._limits, job.units
        if self.units + units > limits.units or self.jobs >= limits.jobs:
            return math.inf
        room = (
            60.0 * limits.unit_minutes - units * job.walltime
        )  # unit-seconds that the others may still have to run
        if room == math.inf or self._ends - self.units * now <= room + 1e-6 * abs(room):
            return now
        if room < 0.0:
            return math.inf
        return max((self._ends - room) / self.units, math.nextafter(now, math.inf))

    def never(self, job: Job) -> str | None:
        """Which limit `job` breaks even alone; None if there is none."""
        limits, minutes = self._limits, job.units * job.walltime / 60.0
        if job.units > limits.units:
            return (
                f"a user may have {limits.units:g} units in running jobs, and this one asks for {job.units}"
            )
        if minutes > limits.unit_minutes:
            return f"a user's jobs may have {limits.unit_minutes:g} unit-minutes to run, and this one asks for {minutes:g}"
        return None
