"""Whom the limits of partitions let into the queue, and let start."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from taut.queue.simulate.cluster import Cluster
from taut.queue.simulate.job import Job
from taut.queue.simulate.usage import Usage

__all__ = ["Gate", "Key"]

Key = tuple[int, int]
"""A partition and a user, by number."""


class Gate:
    """What each user has in each partition that has limits, and the jobs that these keep back.

    A job that a limit keeps from starting delays nobody, as in Slurm: it leaves the queue ("held") and comes back when something of its user's ends. One
    that may not even be submitted stays outside, as if its user tried again and again.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._limited = [min(each.limits) < math.inf for each in cluster.partitions]
        self._usage: dict[Key, Usage] = {}
        self._held: dict[Key, list[Job]] = {}
        self._opens: dict[Key, float] = {}  # when time alone may let in some of those that are held
        self._outside: dict[Key, deque[Job]] = {}

    def of(self, job: Job) -> Usage | None:
        """What the user of a job has; None where nothing limits it."""
        if not self._limited[job.partition]:
            return None
        key = job.partition, job.user
        found = self._usage.get(key)
        if found is None:
            found = self._usage[key] = Usage(self._cluster.partitions[job.partition].limits)
        return found

    @property
    def keeps(self) -> bool:
        """Whether anybody is kept back."""
        return any(self._held.values()) or any(self._outside.values())

    def submits(self, job: Job) -> bool:
        """Whether a job is submitted at once; if not, it stays outside."""
        usage = self.of(job)
        if usage is None:
            return True
        if usage.full:
            job.state = "outside"
            self._outside.setdefault((job.partition, job.user), deque()).append(job)
            return False
        usage.submitted += 1
        return True

    def hold(self, job: Job, opens: float) -> bool:
        """Keep a job from starting. opens: when time alone will have changed that; whether somebody has to look again then."""
        key = job.partition, job.user
        job.state = "held"
        self._held.setdefault(key, []).append(job)
        sooner = opens < self._opens.get(key, math.inf)
        if sooner:
            self._opens[key] = opens
        return sooner

    def reopen(self, key: Key) -> list[Job]:
        """The jobs that were held and may try again."""
        self._opens.pop(key, None)
        return [job for job in self._held.pop(key, ()) if job.state == "held"]

    def left(self, job: Job, now: float) -> Iterator[Job]:
        """A job is not in the queue any more; those that may be submitted in its place."""
        usage = self.of(job)
        if usage is None:
            return
        usage.submitted -= 1
        outside = self._outside.get((job.partition, job.user))
        while outside and not usage.full:
            following = outside.popleft()
            if following.state == "outside":
                usage.submitted += 1
                following.since = now
                yield following
