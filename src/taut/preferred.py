"""Trials by what a study prefers: from the best to the worst, and what of it a sampler can learn.

Tables have a row for each trial and a column for each objective, as losses: less is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.preference import Preference
from taut.space.prior import Bools, Floats
from taut.standing import non_dominated

__all__ = ["Tier", "aims", "ranked", "tiers", "weighted"]

_MOST = 1e300  # so that differences do not overflow


class Tier(NamedTuple):
    """An objective of an order. column: which. best: of the trials that are as good as the best in all before it. bound: up to
    where a trial is as good in this one. left: (k,) who is as good up to here.
    """

    column: int
    best: float
    bound: float
    left: Bools


def ranked(prefer: Preference | None, metrics: Sequence[str], table: Floats) -> NDArray[np.int64]:
    """(k,) rows of `table` (k, m), the best first; without a preference by the first objective.

    Where that leaves trials equal, the objectives decide in their order, and then who comes first. So the first is never
    dominated by another.
    """
    columns, keys = list(range(table.shape[1])), []
    if prefer is not None and len(table):
        if prefer.weights:
            keys = [weighted(prefer, metrics, table, table)]
        else:
            found = tiers(prefer, metrics, table)
            keys = [np.maximum(table[:, tier.column], tier.bound) for tier in found]
            columns = [tier.column for tier in found]
    keys += [table[:, j] for j in columns]
    return np.lexsort(keys[::-1])


def aims(prefer: Preference, metrics: Sequence[str], table: Floats, basis: Floats) -> tuple[Floats, Floats]:
    """What a sampler is to go for: (k, n) losses, and (k, c) slacks to be kept at 0 or below, for each row of `table`.

    basis: the trials that say what is best and how wide the front is; those that keep the constraints.

    Of weights it is the weighted sum. An order is a part of the front: all objectives up to the first that has no tolerance, where those
    before it are within theirs. So the most important one is still made better, which moves the bound, and the others are
    wherever that leaves room. (One number for both would be flat within the tolerance and a cliff at its end.)
    """
    if prefer.weights:
        return weighted(prefer, metrics, table, basis)[:, None], np.empty((len(table), 0))
    found = tiers(prefer, metrics, basis)[: len(prefer.decisive)]
    columns = [tier.column for tier in found]
    return table[:, columns], table[:, columns[:-1]] - [tier.bound for tier in found[:-1]]


def weighted(prefer: Preference, metrics: Sequence[str], table: Floats, basis: Floats) -> Floats:
    """(k,) the weighted sum of each row of `table`; scales are those of the front of `basis`."""
    table, basis = np.clip(table, -_MOST, _MOST), np.clip(basis, -_MOST, _MOST)
    weights = np.array([prefer.weights[metric] for metric in metrics])
    if not len(basis):
        return np.zeros(len(table))
    front = basis[non_dominated(basis)]
    with np.errstate(all="ignore"):
        spans = np.array([_span(front[:, j], basis[:, j]) for j in range(len(metrics))])
        total = ((table - front.min(axis=0)) / spans) @ (weights / weights.sum())
    return np.asarray(np.nan_to_num(total, nan=_MOST, posinf=_MOST, neginf=-_MOST))


def tiers(prefer: Preference, metrics: Sequence[str], table: Floats) -> list[Tier]:
    """Objective by objective of an order, how good the best of `table` is, and who is as good."""
    left = np.ones(len(table), bool)
    found = []
    for rank in prefer.order:
        j = metrics.index(rank.metric)
        column = table[:, j]
        best = float(column[left].min(initial=np.inf))
        bound = best + rank.within * (abs(best) if rank.relative else 1.0)
        left = left & (column <= bound)
        found.append(Tier(j, best, bound, left))
    return found


def _span(front: Floats, every: Floats) -> float:
    """How wide an objective is: on the front, else among all, else 1."""
    return float(np.ptp(front)) or float(np.ptp(every)) or 1.0
