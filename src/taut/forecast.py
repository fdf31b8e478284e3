"""How long a trial will take, from those before it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["upper"]

_Z = 1.6448536269514722  # 95th percentile of the standard normal distribution
_SPREAD = 0.3  # standard deviation of the logarithm that is assumed before anything is known ...
_WEIGHT = 3  # ... and how many trials that assumption counts for
_ENOUGH = 200  # trials from which on the measured percentile speaks for itself


def upper(durations: NDArray[np.float64]) -> float | None:
    """Seconds that the next trial takes less than with 95 % probability; None if nothing is known.

    durations: (n,) seconds that trials took. Below 200 of them it is the upper 95 % prediction bound of a lognormal
    distribution whose spread is shrunk towards 0.3 (about a third either way), so that one or two trials that
    happened to agree do not promise that all will; from there on it is the measured percentile.
    """
    known = durations[durations > 0]
    n = len(known)
    if n == 0:
        return None
    if n >= _ENOUGH:
        return float(np.quantile(known, 0.95))
    logs = np.log(known)
    freedom = _WEIGHT + n - 1
    variance = (_WEIGHT * _SPREAD**2 + float(((logs - logs.mean()) ** 2).sum())) / freedom
    return math.exp(float(logs.mean()) + _student(freedom) * math.sqrt(variance * (1 + 1 / n)))


def _student(freedom: int) -> float:
    """95th percentile of Student's t distribution: Abramowitz and Stegun, 26.7.5, to 0.02 for 3 or more."""
    first = (_Z**3 + _Z) / 4
    second = (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / 96
    return _Z + first / freedom + second / freedom**2
