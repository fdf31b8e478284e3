"""What a trial would find and how long it would take, told from the trials of a study that is finished: for rehearsals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.metrics.pareto import best_first
from taut.samplers.geometry import Geometry
from taut.snapshot import Snapshot
from taut.trial import State
from taut.verdict import needed

__all__ = ["Neighbours"]

_NEAREST = 5
_FEWEST = 5  # trials; with fewer there is nothing to rehearse


class Neighbours:
    """The complete trials of a study; what others would find is the mean of the nearest, each by the inverse of its distance.

    Distances are those in the unit cube (logarithms where the parameter's scale is logarithmic); choices that differ are 1 apart, as is a parameter that
    one trial has and the other has not. So the best value is that of the best trial: a rehearsal shows how soon one comes there, and not how
    far one could go.

    Raises `InputError` for a study with fewer than 5 complete trials, or none that keeps the constraints.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._rows = np.flatnonzero(snapshot.state == State.COMPLETE)
        if len(self._rows) < _FEWEST:
            raise InputError(
                f"{len(self._rows)} complete trials are too few to rehearse with; {_FEWEST} or more are needed: "
                "run some more, or rehearse with one of the built-in functions"
            )
        self._space, self._geometry = snapshot.space, Geometry.of(snapshot.space)
        self._names = needed(snapshot.definition)
        self._values = np.stack([snapshot.values(name)[self._rows] for name in self._names])
        self._seconds = np.array([max(snapshot.spent(int(n)), 1e-3) for n in self._rows])
        self._codes = snapshot.codes[self._rows]
        self._unit = self._space.encode(self._codes)
        self._curves = [snapshot.curves.of(int(n)) for n in self._rows]
        self.minimize = snapshot.definition.objectives[0].minimize
        good = best_first(snapshot)
        if not good:
            raise InputError(
                "no trial keeps the constraints, so there is no best one that a rehearsal could look for"
            )
        self._best = float(snapshot.values(snapshot.definition.objectives[0].metric)[good[0]])

    @property
    def best(self) -> float:
        """The best value of the first objective that there is to find, among those that keep the constraints."""
        return self._best

    def objective(self, params: Mapping[str, Any], step: float | None) -> dict[str, float]:
        """The metrics of a trial; on its way, those that had been reported by then."""
        rows, weights = self._near(params)
        values = self._values[:, rows]
        if step is not None:
            values = np.array([[self._at(row, step, i) for row in rows] for i in range(len(self._names))])
        return dict(zip(self._names, (values @ weights).tolist(), strict=True))

    def seconds(self, params: Mapping[str, Any]) -> float:
        """How long a whole trial takes."""
        rows, weights = self._near(params)
        return float(np.exp(np.log(self._seconds[rows]) @ weights))

    def _at(self, row: int, step: float, metric: int) -> float:
        told = [
            value
            for event in self._curves[row]
            if event.s <= step and (value := event.y.get(self._names[metric])) is not None
        ]
        return told[-1] if told else float(self._values[metric, row])

    def _near(self, params: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        codes = self._space.codes([params], known=True)
        unit = self._space.encode(codes)
        apart = np.where(np.isnan(self._codes) != np.isnan(codes), 1.0, self._unit - unit)
        choices = self._geometry.choices
        apart[:, choices] = self._codes[:, choices] != codes[:, choices]
        both = np.isnan(self._codes) & np.isnan(codes)
        apart[both] = 0.0
        distance = np.sqrt((apart[:, self._geometry.free] ** 2).sum(axis=1))
        rows = np.argsort(distance, kind="stable")[:_NEAREST]
        weights = 1.0 / (distance[rows] + 1e-9)
        return rows, weights / weights.sum()
