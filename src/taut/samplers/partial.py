"""What trials that stopped on the way would probably have come to.

From rung to rung, the trials that were on both tell how values change: a line, which with few of them is one that only moves
all values by the same amount. Chained, these lines carry what a trial had on its highest rung to the highest rung that any trial is on.
So all trials can be compared, and a sampler learns from every one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taut.definition import Definition
from taut.ladder import Ladder
from taut.samplers.base import Numbers
from taut.snapshot import Snapshot
from taut.space.prior import Bools, Floats
from taut.trial import State

__all__ = ["Partial"]

_ETA = 3.0  # between rungs, where the pruner has no such number
_PRIOR = 3.0  # pairs that the slope of 1 is worth
_STEEPEST = 2.0


class Partial:
    """numbers: trials with a value on some rung that have not failed. loss: (k, m) carried to the highest rung. whole: (size,) which trials
    have been there. ended: (k,) when they came to their highest rung. top: (k,) which one that is.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._ladder = ladder = Ladder.of(snapshot, rungs(snapshot.definition))
        count = min(len(ladder), snapshot.size)
        top = ladder.heights[:count] - 1
        alive = (top >= 0) & (snapshot.state[:count] != State.FAILED)
        self.numbers: Numbers = np.flatnonzero(alive)
        self.top = top[self.numbers]
        self._losses = np.where(ladder.exact[:, :, None], ladder.losses, np.nan)
        self.loss: Floats = carried(self._losses[self.numbers], self.top)
        self.whole: Bools = np.zeros(snapshot.size, bool)
        if len(self.numbers):
            self.whole[self.numbers] = self.top == self.top.max()
        self.ended = ladder.times[self.numbers]
        self._snapshot = snapshot

    def steps(self, numbers: Numbers) -> tuple[NDArray[np.int64], Floats, Floats, Bools]:
        """What `Steps` says, of the trials `numbers`."""
        found = self._losses[numbers]
        known: Bools = np.asarray(np.isfinite(found).all(axis=2))
        who, rung = np.nonzero(known)
        top = np.where(known, np.arange(found.shape[1]), -1).max(axis=1)
        table = np.where(known[:, :, None], found, np.nan)
        peak = int(top.max(initial=0))
        loss = np.empty((len(who), found.shape[2]))
        for j in range(found.shape[2]):
            column, lifted = table[:, :, j], table[:, :, j].copy()
            for step in range(peak):
                lifted[:, : step + 1] = _line(column[:, step], column[:, step + 1], lifted[:, : step + 1])
            loss[:, j] = lifted[who, rung]
        steps = np.log(self._ladder.rungs)
        grade = (steps - steps[-1]) / max(steps[-1] - steps[0], 1e-9)
        return who, grade[rung], loss, rung == top[who]

    def share(self, numbers: Numbers) -> Floats:
        """(k,) which part of a whole trial each of `numbers` was given; NaN while it runs, since nobody knows how long."""
        snapshot, fidelity = self._snapshot, self._snapshot.definition.fidelity
        assert fidelity is not None
        height = np.array([fidelity.share(rung) for rung in self._ladder.rungs])
        part = height[self._ladder.heights[numbers] - 1]
        part = np.where(snapshot.state[numbers] == State.COMPLETE, 1.0, part)
        return np.where(snapshot.state[numbers] == State.RUNNING, np.nan, part)

    @staticmethod
    def of(snapshot: Snapshot) -> Partial:
        return Partial(snapshot)

    def values(self, metric: str) -> Floats:
        """(size,) the metric of every trial on its highest rung; NaN where it has none."""
        found = np.full(self._snapshot.size, np.nan)
        found[self.numbers] = self._ladder.raw(metric)[self.numbers, self.top]
        return found


def rungs(definition: Definition) -> list[float]:
    """The steps at which trials are compared."""
    assert definition.fidelity is not None
    options = {} if definition.pruner is None else definition.pruner.options
    return definition.fidelity.rungs(float(options.get("eta", _ETA)))


def carried(losses: Floats, top: Numbers) -> Floats:
    """(k, m) losses (k, R, m) of each trial's highest rung `top` (k,), carried to the highest of all."""
    m = losses.shape[2]
    result = np.empty((len(top), m))
    for j in range(m):
        column = losses[:, :, j]
        value = column[np.arange(len(top)), top] if len(top) else np.empty(0)
        for rung in range(int(top.max(initial=0))):
            below = top <= rung
            value = np.where(below, _line(column[:, rung], column[:, rung + 1], value), value)
        result[:, j] = value
    return result


def _line(low: Floats, high: Floats, value: Floats) -> Floats:
    """What `value` (k,) on a rung becomes on the next, where `low` (k,) became `high` (k,)."""
    both = np.isfinite(low) & np.isfinite(high)
    n = int(both.sum())
    if not n:
        return value
    a, b = low[both], high[both]
    spread = float(a.var())
    slope = 1.0
    if spread > 0.0:
        slope = (n * float(np.mean((a - a.mean()) * (b - b.mean()))) + _PRIOR * spread) / (
            (n + _PRIOR) * spread
        )
    return np.asarray(b.mean() + min(max(slope, 0.0), _STEEPEST) * (value - a.mean()))
