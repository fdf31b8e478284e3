"""What figures show of trials: a value for each, and where each lies along every parameter."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.definition import Definition, Objective
from taut.errors import InputError, nearest
from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space import lognormal, loguniform, loguniform_int
from taut.space.continuous import Number
from taut.space.levels import Levels
from taut.space.parameter import Searched
from taut.trial import State

__all__ = ["Axis", "Points", "axes_of", "objective_of", "thinned"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Points(NamedTuple):
    """The trials that have told an objective, or reported it before they ended early; columns of equal length, by number.

    value: what was told or reported last. whole: whether the trial is complete. kept: whether it keeps the study's constraints.
    finished: seconds since the epoch; of a trial that waits, when it was last heard of.
    """

    objective: Objective
    number: Ints
    value: Floats
    whole: Bools
    kept: Bools
    finished: Floats

    @staticmethod
    def of(snapshot: Snapshot, metric: str | None = None) -> Points:
        """metric: one of the objectives, the first if left out."""
        objective = objective_of(snapshot.definition, metric)
        value, finished = snapshot.values(objective.metric).copy(), snapshot.finished.copy()
        early = snapshot.where(State.PRUNED, State.PAUSED).tolist()
        for n in early:
            last = snapshot.curves.last(n)
            told = None if last is None else last.y.get(objective.metric)
            if math.isnan(value[n]) and told is not None:
                value[n] = told
            if math.isnan(finished[n]) and last is not None:
                finished[n] = last.t
        known = np.isin(snapshot.state, (State.COMPLETE, State.PRUNED, State.PAUSED)) & np.isfinite(value)
        rows = np.flatnonzero(known)
        slack = slacks(snapshot.definition.subject_to, snapshot.values, snapshot.size)[rows]
        kept = np.asarray(~(slack > 0.0).any(axis=1))
        return Points(
            objective, rows, value[rows], snapshot.state[rows] == State.COMPLETE, kept, finished[rows]
        )

    @property
    def loss(self) -> Floats:
        """The values such that less is better."""
        return self.value if self.objective.minimize else -self.value

    @property
    def good(self) -> Bools:
        """Which of them are complete and keep the constraints."""
        return self.whole & self.kept

    def where(self, rows: Bools | Ints) -> Points:
        return Points(
            self.objective,
            self.number[rows],
            self.value[rows],
            self.whole[rows],
            self.kept[rows],
            self.finished[rows],
        )


class Axis(NamedTuple):
    """A parameter as an axis. at: (n,) where each trial lies, NaN where it has none. unit: (n,) the same from 0 to 1.

    labels: the names of its levels, which lie at 0, 1, 2, ...; None for a number. ordered: whether neighbours are alike. whole: whether
    it is a whole number. log: whether a logarithmic axis shows it best. low, high: its ends.
    """

    name: str
    at: Floats
    unit: Floats
    labels: tuple[str, ...] | None
    ordered: bool
    whole: bool
    log: bool
    low: float
    high: float


def axes_of(snapshot: Snapshot, numbers: Ints) -> list[Axis]:
    """The parameters that are searched and have more than one value, for these trials."""
    space, codes = snapshot.space, snapshot.codes[numbers]
    units = space.encode(codes)
    found = []
    for j, (name, parameter) in enumerate(zip(space.searched, space.columns, strict=True)):
        at = codes[:, j]
        unit = np.where(np.isnan(at), np.nan, units[:, j])
        if parameter.cells != 1 and not np.isnan(at).all():
            found.append(_axis(name, parameter, at, unit))
    return found


def _axis(name: str, parameter: Searched, at: Floats, unit: Floats) -> Axis:
    if isinstance(parameter, Levels):
        labels = tuple(str(level) for level in parameter.values)
        return Axis(name, at, unit, labels, parameter.kind == "ordinal", False, False, 0.0, len(labels) - 1.0)
    assert isinstance(parameter, Number), f"{parameter!r} has neither levels nor bounds"
    low, high = (float(end) for end in parameter.bounds)
    log = isinstance(parameter, loguniform | loguniform_int | lognormal) and low > 0.0
    return Axis(name, at, unit, None, True, parameter.cells > 0, log, low, high)


def objective_of(definition: Definition, metric: str | None) -> Objective:
    """The objective of this name, the first if left out. Raises `InputError` for any other name."""
    if metric is None:
        return definition.objectives[0]
    names = [objective.metric for objective in definition.objectives]
    if metric not in names:
        raise InputError(
            f"{metric!r} is no objective of this study; use {', '.join(names)}{nearest(metric, names)}",
            ("metric",),
        )
    return definition.objectives[names.index(metric)]


def thinned(loss: Floats, most: int) -> Ints:
    """At most `most` rows, in their order: of too many the best half of that, and others evenly among the rest."""
    if len(loss) <= most:
        return np.arange(len(loss))
    order = np.argsort(loss, kind="stable")
    best, rest = order[: most // 2], np.sort(order[most // 2 :])
    even = rest[np.linspace(0, len(rest) - 1, most - len(best)).round().astype(np.int64)]
    return np.sort(np.concatenate((best, even)))
