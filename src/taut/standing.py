"""How trials stand among each other on a rung: by loss, by fronts, and after those that keep the constraints."""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import NDArray

from taut.space.prior import Floats

__all__ = ["fronts", "non_dominated", "standing"]

_FEW = 32  # rows that are looked at without further ado


def non_dominated(table: Floats) -> NDArray[np.bool_]:
    """(k,) which of k rows of losses no other row is at least as good as everywhere and better somewhere."""
    kept = np.ones(len(table), bool)
    if len(table) > _FEW:  # one good row leaves few others to look at
        columns = np.ascontiguousarray(table.T)
        with np.errstate(all="ignore"):
            scaled = (columns - columns.min(axis=1)[:, None]) / np.ptp(columns, axis=1)[:, None]
        pivot = columns[:, [scaled.sum(axis=0).argmin()]]
        kept[(pivot <= columns).all(axis=0) & (pivot < columns).any(axis=0)] = False
        table = table[kept]
    kept[kept] = _front(table)
    return kept


def _front(table: Floats) -> NDArray[np.bool_]:
    kept = np.ones(len(table), bool)
    order = np.lexsort(table.T[::-1])
    if len(table) and table.shape[1] == 2:
        # Along the first objective, whoever brings a new least value of the second.
        rows = table[order]
        fresh = np.concatenate(([True], (rows[1:] != rows[:-1]).any(axis=1)))
        lower = np.concatenate(([True], rows[1:, 1] < np.minimum.accumulate(rows[:-1, 1])))
        first = np.maximum.accumulate(np.where(fresh, np.arange(len(rows)), 0))  # of rows that are equal
        kept[order] = lower[first]
        return kept
    for i in order:
        if kept[i]:
            beaten = (table[i] <= table).all(axis=1) & (table[i] < table).any(axis=1)
            kept &= ~beaten
    return kept


def standing(loss: Floats, slack: Floats) -> Floats:
    """(k,) a number for each of k trials, less is better; of equal ones nobody is ahead.

    loss: (k, m). slack: (k, c), at most 0 where a constraint is kept; one that is not known yet counts as kept.

    With one objective it is the loss. With several it is the non-dominated rank, and within a front how crowded the place is (Deb
    et al., IEEE Trans. Evol. Comput. 6, 2002, section III). Trials that break a constraint stand behind all others, by how much
    (Deb, Comput. Methods Appl. Mech. Eng. 186, 2000).
    """
    merit = loss[:, 0].copy() if loss.shape[1] == 1 else _by_fronts(loss)
    if not slack.shape[1]:
        return merit
    excess = np.where(slack > 0.0, slack, 0.0)
    broken = (excess > 0.0).any(axis=1)
    if not broken.any():
        return merit
    place = np.unique(merit, return_inverse=True)[1].astype(float)  # equal ones stay equal
    place[np.isinf(merit)] = np.inf
    scale = excess.max(axis=0)
    beyond = (excess / np.where(scale > 0.0, scale, 1.0)).sum(axis=1)
    place[broken] = len(merit) + np.unique(beyond[broken], return_inverse=True)[1]
    place[np.isinf(merit)] = np.inf
    return place


def fronts(loss: Floats) -> NDArray[np.int64]:
    """(k,) the front of each of k rows of finite losses (k, m), from 0; rows of one do not dominate each other."""
    if not len(loss):
        return np.empty(0, np.int64)
    order = np.lexsort(loss.T[::-1])
    rows = loss[order]
    if loss.shape[1] == 2:
        rank = np.empty(len(rows), np.int64)
        rank[order] = _ranks_of_two(rows)
        return rank
    fresh = np.ones(len(rows), bool)
    fresh[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    which = np.empty(len(rows), np.int64)
    which[order] = np.cumsum(fresh) - 1
    return which if loss.shape[1] == 1 else _ranks(rows[fresh])[which]


def _by_fronts(loss: Floats) -> Floats:
    finite = np.isfinite(loss)
    if not finite.all():
        merit = np.full(len(loss), np.inf)
        rows = finite.all(axis=1)
        if rows.any():
            merit[rows] = _by_fronts(loss[rows])
        return merit
    if not len(loss):
        return np.empty(0)
    rank = fronts(loss)
    return np.asarray(rank + _crowded(loss, rank))


def _ranks_of_two(points: Floats) -> list[int]:
    """(k,) of points that are sorted by the first objective and then the second. Of each front only the least second value matters."""
    lows: list[float] = []
    ranks: list[int] = []
    before, front = None, 0
    for point in points.tolist():
        if point != before:  # equal ones are on the same front
            before, low = point, point[1]
            front = bisect.bisect_right(lows, low)
            if front == len(lows):
                lows.append(low)
            else:
                lows[front] = low
        ranks.append(front)
    return ranks


def _ranks(points: Floats) -> NDArray[np.int64]:
    no_worse = np.ones((len(points), len(points)), bool)
    for column in points.T:
        no_worse &= column[:, None] <= column[None]
    np.fill_diagonal(no_worse, False)  # distinct points: no worse is better somewhere
    ahead, rank, front = no_worse.sum(axis=0), np.full(len(points), -1), 0
    while (rank < 0).any():
        first = (ahead == 0) & (rank < 0)
        rank[first] = front
        ahead = ahead - no_worse[first].sum(axis=0)
        front += 1
    return rank


def _crowded(loss: Floats, rank: NDArray[np.int64]) -> Floats:
    """(k,) within each front, from 0, alone at an end of it, to below 1, in a crowd."""
    k, m = loss.shape
    order = np.array(
        [np.lexsort((column, rank)) + j * k for j, column in enumerate(loss.T)]
    )  # one front after the other
    values = loss.T.ravel()[order]
    size = np.bincount(rank)
    last = size.cumsum() - 1
    first = last - size + 1
    span = values[:, last] - values[:, first]
    span[span <= 0.0] = 1.0
    gap = np.full((m, k), np.inf)
    gap[:, 1:-1] = (values[:, 2:] - values[:, :-2]) / np.repeat(span, size, axis=1)[:, 1:-1]
    gap[:, first] = gap[:, last] = np.inf
    distance = np.empty(m * k)
    distance[order] = gap
    return np.asarray(0.99 / (1.0 + distance.reshape(m, k).sum(axis=0)))
