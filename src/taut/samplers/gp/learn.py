"""From trials to posteriors: when hyperparameters are learned, on which trials, and how well that predicts.

Hyperparameters are learned at *marks*, numbers of trials that lie a tenth apart, from the trials that had ended by then;
between marks the factor of the covariance is extended. What was learned at a mark depends on those trials alone, so any
worker comes to the same, and it is kept, so that most suggestions learn nothing.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.samplers.gp.fit import fit
from taut.samplers.gp.kernel import Features, Hyper
from taut.samplers.gp.posterior import Root
from taut.samplers.gp.transform import signed_log, yeo_johnson
from taut.space.prior import Floats

__all__ = ["Learned", "learn"]

_FIRST = 12  # below so many trials hyperparameters are fixed ones
_STEP = 50  # trials between marks, at most
_MOST = 400  # trials that a posterior is built on
_FITTED = 256  # trials that hyperparameters are learned from


class Learned(NamedTuple):
    """A root on the features of some trials, and their outputs, transformed. rows: (r,) which of the trials these are.

    skill: how much of the variance of outputs the model predicts that it was not shown: 1 everything, 0 or less nothing.
    """

    root: Root
    outputs: Floats
    rows: NDArray[np.int64]
    skill: float


class _Mark(NamedTuple):
    root: Root
    rows: NDArray[np.int64]
    skill: float


def learn(features: Features, x: Floats, values: Floats, around_zero: bool = False) -> Learned:
    """What n trials teach, whose features are x (n, p) and whose outputs are values (n,), in the order in which they ended.

    around_zero: values are slacks, of which the sign matters; otherwise they are losses, and only their order does much.
    """
    n = len(values)
    m = _mark(n)
    mark = _marked(features, x[:m].tobytes(), values[:m].tobytes(), around_zero)
    rows = np.concatenate((mark.rows, np.arange(m, n)))
    return Learned(mark.root.extended(x[m:]), _outputs(values[rows], around_zero), rows, mark.skill)


def _outputs(values: Floats, around_zero: bool) -> Floats:
    return signed_log(values) if around_zero else yeo_johnson(values)


@functools.lru_cache(maxsize=16)
def _marked(features: Features, x: bytes, values: bytes, around_zero: bool) -> _Mark:
    y = np.frombuffer(values)
    rows = _standing(y, _MOST)
    points = np.frombuffer(x).reshape(len(y), -1)[rows]
    outputs = _outputs(y[rows], around_zero)
    if len(y) <= _FIRST:
        hyper = Hyper.fixed(features.count)
    else:
        few = _standing(outputs, _FITTED)
        hyper = fit(points[few], outputs[few], features.group)
    root = Root(points, hyper, features.group)
    missed = float(np.mean((outputs - root.left_out(outputs)) ** 2))
    spread = float(np.var(outputs))
    return _Mark(root, rows, 1.0 - missed / spread if spread > 0.0 else 0.0)


def _standing(y: Floats, most: int) -> NDArray[np.int64]:
    """Rows that stand for all: a quarter of them the best, a quarter the latest, the rest spread evenly over the others."""
    n = len(y)
    if n <= most:
        return np.arange(n)
    chosen = np.zeros(n, bool)
    chosen[np.argsort(y, kind="stable")[: most // 4]] = True
    chosen[n - most // 4 :] = True
    others = np.flatnonzero(~chosen)
    chosen[others[np.linspace(0, len(others) - 1, most - int(chosen.sum())).astype(np.int64)]] = True
    return np.flatnonzero(chosen)


def _mark(n: int) -> int:
    """The last mark up to n; every number of trials is one while there are few."""
    mark = min(n, _FIRST)
    while True:
        following = mark + min(max(1, mark // 10), _STEP)
        if following > n:
            return mark
        mark = following
