"""What the queue says of a study's writers that run in its jobs; it is asked before anybody else."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from taut import allocation
from taut.events import Allocation, Opened

if TYPE_CHECKING:
    from taut.slurm.watch import Identity, Watch

__all__ = ["Loss", "Scheduler"]

_SETTLES = 5.0  # seconds after which Slurm knows that a job's process is gone
_CURIOUS = 30.0  # seconds that a job's new life waits to hear why the one before it ended
_PATIENCE = 90.0  # seconds that Slurm may take to say why; then the process table's word stands


class Loss(NamedTuple):
    """Why a writer is dead, and whether the trial that it worked on may be the reason."""

    why: str
    blame: bool = True


class Scheduler:
    """The study's view of the queue, shared by all its workers through files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._missed: dict[tuple[str, int, str], float] = {}  # processes that are gone: since when we know

    @functools.cached_property
    def _watch(self) -> Watch:
        from taut.slurm.watch import Watch  # most studies never meet a queue

        return Watch(self._folder)

    def look(self, writers: Iterable[Opened], wait: float = 0.0) -> None:
        """Ask about these writers' jobs, unless somebody has asked a moment ago.

        wait: seconds to wait for the answer at most; without, it is picked up by a later look.
        """
        jobs = {identity: who.user for who in writers if (identity := identify(who.job)) is not None}
        if jobs:
            hurry = any(time.time() - missed < _PATIENCE for missed in self._missed.values())
            until = time.monotonic() + wait
            self._watch.look(set(jobs), set(jobs.values()), hurry)
            while self._watch.asking and time.monotonic() < until:
                time.sleep(0.02)
                self._watch.look(set(jobs), set(jobs.values()), hurry)

    def lost(self, who: Opened) -> Loss | None:
        """Why the job of `who` is over as far as `who` is concerned; None if it is not, or nobody can tell."""
        job, mine = identify(who.job), allocation.here()
        if job is None:
            return None
        if ending := self._watch.fate(job):
            return Loss(ending.why, ending.blame)
        if mine is not None and (mine.cluster, mine.id) == (job.cluster, job.id) and job.life < mine.life:
            if self._watch.error() is None and self._may_explain(who, job, _CURIOUS):
                return None  # that its life is over is certain; what ended it is worth some seconds
            return Loss(f"job {mine.label} was requeued", blame=False)
        return None

    def may_explain(self, who: Opened) -> bool:
        """Whether to wait for the queue to say why the process of `who`, which is gone, has ended."""
        job = identify(who.job)
        return job is not None and self._may_explain(who, job, _PATIENCE)

    def _may_explain(self, who: Opened, job: Identity, patience: float) -> bool:
        if not self._watch.able(job):
            return False
        missed = self._missed.setdefault((who.host, who.pid, who.born), time.time())
        if time.time() - missed > patience:
            return False
        return self._watch.unexplained(job) or not self._watch.asked_since(missed + _SETTLES)

    def judges(self, who: Opened) -> bool:
        """Whether the queue can be asked about `who`."""
        job = identify(who.job)
        return job is not None and self._watch.able(job)

    def alive(self, who: Opened, since: float = 0.0) -> bool:
        """Whether the queue has said lately, asked after `since`, that the job of `who` runs."""
        job = identify(who.job)
        return job is not None and self._watch.alive(job) and self._watch.asked_since(since)

    def close(self) -> None:
        """Leave no call under way behind."""
        if "_watch" in self.__dict__:
            self._watch.close()

    def ends(self, who: Allocation) -> float | None:
        """When this job ends, seconds since the epoch; None if that is not known yet."""
        identity = identify(who)
        job = None if identity is None else self._watch.job(identity)
        return None if job is None else job.end


def identify(job: Allocation | msgspec.UnsetType) -> Identity | None:
    """The life of a job, as the queue's watch knows it."""
    if not isinstance(job, Allocation):
        return None
    from taut.slurm.watch import Identity

    return Identity(job.cluster, job.id, job.life)
