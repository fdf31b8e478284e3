"""Extrapolation of learning curves: a trial stops that will hardly become the best."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import ClassVar

import numpy as np

from taut.definition import Definition
from taut.fidelity import Fidelity
from taut.pruners.powerlaw import Forecast, forecast
from taut.pruners.stopping import StoppingPruner, check_chance, check_number
from taut.pruners.tracks import Tracks
from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space.prior import Floats
from taut.trial import State

__all__ = ["CurvePruner"]

_SURELY = 1.645  # standard deviations: what a trial that is under way will reach with 95 percent
_MOST = 1e100  # values beyond are treated like no numbers


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
        rivals = self._rivals(snapshot, tracks, number, whole)
        doubt = 1.0 - self.confidence
        for rival in rivals[(rivals < [curve.mean for curve in curves]).all(axis=1)]:
            if all(curve.below(value) < doubt for curve, value in zip(curves, rival.tolist(), strict=True)):
                return True
        return False

    def _rivals(self, snapshot: Snapshot, tracks: Tracks, number: int, whole: float) -> Floats:
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
            reach = [
                [curve.mean + _SURELY * math.sqrt(curve.variance) for curve in curves]
                for n in np.flatnonzero(tracks.last > -np.inf).tolist()
                if n != number and (curves := self._forecasts(tracks, n, whole)) is not None
            ]
            found = np.array(reach).reshape(-1, len(definition.objectives))
        return found.min(axis=0, keepdims=True) if len(found) and found.shape[1] == 1 else found

    def _forecasts(self, tracks: Tracks, number: int, whole: float) -> list[Forecast] | None:
        """The value of trial `number` at the step of a whole trial, for each objective; None where there is too little of its curve."""
        rows = tracks.rows(number)
        steps, losses = tracks.step[rows], tracks.loss[:, rows]
        kept = (steps > 0.0) & (np.abs(losses) <= _MOST).all(axis=0)
        if not kept.all():
            steps, losses = steps[kept], losses[:, kept]
        if len(steps) < self.least or steps[0] >= whole:
            return None
        return [_forecast(steps.tobytes(), column.tobytes(), whole) for column in losses]


@functools.lru_cache(maxsize=4096)
def _forecast(steps: bytes, values: bytes, at: float) -> Forecast:
    return forecast(np.frombuffer(steps), np.frombuffer(values), at)


def _whole(definition: Definition) -> Fidelity:
    assert definition.fidelity is not None, "a study with this pruner has a fidelity"
    return definition.fidelity
