"""What is known of a queue's past jobs, as a model of waits learns from it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taut.queue.bursts import bursts
from taut.queue.crowding import Crowding
from taut.queue.records import Codes, Jobs
from taut.space.prior import Floats

__all__ = ["Known", "shape"]

_SHORTEST, _LONGEST = 60.0, 366 * 86400.0  # seconds; the longest stands for an unlimited walltime, too
_OF_BURST = 6  # jobs of a burst that are kept, evenly; each then stands for several


@dataclass(frozen=True, eq=False)
class Known:
    """(n,) columns, in order of submission. Times are seconds since 1970.

    came: when each job came to the queue. wait: seconds until it left, infinite where it is still there. over: whether
    it left by starting; the others gave up. shape: (n, 2), how often size (from 1) and walltime (from an hour) are doubled.
    crowd: (n, 2), how full the queue was when it came (`Crowding.at`). partition, unit, user: codes. stands: how many
    jobs it stands for. burst: which came together.
    """

    came: Floats
    wait: Floats
    over: NDArray[np.bool_]
    shape: Floats
    crowd: Floats
    partition: Codes
    unit: Codes
    user: Codes
    stands: Floats
    burst: Codes

    @classmethod
    def of(cls, jobs: Jobs, crowding: Crowding, most: int) -> Known:
        """What jobs teach. most: how many to keep at most; long bursts are thinned first, so that rare jobs stay."""
        burst = bursts(jobs)
        kept, stands = _thinned(burst, most)
        of, came = jobs.take(kept), jobs.eligible[kept]
        left = np.where(np.isnan(of.start), of.end, of.start)
        return cls(
            came=came,
            wait=np.where(np.isnan(left), np.inf, np.maximum(left - came, 0.0)),
            over=~np.isnan(of.start),
            shape=shape(of.size, of.walltime),
            crowd=np.stack(crowding.at(came, of.partition), axis=1),
            partition=of.partition,
            unit=of.unit,
            user=of.user,
            stands=stands,
            burst=burst[kept],
        )

    def __len__(self) -> int:
        return len(self.came)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Known:
        return Known(**{column.name: getattr(self, column.name)[which] for column in fields(self)})

    def seen(self, now: float) -> tuple[Floats, NDArray[np.bool_]]:
        """(n,) for how long each was seen to wait until `now`, and whether its wait was over by then."""
        seconds = np.minimum(self.wait, np.maximum(now - self.came, 0.0))
        return seconds, self.over & (self.came + self.wait <= now)


def shape(size: ArrayLike, walltime: ArrayLike) -> Floats:
    """(n, 2), or (2,) of one job: doublings of the size from 1 and of the walltime from an hour."""
    seconds = np.clip(walltime, _SHORTEST, _LONGEST)
    return np.stack([np.log2(np.maximum(size, 1.0)), np.log2(seconds / 3600.0)], axis=-1)


def _thinned(burst: Codes, most: int) -> tuple[NDArray[np.intp], Floats]:
    """Places of the jobs to keep, rising, and how many jobs each of them stands for."""
    order = np.argsort(burst, kind="stable")
    sizes = np.bincount(burst)[burst[order]] if len(burst) else np.zeros(0, dtype=np.intp)
    rank = np.arange(len(burst)) - np.searchsorted(burst[order], burst[order])
    slot = rank * _OF_BURST // np.maximum(sizes, 1)
    first = (sizes <= _OF_BURST) | (rank == 0) | (slot != np.roll(slot, 1))
    kept = order[first]
    stands = np.maximum(sizes[first] / _OF_BURST, 1.0)
    rising = np.argsort(kept, kind="stable")
    step = max(-(-len(kept) // most), 1)
    return kept[rising][::-1][::step][::-1], (stands[rising] * step)[::-1][::step][::-1]
