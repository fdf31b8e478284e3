"""Outputs made fit for a Gaussian process: monotone transforms towards a normal distribution."""

from __future__ import annotations

import numpy as np

from taut.space.prior import Floats

__all__ = ["signed_log", "standardised", "yeo_johnson"]

_TOP = 1e300  # what is further off is as far off
_POWERS = np.linspace(-3.0, 3.0, 13)
_FAR = 5.0  # times the distance from the best tenth to the median, above it, from where on a bad value counts by its logarithm's logarithm


def standardised(y: Floats) -> Floats:
    """Mean 0 and variance 1; all 0 where every value is the same."""
    top = float(np.abs(y).max(initial=0.0))
    if top == 0.0:
        return np.zeros_like(y)
    scaled = y / top  # values near the largest double have squares that are none
    centred = scaled - scaled.mean()
    spread = float(np.sqrt(np.mean(centred * centred)))
    return np.asarray(centred / spread if spread > 1e-12 else np.zeros_like(y))


def yeo_johnson(y: Floats) -> Floats:
    """Losses, put through the power transform that makes them most normal, mean 0 and variance 1.

    It draws in the long tail of bad values that tuning problems have; values far above the median are drawn in before, so that
    runs that diverged do not hide all other differences. The power is chosen by maximum likelihood in [-3, 3], on a grid
    and by a parabola through its best three. Source: Yeo & Johnson, Biometrika 87 (2000).
    """
    z = standardised(_drawn_in(y))
    if len(z) < 4 or not z.any():
        return z
    values = _log_likelihoods(z)
    i = int(np.argmax(values))
    power = float(_POWERS[i])
    if 0 < i < len(_POWERS) - 1:
        left, top, right = values[i - 1 : i + 2].tolist()
        bend = left - 2.0 * top + right
        if bend < 0.0:
            power += 0.5 * (left - right) / bend * float(_POWERS[1] - _POWERS[0])
    return standardised(_power(z, power))


def signed_log(y: Floats) -> Floats:
    """Slacks on a scale of their own, without long tails; their sign stays."""
    size = np.abs(y)
    size = size[size > 1e-9 * size.max(initial=0.0)]
    scale = float(np.median(size)) if len(size) else 1.0
    return np.asarray(np.sign(y) * np.log1p(np.abs(y) / scale))


def _drawn_in(y: Floats) -> Floats:
    top = float(np.abs(y).max(initial=0.0))
    if top == 0.0:
        return y
    good, low, middle, high = np.quantile(y / top, (0.1, 0.25, 0.5, 0.75))
    # The better half says what differences matter; in a normal distribution both are 1.3 deviations.
    spread = middle - good if middle > good else high - low
    if spread <= 0.0:
        return y
    with np.errstate(over="ignore"):
        z = np.minimum((y / top - middle) / spread, _TOP)
    return np.asarray(np.where(z > _FAR, _FAR + np.log1p(np.log1p(np.maximum(z - _FAR, 0.0))), z))


def _power(z: Floats, power: float) -> Floats:
    up, down = np.log1p(np.maximum(z, 0.0)), np.log1p(np.maximum(-z, 0.0))
    high = up if abs(power) < 1e-6 else np.expm1(power * up) / power
    low = down if abs(2.0 - power) < 1e-6 else np.expm1((2.0 - power) * down) / (2.0 - power)
    return np.asarray(high - low)


def _log_likelihoods(z: Floats) -> Floats:
    """Of every power of the grid, up to a constant."""
    up, down = np.log1p(np.maximum(z, 0.0)), np.log1p(np.maximum(-z, 0.0))
    power = _POWERS[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        high = np.where(power == 0.0, up, np.expm1(power * up) / power)
        low = np.where(power == 2.0, down, np.expm1((2.0 - power) * down) / (2.0 - power))
        spread = (high - low).var(axis=1)
        found = -0.5 * len(z) * np.log(spread) + (_POWERS - 1.0) * float((up - down).sum())
    return np.where((spread > 0.0) & np.isfinite(spread), found, -np.inf)
