"""What a point is worth trying for: log expected improvement, and the chance that it is allowed."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from taut.space.prior import Floats

__all__ = ["log_feasible", "log_improvement"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def log_improvement(mean: Floats, variance: Floats, best: float) -> Floats:
    """Log of the expected improvement below `best` (Ament et al., 2023, arXiv:2310.20708, eq. 9).

    Exact also where the improvement itself is too small for a double.
    """
    s = np.sqrt(variance)
    z = (best - mean) / s
    value = np.empty_like(z)
    near = z > -1.0
    v = z[near]
    value[near] = np.log(np.exp(-0.5 * v * v - _HALF_LOG_2PI) + v * ndtr(v))
    v = z[~near]
    # h(z) = phi(z) (1 - |z| sqrt(pi/2) erfcx(|z|/sqrt 2)); the bracket tends to 1/z^2.
    bracket = 1.0 + v * math.sqrt(math.pi / 2.0) * erfcx(-v / math.sqrt(2.0))
    far = v < -1e4
    bracket = np.where(far, 1.0 / (v * v), np.maximum(bracket, 1e-300))
    value[~near] = -0.5 * v * v - _HALF_LOG_2PI + np.log(bracket)
    return np.asarray(value + np.log(s))


def log_feasible(mean: Floats, variance: Floats) -> Floats:
    """Log probability that a slack of this mean and variance is at most 0."""
    return np.asarray(log_ndtr(-mean / np.sqrt(variance)))
