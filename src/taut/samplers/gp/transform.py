"""Outputs made fit for a Gaussian process: a monotone transform towards a normal distribution."""

from __future__ import annotations

import numpy as np

from taut.space.prior import Floats

__all__ = ["signed_log", "standardised", "yeo_johnson"]

_GRID = np.linspace(-3.0, 3.0, 13)


def standardised(y: Floats) -> Floats:
    """Mean 0 and variance 1; all 0 where every value is the same."""
    centred = y - y.mean()
    spread = float(np.sqrt(np.mean(centred * centred)))
    return centred / spread if spread > 1e-12 * max(1.0, float(np.abs(y).max())) else np.zeros_like(y)


def yeo_johnson(y: Floats) -> Floats:
    """Standardised outputs, put through the power transform that makes them most normal, and standardised again.

    Yeo & Johnson, Biometrika 87 (2000); the power is chosen by maximum likelihood in [-3, 3], on a grid and by a parabola
    through its best three. It draws in the long tail of bad values that most tuning problems have.
    """
    z = standardised(y)
    if len(z) < 4 or not z.any():
        return z
    logs = np.sign(z) * np.log1p(np.abs(z))
    values = np.array([_log_likelihood(z, logs, power) for power in _GRID])
    i = int(np.argmax(values))
    power = float(_GRID[i])
    if 0 < i < len(_GRID) - 1:
        left, top, right = values[i - 1 : i + 2]
        bend = left - 2.0 * top + right
        if bend < 0.0:
            power += 0.5 * (left - right) / bend * float(_GRID[1] - _GRID[0])
    return standardised(_power(z, power))


def _power(z: Floats, power: float) -> Floats:
    up, down = np.log1p(np.maximum(z, 0.0)), np.log1p(np.maximum(-z, 0.0))
    high = up if abs(power) < 1e-6 else np.expm1(power * up) / power
    low = down if abs(2.0 - power) < 1e-6 else np.expm1((2.0 - power) * down) / (2.0 - power)
    return np.asarray(high - low)


def _log_likelihood(z: Floats, logs: Floats, power: float) -> float:
    spread = float(np.var(_power(z, power)))
    if spread <= 0.0 or not np.isfinite(spread):
        return -np.inf
    return -0.5 * len(z) * float(np.log(spread)) + (power - 1.0) * float(logs.sum())


def signed_log(y: Floats) -> Floats:
    """Slacks on a scale of their own, without long tails; their sign stays."""
    size = np.abs(y[y != 0.0])
    scale = float(np.median(size)) if len(size) else 1.0
    return np.asarray(np.sign(y) * np.log1p(np.abs(y) / scale))
