"""What trials had reached at certain steps, the rungs: the table that pruners compare trials by, and samplers learn from.

A trial is on a rung from its first report at that step or a later one on; the value there is what that report says. What a
complete trial told in the end stands on the last rung.
"""

from __future__ import annotations

import bisect
import math
import weakref
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from taut.definition import Definition
from taut.events import Reported
from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space.prior import Floats
from taut.trial import State
from taut.verdict import needed

__all__ = ["Ladder"]

Scalar = TypeVar("Scalar", bound=np.generic)
_Key = tuple[tuple[float, ...], tuple[str, ...]]


class Ladder:
    """Use `Ladder.of(snapshot, rungs)`, which keeps it and reads only what is new.

    rungs: R steps, growing. Rows are trials.
    """

    _known: ClassVar[weakref.WeakKeyDictionary[Snapshot, dict[_Key, Ladder]]] = weakref.WeakKeyDictionary()

    def __init__(self, rungs: Sequence[float], definition: Definition) -> None:
        self.rungs = list(rungs)
        self._objectives = len(definition.objectives)
        self._conditions = definition.subject_to
        self._names = names = needed(definition)
        signs = [1.0 if objective.minimize else -1.0 for objective in definition.objectives]
        self._signs = signs + [1.0] * (len(names) - len(signs))
        # (R, k, n): what is compared lies together. Objectives as losses; infinite where one was no number.
        self._table = np.full((len(rungs), len(names), 0), np.nan)
        self._time = np.full(0, np.nan)  # of each trial, when it came to its highest rung
        self._top = np.zeros(0, np.int64)  # of each trial, how many rungs it is on
        self._exact = np.zeros((0, len(rungs)), bool)  # whether a value was not told further up first
        self._size = 0
        self._above: list[float] = []  # of each trial, the step of the rung above
        self._last: list[tuple[int, float]] = []  # of each trial, the attempt and step that were read last
        self._whole: set[int] = set()  # complete trials
        self._read = self._ended = self._parked = 0

    @classmethod
    def of(cls, snapshot: Snapshot, rungs: Sequence[float]) -> Ladder:
        definition = snapshot.definition
        key = tuple(rungs), tuple(definition.subject_to)
        ladders = cls._known.setdefault(snapshot, {})
        ladder = ladders.get(key)
        if ladder is None:
            ladder = ladders[key] = cls(rungs, definition)
        ladder._update(snapshot)
        return ladder

    def __len__(self) -> int:
        return self._size

    def height(self, n: int) -> int:
        """How many rungs trial `n` is on."""
        return int(self._top[n]) if n < self._size else 0

    @property
    def heights(self) -> NDArray[np.int64]:
        """(n,) how many rungs each trial is on."""
        return self._top[: self._size]

    @property
    def times(self) -> Floats:
        """(n,) when each trial came to the highest rung that it is on, seconds since the epoch."""
        return self._time[: self._size]

    def raw(self, name: str) -> Floats:
        """(n, R) a metric on every rung; NaN where a trial is not, or the metric was no number there."""
        at = self._names.index(name)
        found: Floats = self._table[:, at, : self._size].T * self._signs[at]
        return np.where(np.isinf(found), np.nan, found)

    @property
    def losses(self) -> Floats:
        """(n, R, m) the objectives, less is better: NaN where a trial is not, infinite where it had no number."""
        return self._table[:, : self._objectives, : self._size].transpose(2, 0, 1).copy()

    @property
    def exact(self) -> NDArray[np.bool_]:
        """(n, R) where a trial has a value of that very rung, not one that it told only further up."""
        return self._exact[: self._size]

    def loss(self, numbers: NDArray[np.int64], rung: int) -> Floats:
        """(k, m) `losses` of some trials on one rung."""
        return self._table[rung, : self._objectives].take(numbers, axis=1).T

    def lost(self, n: int, rung: int) -> bool:
        """Whether an objective of trial `n` was no number on a rung."""
        return any(map(math.isinf, self._table[rung, : self._objectives, n].tolist()))

    @property
    def plain(self) -> bool:
        """Whether one loss is all that trials are compared by: a single objective, no constraints."""
        return self._objectives == 1 and not self._conditions

    def slacks(self, rung: int) -> Floats:
        """(n, c) the constraints as far as they are known on a rung, kept where at most 0 (see `taut.slack`)."""
        return slacks(self._conditions, lambda name: self.raw(name)[:, rung], len(self))

    def content(self, first: int, end: int) -> bytes:
        """All that is known of the trials from `first` to before `end`: the same as before as long as nothing has changed."""
        rows = slice(min(first, self._size), min(end, self._size))
        return self._table[:, :, rows].tobytes() + self._top[rows].tobytes()

    def _update(self, snapshot: Snapshot) -> None:
        heard, last, above, whole = snapshot.curves.heard, self._last, self._above, self._whole
        again: set[int] = (
            set()
        )  # trials whose reports came out of order or in several attempts, or whose end is new or taken back
        for event in heard[self._read :]:
            n, at = event.n, event.s
            if n >= self._size:
                self._grow(n + 1)
            attempt, step = last[n]
            if event.a < attempt or at <= step or n in whole:
                again.add(n)
            elif n not in again:
                last[n] = event.a, at
                if at >= above[n]:  # most are of no rung
                    self._climb(n, event)
        self._read = len(heard)
        for n in snapshot.completed[self._ended :]:
            if n >= self._size:
                self._grow(n + 1)
            self._whole.add(n)
            if snapshot.curves.mixed(n):
                again.add(n)
            elif n not in again:
                self._crown(snapshot, n)
        self._ended = len(snapshot.completed)
        if len(self._whole) != snapshot.counts[State.COMPLETE]:  # a later attempt has taken some back
            back = {n for n in self._whole if snapshot.state[n] != State.COMPLETE}
            self._whole -= back
            again |= back
        parked = snapshot.releases.parked
        if self._parked < len(parked):
            again.update(n for n in parked[self._parked :] if n < self._size and snapshot.curves.mixed(n))
            self._parked = len(parked)
        for n in again:
            self._again(snapshot, n)

    def _climb(self, n: int, event: Reported) -> None:
        if event.s < self._above[n] or self._names[0] not in event.y:
            return
        reached = bisect.bisect_right(self.rungs, event.s)
        self._fill(n, self._top[n], reached, event.y)
        self._stand(n, reached, event.t)

    def _crown(self, snapshot: Snapshot, n: int) -> None:
        """What a complete trial told in the end stands on the last rung."""
        top = len(self.rungs)
        self._fill(n, top - 1, top, {name: snapshot.value(n, name) for name in self._names})
        self._stand(n, top, float(snapshot.finished[n]))

    def _fill(self, n: int, first: int, end: int, told: Mapping[str, float | None]) -> None:
        """Rungs of a trial: infinite where it reported that it has no number, NaN where it did not say."""
        for k, (name, sign) in enumerate(zip(self._names, self._signs, strict=True)):
            value = told.get(name, math.nan)
            self._table[first:end, k, n] = math.inf if value is None else sign * value
        self._exact[n, end - 1] = True

    def _stand(self, n: int, height: int, time: float) -> None:
        self._top[n], self._time[n] = height, time
        self._above[n] = self.rungs[height] if height < len(self.rungs) else math.inf

    def _again(self, snapshot: Snapshot, n: int) -> None:
        """Everything about a trial; its furthest report is one of its highest attempt, so what comes after that can be added as ever."""
        self._table[:, :, n] = np.nan
        self._exact[n] = False
        self._stand(n, 0, math.nan)
        # What it had when it came to wait on a rung stays, also if it begins again from its start.
        for attempt, at in snapshot.releases.rungs(n):
            for event in snapshot.curves.told_by(n, attempt):
                if event.s <= at:
                    self._climb(n, event)
        for event in snapshot.curves.of(n):
            self._climb(n, event)
        last = snapshot.curves.last(n)
        self._last[n] = (-1, -math.inf) if last is None else (last.a, last.s)
        if n in self._whole:
            self._crown(snapshot, n)

    def _grow(self, size: int) -> None:
        if size > len(self._top):
            capacity = max(64, 2 * size)
            self._table = _longer(self._table, capacity, np.nan)
            self._time = _longer(self._time, capacity, np.nan)
            self._exact = _longer(self._exact.T, capacity, False).T
            self._top = _longer(self._top, capacity, 0)
        more = size - self._size
        self._above += self.rungs[:1] * more
        self._last += [(-1, -math.inf)] * more
        self._size = size


def _longer(old: NDArray[Scalar], capacity: int, fill: float) -> NDArray[Scalar]:
    """With more room along the last axis."""
    new = np.full((*old.shape[:-1], capacity), fill, old.dtype)
    new[..., : old.shape[-1]] = old
    return new
