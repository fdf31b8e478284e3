"""How trials stand among each other on a rung: by loss, by fronts, and after those that keep the constraints."""

from __future__ import annotations

import numpy as np

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
    place = np.empty(len(merit))
    place[np.argsort(merit, kind="stable")] = np.arange(len(merit))
    place = np.where(np.isinf(merit), np.inf, place)
    scale = excess.max(axis=0)
    beyond = (excess / np.where(scale > 0.0, scale, 1.0)).sum(axis=1)
    order = np.argsort(np.argsort(beyond[broken], kind="stable"), kind="stable")
    place[broken] = len(merit) + order
    return place


def _by_fronts(loss: Floats) -> Floats:
    finite = np.isfinite(loss).all(axis=1)
    merit = np.full(len(loss), np.inf)
    left, rank = np.flatnonzero(finite), 0
    while len(left):
        rows = loss[left]
        no_worse = (rows[:, None] <= rows[None]).all(axis=2)
        better = (rows[:, None] < rows[None]).any(axis=2)
        first = ~(no_worse & better).any(axis=0)
        merit[left[first]] = rank + _crowded(rows[first])
        left, rank = left[~first], rank + 1
    return merit


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
