"""A job on the simulated queue, what became of each of its lives, and who wants to know."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

__all__ = ["Job", "Owner", "Ran", "Why"]

Why = Literal["finished", "time limit", "preempted", "node failed", "cancelled"]
"""How a life of a job ended. After "preempted" and "node failed" it is requeued, if it may be."""


class Job:
    """What was asked for, and how it stands.

    number: as the jobs were submitted. submit: when. since: from when its place in the queue counts; an array's tasks keep the
    array's. size: units; nodes and per: how many nodes, and how many units on each. walltime: seconds asked for. runtime: seconds until it ends by itself;
    infinite where its owner ends it. partition: by number. user: by number. requeue: whether it runs again after losing its nodes.
    allowed: the nodes of its partition, as bits. state: "waiting", "running", "ended"; "held" by a limit, or kept "outside" by one. start: of the present or last life. mask: its nodes, as bits. life: how
    often it has started.
    """

    __slots__ = (
        "allowed", "life", "mask", "name", "nodes", "number", "owner", "partition", "per", "requeue", "runtime", "since", "size",
        "start", "state", "submit", "user", "walltime",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        submit: float,
        size: int,
        shape: tuple[int, int],
        walltime: float,
        runtime: float,
        partition: int,
        user: int,
        allowed: int,
    ) -> None:
        self.number, self.submit, self.since, self.size = number, submit, submit, size
        self.nodes, self.per = shape
        self.walltime, self.runtime = walltime, runtime
        self.partition, self.user, self.allowed = partition, user, allowed
        self.owner: Owner | None = None
        self.name: str | None = None
        self.requeue = True
        self.state = "waiting"
        self.start = -1.0
        self.mask = self.life = 0

    @property
    def units(self) -> int:
        """What it holds: more than it asked for where it gets whole nodes."""
        return self.nodes * self.per

    @property
    def planned(self) -> float:
        """Until when it may run."""
        return self.start + self.walltime


class Owner(Protocol):
    """Whoever submitted a job and acts on what becomes of it."""

    def started(self, job: Job) -> None: ...

    def ended(self, job: Job, why: Why) -> None:
        """A life of `job` has ended; if its state is "waiting" again, it was requeued."""


class Ran(NamedTuple):
    """A life of a job, from start to end, on the nodes `mask`."""

    job: Job
    start: float
    end: float
    why: Why
    mask: int
