"""What a doubling of size or walltime does to a wait, at one site: a ridge regression towards what is usual."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from taut.queue.known import Known
from taut.space.prior import Floats

__all__ = ["IMMEDIATE", "USUAL", "slopes"]

IMMEDIATE: Final = 60.0
"""Seconds within which a job is said to have started at once; longer waits are what slopes are about."""

USUAL: Final = np.log([1.1, 1.3])
"""Believed before anything is known: x1.1 for a doubling of the size, x1.3 for one of the walltime."""

_TRUST = 0.25  # standard deviation of that belief, in logarithms
_ALIKE = 0.85  # correlation that is assumed between jobs of a burst, which therefore count for little more than one


def slopes(known: Known, now: float, weights: Floats) -> Floats:
    """(2,) growth of the logarithm of a wait with each doubling of size and of walltime.

    weights: (n,) how much each job counts. Partitions and units have levels of their own; jobs that started at once or
    still wait are not looked at. Source: ridge regression as a posterior mean, Hoerl & Kennard, Technometrics 12 (1970), around
    `USUAL` in place of 0.
    """
    wait, over = known.seen(now)
    of = np.flatnonzero(over & (wait > IMMEDIATE))
    if len(of) < 3:
        return USUAL.copy()
    sizes = np.bincount(known.burst)[known.burst[of]]
    w = weights[of] / (1.0 + (sizes - 1) * _ALIKE)
    _, level = np.unique(known.partition[of] * 3 + known.unit[of], return_inverse=True)
    x = np.stack([_centred(column, level, w) for column in known.shape[of].T], axis=1)
    rest = _centred(np.log(wait[of]), level, w) - x @ USUAL
    noise = max(float(w @ rest**2) / max(float(w.sum()), 1e-12), 0.25)
    precision = (x.T * w) @ x / noise + np.eye(2) / _TRUST**2
    return np.asarray(USUAL + np.linalg.solve(precision, x.T @ (w * rest) / noise))


def _centred(values: Floats, level: NDArray[np.intp], weights: Floats) -> Floats:
    sums = np.bincount(level, weights)
    return np.asarray(values - (np.bincount(level, weights * values) / np.maximum(sums, 1e-12))[level])
