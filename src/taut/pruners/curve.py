"""Extrapolation of learning curves: a trial stops that will hardly become the best."""

from __future__ import annotations

import bisect
import dataclasses
import math
import weakref
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.definition import Definition
from taut.fidelity import Fidelity
from taut.pruners.powerlaw import Forecast, forecast
from taut.pruners.stopping import StoppingPruner, check_chance, check_number
from taut.pruners.tracks import Tracks
from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space.prior import Bools, Floats
from taut.trial import State

__all__ = ["CurvePruner"]

_MOST = 1e100  # values beyond are treated like no numbers

_reached: weakref.WeakKeyDictionary[Tracks, dict[int, tuple[NDArray[np.int64], Floats]]] = (
    weakref.WeakKeyDictionary()
)


@dataclasses.dataclass(frozen=True)
class CurvePruner(StoppingPruner):
    """Stops a trial whose learning curve will hardly lead to a better value, at the step of a whole trial, than the best one has.

    Choose it where curves are smooth and level off, and a whole trial is much longer than what tells where it leads. `asha` asks
    less of the curves; plans that end with a drop (a learning rate that decays to 0 at the end) mislead this one.

    confidence: how sure one must be that a trial will not become the best. Between 0.5 and 1, 0.95 by default.
    least: with how many values a curve is fitted first. At least 3, 4 by default.

    Values at step 0 or before, and values that are no numbers, are not part of the curve. Trials are held against complete ones that
    keep the constraints; as long as there is none at all, against what others under way will surely reach. With several objectives a trial stops if a complete
    one is ahead of it, with that confidence, in each of them.

    Source: Domhan, Springenberg & Hutter, IJCAI 2015, section 4.2 (stop if P(y_m > y_best) < 0.05); the curve: `taut.pruners.powerlaw`.
    """

    needs_fidelity: ClassVar[bool] = True

    confidence: float = 0.95
    least: int = 4

    def __post_init__(self) -> None:
        check_chance(self.confidence)
        check_number("least", self.least, 3, math.inf, "with so many values a curve is fitted", whole=True)

    def begins(self, definition: Definition) -> float:
        return _whole(definition).min

    def stops(self, snapshot: Snapshot, tracks: Tracks, number: int, since: float) -> bool:
        whole = _whole(snapshot.definition).max
        if tracks.last[number] >= whole:
            return False
        curves = self._forecasts(tracks, number, whole)
        if curves is None:
            return False
        rivals = self._rivals(snapshot, tracks, number)
        rivals = rivals[(rivals < [curve.mean for curve in curves]).all(axis=1)]
        if not len(rivals):
            return False
        doubt = 1.0 - self.confidence
        lost = [_out_of_reach(curve, column, doubt) for curve, column in zip(curves, rivals.T, strict=True)]
        return bool(np.all(lost, axis=0).any())

    def _rivals(self, snapshot: Snapshot, tracks: Tracks, number: int) -> Floats:
        """(k, m) what a trial must not surely stay behind of. With one objective, the best."""
        definition = snapshot.definition
        if snapshot.counts[State.COMPLETE]:
            done = snapshot.state == State.COMPLETE
            if definition.subject_to:
                done &= (slacks(definition.subject_to, snapshot.values, snapshot.size) <= 0.0).all(axis=1)
            columns = [
                snapshot.values(objective.metric)[done] * (1.0 if objective.minimize else -1.0)
                for objective in definition.objectives
            ]
            found = np.stack(columns, axis=1)
        else:
            found = np.delete(self._reach(tracks), number, axis=0)
            found = found[np.isfinite(found).all(axis=1)]
        return found.min(axis=0, keepdims=True) if len(found) and found.shape[1] == 1 else found

    def _reach(self, tracks: Tracks) -> Floats:
        """(n, m) what each trial will surely reach; infinite where too little is known. Worked out again for those that have reported."""
        size, m = len(tracks.last), len(tracks.loss)
        kept = _reached.setdefault(tracks, {})
        seen, reach = kept.get(self.least, (np.empty(0, np.int64), np.empty((0, m))))
        if len(seen) < size:
            seen = np.append(seen, np.zeros(size - len(seen), np.int64))
            reach = np.concatenate((reach, np.full((size - len(reach), m), np.inf)))
        for n in np.flatnonzero(tracks.changed != seen).tolist():
            curves = self._forecasts(tracks, n, _whole(tracks.definition).max)
            reach[n] = np.inf if curves is None else [curve.surely for curve in curves]
        kept[self.least] = tracks.changed.copy(), reach
        return reach

    def _forecasts(self, tracks: Tracks, number: int, whole: float) -> list[Forecast] | None:
        """The value of trial `number` at the step of a whole trial, for each objective; None where there is too little of its curve."""
        rows = tracks.rows(number)
        steps, losses = tracks.step[rows], tracks.loss[:, rows]
        kept = (steps > 0.0) & (np.abs(losses) <= _MOST).all(axis=0)
        if not kept.all():
            steps, losses = steps[kept], losses[:, kept]
        if len(steps) < self.least or steps[0] >= whole:
            return None
        return [forecast(steps, column, whole) for column in losses]


def _out_of_reach(curve: Forecast, values: Floats, doubt: float) -> Bools:
    """(k,) which of the values a curve comes below with a probability of less than `doubt`."""
    ordered = np.sort(values)
    count = bisect.bisect_left(ordered.tolist(), doubt, key=lambda value: float(curve.below(value)))
    return values < (ordered[count] if count < len(ordered) else np.inf)


def _whole(definition: Definition) -> Fidelity:
    assert definition.fidelity is not None, "a study with this pruner has a fidelity"
    return definition.fidelity
