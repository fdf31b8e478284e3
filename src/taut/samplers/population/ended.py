"""The trials that have ended, in the order in which they did: what a population is made from."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from taut.samplers.base import Numbers
from taut.samplers.history import History
from taut.space.prior import Bools, Floats
from taut.standing import standing

__all__ = ["Ended"]


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
    def of(history: History) -> Ended:
        """All of them. They cost little where nothing failed, and no study is asked for more of a trial than its end."""
        numbers, loss, slack = history.done, history.loss, history.slack
        lost = np.concatenate((history.failed, history.pruned))
        if len(lost):
            worst = np.full((len(lost), loss.shape[1]), np.inf)
            ended = np.concatenate((history.ended, history.snapshot.finished[lost]))
            numbers, loss = np.concatenate((numbers, lost)), np.concatenate((loss, worst))
            slack = np.concatenate((slack, np.zeros((len(lost), slack.shape[1]))))
            order = np.lexsort((numbers, ended))
            numbers, loss, slack = numbers[order], loss[order], slack[order]
        return Ended(numbers, history.unit(numbers), history.active(numbers), loss, slack)

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

    def and_(self, other: Ended) -> Ended:
        """Both, one after the other."""
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

    def same(self, other: Ended) -> int:
        """How many rows from the first on are the same in `other`: the same trial with the same result."""
        k = min(len(self), len(other))
        differs = self.numbers[:k] != other.numbers[:k]
        for mine, theirs in ((self.loss, other.loss), (self.slack, other.slack)):
            differs |= (mine[:k] != theirs[:k]).any(axis=1) if mine.shape[1:] == theirs.shape[1:] else True
        return int(differs.argmax()) if differs.any() else k
