"""The way of every trial so far, as arrays: what rules compare that stop trials at any step."""

from __future__ import annotations

import math
import weakref
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.definition import Definition
from taut.events import Reported
from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space.prior import Floats
from taut.verdict import needed

__all__ = ["Tracks"]

Numbers = NDArray[np.int64]

_ROOM = 8  # reports that a trial has place for at first


class Tracks:
    """Use `Tracks.of(snapshot)`, which keeps it and reads only what is new.

    A row is a report that counts (see `taut.curves`) and has every objective. The rows of a trial lie together, by step, in a
    pool; one that outgrows its place is moved to the end of the pool. So memory grows with the reports, however unlike the steps
    of the trials are, and nothing here is a loop over trials.

    step: (p,) of each row. loss: (m, p) the objectives, less is better, infinite where one was no number. mean: (m, p) their
    averages over the trial's rows so far. best: (m, p) the least so far. last: (n,) the furthest step of each trial, minus
    infinity before the first. changed: (n,) how many reports had been read when the rows of each trial last changed.
    """

    _known: ClassVar[weakref.WeakKeyDictionary[Snapshot, Tracks]] = weakref.WeakKeyDictionary()

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self._signs = [
            (objective.metric, 1.0 if objective.minimize else -1.0) for objective in definition.objectives
        ]
        m = len(self._signs)
        self._names = needed(definition)
        self._limited = self._names[m:] if definition.subject_to else []
        self.step: Floats = np.empty(0)
        self.loss, self.mean, self.best = np.empty((m, 0)), np.empty((m, 0)), np.empty((m, 0))
        self._bounded: Floats = np.empty(
            (len(self._limited), 0)
        )  # what constraints name, NaN until it is known
        self._used = self._read = 0  # rows of the pool; reports
        self.last: Floats = np.empty(0)
        self._begin, self._count = np.empty(0, np.int64), np.empty(0, np.int64)
        self.changed = np.empty(0, np.int64)
        self._room: list[int] = []
        self._heard: list[
            tuple[int, float]
        ] = []  # of each trial, the attempt and step of the furthest report
        self._sums: list[list[float]] = []
        self._bounds: list[list[float]] = []

    @classmethod
    def of(cls, snapshot: Snapshot) -> Tracks:
        tracks = cls._known.get(snapshot)
        if tracks is None or tracks.definition is not snapshot.definition:
            tracks = cls._known[snapshot] = cls(snapshot.definition)
        if tracks._read < len(snapshot.curves.heard):
            tracks._update(snapshot)
        return tracks

    # ------------------------------------------------------------------ questions

    def reached(self, n: int) -> float:
        """The furthest step of trial `n`; minus infinite before the first."""
        return float(self.last[n]) if n < len(self._room) else -math.inf

    def rows(self, n: int) -> slice:
        """The rows of trial `n`."""
        if n >= len(self._room):
            return slice(0, 0)
        begin = int(self._begin[n])
        return slice(begin, begin + int(self._count[n]))

    def others(self, n: int) -> Numbers:
        """(k,) the row of every other trial that has reached the step of trial `n`: its last at or before that step."""
        step, count = self.last[n], self._count[n]
        there = self.last[: len(self._room)] >= step
        there[n] = False
        numbers = np.flatnonzero(there)
        begin, counts = self._begin[numbers], self._count[numbers]
        rows: Numbers = begin + np.minimum(counts, count) - 1  # there, if all report at the same steps
        if (self.step[rows] == step).all():
            return rows
        found = self._before(begin, counts, step)
        begun: Numbers = found[found >= begin]  # some began later
        return begun

    def together(self, n: int) -> Numbers:
        """(j, k) the rows of each other trial that has a row at all k steps of trial `n`."""
        steps = self.step[self.rows(n)]
        size = len(steps)
        there = self._count[: len(self._room)] >= size
        there[n] = False
        begin, counts = self._begin[: len(there)][there, None], self._count[: len(there)][there, None]
        rows: Numbers = begin + np.arange(size)
        equal = (self.step[rows] == steps).all(axis=1)
        if not equal.all():
            rows = self._before(begin, counts, steps)
            equal = ((self.step[rows] == steps) & (rows >= begin)).all(axis=1)
        shared: Numbers = rows[equal]
        return shared

    def slacks(self, rows: Numbers) -> Floats:
        """(k, c) the constraints as far as they were known by then, kept where at most 0 (see `taut.slack`)."""
        m = len(self._signs)

        def values(name: str) -> Floats:
            at = self._names.index(name)
            if at >= m:
                return np.asarray(self._bounded[at - m][rows])
            found = self.loss[at][rows] * self._signs[at][1]
            return np.where(np.isinf(found), np.nan, found)

        return slacks(self.definition.subject_to, values, len(rows))

    def _before(self, begin: Numbers, count: Numbers, step: Any) -> Numbers:
        """Of each trial the last row at or before a step; the one before its first where there is none."""
        low = np.zeros(np.broadcast(begin, step).shape, np.int64)
        high = low + count
        while (open_ := low < high).any():
            middle = (low + high) // 2
            passed = self.step[begin + np.minimum(middle, count - 1)] <= step
            low = np.where(open_ & passed, middle + 1, low)
            high = np.where(open_ & ~passed, middle, high)
        return np.asarray(begin + low - 1)

    # ------------------------------------------------------------------ reading

    def _update(self, snapshot: Snapshot) -> None:
        heard = snapshot.curves.heard
        again: set[int] = set()  # trials with reports out of order, or from more than one attempt
        for event in heard[self._read :]:
            n = event.n
            if n >= len(self._room):
                self._grow(n + 1)
            self.changed[n] = len(heard)
            attempt, step = self._heard[n]
            if event.a < attempt or event.s <= step:
                again.add(n)
            elif n not in again:
                self._add(n, event)
        self._read = len(heard)
        for n in again:  # its furthest report is of its highest attempt, so what follows can be added as ever
            self._count[n], self.last[n] = 0, -math.inf
            self._bounds[n] = [math.nan] * len(self._limited)
            for event in snapshot.curves.of(n):
                self._add(n, event)

    def _add(self, n: int, event: Reported) -> None:
        self._heard[n] = event.a, event.s
        told, bounds = event.y, self._bounds[n]
        for j, name in enumerate(self._limited):
            if name in told:
                value = told[name]
                bounds[j] = math.nan if value is None else value
        losses = []
        for name, sign in self._signs:
            if name not in told:
                return
            value = told[name]
            losses.append(math.inf if value is None else sign * value)
        count = int(self._count[n])
        if count == self._room[n]:
            self._move(n, count)
        row = int(self._begin[n]) + count
        if count:
            sums = [a + b for a, b in zip(self._sums[n], losses, strict=True)]
            for j, loss in enumerate(losses):
                self.best[j, row] = min(loss, self.best[j, row - 1])
        else:
            sums = losses
            self.best[:, row] = losses
        self._sums[n] = sums
        for j, loss in enumerate(losses):
            self.loss[j, row] = loss
            self.mean[j, row] = sums[j] / (count + 1)
        if bounds:
            self._bounded[:, row] = bounds
        self.step[row] = self.last[n] = event.s
        self._count[n] = count + 1

    def _move(self, n: int, count: int) -> None:
        """Give trial `n` twice the room, at the end of the pool."""
        old, new = self.rows(n), self._used
        room = max(_ROOM, 2 * count)
        self._used += room
        if self._used > len(self.step):
            size = 2 * self._used
            self.step = _longer(self.step, size)
            self.loss, self.mean, self.best, self._bounded = (
                _longer(table, size) for table in (self.loss, self.mean, self.best, self._bounded)
            )
        for table in (self.step, self.loss, self.mean, self.best, self._bounded):
            table[..., new : new + count] = table[..., old]
        self._begin[n], self._room[n] = new, room

    def _grow(self, size: int) -> None:
        more = size - len(self._room)
        if size > len(self.last):
            self.last = _longer(self.last, 2 * size, -math.inf)
            self._begin, self._count, self.changed = (
                _longer(column, 2 * size) for column in (self._begin, self._count, self.changed)
            )
        self._room += [0] * more
        self._heard += [(-1, -math.inf)] * more
        self._sums += [[] for _ in range(more)]
        self._bounds += [[math.nan] * len(self._limited) for _ in range(more)]


def _longer(old: NDArray[Any], size: int, fill: float = 0) -> NDArray[Any]:
    new = np.full((*old.shape[:-1], size), fill, old.dtype)
    new[..., : old.shape[-1]] = old
    return new
