"""How much each past job tells of one that is to be submitted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from taut.queue.known import Known
from taut.space.prior import Floats

__all__ = ["ANY", "Asked", "weights"]

ANY = -1
"""A partition, unit or user that is left open: all jobs are alike in it."""

_DAYS = 30.0  # after which a job counts e times less ...
_WIDTH = 0.75  # ... doublings of size and walltime, as a standard deviation ...
_ENOUGH, _WIDER = 5000.0, 3.0  # ... where so many jobs are known; with fewer both grow, so many times at most
_RECENT, _PENDING = 2.0, 0.3  # standard deviations of recent waits and of the number that wait, in logarithms
_FAR = 9.0  # squared distance between two crowds at most: a queue that was never like this still teaches something
_PARTITION, _UNIT, _USER = 0.2, 0.02, 0.15  # how much a job counts where it was of another one
_ELSEWHERE = 3.0  # jobs that all the others together count for at most, however little they are alike


class Asked(NamedTuple):
    """A job to be. shape: (2,) as in `Known`. crowd: (2,) how full its queue is, NaN where that is not known. sharp: 0 to 1, how
    much the crowd still says."""

    shape: Floats
    crowd: Floats
    partition: int = ANY
    unit: int = ANY
    user: int = ANY
    sharp: float = 1.0


def weights(known: Known, asked: Asked, now: float) -> tuple[Floats, float]:
    """(n,) for how many jobs each counts, and how many jobs like the one that is asked about there are.

    A product of kernels over size, walltime, recency and how full the queue was, less for other partitions, units and users.
    Kernels are wider where fewer jobs are known, as the sixth root of their number (Silverman, 1986, section 4.3, for two dimensions).
    Below it lies a floor of all the queue's jobs, worth three in all: it fills in where nobody has asked for such a job.
    """
    age = np.maximum(now - known.came, 0.0) / 86400.0
    many = max(float((known.stands * np.exp(-age / _DAYS)).sum()), 1.0)
    scale = min(max((_ENOUGH / many) ** (1 / 6), 1.0), _WIDER)
    counts = known.stands * np.exp(-age / (_DAYS * scale))
    for mine, of, factor in (
        (asked.partition, known.partition, _PARTITION),
        (asked.unit, known.unit, _UNIT),
        (asked.user, known.user, _USER),
    ):
        if mine != ANY:
            counts = np.where(of == mine, counts, factor * counts)
    distance = (((known.shape - asked.shape) / (_WIDTH * scale)) ** 2).sum(axis=1)
    distance += asked.sharp * _crowded(known.crowd, asked.crowd)
    near = counts * np.exp(-0.5 * distance)
    total = float(counts.sum())
    return near + counts * min(1.0, _ELSEWHERE / max(total, 1e-300)), float(near.sum())


def _crowded(crowds: Floats, asked: Floats) -> Floats:
    """(n,) squared distances between the queue as it was and as it is.

    How many wait is a count, and of few it says little: the logarithm of 1 + n has a variance of about 1 / (1 + n), and some of that is
    allowed for. So where only a sample of a queue's jobs is known, it does not pretend to say how full the queue is.
    """
    (recent, pending), (its_recent, its_pending) = crowds.T, asked
    parts = np.zeros(len(crowds))
    if not np.isnan(its_recent):
        apart = ((recent - its_recent) / _RECENT) ** 2
        parts += np.where(np.isnan(apart), 1.0, np.minimum(apart, _FAR))
    if not np.isnan(its_pending):
        noise = 0.25 * (np.exp(-pending) + np.exp(-its_pending))
        parts += np.minimum((pending - its_pending) ** 2 / (_PENDING**2 + noise), _FAR)
    return parts
