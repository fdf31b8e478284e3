"""How full the queue was at a moment, as far as its past jobs tell: what has just waited how long, and how many wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from taut.queue.records import Codes, Jobs
from taut.space.prior import Floats

__all__ = ["Crowding"]

_LATEST = 15  # starts whose median wait says how the queue is now
_FEWEST = 5  # starts below which nothing is said


class Crowding(NamedTuple):
    """The course of a queue, to be asked about moments. Fields have an entry for each partition.

    starts: when its jobs started, rising. recent: after each of them, the logarithm of the median wait of the last 15.
    came, left: when its jobs came to the queue and left it, by starting or by giving up, rising.
    """

    starts: tuple[Floats, ...]
    recent: tuple[Floats, ...]
    came: tuple[Floats, ...]
    left: tuple[Floats, ...]

    @classmethod
    def of(cls, jobs: Jobs) -> Crowding:
        """Of all jobs that are known; those whose fate is not known count as waiting."""
        starts, recent, came, left = [], [], [], []
        gone = np.where(np.isnan(jobs.start), jobs.end, jobs.start)
        for code in range(len(jobs.partitions)):
            mine = np.flatnonzero(jobs.partition == code)
            started = mine[np.isfinite(jobs.start[mine])]
            started = started[np.argsort(jobs.start[started], kind="stable")]
            starts.append(jobs.start[started])
            recent.append(_rolling(np.log1p(jobs.wait[started])))
            came.append(np.sort(jobs.eligible[mine]))
            left.append(np.sort(gone[mine][np.isfinite(gone[mine])]))
        return cls(tuple(starts), tuple(recent), tuple(came), tuple(left))

    def at(self, moments: Floats, partition: Codes) -> tuple[Floats, Floats]:
        """(n,) log(1 + seconds) of recent waits, NaN where too little is known, and (n,) log(1 + jobs) that wait, in the partition of each.

        A moment sees what happened before it, and nothing else.
        """
        recent, pending = np.full(len(moments), np.nan), np.zeros(len(moments))
        for code in np.unique(partition):
            if not 0 <= code < len(self.starts):
                continue
            of = np.flatnonzero(partition == code)
            when = moments[of]
            last = np.searchsorted(self.starts[code], when, side="left") - 1
            enough = last >= _FEWEST - 1
            recent[of[enough]] = self.recent[code][last[enough]]
            waiting = np.searchsorted(self.came[code], when, side="left") - np.searchsorted(
                self.left[code], when, side="left"
            )
            pending[of] = np.log1p(np.maximum(waiting, 0))
        return recent, pending


def _rolling(values: Floats) -> Floats:
    """Medians of the last 15 values up to each; of fewer at the beginning."""
    if len(values) == 0:
        return values
    padded = np.concatenate((np.full(_LATEST - 1, np.nan), values))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _LATEST)
    full = np.median(windows[_LATEST - 1 :], axis=1)
    head = [float(np.median(values[: i + 1])) for i in range(min(_LATEST - 1, len(values)))]
    return np.concatenate((head, full))
