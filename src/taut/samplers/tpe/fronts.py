"""The best of trials with several objectives: front by front, and of the last front those that lie apart."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from taut.samplers.quasirandom import halton
from taut.space.prior import Floats

__all__ = ["best_by_fronts"]

_WIDEST = 128  # members of a front that are looked for, with three objectives or more


def best_by_fronts(loss: Floats, count: int) -> NDArray[np.int64]:
    """Indices of the `count` best rows of `loss` (n, m): by non-dominated rank, ties by crowding distance.

    Both are those of NSGA-II (Deb et al., IEEE Trans. Evol. Comput. 6, 2002, section III), except that crowding is worked
    out again after each row that is left out, so that neighbours do not leave together.
    """
    left = np.lexsort(
        loss.T[::-1]
    )  # by the first objective, then by the second: a row never dominates an earlier one
    found: list[NDArray[np.int64]] = []
    missing = min(count, len(loss))
    while missing:
        first = _front(loss[left])
        front = left[first]
        if len(front) > missing:
            front = _apart(loss, front, missing)
        found.append(front)
        missing -= len(front)
        left = np.delete(left, first)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _front(loss: Floats) -> NDArray[np.int64]:
    """Places of rows that no other dominates, of equal rows the first; rows are in lexicographic order.

    With two objectives all of them. With more, members are found one by one, each the best by another weighted sum.
    """
    if loss.shape[1] == 2:
        lowest = np.minimum.accumulate(loss[:, 1])
        before = np.concatenate(([np.inf], lowest[:-1]))
        return np.flatnonzero(loss[:, 1] < before)
    width = np.ptp(loss, axis=0)
    loss = loss / np.where(width > 0, width, 1.0)
    members: list[int] = []
    left = np.arange(len(loss))
    for weights in _weights(loss.shape[1]):
        best = left[(loss[left] @ weights).argmin()]
        members.append(int(best))
        left = left[(loss[left] < loss[best]).any(axis=1)]
        if not len(left):
            break
    return np.array(members)


@functools.lru_cache(maxsize=8)
def _weights(m: int) -> Floats:
    """(_WIDEST, m) weight vectors, spread over the simplex."""
    weights: Floats = 1e-3 - np.log1p(-halton(np.arange(_WIDEST), m, 0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _apart(loss: Floats, front: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` of the front that lie apart from each other; the ends stay longest."""
    rows = loss[front]
    width = np.ptp(rows, axis=0)
    rows = rows / np.where(width > 0, width, 1.0)
    if len(front) > 8 * count:  # far too many: begin with evenly spread ones
        places = np.linspace(0, len(front) - 1, 8 * count).astype(np.int64)
        front, rows = front[places], rows[places]
    while len(front) > count:
        out = int(_crowding(rows).argmin())
        front, rows = np.delete(front, out), np.delete(rows, out, axis=0)
    return front


def _crowding(rows: Floats) -> Floats:
    """(n,) crowding distance: the sum over objectives of the gap between a row's neighbours."""
    distance = np.zeros(len(rows))
    for column in rows.T:
        order = np.argsort(column, kind="stable")
        sorted_ = column[order]
        gap = np.full(len(rows), np.inf)
        gap[1:-1] = sorted_[2:] - sorted_[:-2]
        distance[order] += gap
    return distance
