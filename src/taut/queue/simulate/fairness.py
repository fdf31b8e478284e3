"""Who is served first, where that is more than a matter of who came first."""

from __future__ import annotations

from taut.queue.simulate.cluster import Weights
from taut.queue.simulate.job import Job

__all__ = ["Fairness"]


class Fairness:
    """Priorities by age, size and what each user has used (see `Weights`)."""

    def __init__(self, weights: Weights, size: int) -> None:
        self._weights, self._size = weights, size
        self._used: dict[int, float] = {}  # unit-seconds, as they count at `_since`
        self._since = self._next = 0.0

    def add(self, user: int, used: float, now: float) -> None:
        """A user's job has held so many unit-seconds."""
        half = self._weights.half
        if now - self._since > half / 8:  # not at each job: the result is the same to a few per cent
            fade = 0.5 ** ((now - self._since) / half)
            self._used = {each: seconds * fade for each, seconds in self._used.items()}
            self._since = now
        self._used[user] = self._used.get(user, 0.0) + used

    def due(self, now: float) -> bool:
        """Whether priorities are to be reckoned anew."""
        if now < self._next:
            return False
        self._next = now + self._weights.every
        return True

    def priority(self, job: Job, now: float) -> float:
        weights = self._weights
        found = (
            weights.age * min((now - job.since) / weights.oldest, 1.0) + weights.size * job.units / self._size
        )
        if weights.fair:
            total = sum(self._used.values())
            share = self._used.get(job.user, 0.0) / total if total else 0.0
            found += weights.fair * 2.0 ** (-share * max(len(self._used), 1))
        return found
