"""A batch queue on a virtual clock: jobs come, wait, run, and end, by the rules of a cluster.

    simulation = Simulation(cluster := Cluster(nodes=64, units=4), load(cluster, hours=48), seed=1)
    simulation.run()

Other people's jobs are a `Workload`. Whoever takes part in the course, as a study does (`Campaign`), submits jobs of its own
while the clock runs, and is told when each starts and ends.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, insort

import numpy as np

from taut.errors import InputError
from taut.queue.simulate.agenda import ACTS, ENDS, HAPPENS, Agenda, tell
from taut.queue.simulate.backfill import POLICIES
from taut.queue.simulate.cluster import Cluster
from taut.queue.simulate.fairness import Fairness
from taut.queue.simulate.free import Free, mask_of
from taut.queue.simulate.gate import Gate, Key
from taut.queue.simulate.job import Job, Owner, Ran, Why
from taut.queue.simulate.usage import Usage
from taut.queue.simulate.workload import EMPTY, Row, Workload

__all__ = ["OURS", "Simulation"]

OURS = -1
"""The user whose study takes part."""
_Entry = tuple[
    float, float, float, int, Job
]  # what the queue is ordered by: tier, priority, since when, number


class Simulation(Agenda):
    """One course of a queue. Deterministic: the same arguments give the same course.

    ran: lives of jobs that have ended, in that order. running: (until when each may run, number, job), by the first.

    Raises `InputError` for a cluster or a workload that makes no sense.
    """

    def __init__(self, cluster: Cluster, others: Workload = EMPTY, seed: int = 0) -> None:
        cluster.check()
        others.check(cluster)
        super().__init__()
        self.cluster = cluster
        self.ran: list[Ran] = []
        self.running: list[tuple[float, int, Job]] = []
        self._free = Free(cluster.nodes, cluster.units)
        self._up = (1 << cluster.nodes) - 1
        self._allowed = [mask_of(cluster.span(i)) for i in range(len(cluster.partitions))]
        self._tiers = [-each.tier for each in cluster.partitions]
        self._preempting = [each.preempts for each in cluster.partitions]
        self._rule = POLICIES[cluster.policy](self._free, self.running)
        self._gate = Gate(cluster)
        self._fairness = None if cluster.weights is None else Fairness(cluster.weights, cluster.size)
        self._waiting: list[_Entry] = []  # the queue, in its order
        self._fresh: list[_Entry] = []  # what has come to its end since the last look
        self._changed = True  # whether places may have become free, so that everybody has to be asked
        self._evicted = False
        self._numbers = itertools.count()
        self._arrivals = others.jobs()
        self._random = np.random.default_rng([seed, 1])
        self._await_arrival()
        self._await_failure()

    @property
    def nodes(self) -> int:
        return self.cluster.nodes

    @property
    def units(self) -> int:
        """Of each node."""
        return self.cluster.units

    def lane(self, node: int, unit: int) -> str:
        """What a unit is called in a timeline."""
        return f"n{node + 1}:{unit}"

    # ------------------------------------------------------------------ submitting

    def submit(
        self,
        size: int,
        walltime: float,
        *,
        owner: Owner,
        runtime: float = math.inf,
        partition: str | None = None,
        since: float | None = None,
        name: str | None = None,
        requeue: bool = True,
    ) -> Job:
        """Submit a job now. It ends after `runtime` or `walltime` seconds, or when its owner says so (`finish`).

        since: from when its place in the queue counts, if it is a task of an array that was submitted before.
        Raises `InputError` for a job that can never start.
        """
        index = self.cluster.number(partition)
        if size < 1:
            raise InputError(f"{size} units cannot be had; 1 or more are allowed", ("size",))
        job = self._job((self.now, size, walltime, runtime, index, OURS))
        job.owner, job.name, job.requeue = owner, name, requeue
        job.since = self.now if since is None else since
        self._check(job)
        self._enter(job)
        return job

    def cancel(self, job: Job) -> None:
        """Take a job from the queue, or end it if it runs."""
        if job.state == "running":
            self._end(job, "cancelled")
        elif job.state != "ended":
            counted = job.state != "outside"
            job.state = "ended"
            if counted:
                self._leave(job)

    def finish(self, job: Job) -> None:
        """The job that runs has come to its end."""
        self._end(job, "finished")

    def _job(self, row: Row) -> Job:
        submit, size, walltime, runtime, partition, user = row
        shape, allowed = self.cluster.shape(size, partition), self._allowed[partition]
        return Job(next(self._numbers), submit, size, shape, walltime, runtime, partition, user, allowed)

    def _check(self, job: Job) -> None:
        partition, span = self.cluster.partitions[job.partition], self.cluster.span(job.partition)
        if job.nodes > len(span):
            raise InputError(
                f"{job.size} units cannot be had: {partition.name} has {len(span)} nodes of {self.cluster.units}",
                ("size",),
            )
        if not 0 < job.walltime <= partition.walltime:
            raise InputError(
                f"{job.walltime:g} s cannot be had: {partition.name} allows up to {partition.walltime:g} s",
                ("walltime",),
            )
        never = Usage(partition.limits).never(job)
        if never:
            raise InputError(f"this job could never start: in {partition.name} {never}", ("size",))

    def _await_arrival(self) -> None:
        self._next = next(self._arrivals, None)
        if self._next is not None:
            self._push(self._next[0], HAPPENS, self._arrive, self._next)

    def _arrive(self, row: Row) -> None:
        self._enter(self._job(row))
        self._await_arrival()

    def _enter(self, job: Job) -> None:
        if self._gate.submits(job):
            self._wait(job)

    def _wait(self, job: Job) -> None:
        job.state = "waiting"
        urgency = 0.0 if self._fairness is None else -self._fairness.priority(job, self.now)
        entry = (self._tiers[job.partition], urgency, job.since, job.number, job)
        if not self._waiting or self._waiting[-1] < entry:
            self._waiting.append(entry)
            self._fresh.append(entry)
        else:
            insort(self._waiting, entry)
            self._changed = True

    # ------------------------------------------------------------------ looking at the queue

    def _settle(self) -> None:
        if self._changed or self._fresh:
            self._look()

    def _look(self) -> None:
        """Start whoever may start."""
        if self._fairness is not None and self._waiting and self._fairness.due(self.now):
            self._reckon()
        if not self._free.least[1] & self._up and not any(self._preempting):
            self._changed, self._fresh = True, []  # nobody can start; the next look is at everybody
            return
        if self._changed:
            self._changed = False
            self._rule.begin(self.now)
            asked = self._waiting.copy()
        else:  # only the queue's end is new, and what was kept for those before it still is
            asked = self._fresh if len(self._waiting) <= self.cluster.depth else []
        self._fresh = []
        stay, left = 0, []
        for entry in asked:
            job = entry[-1]
            if job.state != "waiting" or self._try(job):
                left.append(entry)
            else:
                stay += 1
            if stay == self.cluster.depth or self._evicted:
                break
        for entry in left:
            del self._waiting[bisect_left(self._waiting, entry)]
        if self._evicted:
            self._evicted = False
            self._look()

    def _reckon(self) -> None:
        """Put the queue in the order of its priorities as they are by now."""
        fairness, tiers, now = self._fairness, self._tiers, self.now
        assert fairness is not None
        jobs = [entry[-1] for entry in self._waiting]
        self._waiting[:] = sorted(
            (tiers[job.partition], -fairness.priority(job, now), job.since, job.number, job) for job in jobs
        )
        self._changed = self._changed or jobs != [entry[-1] for entry in self._waiting]

    def _try(self, job: Job) -> bool:
        """Whether `job` leaves the queue: it starts, or a limit keeps it."""
        usage = self._gate.of(job)
        if usage is not None:
            opens = usage.opens(job, self.now)
            if opens > self.now:
                if self._gate.hold(job, opens):
                    self._push(opens, HAPPENS, self._open, (job.partition, job.user))
                return True
        mask = self._rule.place(job, self.now, self._up)
        if not mask and self._preempting[job.partition]:
            mask = self._make_room(job)
        if mask:
            self._start(job, mask)
        return bool(mask)

    def _open(self, key: Key) -> None:
        """A limit may allow more by now."""
        for job in self._gate.reopen(key):
            self._wait(job)

    def _make_room(self, job: Job) -> int:
        """Push out jobs that have to make way, the latest first, until `job` fits; its nodes, or 0 if that does not help."""
        partitions, trial, chosen = self.cluster.partitions, self._free.copy(), []
        tier = partitions[job.partition].tier
        weaker = [each for _, _, each in self.running if partitions[each.partition].preemptable]
        for each in sorted(weaker, key=lambda each: (-each.start, -each.number)):
            if partitions[each.partition].tier < tier and each.mask & job.allowed:
                trial.give(each.mask, each.per)
                chosen.append(each)
                mask = trial.fit(job.nodes, job.per, job.allowed & self._up)
                if mask:
                    for victim in chosen:
                        if victim.mask & mask:
                            self._end(victim, "preempted")
                    self._evicted = True
                    return mask
        return 0

    # ------------------------------------------------------------------ starting and ending

    def _start(self, job: Job, mask: int) -> None:
        job.state, job.start, job.mask = "running", self.now, mask
        job.life += 1
        self._free.take(mask, job.per)
        insort(self.running, (job.planned, job.number, job))
        usage = self._gate.of(job)
        if usage is not None:
            usage.add(job)
        self._push(self.now + min(job.runtime, job.walltime), ENDS, self._expire, (job, job.life))
        if job.owner is not None:
            self._push(self.now, ACTS, job.owner.started, job)

    def _expire(self, what: tuple[Job, int]) -> None:
        job, life = what
        if job.life == life and job.state == "running":
            self._end(job, "finished" if job.runtime <= job.walltime else "time limit")

    def _end(self, job: Job, why: Why) -> None:
        del self.running[bisect_left(self.running, (job.planned, job.number, job))]
        self._free.give(job.mask, job.per)
        ran = Ran(job, job.start, self.now, why, job.mask)
        self.ran.append(ran)
        self._changed = True
        usage = self._gate.of(job)
        if usage is not None:
            usage.remove(job)
        if self._fairness is not None:
            self._fairness.add(job.user, job.units * (self.now - job.start), self.now)
        if job.requeue and why in ("preempted", "node failed"):
            self._wait(job)
        else:
            job.state = "ended"
            self._leave(job)
        if usage is not None:
            self._open((job.partition, job.user))
        if job.owner is not None:
            self._push(self.now, ACTS, tell, ran)

    def _leave(self, job: Job) -> None:
        """A job is not in the queue any more."""
        self._changed = True
        for following in self._gate.left(job, self.now):
            self._wait(following)

    # ------------------------------------------------------------------ nodes that fail

    def _await_failure(self) -> None:
        failures = self.cluster.failures
        if failures is not None:
            mean = failures.between * 3600.0 / self.cluster.nodes
            self._push(self.now + float(self._random.exponential(mean)), HAPPENS, self._fail, None)

    def _fail(self, nothing: None) -> None:
        assert self.cluster.failures is not None
        bit = 1 << int(self._random.integers(self.cluster.nodes))
        if self._up & bit:
            self._up &= ~bit
            for _, _, job in list(self.running):
                if job.mask & bit:
                    self._end(job, "node failed")
            self._push(self.now + self.cluster.failures.repair * 3600.0, HAPPENS, self._repair, bit)
        if self._next is not None or self._waiting or self.running or self._gate.keeps:
            self._await_failure()

    def _repair(self, bit: int) -> None:
        self._up |= bit
        self._changed = True
