"""How often the right token is among those that the model thinks likeliest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from taut.errors import InputError
from taut.metrics.language.arrays import Array
from taut.metrics.language.batch import IGNORE, Batch, table
from taut.metrics.language.mean import TokenMean

__all__ = ["Accuracy", "accuracy"]


@dataclass(kw_only=True)
class Accuracy(TokenMean):
    """The share of labels among the k highest logits, from 0 to 1.

    Of equal logits the lower id comes first, as with argmax: a model that tells all tokens alike is not always right. A row with
    NaN makes the accuracy NaN, where a comparison would have called it right or wrong. k: at least 1.
    """

    k: int = 1

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InputError(f"k = {self.k}: the label is sought among the k likeliest tokens, at least 1")

    def update(self, logits: Array, labels: Array) -> Accuracy:
        """Takes in a batch, and returns itself. logits: (..., vocabulary). labels: (...), ids of tokens."""
        logits = table(logits, "logits")
        batch = Batch.labelled(logits, labels, self.ignore, self.shift)
        library, xp, k = batch.kit, batch.kit.xp, min(self.k, batch.vocabulary)
        ids = library.adopt(np.arange(batch.vocabulary))

        def values(part: slice) -> Array:
            rows, label = batch.rows(logits, part), batch.labels[part, None]
            if k == 1:
                first = library.argmax(rows)[:, None]
                highest, right = library.pick(rows, first)[:, 0], (first == label)[:, 0]
            else:
                own = library.pick(rows, label)
                highest, last = library.highest(rows, k)
                right = own[:, 0] > last
                (tied,) = xp.where(own[:, 0] == last)
                if len(tied):
                    right[tied] = _before(rows[tied], own[tied], label[tied], ids) < k
            return xp.where(xp.isnan(highest), math.nan, right * 1.0)

        with library.quiet():
            self._add(batch, batch.values(values))
        return self

    def result(self) -> dict[str, float]:
        """accuracy (top5_accuracy with k = 5), its _stderr, tokens, nonfinite."""
        return self._told("accuracy" if self.k == 1 else f"top{self.k}_accuracy")


def accuracy(logits: Array, labels: Array, k: int = 1, *, ignore: int = IGNORE, shift: bool = False) -> float:
    """The share of labels among the k highest logits, of one batch; see `Accuracy`."""
    return Accuracy(k=k, ignore=ignore, shift=shift).update(logits, labels).mean


def _before(rows: Array, own: Array, label: Array, ids: Array) -> Array:
    """How many tokens come before the label, whose logit is `own`: (n,)."""
    return ((rows > own) | ((rows == own) & (ids < label))).sum(-1)
