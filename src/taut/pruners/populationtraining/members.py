"""Who is in a population: where its members stand, who is ahead, and whose place is to be taken."""

from __future__ import annotations

import bisect
import math
import weakref
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from taut.ladder import Ladder
from taut.snapshot import Snapshot
from taut.standing import standing
from taut.trial import State

__all__ = ["Members", "part"]


def part(quantile: float, count: int) -> int:
    """How many of `count` members are a `quantile` of them; 0.29 of 100 are 29, whatever the product of the floats is."""
    return int(quantile * count + 1e-9)


class Members:
    """The members of a population in a snapshot; use `Members.of`, which keeps them as long as nothing new is known.

    rungs: the steps at which they are compared. founders: how many begin. quantile: the part that is ahead, and the part that is behind.
    """

    _known: ClassVar[weakref.WeakKeyDictionary[Snapshot, tuple[object, Members]]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, snapshot: Snapshot, rungs: Sequence[float], founders: int, quantile: float) -> None:
        self._rungs, self._founders, self._quantile = rungs, founders, quantile
        self._waiting, self._descents, self._releases = snapshot.waiting, snapshot.descents, snapshot.releases
        self._state = snapshot.state.tolist()
        self._begun, self._claimed = snapshot.attempt >= 0, snapshot.claimed
        self._trials = snapshot.definition.budget.trials
        self._ladder = Ladder.of(snapshot, rungs)
        self._boards: dict[int, _Board] = {}
        # Who has ended without a result, and how often somebody has taken the place of one of these.
        ended = {n for n in snapshot.where(State.PRUNED, State.FAILED).tolist()}
        self._vacant = sorted(ended.difference(snapshot.heirs))
        self._filled = sum(
            self._state[n] == State.FAILED or snapshot.ended(n, int(snapshot.attempt[n]))
            for n in ended.intersection(snapshot.heirs)
        )

    @classmethod
    def of(cls, snapshot: Snapshot, rungs: Sequence[float], founders: int, quantile: float) -> Members:
        what = dict(snapshot.seen), len(snapshot.revisions), tuple(rungs), founders, quantile
        known = cls._known.get(snapshot)
        if known is None or known[0] != what:
            known = cls._known[snapshot] = what, cls(snapshot, rungs, founders, quantile)
        return known[1]

    def rung(self, step: float) -> int:
        """The highest rung up to `step`; -1 below the lowest."""
        return bisect.bisect_right(self._rungs, step) - 1

    def place(self, n: int) -> int:
        """The rung on which member `n` waits, or had come to when it ended."""
        waits, descent = self._waiting.get(n), self._descents.get(n)
        if waits is not None:
            return self.rung(waits)
        begun = -1 if descent is None else self.rung(descent.step)
        return max(self._ladder.height(n) - 1, begun)

    # ------------------------------------------------------------------ who is ahead

    def arrived(self, rung: int) -> list[int]:
        """The members that have come to a rung by themselves, the best first."""
        return self._board(rung).numbers

    def ahead_of(self, n: int, rung: int) -> tuple[int, int]:
        """How many members on a rung are better than `n`, and how many are there."""
        board = self._board(rung)
        return board.better.get(n, 0), len(board.numbers)

    def behind(self, n: int, rung: int) -> bool:
        """Whether member `n` is among the worst of those on the rung."""
        better, count = self.ahead_of(n, rung)
        worst = part(self._quantile, count)
        return worst > 0 and better >= count - worst

    def leads(self, n: int, rung: int) -> bool:
        """Whether member `n` is among the best of those on the rung, which others may go on from."""
        better, count = self.ahead_of(n, rung)
        return better < max(part(self._quantile, count), 1)

    def parents(self, rung: int, of: int) -> list[int]:
        """The best members on a rung that left a checkpoint there and are better than member `of`, if that is there; the best first.

        Where none of the best has, the next one.
        """
        board = self._board(rung)
        limit = board.better.get(of, math.inf)
        better = [n for n in board.savers if board.better[n] < limit]
        return [n for n in better if self.leads(n, rung)] or better[:1]

    def checkpoint(self, n: int, rung: int) -> tuple[int, float] | None:
        """The attempt of member `n` that saved itself on a rung, and the step at which it did."""
        for _, event in reversed(self._releases.timed(n, -1)):
            if event.kept is True and isinstance(event.at, float) and self.rung(event.at) == rung:
                return event.a, event.at
        return None

    def _board(self, rung: int) -> _Board:
        if rung not in self._boards:
            ladder, step = self._ladder, self._rungs[rung]
            there = np.flatnonzero(ladder.heights > rung)
            own = [n not in self._descents or self._descents[n].step < step for n in there.tolist()]
            there = there[np.array(own, bool)]
            loss = ladder.loss(there, rung)
            told = ~np.isnan(loss).all(
                axis=0
            )  # an objective that nobody tells before the end compares nobody
            merit = standing(loss[:, told] if told.any() else loss, ladder.slacks(rung)[there])
            merit[np.isnan(merit)] = np.inf
            order = np.argsort(merit, kind="stable")
            numbers = there[order].tolist()
            better = np.searchsorted(merit[order], merit[order], side="left").tolist()
            fine = np.isfinite(merit[order]).tolist()
            savers = [n for n, good in zip(numbers, fine, strict=True) if good and self._saved(n, rung)]
            self._boards[rung] = _Board(numbers, dict(zip(numbers, better, strict=True)), savers)
        return self._boards[rung]

    def _saved(self, n: int, rung: int) -> bool:
        """Whether others may go on from what member `n` left on a rung: not if it failed right after that."""
        if n >= len(self._state) or (self._state[n] == State.FAILED and self.place(n) <= rung):
            return False
        return self.checkpoint(n, rung) is not None

    # ------------------------------------------------------------------ who goes on, and whose place is free

    @property
    def founded(self) -> bool:
        """Whether all founders are with somebody: nobody waits for those that have not begun by now."""
        return self._claimed >= (
            self._founders if self._trials is None else min(self._founders, self._trials)
        )

    @property
    def heirs(self) -> int:
        """How many trials have begun in place of others."""
        return int(self._begun[self._founders :].sum())

    def unused(self, n: int) -> int:
        """How many numbers below `n`, no founders', nobody has begun: their places come first."""
        return max(n - self._founders, 0) - int(self._begun[self._founders : n].sum())

    @cached_property
    def waiting(self) -> list[int]:
        """The members that wait: from the lowest rung up, on each the best first."""
        found = []
        for n in self._waiting:
            rung = self.place(n)
            found.append((rung, self.ahead_of(n, rung)[0] if rung >= 0 else 0, n))
        return [n for _, _, n in sorted(found)]

    @cached_property
    def places(self) -> list[int]:
        """The members whose places are to be taken, as far as the budget of trials goes.

        Those that have ended without a result, which is allowed as often as there are founders; and of those that wait on the lowest rung
        the ones that are behind. Higher up there is time until they are next: who comes to their rung by then is compared, too.
        """
        found = self._vacant[: max(self._founders - self._filled, 0)]
        waiting = self.waiting if self.founded else []
        lowest = self.place(waiting[0]) if waiting else -1
        if lowest >= 0:
            here = [n for n in waiting if self.place(n) == lowest]
            found = found + [n for n in here if self.behind(n, lowest) and self.parents(lowest, n)]
        if self._trials is None:
            return found
        return found[: max(self._trials - self._founders - self.heirs, 0)]


class _Board(NamedTuple):
    """The members on a rung, the best first; how many are better than each; and those that others may go on from."""

    numbers: list[int]
    better: dict[int, int]
    savers: list[int]
