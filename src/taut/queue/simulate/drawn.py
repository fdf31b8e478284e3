"""A queue of which nothing is known but how long it makes one wait: each job's wait is drawn."""

from __future__ import annotations

import heapq
import itertools
import math
from bisect import bisect_left, insort
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.queue.simulate.agenda import ACTS, ENDS, HAPPENS, Agenda, tell
from taut.queue.simulate.job import Job, Owner, Ran, Why

__all__ = ["DrawnQueue", "Waits"]

Waits = Callable[[np.random.Generator, int, int], NDArray[np.float64]]
"""(rng, jobs, runs) -> (runs, jobs) seconds that each of `jobs` jobs waits that are submitted together, in so many independent cases."""


class DrawnQueue(Agenda):
    """For a study alone on a queue whose waits are known from its past. Jobs that are submitted at the same moment wait as one burst.

    A job that has been submitted holds units of its own from its start on: nothing else is limited. Everything else is as with
    `Simulation`; in a timeline, a lane is a place that jobs take one after the other.
    """

    def __init__(self, waits: Waits, seed: int = 0) -> None:
        super().__init__()
        self.ran: list[Ran] = []
        self.running: list[tuple[float, int, Job]] = []
        self.units = 1
        self._waits, self._rng = waits, np.random.default_rng([seed, 6])
        self._numbers = itertools.count()
        self._burst: list[Job] = []
        self._places: list[int] = []  # free ones that were used before
        self._used = 0

    @property
    def nodes(self) -> int:
        """How many jobs have run side by side, at most."""
        return self._used

    def lane(self, node: int, unit: int) -> str:
        return f"job {node + 1}" if self.units == 1 else f"job {node + 1}:{unit}"

    def submit(
        self,
        size: int,
        walltime: float,
        *,
        owner: Owner,
        partition: str | None = None,
        since: float | None = None,
        name: str | None = None,
    ) -> Job:
        if size < 1 or not walltime > 0:
            raise InputError(
                f"a job of {size} units for {walltime:g} s makes no sense; both must be above 0", ("size",)
            )
        job = Job(next(self._numbers), self.now, size, (1, size), walltime, math.inf, 0, -1, 0)
        job.owner, job.name = owner, name
        self._burst.append(job)
        return job

    def _settle(self) -> None:
        """Whatever was submitted at this moment is one burst."""
        burst, self._burst = self._burst, []
        if burst:
            (waits,) = self._waits(self._rng, len(burst), 1)
            for job, wait in zip(burst, waits.tolist(), strict=True):
                self._push(self.now + wait, HAPPENS, self._start, job)

    def _start(self, job: Job) -> None:
        if job.state != "waiting" or job.owner is None:
            return
        if self._places:
            place = heapq.heappop(self._places)
        else:
            place, self._used = self._used, self._used + 1
        job.state, job.start, job.mask = "running", self.now, 1 << place
        job.life += 1
        self.units = max(self.units, job.size)
        insort(self.running, (job.planned, job.number, job))
        self._push(self.now + job.walltime, ENDS, self._expire, job)
        self._push(self.now, ACTS, job.owner.started, job)

    def _expire(self, job: Job) -> None:
        if job.state == "running":
            self._end(job, "time limit")

    def cancel(self, job: Job) -> None:
        if job.state == "running":
            self._end(job, "cancelled")
        else:
            job.state = "ended"

    def finish(self, job: Job) -> None:
        self._end(job, "finished")

    def _end(self, job: Job, why: Why) -> None:
        del self.running[bisect_left(self.running, (job.planned, job.number, job))]
        job.state = "ended"
        heapq.heappush(self._places, job.mask.bit_length() - 1)
        ran = Ran(job, job.start, self.now, why, job.mask)
        self.ran.append(ran)
        self._push(self.now, ACTS, tell, ran)
