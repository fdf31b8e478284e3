"""From trials to posteriors: when hyperparameters are learned, on which trials, and how well that predicts.

Hyperparameters are learned at *marks*, numbers of trials that lie a tenth apart, from the trials that had ended by then;
between marks the factor of the covariance is extended. What was learned at a mark depends on those trials alone, so any
worker comes to the same, and it is kept, so that most suggestions learn nothing.
"""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.samplers.gp.fit import fit
from taut.samplers.gp.kernel import Features, Hyper
from taut.samplers.gp.posterior import Root
from taut.samplers.gp.transform import signed_log, standardised, yeo_johnson
from taut.space.prior import Floats
from taut.standing import standing

__all__ = ["Kind", "Learned", "learn"]

Kind = Literal["loss", "slack", "cost"]

_FIRST = 12  # up to so many trials hyperparameters are fixed ones
_STEP = 50  # trials between marks, at most
_MOST = 400  # trials that a posterior is built on
_FITTED = 256  # trials that hyperparameters are learned from
_OUTPUTS = {"loss": yeo_johnson, "slack": signed_log, "cost": standardised}


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
    skill: float


def learn(
    features: Features, x: Floats, values: Floats, kind: Kind = "loss", among: Floats | None = None
) -> Learned:
    """What n trials teach, whose features are x (n, p) and whose outputs are values (n,), in the order in which they ended.

    kind: of a loss little more than the order matters, of a slack the sign, of a cost (its logarithm) the differences.
    among: (n, m) all objectives, of which values is one: which trials stand for all is then the same for each of them.
    """
    n = len(values)
    m = _mark(n)
    kept = np.arange(m) if m <= _MOST else _standing(_merit(values if among is None else among, m), _MOST)
    mark = _marked(features, x[kept].tobytes(), values[kept].tobytes(), kind)
    rows = np.concatenate((kept, np.arange(m, n)))
    return Learned(mark.root.extended(x[m:]), _OUTPUTS[kind](values[rows]), rows, mark.skill)


@functools.lru_cache(maxsize=64)
def _marked(features: Features, x: bytes, values: bytes, kind: Kind) -> _Mark:
    y = np.frombuffer(values)
    points = np.frombuffer(x).reshape(len(y), -1)
    outputs = _OUTPUTS[kind](y)
    if len(y) <= _FIRST or not features.count:
        hyper = Hyper.fixed(features.count)
    else:
        few = _standing(outputs, _FITTED)
        hyper = fit(points[few], outputs[few], features.group)
    root = Root(points, hyper, features.group)
    missed = float(np.mean((outputs - root.left_out(outputs)[0]) ** 2))
    spread = float(np.var(outputs))
    return _Mark(root, 1.0 - missed / spread if spread > 0.0 else 0.0)


def _merit(values: Floats, m: int) -> Floats:
    """(m,) how good the first m rows are, less is better. values: (n,) or (n, objectives)."""
    return values[:m] if values.ndim == 1 else standing(values[:m], np.empty((m, 0)))


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
