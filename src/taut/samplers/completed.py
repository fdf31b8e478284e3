"""The complete trials of a snapshot, in the order in which they ended."""

from __future__ import annotations

import weakref
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.samplers.base import Numbers
from taut.snapshot import Snapshot
from taut.space.prior import Bools, Floats
from taut.trial import State

__all__ = ["Completed", "Rows", "lasting"]


class Rows(NamedTuple):
    """number: (k,) trials. loss: (k, m) less is better. ended: (k,) when each did, in seconds since the epoch, ascending."""

    number: Numbers
    loss: Floats
    ended: Floats

    def of(self, chosen: slice | NDArray[np.int64] | Bools) -> Rows:
        return Rows(self.number[chosen], self.loss[chosen], self.ended[chosen])


class Completed:
    """Of one snapshot; kept, so that each trial is taken in once, and all again only where one has changed that had ended."""

    _known: ClassVar[weakref.WeakKeyDictionary[Snapshot, Completed]] = weakref.WeakKeyDictionary()

    def __init__(self, snapshot: Snapshot) -> None:
        self._definition = snapshot.definition
        self._retold, self._seen = snapshot.retold, len(snapshot.completed)
        self._rows, self._count = _roomy(_told(snapshot, np.flatnonzero(snapshot.state == State.COMPLETE)))

    @staticmethod
    def of(snapshot: Snapshot) -> Completed:
        known = Completed._known.get(snapshot)
        if known is None or known._retold != snapshot.retold or known._definition is not snapshot.definition:
            known = Completed._known[snapshot] = Completed(snapshot)
        elif known._seen < len(snapshot.completed):
            known._update(snapshot)
        return known

    @property
    def table(self) -> object:
        """The same as long as trials are only added at the end."""
        return self._rows

    def rows(self) -> Rows:
        """All of them now. They stay as they are when more trials end."""
        return self._rows.of(slice(self._count))

    def _insert(self, fresh: Rows) -> None:
        """Take in trials some of which ended before others that are known: what comes after them moves, in another table."""
        known = self._rows.of(slice(self._count))
        first = int(
            np.searchsorted(known.ended, fresh.ended[0])
        )  # of equal times, too: the lower number comes first
        tail = Rows(*(np.concatenate((old[first:], new)) for old, new in zip(known, fresh, strict=True)))
        tail = tail.of(np.lexsort((tail.number, tail.ended)))
        self._rows, _ = _roomy(known.of(slice(first)), self._count + len(fresh.number))
        self._count += len(fresh.number)
        for column, more in zip(self._rows, tail, strict=True):
            column[first : self._count] = more

    def _update(self, snapshot: Snapshot) -> None:
        fresh = _told(snapshot, np.array(snapshot.completed[self._seen :]))
        self._seen, count = len(snapshot.completed), self._count + len(fresh.number)
        if self._count and len(fresh.number) and fresh.ended[0] <= self._rows.ended[self._count - 1]:
            self._insert(fresh)
            return
        if count > len(self._rows.number):
            self._rows, _ = _roomy(self._rows.of(slice(self._count)), count)
        for column, more in zip(self._rows, fresh, strict=True):
            column[self._count : count] = more
        self._count = count


def _told(snapshot: Snapshot, numbers: Numbers) -> Rows:
    """These trials, as they ended."""
    numbers = np.sort(numbers) if len(numbers) > 1 else numbers
    loss = np.empty((len(numbers), len(snapshot.definition.objectives)))
    for j, objective in enumerate(snapshot.definition.objectives):
        column = snapshot.values(objective.metric)[numbers]
        loss[:, j] = column if objective.minimize else -column
    return lasting(snapshot, Rows(numbers, loss, snapshot.finished[numbers]))


def lasting(snapshot: Snapshot, rows: Rows) -> Rows:
    """Those that something can be learned from, in the order in which they ended; of equal times in the order given."""
    kept, finite = snapshot.chosen[rows.number], np.isfinite(rows.loss)
    if not finite.all():  # seldom, and looking at rows takes several times as long
        kept = kept & finite.all(axis=1)
    if not kept.all():
        rows = rows.of(kept)
    if len(rows.number) > 1 and (rows.ended[1:] < rows.ended[:-1]).any():
        rows = rows.of(np.argsort(rows.ended, kind="stable"))
    return rows


def _roomy(rows: Rows, soon: int = 0) -> tuple[Rows, int]:
    """A copy with room for more, and how many there are. soon: how many there are to be."""
    count = len(rows.number)
    size = max(64, 2 * count, 2 * soon)
    room = Rows(*(np.empty((size, *column.shape[1:]), column.dtype) for column in rows))
    for column, known in zip(room, rows, strict=True):
        column[:count] = known
    return room, count
