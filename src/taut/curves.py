"""What trials reported on their way, as one curve for each: values by step.

A trial may have been run by several attempts, of which some go on from a checkpoint and some begin again, and one that was
taken for dead may still be talking. So of each step the highest attempt's word counts, and of an earlier attempt only what lies
before the first step of a later one. Of a step that an attempt reports twice all metrics count, with their later values. Steps may come in any order.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from taut.events import Reported

__all__ = ["Curves", "Reports"]


class Reports(NamedTuple):
    """Intermediate values of one metric: columns of equal length."""

    number: NDArray[np.int64]
    step: NDArray[np.float64]
    value: NDArray[np.float64]
    time: NDArray[np.float64]


class Curves:
    """The reports of a study. heard: all of them in the order in which they were read, for those who keep count."""

    def __init__(self) -> None:
        self.heard: list[Reported] = []
        self._trials: dict[int, list[Reported]] = {}
        self._mixed: set[int] = set()  # trials whose reports are not of one attempt, step after step
        self._counted: dict[
            int, tuple[int, list[Reported]]
        ] = {}  # of mixed ones: how many rows were read, and what of them counts
        self._sorted = 0

    def of(self, n: int) -> list[Reported]:
        """The reports of trial `n` that count, by step."""
        rows = self._rows(n)
        return self._count(n, rows) if n in self._mixed else rows

    def told_by(self, n: int, attempt: int) -> list[Reported]:
        """The reports of one attempt of trial `n`, by step, whatever later ones say."""
        return _counting([event for event in self._rows(n) if event.a == attempt])

    def mixed(self, n: int) -> bool:
        """Whether the reports of trial `n` are of several attempts, or out of order."""
        self._sort()
        return n in self._mixed

    def last(self, n: int) -> Reported | None:
        """The report of trial `n` at its furthest step."""
        rows = self._rows(n)
        if n in self._mixed:
            rows = self._count(n, rows)
        return rows[-1] if rows else None

    def trials(self) -> list[int]:
        """The trials that have reported."""
        self._sort()
        return list(self._trials)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics with intermediate values."""
        return tuple(dict.fromkeys(name for event in self.heard for name in event.y))

    def reports(self, metric: str) -> Reports:
        """Intermediate values of `metric` that count, trial by trial; those that are no numbers left out."""
        found = [
            (n, event.s, value, event.t)
            for n in self.trials()
            for event in self.of(n)
            if (value := event.y.get(metric)) is not None
        ]
        table = np.array(found, dtype=np.float64).reshape(-1, 4)
        return Reports(table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3])

    def _count(self, n: int, rows: list[Reported]) -> list[Reported]:
        """What counts of all rows of a trial; each is looked at once where attempts go on step after step."""
        read, found = self._counted.get(n, (0, []))
        for event in rows[read:]:
            last = found[-1] if found else None
            if last is None or event.a != last.a or event.s < last.s or event.t < last.t:
                found = _counting(rows)
                break
            if event.s > last.s:
                found.append(event)
            else:  # another metric, or a later word
                found[-1] = msgspec.structs.replace(event, y={**last.y, **event.y})
        self._counted[n] = len(rows), found
        return found

    def _rows(self, n: int) -> list[Reported]:
        if self._sorted < len(self.heard):
            self._sort()
        return self._trials.get(n, [])

    def _sort(self) -> None:
        for event in self.heard[self._sorted :]:
            rows = self._trials.get(event.n)
            if rows is None:
                rows = self._trials[event.n] = []
            elif event.s <= rows[-1].s or event.a != rows[-1].a:
                self._mixed.add(event.n)
            rows.append(event)
        self._sorted = len(self.heard)


def _counting(rows: list[Reported]) -> list[Reported]:
    found: dict[float, Reported] = {}
    until = float("inf")
    for attempt in sorted({event.a for event in rows}, reverse=True):
        steps: dict[float, Reported] = {}
        for event in sorted((row for row in rows if row.a == attempt), key=lambda row: row.t):
            before = steps.get(event.s)
            values = event.y if before is None else {**before.y, **event.y}
            steps[event.s] = event if before is None else msgspec.structs.replace(event, y=values)
        found.update({step: event for step, event in steps.items() if step < until})
        until = min(until, *steps)
    return [found[step] for step in sorted(found)]
