"""Where a learning curve is heading: simple laws through what there is of it, with how sure that is.

``y(t) = f + b z(t)``, where `z` falls from 1 at the first step to 0 at step `T`: so `f` is the value at `T`, and `b` what is gained until then.
The laws are powers, ``z(t) ~ t^-c - T^-c`` for a grid of `c`, and exponentials, ``exp(-t/s) - exp(-T/s)`` for a grid of `s`. For each, `f` and `b`
have a conjugate normal-inverse-gamma prior, hence a value to come has a Student t distribution; these are mixed by how well each
law explains the curve (its evidence).

Source: the power law as in Domhan et al., IJCAI 2015 (pow3, one of eleven families there); exponentials as in Swersky et al.,
"Freeze-thaw Bayesian optimization", arXiv:1406.3896 (a Gaussian process there); normal-inverse-gamma: Gelman et al., "Bayesian data analysis",
2013, chapter 14. Departures: the prior is set by the curve's own spread; and a curve departs from any law in ways that more
values of it do not average out, so that many values count for a limited number, and what is far ahead is less sure.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from taut.space.prior import Floats

__all__ = ["Forecast", "extrapolate", "forecast"]

_SHAPES = np.geomspace(0.1, 2.0, 10)[:, None]  # c
_TIMES = np.geomspace(0.05, 0.5, 5)[:, None]  # s, in units of T
_POINTS = 48  # a longer curve is averaged over stretches
_WORTH = 12.0  # how many values a curve counts for at most
_BELIEF = 1.0  # half the number of values that what is expected of the noise counts for
# In units of the spread of the values:
_NOISE = 0.05  # what noise is expected
_REACH = 4.0  # how far f and b may lie from the last value and the way so far
_APART = 0.1  # how far a curve may leave its law from its first step to T, in proportion to the logarithm of the step


class Forecast(NamedTuple):
    """A mixture of Student t distributions with `freedom` degrees of freedom: (C,) weight, location and scale of each."""

    weight: Floats
    location: Floats
    scale: Floats
    freedom: float

    @property
    def mean(self) -> float:
        return float(self.weight @ self.location)

    @property
    def variance(self) -> float:
        within = self.scale**2 * (self.freedom / (self.freedom - 2.0))
        return float(self.weight @ (within + (self.location - self.mean) ** 2))

    @property
    def surely(self) -> float:
        """What the value stays below with 95 percent, if it were normally distributed."""
        return self.mean + 1.645 * math.sqrt(self.variance)

    def below(self, values: float | Floats) -> Floats:
        """Of each value the probability to come below it."""
        from scipy.special import stdtr  # loads with the first curve

        with np.errstate(over="ignore"):
            t = (np.asarray(values)[..., None] - self.location) / self.scale
        return np.asarray(stdtr(self.freedom, t) @ self.weight)


def extrapolate(steps: Floats, values: Floats, at: float) -> tuple[float, float]:
    """The mean and the variance of a curve's value at step `at`; see `forecast`."""
    found = forecast(steps, values, at)
    return found.mean, found.variance


def forecast(steps: Floats, values: Floats, at: float, spread: float | None = None) -> Forecast:
    """What a report at step `at` would say of a curve, noise included.

    steps: (k,) above 0, growing, at least one. values: (k,) finite, of magnitudes up to 1e100. at: above the first step.
    spread: how far such curves come between their first step and `at`, at least roughly; that of the values by default.
    """
    assert len(steps) and 0.0 < steps[0] < at, "steps begin above 0, and before what is asked"
    base = float(values[-1])
    if spread is None:
        spread = float(values.max() - values.min())
    unit = max(spread, 1e-9 * abs(base), 1e-300)
    logs, y, weight = _shortened(np.log(steps / at), (values - base) / unit)
    weight = weight * min(1.0, _WORTH / weight.sum())

    # (C, k) basis, and the prior: f as the last value, b as the way so far.
    z = _falls(logs) / _falls(np.log(steps[:1] / at))
    precision, f0, b0 = (_NOISE / _REACH) ** 2, 0.0, float(y[0])

    # Posterior precision [[p, q], [q, r]] and mean (f, b) for each law.
    p = precision + float(weight.sum())
    q, r = z @ weight, precision + (z * z) @ weight
    det = p * r - q * q
    sy, szy = precision * f0 + float(weight @ y), precision * b0 + z @ (weight * y)
    f, b = (r * sy - q * szy) / det, (p * szy - q * sy) / det
    misfit = ((y - f[:, None] - b[:, None] * z) ** 2) @ weight + precision * ((f - f0) ** 2 + (b - b0) ** 2)
    alpha = _BELIEF + 0.5 * float(weight.sum())
    beta = _BELIEF * _NOISE**2 + 0.5 * misfit

    evidence = -0.5 * np.log(det) - alpha * np.log(beta)
    share = np.exp(evidence - evidence.max())
    apart = _APART * float(np.ptp(y)) * math.log(at / steps[-1]) / math.log(at / steps[0])
    scale = np.sqrt(beta / alpha * (1.0 + r / det) + apart**2)  # at T, where z is 0
    return Forecast(share / share.sum(), base + unit * f, unit * scale, 2.0 * alpha)


def _falls(logs: Floats) -> Floats:
    """(C, k) of each law, how far it falls from steps of these logarithms, in units of `T`, to `T`; up to a factor."""
    decay = -np.expm1((np.exp(logs) - 1.0) / _TIMES) * np.exp((1.0 - np.exp(logs)) / _TIMES)
    return np.concatenate((np.expm1(-_SHAPES * logs), decay))


def _shortened(logs: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """A long curve averaged over stretches of equal length in the logarithm of its steps; and how many values are in each."""
    if len(y) <= _POINTS:
        return logs, y, np.ones(len(y))
    place = np.searchsorted(logs, np.linspace(logs[0], logs[-1], _POINTS, endpoint=False))
    starts = np.unique(place)
    count = np.diff(starts, append=len(y)).astype(float)
    return np.add.reduceat(logs, starts) / count, np.add.reduceat(y, starts) / count, count
