"""Who stays so that a front of many objectives is covered evenly: reference directions and niches, as in NSGA-III.

Deb & Jain, IEEE Trans. Evol. Comput. 18, 2014, section IV; constraints as in part II (Jain & Deb, same volume).
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
from numpy.typing import NDArray

from taut.samplers.population.elite import Chosen
from taut.samplers.population.ended import Ended
from taut.space.prior import Bools, Floats
from taut.standing import fronts

__all__ = ["directions", "fulfilled", "niched"]

_OFF_AXIS = 1e-6  # weight of the other objectives where an extreme point of one is sought (eq. 4)


@functools.lru_cache(maxsize=16)
def directions(m: int, most: int) -> Floats:
    """(k, m) points spread evenly over the simplex, k <= `most` unless that is less than m.

    Das & Dennis, SIAM J. Optim. 8, 1998. With p divisions there are C(m + p - 1, p). Where p < m all of them lie on the border; a second, inner layer
    takes what is left of `most` (section IV-B of the paper recommends two layers for many objectives).
    """
    outer = _divisions(m, most)
    points = _lattice(m, outer)
    inner = _divisions(m, most - len(points)) if 0 < outer < m else 0
    if inner and len(points) + math.comb(m + inner - 1, inner) <= most:
        points = np.concatenate((points, (_lattice(m, inner) + 1.0 / m) / 2.0))
    points.flags.writeable = False
    return points


def _divisions(m: int, most: int) -> int:
    """The largest p of which there are at most `most` points; 1 at least."""
    if m == 1:
        return 1
    return max(1, next(p for p in itertools.count(1) if math.comb(m + p - 1, p) > most) - 1)


def _lattice(m: int, p: int) -> Floats:
    """All points whose coordinates are multiples of 1/p and sum to 1: p stars, parted by m - 1 bars."""
    bars = np.array(list(itertools.combinations(range(p + m - 1), m - 1)), np.int64)
    ends = np.full((len(bars), 1), p + m - 1)
    return (np.diff(np.concatenate((np.full_like(ends, -1), bars, ends), axis=1), axis=1) - 1) / p


def fulfilled(ended: Ended) -> Bools:
    """(k,) which trials break no constraint."""
    if not ended.slack.shape[1]:
        return np.ones(len(ended), bool)
    return np.asarray(~(ended.slack > 0.0).any(axis=1))


def niched(ended: Ended, count: int, ideal: Floats, rng: np.random.Generator) -> Chosen:
    """The `count` that stay: front by front, of the last one those in the emptiest niches; they stand by their fronts alone.

    Then come those that break constraints, the least first. ideal: (m,) the least loss in each objective so far.
    """
    kept = fulfilled(ended)
    rows = np.flatnonzero(kept)
    if len(rows) <= count:
        merit = ended.standing()
        merit[rows] = fronts(ended.loss[rows])
        chosen = np.argsort(merit, kind="stable")[:count]
        return Chosen(chosen, merit[chosen])
    rank = fronts(ended.loss[rows])
    order = np.argsort(rank, kind="stable")
    last = rank[order[count - 1]]
    first, end = np.searchsorted(rank[order], (last, last + 1)).tolist()
    inside, edge = order[:first], order[first:end]
    scaled = _normalised(ended.loss[rows[order[:end]]], ideal)
    along = scaled @ _rays(scaled.shape[1], count)  # algorithm 3
    niche = along.argmax(axis=1)
    away = (scaled**2).sum(axis=1) - along[np.arange(end), niche] ** 2
    taken = np.bincount(niche[:first], minlength=along.shape[1])
    filled = _filled(niche[first:], away[first:], taken, count - first, rng)
    chosen = np.concatenate((inside, edge[filled]))
    return Chosen(rows[chosen], rank[chosen].astype(float))


@functools.lru_cache(maxsize=16)
def _rays(m: int, most: int) -> Floats:
    """(m, k) the directions, each of length 1."""
    points = directions(m, most)
    return np.asarray((points / np.linalg.norm(points, axis=1, keepdims=True)).T)


def _normalised(loss: Floats, ideal: Floats) -> Floats:
    """Losses from 0, the ideal point, to 1, where the plane through the extreme points meets the axes (algorithm 2)."""
    moved = loss / 2.0 - ideal / 2.0  # halves, so that no difference is too large for a float
    width = moved.max(axis=0)
    moved /= np.where(width > 0.0, width, 1.0)
    weight = _weights(loss.shape[1])
    extreme = moved[(moved / weight[:, None]).max(axis=2).argmin(axis=1)]  # eq. 4
    try:
        intercepts = 1.0 / np.linalg.solve(extreme, np.ones(len(weight)))
    except np.linalg.LinAlgError:
        return moved
    sound = (intercepts > _OFF_AXIS) & (intercepts <= 1.0)
    return moved / intercepts if sound.all() else moved


@functools.lru_cache(maxsize=16)
def _weights(m: int) -> Floats:
    """(m, m) a row for each axis."""
    return np.where(np.eye(m, dtype=bool), 1.0, _OFF_AXIS)


def _filled(
    niche: NDArray[np.int64], away: Floats, taken: NDArray[np.int64], missing: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Places of `missing` candidates, each in turn from one of the emptiest niches, ties drawn by lot (algorithm 4).

    niche: (k,) of each candidate. away: (k,) how far it is from its ray: of a niche with nobody in it the
        nearest comes first, of others any. taken: how many each niche has. The i-th candidate of a niche (from
        0) is chosen when the emptiest have `taken` + i.
    """
    lots = rng.random((2, len(niche)))
    nearest = np.lexsort((away, niche))
    ascending = niche[nearest]
    first = np.ones(len(niche), bool)  # of its niche
    first[1:] = ascending[1:] != ascending[:-1]
    lots[0, nearest[first & (taken[ascending] == 0)]] = -1.0
    order, row = np.lexsort((lots[0], niche)), np.arange(len(niche))
    level = taken[ascending] + row - np.maximum.accumulate(np.where(first, row, 0))
    return order[np.lexsort((lots[1], level))[:missing]]
