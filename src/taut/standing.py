"""How trials stand among each other on a rung: by loss, by fronts, and after those that keep the constraints."""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import NDArray

from taut.space.prior import Floats

__all__ = ["standing"]


def standing(loss: Floats, slack: Floats) -> Floats:
    """(k,) a number for each of k trials, less is better; of equal ones nobody is ahead.

    loss: (k, m). slack: (k, c), at most 0 where a constraint is kept; one that is not known yet counts as kept.

    With one objective it is the loss. With several it is the non-dominated rank, and within a front how crowded the place is (Deb
    et al., IEEE Trans. Evol. Comput. 6, 2002, section III). Trials that break a constraint stand behind all others, by how much
    (Deb, Comput. Methods Appl. Mech. Eng. 186, 2000).
    """
    merit = loss[:, 0].copy() if loss.shape[1] == 1 else _by_fronts(loss)
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


def _by_fronts(loss: Floats) -> Floats:
    merit = np.full(len(loss), np.inf)
    rows = np.flatnonzero(np.isfinite(loss).all(axis=1))
    if not len(rows):
        return merit
    points, which = np.unique(loss[rows], axis=0, return_inverse=True)
    rank = (_ranks_of_two if loss.shape[1] == 2 else _ranks)(points)[which.reshape(-1)]
    for each in range(int(rank.max()) + 1):
        front = rows[rank == each]
        merit[front] = each + _crowded(loss[front])
    return merit


def _ranks_of_two(points: Floats) -> NDArray[np.int64]:
    """(k,) of distinct points, sorted by the first objective and then the second. Of each front only the least second value matters."""
    lows: list[float] = []
    rank = np.empty(len(points), np.int64)
    for i, low in enumerate(points[:, 1].tolist()):
        front = bisect.bisect_right(lows, low)
        lows[front : front + 1] = [low]
        rank[i] = front
    return rank


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


def _crowded(front: Floats) -> Floats:
    """(k,) from 0, alone at an end of the front, to below 1, in a crowd."""
    k = len(front)
    distance = np.zeros(k)
    for column in front.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0.0 and k > 2:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return 0.99 / (1.0 + distance)
