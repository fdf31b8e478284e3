"""What a cluster is: nodes, partitions, their limits, and by which rules its queue is served."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from taut.errors import InputError, nearest

__all__ = ["Cluster", "Failures", "Limits", "Partition", "Policy", "Weights"]

Policy = Literal["first-come", "easy", "conservative"]
"""first-come: nobody overtakes. easy: who delays the first that waits not, may (Lifka, JSSPP 1995). conservative: who delays nobody, may
(Mu'alem & Feitelson, IEEE TPDS 12, 2001)."""


class Limits(NamedTuple):
    """What one user may have in a partition at a time; None is no limit.

    units: GPUs (or cores) in running jobs (MaxTRESPU). jobs: running jobs (MaxJobsPU). submitted: running and waiting ones
    (MaxSubmitJobsPU). unit_minutes: units times the minutes that running jobs may still take, over all of them
    (GrpTRESRunMins, MaxTRESRunMinsPU): shorter walltimes buy more jobs at a time.
    """

    units: float = math.inf
    jobs: float = math.inf
    submitted: float = math.inf
    unit_minutes: float = math.inf


class Partition(NamedTuple):
    """A part of the queue.

    nodes: the range of nodes that it may use; partitions may share nodes; None is all of them. walltime: the most that a job
    may ask for, seconds. tier: higher ones are served first. preempts: whether its jobs push out those of partitions that are preemptable, which
    are requeued. whole: jobs get whole nodes.
    """

    name: str
    nodes: range | None = None
    walltime: float = math.inf
    tier: int = 0
    preempts: bool = False
    preemptable: bool = False
    whole: bool = False
    limits: Limits = Limits()


class Weights(NamedTuple):
    """Who is served first, as Slurm's multifactor plugin adds it up: each weight times a factor from 0 to 1.

    age: time in the queue over `oldest` seconds. size: the job's share of the cluster. fair: 2^(-used/shared), where used is the
    user's part of all that was used lately (its half-life: `half` seconds), and shared the part that is due, 1 over the users. every: seconds between
    two reckonings.
    """

    age: float = 1000.0
    size: float = 0.0
    fair: float = 0.0
    oldest: float = 7 * 86400.0
    half: float = 7 * 86400.0
    every: float = 300.0


class Failures(NamedTuple):
    """between: hours from one failure of a node to the next, on average. repair: hours until it is back."""

    between: float
    repair: float = 4.0


class Cluster(NamedTuple):
    """Machines and rules.

    nodes: how many. units: what each has: GPUs, or cores where nobody asks for GPUs. A unit brings its share of all else that a node has, so
    that nothing else runs out first. A job of up to `units` units lies on one node; a larger one gets whole nodes.
    depth: how many waiting jobs each look at the queue considers (bf_max_job_test). weights: None serves by the moment
    of submission. failures: None where nodes never fail.
    """

    nodes: int
    units: int = 4
    partitions: tuple[Partition, ...] = (Partition("gpu"),)
    policy: Policy = "easy"
    depth: int = 100
    weights: Weights | None = None
    failures: Failures | None = None

    @property
    def size(self) -> int:
        return self.nodes * self.units

    def number(self, partition: str | None) -> int:
        """Which of the partitions is named so; None is the first. Raises `InputError` where there is none."""
        names = [each.name for each in self.partitions]
        if partition is None:
            return 0
        if partition not in names:
            raise InputError(
                f"no partition is named {partition!r}{nearest(partition, names)}; there are: {', '.join(names)}",
                ("partition",),
            )
        return names.index(partition)

    def span(self, partition: int) -> range:
        """The nodes that a partition may use."""
        nodes = self.partitions[partition].nodes
        return range(self.nodes) if nodes is None else nodes

    def shape(self, size: int, partition: int) -> tuple[int, int]:
        """How many nodes a job of `size` units gets, and how many units on each."""
        if size > self.units or self.partitions[partition].whole:
            return -(-size // self.units), self.units
        return 1, size

    def check(self) -> None:
        """Raise `InputError` for what the types cannot say."""
        _above(self.nodes, "nodes")
        _above(self.units, "units")
        _above(self.depth, "depth")
        if self.policy not in get_args(Policy):
            raise InputError(
                f"{self.policy!r} is no policy{nearest(self.policy, get_args(Policy))}; there are: {', '.join(get_args(Policy))}",
                ("policy",),
            )
        _partitions(self.partitions, self.nodes)
        if self.failures is not None:
            _above(self.failures.between, "failures", "between")
            _above(self.failures.repair, "failures", "repair")


def _partitions(partitions: Sequence[Partition], nodes: int) -> None:
    if not partitions:
        raise InputError('no partition; give at least one: Partition("gpu")', ("partitions",))
    seen: set[str] = set()
    for each in partitions:
        if each.name in seen:
            raise InputError(
                f"{each.name!r} is there twice; give each partition a name of its own", ("partitions",)
            )
        seen.add(each.name)
        span = each.nodes
        if span is not None and (not span or span.step != 1 or span.start < 0 or span.stop > nodes):
            raise InputError(
                f"{span} are not nodes of a cluster of {nodes}; allowed is a range within range(0, {nodes})",
                ("partitions", each.name, "nodes"),
            )
        _above(each.walltime, "partitions", each.name, "walltime")
        for name, value in zip(Limits._fields, each.limits, strict=True):
            _above(value, "partitions", each.name, "limits", name)


def _above(value: float, *at: str) -> None:
    if not value > 0:
        raise InputError(f"{value} must be above 0", at)
