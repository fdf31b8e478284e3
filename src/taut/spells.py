"""When trials ran, attempt by attempt: what budgets of hours, accounts and charts count."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.releases import had
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["Spells", "spells"]

_OPEN = State.WAITING, State.PAUSED


class Spells(NamedTuple):
    """One row for each attempt whose length is known: columns of equal length.

    writer: who ran it. begin, end: seconds since the epoch. lost: whether it has led to nothing, since the trial was
    begun again from its start, or given up.
    """

    number: NDArray[np.int64]
    writer: NDArray[np.int64]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    lost: NDArray[np.bool_]

    @property
    def seconds(self) -> NDArray[np.float64]:
        return self.end - self.begin


def spells(snapshot: Snapshot, now: float) -> Spells:
    """When trials ran, up to `now`. How long an attempt ran whose worker died without a word is not known."""
    rows = np.flatnonzero((snapshot.started == snapshot.started) & ~np.isin(snapshot.state, _OPEN))
    end, attempts = snapshot.finished[rows], snapshot.attempt[rows].tolist()
    given_up = [not snapshot.ended(n, a) for n, a in zip(rows.tolist(), attempts, strict=True)]
    earlier = [(n, *word) for n in sorted(snapshot.releases) for word in snapshot.earlier(n)]
    numbers = np.array([n for n, _, _ in earlier], np.int64)
    writers = np.array([writer for _, writer, _ in earlier], np.int64)
    begins = np.array([event.t - had(event) for _, _, event in earlier])
    ends = np.array([event.t for _, _, event in earlier])
    unsaved = np.array([event.kept is not True for _, _, event in earlier], np.bool_)
    return Spells(
        np.concatenate((rows, numbers)),
        np.concatenate((snapshot.writer[rows], writers)),
        np.concatenate((snapshot.started[rows], begins)),
        np.concatenate((np.where(end == end, end, now), ends)),
        np.concatenate(((snapshot.state[rows] == State.FAILED) & np.array(given_up, np.bool_), unsaved)),
    )
