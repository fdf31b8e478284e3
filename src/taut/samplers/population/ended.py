"""The trials that have ended, in the order in which they did: what a population is made from."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from taut.samplers.base import Numbers
from taut.samplers.history import History
from taut.space.prior import Bools, Floats
from taut.standing import standing

__all__ = ["Ended", "Outcomes"]


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What became of the trials that have ended: `Ended` without where they lie, which takes longer to look up.

    table: what grows by a row when a trial ends, if these are its first rows; then no row need be looked at to know that they are the same.
    """

    numbers: Numbers
    loss: Floats
    slack: Floats
    table: object = None

    @staticmethod
    def of(history: History) -> Outcomes:
        numbers, loss, slack, table = history.done, history.loss, history.slack, history.table
        lost = np.concatenate((history.failed, history.pruned))
        if len(lost):
            table = None
            worst = np.full((len(lost), loss.shape[1]), np.inf)
            ended = np.concatenate((history.ended, history.snapshot.finished[lost]))
            numbers, loss = np.concatenate((numbers, lost)), np.concatenate((loss, worst))
            slack = np.concatenate((slack, np.zeros((len(lost), slack.shape[1]))))
            order = np.lexsort((numbers, ended))
            numbers, loss, slack = numbers[order], loss[order], slack[order]
        return Outcomes(numbers, loss, slack, table)

    def __len__(self) -> int:
        return len(self.numbers)

    def same(self, other: Outcomes) -> int:
        """How many rows from the first on are the same in `other`: the same trial with the same result."""
        k = min(len(self), len(other))
        if self.table is not None and self.table is other.table:
            return k
        differs = self.numbers[:k] != other.numbers[:k]
        for mine, theirs in ((self.loss, other.loss), (self.slack, other.slack)):
            if mine.shape[1:] != theirs.shape[1:]:
                return 0
            a, b = mine[:k], theirs[:k]
            changed = a != b
            if changed.any():  # seldom, and looking at rows takes several times as long
                differs |= (changed & ~(np.isnan(a) & np.isnan(b))).any(axis=1)
        return int(differs.argmax()) if differs.any() else k


@dataclasses.dataclass(frozen=True)
class Ended:
    """Rows are trials, in the order in which they ended.

    numbers: (k,) which. unit: (k, d) where they lie in the unit cube (see `History.unit`; 0.5 where inactive). active: (k, d)
    which parameters they have. loss: (k, m) their objectives, less is better; infinite where they failed or were given up. slack: (k, c)
    their constraints, kept where at most 0.
    """

    numbers: Numbers
    unit: Floats
    active: Bools
    loss: Floats
    slack: Floats

    @staticmethod
    def of(
        history: History, outcomes: Outcomes | None = None, begin: int = 0, end: int | None = None
    ) -> Ended:
        """Those from `begin` to `end`, by default all."""
        every = Outcomes.of(history) if outcomes is None else outcomes
        rows = slice(begin, end)
        numbers = every.numbers[rows]
        return Ended(
            numbers, history.unit(numbers), history.active(numbers), every.loss[rows], every.slack[rows]
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, chosen: slice | NDArray[np.int64] | Bools) -> Ended:
        """Some of them."""
        return Ended(
            self.numbers[chosen],
            self.unit[chosen],
            self.active[chosen],
            self.loss[chosen],
            self.slack[chosen],
        )

    def with_results(self) -> Ended:
        """Those that did not fail."""
        finite = np.isfinite(self.loss)
        return self if finite.all() else self.rows(np.asarray(finite.all(axis=1)))

    def and_(self, other: Ended) -> Ended:
        """Both, one after the other."""
        if not len(self) or not len(other):  # which may not know yet how many objectives there are
            return self if len(self) else other
        return Ended(
            np.concatenate((self.numbers, other.numbers)),
            np.concatenate((self.unit, other.unit)),
            np.concatenate((self.active, other.active)),
            np.concatenate((self.loss, other.loss)),
            np.concatenate((self.slack, other.slack)),
        )

    def standing(self) -> Floats:
        """(k,) how they stand among each other, less is better: by the feasibility rules of `taut.standing`; failed ones last."""
        return standing(self.loss, self.slack)
