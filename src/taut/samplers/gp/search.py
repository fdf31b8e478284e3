"""The best point of a mixed space by a score: many candidates, then local search from several of the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taut.samplers.geometry import Geometry
from taut.space.prior import Bools, Floats

__all__ = ["maximise", "perturbed"]

Score = Callable[[Floats, "Bools | None"], Floats]

_STARTS = 4  # places that are searched from
_APART = 0.1  # how far they differ in some coordinate
_ROUNDS = 10
_LONGEST = 2.5  # times as many, at most
_BROOD = 12  # neighbours looked at from each place in each round


def maximise(
    score: Score,
    geometry: Geometry,
    scattered: Floats,
    good: Floats,
    taken: Floats,
    rng: np.random.Generator,
    effort: float = 1.0,
) -> tuple[Floats, float]:
    """(d,) the point with the highest score found, and the score; none of `taken` unless nothing else turned up.

    scattered: (m, d) points all over the cube; as many again are looked at around those of `good` (k, d).
    effort: longer searches, where above 1.
    """
    taken_keys = set(_keys(taken)) if geometry.repeats else set()
    parents = good[rng.integers(len(good), size=len(scattered))]
    spread = np.exp(rng.uniform(np.log(1e-3), np.log(0.3), size=len(parents)))
    unit, active = geometry.settle(np.concatenate((scattered, perturbed(geometry, parents, spread, rng))))
    values = _scored(score, unit, active, taken_keys)
    best = _apart(unit, values)
    points, heights = unit[best], values[best]
    step = np.full(len(best), 0.1)
    each = np.arange(len(best))
    for _ in range(int(_ROUNDS * min(max(effort, 1.0), _LONGEST))):
        children = perturbed(geometry, np.repeat(points, _BROOD, axis=0), np.repeat(step, _BROOD), rng)
        children, active = geometry.settle(children)
        found = _scored(score, children, active, taken_keys).reshape(-1, _BROOD)
        winner = found.argmax(axis=1)
        top = found[each, winner]
        up = top > heights
        points[up], heights[up] = children[each * _BROOD + winner][up], top[up]
        step = np.clip(np.where(up, step * 1.2, step * 0.6), 1e-4, 0.3)
    best_place = int(heights.argmax())
    return points[best_place], float(heights[best_place])


def perturbed(geometry: Geometry, parents: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """(m, d) a neighbour of each parent: all, three or one or two coordinates moved by about `spread` (m,) of their
    range, reflected at its ends; ordered cells at least to the next one, choices to any other."""
    m, free = len(parents), geometry.free
    rates = np.minimum(1.0, np.array([len(free), 3.0, 1.5]) / len(free))
    move = rng.random((m, len(free))) < rates[rng.integers(3, size=m)][:, None]
    move[np.arange(m), rng.integers(len(free), size=m)] |= ~move.any(axis=1)
    children = parents.copy()
    moved = parents[:, free] + np.where(move, spread[:, None] * rng.standard_normal((m, len(free))), 0.0)
    moved = 1.0 - np.abs(1.0 - np.abs(moved))
    children[:, free] = np.where(move, np.clip(moved, 0.0, 1.0), parents[:, free])
    where = {j: i for i, j in enumerate(free.tolist())}
    for j, middles in geometry.middles.items():
        rows = np.flatnonzero(move[:, where[j]])
        here, cells = geometry.nearest(j, parents[rows, j]), len(middles)
        if j in geometry.unordered:
            there = (here + rng.integers(1, cells, size=len(rows))) % cells
        else:
            there = geometry.nearest(j, children[rows, j])
            side = np.where(children[rows, j] > parents[rows, j], 1, -1)
            there = np.where(there == here, here + side, there)
            there = np.where(there < 0, 1, np.where(there >= cells, cells - 2, there))
        children[rows, j] = middles[there]
    return children


def _scored(score: Score, unit: Floats, active: Bools | None, taken: set[Any]) -> Floats:
    values = score(unit, active)
    if taken:
        values[[i for i, key in enumerate(_keys(unit)) if key in taken]] = -np.inf
    return values


def _keys(unit: Floats) -> list[Any]:
    """Something to compare for each row."""
    rows = np.ascontiguousarray(unit)
    if not rows.size:
        return []
    keys: list[Any] = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel().tolist()
    return keys


def _apart(unit: Floats, values: Floats) -> NDArray[np.int64]:
    """Rows of the best values, none close to a better one."""
    order = np.argsort(-values, kind="stable")[: 16 * _STARTS]
    kept = [int(order[0])]
    for i in order[1:].tolist():
        if len(kept) == _STARTS:
            break
        if np.abs(unit[kept] - unit[i]).max(axis=1).min() > _APART:
            kept.append(i)
    return np.array(kept)
