"""Holding past predictions against what happened, so that the next ones are as wide as they have to be."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from taut.queue.bursts import correlation
from taut.queue.known import Known
from taut.queue.nearness import ANY, Asked
from taut.queue.outlook import Outlook
from taut.queue.slopes import IMMEDIATE
from taut.space.prior import Floats

__all__ = ["UNCALIBRATED", "Calibration", "calibrated"]

_LAST = 200  # bursts that are predicted again
_FEWEST = 5  # jobs that have to be known before the first prediction is held to account
_TAIL = 0.1  # the outcomes on each side that an 80 % interval is to miss
# Believed before any prediction, and worth so many of them: a tail that is meant to hold p holds p ** (1 / 1.2).
_WORTH, _TILT = 30, 1.2
_LIMITS = 0.5, 4.0
# Correlation within bursts, as measured on several sites, and for how many bursts that belief counts.
_ALIKE, _ALIKE_WORTH = 0.85, 10.0
_GOLDEN = 0.6180339887498949


class Calibration(NamedTuple):
    """low, high: powers of the tails below and above the median; 1 leaves them, more makes predictions wider. correlation: of the waits
    of jobs that are submitted together, between their normal scores."""

    low: float
    high: float
    correlation: float

    def levels(self, levels: Floats) -> Floats:
        """Which level of the uncorrected distribution is undercut with these probabilities."""
        below = 0.5 * (2.0 * np.minimum(levels, 0.5)) ** self.low
        above = 0.5 * (2.0 * np.minimum(1.0 - levels, 0.5)) ** self.high
        return np.asarray(np.where(levels < 0.5, below, 1.0 - above))

    def probability(self, uncorrected: float) -> float:
        """The other way round."""
        if uncorrected < 0.5:
            return 0.5 * math.pow(2.0 * uncorrected, 1.0 / self.low)
        return 1.0 - 0.5 * math.pow(2.0 * (1.0 - uncorrected), 1.0 / self.high)


UNCALIBRATED = Calibration(1.0, 1.0, _ALIKE)


def calibrated(known: Known, slopes: Floats, now: float, personal: bool = False) -> Calibration:
    """Predict the last 200 bursts again, each from what was known when it came, and see where the outcomes fell.

    The first job of each burst says how wide predictions have to be: conformal prediction (Vovk, Gammerman & Shafer, 2005,
    section 2.2) with the predicted probability of what happened as the score, for each side apart, recent bursts counting
    more. Waits that are not over fall evenly among what is longer. All jobs of a burst say how much they wait alike.
    personal: whether predictions are made for a certain user, here each job's own.
    """
    first, outcomes, scores, burst = _chosen(known), [], [], []
    wait, over = known.seen(now)
    for turn, i in enumerate(first):
        before = int(np.searchsorted(known.came, known.came[i]))
        if before < _FEWEST:
            continue
        user = int(known.user[i]) if personal else ANY
        asked = Asked(known.shape[i], known.crowd[i], int(known.partition[i]), int(known.unit[i]), user)
        seen = Outlook(known.take(slice(0, before)), slopes, float(known.came[i]))
        found, _ = seen.curve(asked)
        least = found.probability(wait[i] - 0.5)
        most = found.probability(wait[i] + 0.5) if over[i] else 1.0
        outcomes.append(least + (most - least) * math.modf((turn + 1) * _GOLDEN)[0])
        mates = np.flatnonzero((known.burst == known.burst[i]) & over)
        if (wait[mates] <= IMMEDIATE).all():
            continue  # all started at once: that is no draw
        scores += [found.probability(wait[mate]) for mate in mates]
        burst += [int(known.burst[i])] * len(mates)
    where = np.array(outcomes)
    return Calibration(
        low=_power(where),
        high=_power(1.0 - where),
        correlation=correlation(_normal(np.array(scores)), np.array(burst), _ALIKE, _ALIKE_WORTH),
    )


def _chosen(known: Known) -> list[int]:
    """Places of the first jobs of the last bursts, every second or third of many; a job that gave up says nothing."""
    _, first = np.unique(known.burst, return_index=True)
    first = np.sort(first)
    first = first[known.over[first] | np.isinf(known.wait[first])][-3 * _LAST :]
    picked = np.linspace(0, len(first) - 1, min(_LAST, len(first))).astype(np.intp)
    return [int(i) for i in first[picked]]


def _power(tails: Floats) -> float:
    """How a tail has to be bent so that a tenth of what happened lies beyond its tenth. tails: (m,), the latest last."""
    believed = ((np.arange(_WORTH) + 0.5) / _WORTH) ** _TILT
    recent = np.exp(-np.arange(len(tails))[::-1] / max(len(tails), 1))
    values = np.concatenate((tails, believed))
    weights = np.concatenate((recent, np.ones(_WORTH)))
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) - 0.5 * weights[order]
    tenth = float(np.interp(_TAIL * weights.sum(), reached, values[order]))
    bent = math.log(2.0 * min(max(tenth, 1e-9), 0.49)) / math.log(2.0 * _TAIL)
    return float(np.clip(bent, *_LIMITS))


def _normal(probabilities: Floats) -> Floats:
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(probabilities, 0.002, 0.998)))
