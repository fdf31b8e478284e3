"""What a study knows of its jobs from the last calls to Slurm, and what follows from it. Pure values."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import msgspec

from taut.slurm.jobs import FINAL, WAITING, Ending, Job, Life, ending

__all__ = ["EVERY", "Identity", "Known"]

EVERY = 11.0  # seconds between two calls at least: the promise is ten, the rest is for slow machines
_LONGEST = 60.0  # seconds between two calls at most
_TRIES = 3  # calls after which accounting, which lags behind, is not waited for any more


class Identity(msgspec.Struct, frozen=True):
    """One life of a job: a requeued job keeps its id, and `life` counts how often it was requeued."""

    cluster: str
    id: int
    life: int


class Known(msgspec.Struct, frozen=True, dict=True):
    """The answers so far. Each call of a turn gives a new value, which is written and read whole.

    turn: of the last call. asked: file server's time at which the last good squeue began; None before the first.
    by: who called it. users: whose jobs it showed. lives: what accounting says of lives that are over.
    tries: how often accounting was asked about a life (``12.0``) in vain. pause: seconds until the next
    call. error: what the last call complained.
    """

    cluster: str
    turn: int = -1
    asked: float | None = None
    by: str = ""
    users: list[str] = []
    jobs: list[Job] = []
    lives: list[Life] = []
    tries: dict[str, int] = {}
    pause: float = EVERY
    error: str | None = None

    @functools.cached_property
    def _jobs(self) -> dict[int, Job]:
        # Tasks of an array that were cancelled before they started share its id with the one that runs.
        first = sorted(self.jobs, key=lambda job: job.state not in FINAL)
        return {job.id: job for job in first}

    @functools.cached_property
    def _lives(self) -> dict[tuple[int, int], Life]:
        return {(life.id, life.life): life for life in self.lives}

    def job(self, who: Identity) -> Job | None:
        """The job, if it is in this very life."""
        job = self._jobs.get(who.id)
        return job if job is not None and (self.cluster, job.life) == (who.cluster, who.life) else None

    def alive(self, who: Identity) -> bool:
        """Whether the last good squeue showed this very life, begun and not ended."""
        job = self.job(who)
        return job is not None and job.state not in FINAL | WAITING

    def fate(self, who: Identity, began: bool, shown: bool) -> Ending | None:
        """Why this life is over; None while it is not, nobody can tell, or accounting may yet say more.

        began: whether it is known that it had begun when squeue was last called, so that it cannot still wait
        for its start. shown: whether squeue would show this job if there was one.
        """
        if life := self._lives.get((who.id, who.life)):
            return ending(life) if who.cluster == self.cluster else None
        told = self.told(who, began, shown)
        return told if self.tries.get(_key(who), 0) >= _TRIES else None

    def unexplained(self, who: Identity, began: bool, shown: bool) -> bool:
        """Whether this life is over and accounting has still to be asked why."""
        return (
            (who.id, who.life) not in self._lives
            and self.tries.get(_key(who), 0) < _TRIES
            and self.told(who, began, shown) is not None
        )

    def told(self, who: Identity, began: bool, shown: bool) -> Ending | None:
        """What squeue alone says about why this life is over."""
        if who.cluster != self.cluster or self.asked is None:
            return None
        job = self._jobs.get(who.id)
        if job is None:
            return Ending(f"Slurm does not know job {who.id} any more", False) if began and shown else None
        if job.life < who.life:
            return None  # called before this life began
        if job.life > who.life or (job.state in WAITING and began):
            return Ending(f"job {job.label} was requeued", False)
        return ending(job)

    def with_jobs(self, turn: int, asked: float, by: str, users: Iterable[str], jobs: list[Job]) -> Known:
        """After a good squeue. While nothing changes, the pauses grow."""
        users = sorted(users)
        same = self.error is None and users == self.users and _states(jobs) == _states(self.jobs)
        return msgspec.structs.replace(
            self,
            turn=turn,
            asked=asked,
            by=by,
            users=users,
            jobs=jobs,
            pause=min(self.pause * 1.5, _LONGEST) if same else EVERY,
            error=None,
        )

    def with_lives(self, turn: int, about: Sequence[Identity], lives: Iterable[Life]) -> Known:
        """After a good sacct."""
        over = {(life.id, life.life): life for life in lives if ending(life) is not None}
        tries = {**self.tries, **{_key(who): self.tries.get(_key(who), 0) + 1 for who in about}}
        for who in about:
            if (who.id, who.life) in over:
                del tries[_key(who)]
        return msgspec.structs.replace(
            self, turn=turn, lives=list({**self._lives, **over}.values()), tries=tries, error=None
        )

    def without_lives(self, turn: int, about: Sequence[Identity], error: str) -> Known:
        """After a sacct that failed, perhaps since no accounting is kept: what squeue said has to do."""
        tries = {**self.tries, **{_key(who): _TRIES for who in about}}
        return msgspec.structs.replace(self, turn=turn, tries=tries, error=error)

    def failed(self, turn: int, error: str) -> Known:
        """After a squeue that failed. What it said before stays, and the pauses grow."""
        return msgspec.structs.replace(self, turn=turn, pause=min(self.pause * 2, _LONGEST), error=error)


def _key(who: Identity) -> str:
    return f"{who.id}.{who.life}"


def _states(jobs: Iterable[Job]) -> list[tuple[int, int, int, str]]:
    return sorted((job.id, -1 if job.task is None else job.task, job.life, job.state) for job in jobs)
