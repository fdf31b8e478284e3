"""What trials told in the end, as a column for each metric.

Values arrive as dictionaries, and are moved into columns only when somebody looks at them, many at once.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outcomes"]

FloatArray = NDArray[np.float64]


class Outcomes:
    """fresh: what was told since somebody last looked, by trial; nothing takes back what a trial told before."""

    def __init__(self) -> None:
        self.fresh: dict[int, dict[str, float | None]] = {}
        self._columns: dict[str, FloatArray] = {}

    @property
    def names(self) -> list[str]:
        """The metrics that any trial has, in the order in which they were first told."""
        self._settle()
        return [name for name, column in self._columns.items() if not np.isnan(column).all()]

    def column(self, metric: str, size: int) -> FloatArray:
        """(size,) the metric of each trial; NaN where it has none."""
        self._settle()
        column = self._columns.get(metric, np.empty(0))
        if len(column) < size:
            column = _longer(column, size)
            if metric in self._columns:
                self._columns[metric] = column
        return column[:size]

    def of(self, n: int, metric: str) -> float:
        """The metric of one trial; NaN where it has none."""
        if n in self.fresh:
            return _number(self.fresh[n].get(metric))
        column = self._columns.get(metric)
        return math.nan if column is None or n >= len(column) else float(column[n])

    def all_of(self, n: int) -> dict[str, float]:
        """Everything that one trial has told."""
        found = {name: self.of(n, name) for name in self.fresh.get(n, self._columns)}
        return {name: value for name, value in found.items() if value == value}

    def _settle(self) -> None:
        if not self.fresh:
            return
        rows = np.fromiter(self.fresh, np.int64, len(self.fresh))
        size, dicts = int(rows.max()) + 1, list(self.fresh.values())
        for metric in dict.fromkeys([*self._columns, *(name for values in dicts for name in values)]):
            column = self._columns.get(metric, np.empty(0))
            if len(column) < size:
                column = self._columns[metric] = _longer(column, size)
            column[rows] = [_number(values.get(metric)) for values in dicts]
        self.fresh = {}


def _longer(old: FloatArray, size: int) -> FloatArray:
    new = np.full(max(64, 2 * size), np.nan)
    new[: len(old)] = old
    return new


def _number(value: float | None) -> float:
    return math.nan if value is None else value
