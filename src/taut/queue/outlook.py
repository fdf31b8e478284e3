"""The distribution of one job's wait, from what is known of others."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from taut.queue.known import Known
from taut.queue.nearness import Asked, weights
from taut.queue.slopes import IMMEDIATE
from taut.queue.survival import Curve, curve
from taut.space.prior import Floats

__all__ = ["Outlook", "assumed"]

# Assumed of a job of size 1 and one hour: seconds, and the standard deviation of their logarithm.
_MEDIAN, _SPREAD = 3600.0, 1.2
# For how many jobs that counts beside known ones, and which share of them starts at once.
_WORTH, _AT_ONCE = 2.0, 0.1
_LONGEST = 25.0  # logarithm of seconds above which nothing is computed


class Outlook:
    """What was known at one moment, put in the order in which waits end; it answers for any job.

    slopes: (2,) of the logarithm of a wait with each doubling of size and walltime. They move what others waited
    to what a job of the asked shape would have; starts at once stay what they are.
    """

    def __init__(self, known: Known, slopes: Floats, now: float) -> None:
        self._known, self._slopes, self._now = known, slopes, now
        wait, over = known.seen(now)
        at_once = wait <= IMMEDIATE
        rest = np.log(np.maximum(wait, IMMEDIATE)) - known.shape @ slopes
        order = np.lexsort((np.where(at_once, wait, rest), ~at_once))
        self._order, self._wait, self._rest = order, wait[order], rest[order]
        self._over, self._at_once = over[order].astype(np.float64), at_once[order]

    def curve(self, asked: Asked, now: float | None = None) -> tuple[Curve, float]:
        """The wait of a job, and how many known jobs are like it. now: when it is submitted, if not when all this was known."""
        if len(self._order) == 0:
            return assumed(asked.shape, self._slopes), 0.0
        count, support = weights(self._known, asked, self._now if now is None else now)
        seconds = np.where(self._at_once, self._wait, _moved(self._rest, asked.shape, self._slopes))
        prior, share = _prior(asked.shape, self._slopes)
        every = np.concatenate((seconds, prior))
        order = np.argsort(every, kind="stable")
        over = np.concatenate((self._over, np.ones(len(prior))))
        counts = np.concatenate((count[self._order], share))
        return curve(every[order], over[order], counts[order]), support


def assumed(shape: Floats, slopes: Floats) -> Curve:
    """What is taken where nothing is known: lognormal, median an hour for size 1 and one hour of walltime."""
    seconds = np.exp(np.minimum(np.log(_MEDIAN) + _SPREAD * _normal() + shape @ slopes, _LONGEST))
    return curve(seconds, np.ones(len(seconds)), np.ones(len(seconds)))


def _prior(shape: Floats, slopes: Floats) -> tuple[Floats, Floats]:
    """The assumption beside known jobs, as seconds and weights: a Beta(0.2, 1.8) belief of starting at once, and the lognormal."""
    later = _moved(np.log(_MEDIAN) + _SPREAD * _normal(), shape, slopes)
    at_once = np.array([1.0, 10.0, 40.0])
    shares = np.concatenate(
        (
            np.full(len(later), _WORTH * (1 - _AT_ONCE) / len(later)),
            np.full(len(at_once), _WORTH * _AT_ONCE / len(at_once)),
        )
    )
    return np.concatenate((later, at_once)), shares


def _moved(rest: Floats, shape: Floats, slopes: Floats) -> Floats:
    return np.asarray(np.maximum(np.exp(np.minimum(rest + shape @ slopes, _LONGEST)), IMMEDIATE))


@functools.lru_cache(maxsize=1)
def _normal() -> NDArray[np.float64]:
    """The middles of 64 equal parts of the standard normal distribution, by their probability."""
    from scipy.special import ndtri  # loaded when somebody asks about a queue

    return np.asarray(ndtri((np.arange(64) + 0.5) / 64))
