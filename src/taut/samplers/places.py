"""Where the trials of a snapshot lie in the unit cube."""

from __future__ import annotations

import weakref
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.prior import Floats

__all__ = ["Places"]


class Places:
    """Of one snapshot; kept, since a trial does not move."""

    _known: ClassVar[weakref.WeakKeyDictionary[Snapshot, Places]] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self.space: Space | None = None
        self.unit: Floats = np.empty((0, 0))
        self._attempt: NDArray[np.int32] = np.empty(0, np.int32)
        self._settled = 0

    @classmethod
    def of(cls, snapshot: Snapshot) -> Places:
        places = cls._known.get(snapshot)
        if places is None:
            places = cls._known[snapshot] = cls()
        places._update(snapshot)
        return places

    def _update(self, snapshot: Snapshot) -> None:
        size = snapshot.size
        if self.space is not snapshot.space:
            self.space = snapshot.space
            self.unit, self._attempt = np.empty((0, len(snapshot.space))), np.empty(0, np.int32)
        if len(self.unit) < size:
            more = max(64, 2 * size) - len(self.unit)
            self.unit = np.concatenate((self.unit, np.full((more, self.unit.shape[1]), 0.5)))
            self._attempt = np.concatenate((self._attempt, np.full(more, -1, np.int32)))
        if len(snapshot.settled) > self._settled:  # these have moved after all
            self._attempt[snapshot.settled[self._settled :]] = -1
            self._settled = len(snapshot.settled)
        fresh = np.flatnonzero(snapshot.attempt != self._attempt[:size])
        if len(fresh):
            fresh = fresh[
                snapshot.chosen[fresh]
            ]  # an end may be read before the start that has the parameters
            codes = snapshot.codes[fresh]
            self.unit[fresh] = snapshot.space.encode(codes)
            self._attempt[fresh] = snapshot.attempt[fresh]
