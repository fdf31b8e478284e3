"""Which trials are good, and which stand for the bad ones.

Numbers of trials in, numbers of trials out. A split costs a few passes over the losses and no full sort, and what it hands
on is bounded: that is why a suggestion after 10,000 trials costs little more than one after 100.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.samplers.base import Numbers
from taut.samplers.history import History
from taut.samplers.tpe.fronts import best_by_fronts
from taut.space.prior import Bools, Floats

__all__ = ["Kernels", "Split", "split", "thin"]

_MOST_GOOD = 25  # more good trials blur the good density
_LATEST = 32  # bad trials of each sort that stand for themselves
_SPREAD = 96  # bad trials of each sort that stand for all the others
_PENDING = 256  # pending trials that are looked at


class Kernels(NamedTuple):
    """Trials that a density is built on. weights: how many trials each stands for."""

    numbers: Numbers
    weights: Floats


class Split(NamedTuple):
    good: Kernels
    bad: Kernels
    sound: Kernels
    broken: Kernels


def split(history: History, fraction: float) -> Split:
    """The good trials, and some that stand for all others; those that are sound, and those that are broken.

    Good are the best ``ceil(fraction * n)`` of the n trials that were evaluated, at most 25: by loss, or by fronts with
    several objectives. A trial that breaks a constraint comes after all that keep them, ordered by how much it breaks.
    Pruned trials are evaluated ones that are never good. Failed trials are bad for good, and pending ones until they end
    (constant liar). Broken are the trials that failed or break a constraint, sound the others that have ended.
    """
    done, failed, pruned = history.done, history.failed, history.pruned
    count = min(math.ceil(fraction * (len(done) + len(pruned))), _MOST_GOOD, len(done))
    chosen = np.zeros(len(done), bool)
    chosen[_best(history, count)] = True
    pending = history.pending[-_PENDING:]
    bad = [thin(_together(done[~chosen], pruned)), thin(failed), Kernels(pending, np.ones(len(pending)))]
    kept = history.good
    sound, broken = _together(done[kept], pruned), _together(done[~kept], failed)
    return Split(
        good=Kernels(done[chosen], np.ones(count)),
        bad=Kernels(np.concatenate([k.numbers for k in bad]), np.concatenate([k.weights for k in bad])),
        sound=thin(sound),
        broken=thin(broken),
    )


def _together(one: Numbers, other: Numbers) -> Numbers:
    """The trials of both, the latest last."""
    return np.sort(np.concatenate((one, other))) if len(other) else one


def thin(numbers: Numbers) -> Kernels:
    """The latest trials, and evenly spread earlier ones that stand for the rest."""
    early, latest = numbers[:-_LATEST], numbers[-_LATEST:]
    if len(early) <= _SPREAD:
        return Kernels(numbers, np.ones(len(numbers)))
    places = (np.arange(_SPREAD) + 0.5) * (len(early) / _SPREAD)
    weights = np.ones(_SPREAD + len(latest))
    weights[:_SPREAD] = len(early) / _SPREAD
    return Kernels(np.concatenate((early[places.astype(np.int64)], latest)), weights)


def _best(history: History, count: int) -> NDArray[np.int64]:
    """Rows of the `count` best complete trials."""
    kept = history.good
    if kept.all():
        return _lowest_loss(history.loss, count)
    inside = np.flatnonzero(kept)
    if len(inside) >= count:
        return inside[_lowest_loss(history.loss[inside], count)]
    outside = np.flatnonzero(~kept)
    return np.concatenate(
        (inside, outside[_lowest(_violation(history.slack, kept)[outside], count - len(inside))])
    )


def _lowest_loss(loss: Floats, count: int) -> NDArray[np.int64]:
    return _lowest(loss[:, 0], count) if loss.shape[1] == 1 else best_by_fronts(loss, count)


def _lowest(values: Floats, count: int) -> NDArray[np.int64]:
    """Indices of the `count` lowest values; of equal ones the first. (Which ones `argpartition` takes depends on the machine.)"""
    if count >= len(values):
        return np.arange(len(values))
    if count == 0:
        return np.empty(0, np.int64)
    bound = np.partition(values, count - 1)[count - 1]
    below, equal = np.flatnonzero(values < bound), np.flatnonzero(values == bound)
    return np.concatenate((below, equal[: count - len(below)]))


def _violation(slack: Floats, kept: Bools) -> Floats:
    """(n,) how much each trial breaks its constraints: in units of what each constraint is broken by on average."""
    excess = np.maximum(np.where(np.isnan(slack), np.inf, slack), 0.0)
    finite = np.where(np.isfinite(excess) & (excess > 0), excess, np.nan)
    broken = np.maximum((finite > 0).sum(axis=0), 1)
    scale = np.nansum(finite, axis=0) / broken
    return np.asarray((excess / np.where(scale > 0, scale, 1.0)).sum(axis=1))
