"""The next thing a worker should do: one pure function of what is known.

    decide(snapshot, proposals, hands, now) -> Start | Claim | Wait | Done

Nothing here reads a clock, a file or a hidden generator. The same snapshot gives the same decision on
any worker, in a replay (`taut verify`) and on the planner's virtual clock.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import numpy as np

from taut.samplers.base import Sampler
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.expression import Expression
from taut.trial import State

__all__ = ["Claim", "Decision", "Done", "Hands", "Proposals", "Start", "Wait", "decide"]

_BLOCK = 256


class Start(NamedTuple):
    """Start this attempt; an attempt above 0 has to be claimed first."""

    number: int
    attempt: int
    params: dict[str, Any]


class Claim(NamedTuple):
    """Claim fresh trial numbers below `limit`, then ask again."""

    limit: float


class Wait(NamedTuple):
    """Nothing to start until something happens elsewhere."""

    why: str


class Done(NamedTuple):
    """Nothing to start any more."""

    why: str


Decision = Start | Claim | Wait | Done


class Hands(NamedTuple):
    """What the deciding worker knows beyond the log.

    held: trial numbers that it has claimed and not used. frontier: every number below is claimed by
    somebody. taken: (number, attempt) pairs that others hold. batch: trials start in groups of so
    many, the next group when the one before is finished; 1 is sequential, 0 is asynchronous.
    """

    held: Sequence[int] = ()
    frontier: int = 0
    taken: Container[tuple[int, int]] = ()
    batch: int = 0


class Proposals:
    """A sampler at work: the parameters of a trial by its number.

    Where the sampler looks at no history, proposals are worked out many at once and kept; that changes
    the cost and not the answer.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self._space: Space | None = None
        self._block = -1
        self._params: list[dict[str, Any]] = []

    def params(self, snapshot: Snapshot, number: int) -> dict[str, Any]:
        """Parameters for trial `number`, given what `snapshot` knows."""
        if self.sampler.uses_history:
            return self._ask(snapshot, np.array([number]))[0]
        block, row = divmod(number, _BLOCK)
        if block != self._block or snapshot.space is not self._space:
            end = min((block + 1) * _BLOCK, self.sampler.limit(snapshot.space) or number + _BLOCK)
            self._params = self._ask(snapshot, np.arange(block * _BLOCK, max(end, number + 1)))
            self._block, self._space = block, snapshot.space
        return self._params[row].copy()

    def _ask(self, snapshot: Snapshot, numbers: np.ndarray[Any, np.dtype[np.int64]]) -> list[dict[str, Any]]:
        space, seed = snapshot.space, snapshot.definition.seed
        history = snapshot if self.sampler.uses_history else None
        return space.params(self.sampler.propose(space, seed, numbers, history))


def decide(snapshot: Snapshot, proposals: Proposals, hands: Hands, now: float) -> Decision:
    """What to do next at time `now` (seconds since the epoch)."""
    limit = _limit(snapshot, proposals.sampler)
    if snapshot.n_finished >= limit:
        return Done(f"all {limit:.0f} trials are finished")
    enough = _enough(snapshot, now)
    if enough:
        return Done(enough)

    for n in snapshot.where(State.WAITING).tolist():
        attempt = snapshot.next_attempt(n)
        if n < limit and (n, attempt) not in hands.taken and _open(snapshot, n, hands.batch):
            return Start(n, attempt, snapshot.params(n) or proposals.params(snapshot, n))
    for n in hands.held:
        if _open(snapshot, n, hands.batch):
            return Start(n, 0, proposals.params(snapshot, n))
        return Wait("the batch before is not finished")
    if hands.frontier < limit:
        if _open(snapshot, hands.frontier, hands.batch):
            return Claim(limit)
        return Wait("the batch before is not finished")
    return Wait("the last trials are with other workers")


def _limit(snapshot: Snapshot, sampler: Sampler) -> float:
    """How many trials the study has room for."""
    trials = snapshot.definition.budget.trials
    cells = sampler.limit(snapshot.space)
    return min(np.inf if trials is None else trials, np.inf if cells is None else cells)


def _enough(snapshot: Snapshot, now: float) -> str | None:
    """Why the budget is used up although trials are left; None if it is not."""
    budget = snapshot.definition.budget
    if budget.until is not None and snapshot.counts[State.COMPLETE]:
        until = Expression.parse(budget.until)
        done = snapshot.state == State.COMPLETE
        columns = {name: snapshot.values(name) for name in until.names}
        reached = done & until.holds(columns)
        if reached.any():
            return f"trial {np.flatnonzero(reached)[0]} reached {budget.until}"
    if budget.hours is not None and _busy(snapshot, now) >= budget.hours * 3600:
        return f"the budget of {budget.hours:g} hours is used up"
    return None


def _busy(snapshot: Snapshot, now: float) -> float:
    """Seconds during which at least one trial was running."""
    begun = snapshot.started
    known = ~np.isnan(begun)
    start = begun[known]
    order = np.argsort(start, kind="stable")
    start = start[order]
    waiting = snapshot.state[known][order] == State.WAITING
    end = np.where(np.isnan(snapshot.finished[known][order]), now, snapshot.finished[known][order])
    end = np.maximum.accumulate(np.where(waiting, start, end))
    # Each interval adds what reaches beyond everything that began before it.
    before = np.concatenate(([-np.inf], end[:-1]))
    return float(np.maximum(end - np.maximum(start, before), 0.0).sum())


def _open(snapshot: Snapshot, n: int, batch: int) -> bool:
    """Whether the batch of trial `n` may run: every trial of earlier batches is finished."""
    if not batch:
        return True
    first = n // batch * batch
    return first <= snapshot.size and bool((snapshot.state[:first] >= State.COMPLETE).all())
