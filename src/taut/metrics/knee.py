"""The trial of a front from which a little more of one objective costs much of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["knee"]

_LEAST = 1e-9  # below the line, so that rounding is no knee


def knee(front: NDArray[np.float64]) -> int | None:
    """The row of `front` (k, m) that lies farthest below the line (plane) between the ends; None if all lie on it or above.

    Objectives are scaled from 0, their best on the front, to 1, their worst there; the line is where they sum to 1 (Das, Structural
    Optimization 18, 1999). So a preference with equal weights chooses the same trial.
    """
    spans = np.ptp(front, axis=0) if len(front) else np.empty(0)
    wide = spans > 0.0
    if wide.sum() < 2:
        return None
    height = ((front[:, wide] - front[:, wide].min(axis=0)) / spans[wide]).sum(axis=1)
    lowest = int(height.argmin())
    return lowest if height[lowest] < 1.0 - _LEAST else None
