"""Hyperparameters of the Gaussian process by maximum a posteriori, with analytic gradients."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from taut.samplers.gp.kernel import Hyper, distances, matern
from taut.space.prior import Floats

__all__ = ["fit", "likelihood", "log_prior"]

JITTER = 1e-6
"""Noise variance besides what is fitted."""
_BOUND = 12.0  # |log| of a weight or of the signal variance, at most
_ITERATIONS = 40


def fit(x: Floats, y: Floats, group: NDArray[np.int64]) -> Hyper:
    """The hyperparameters that explain standardised outputs y (n,) at features x (n, p) best.

    From two starts, since the likelihood of few trials often has two maxima: smooth with noise, and rough without.
    """
    from scipy.optimize import (
        minimize,
    )  # 0.1 s to load, which whoever only looks at a study need not wait for

    count = int(group[-1]) + 1
    starts = np.searchsorted(group, np.arange(count))

    def objective(theta: Floats) -> tuple[float, Floats]:
        value, slope = likelihood(theta, x, y, group, starts)
        prior, pull = log_prior(theta)
        return -(value + prior), -(slope + pull)

    found = [
        minimize(
            objective,
            np.log(np.concatenate((start.weights, [start.signal, start.noise]))),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_BOUND, _BOUND)] * (count + 1) + [(-16.0, 2.0)],
            options={"maxiter": _ITERATIONS, "maxfun": 2 * _ITERATIONS, "gtol": 1e-2, "ftol": 1e-7},
        )
        for start in (Hyper.fixed(count), Hyper(np.ones(count), 1.0, 0.01))
    ]
    best = np.exp(min(found, key=lambda each: float(each.fun)).x)
    return Hyper(best[:-2], float(best[-2]), float(best[-1]) + JITTER)


def log_prior(theta: Floats) -> tuple[float, Floats]:
    """Log prior density (up to a constant) at logarithms of weights, signal and noise, and its gradient.

    Lengthscales grow with the dimension: log l ~ N(sqrt 2 + log(g)/2, 3) for g groups (Hvarfner, Hellsten & Nardi,
    arXiv:2402.02229). log signal ~ N(0, 1/4). Noise ~ Gamma(1.1, rate 30): little, but some; this one is a density of the noise
    itself, not of its logarithm.
    """
    log_w, log_s, log_v = theta[:-2], float(theta[-2]), float(theta[-1])
    z = -0.5 * log_w - (math.sqrt(2.0) + 0.5 * math.log(len(log_w)))
    v = math.exp(log_v)
    value = -float(z @ z) / 6.0 - 2.0 * log_s * log_s + 0.1 * log_v - 30.0 * v
    slope = np.concatenate((z / 6.0, [-4.0 * log_s, 0.1 - 30.0 * v]))
    return value, slope


def likelihood(
    theta: Floats, x: Floats, y: Floats, group: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[float, Floats]:
    """Log marginal likelihood (up to a constant) and its gradient with respect to `theta`.

    theta: logarithms of the weights, the signal variance and the noise variance. starts: the first feature of each group.
    Source: Rasmussen & Williams, equations 5.8 and 5.9.
    """
    n = len(y)
    weights, signal, noise = np.exp(theta[:-2]), math.exp(theta[-2]), math.exp(theta[-1])
    scaled = x * np.sqrt(5.0 * weights[group])
    correlation, slope = matern(distances(scaled, scaled))
    k = signal * correlation
    k.flat[:: n + 1] += noise + JITTER
    factor, info = lapack.dpotrf(k, lower=1, clean=1, overwrite_a=0)
    if info:
        return -1e10, np.zeros_like(theta)
    alpha, _ = lapack.dpotrs(factor, y, lower=1)
    inverse, _ = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    value = -0.5 * float(y @ alpha) - float(np.log(factor.flat[:: n + 1]).sum())
    q = np.outer(alpha, alpha)
    q -= inverse
    gradient = np.empty_like(theta)
    gradient[-2] = 0.5 * signal * float(np.vdot(q, correlation))
    gradient[-1] = 0.5 * noise * float(np.trace(q))
    q *= slope
    q *= -5.0 / 6.0 * signal
    # sum_ab q_ab (x_a - x_b)^2 for every feature at once, without an array of (p, n, n).
    each = q.sum(axis=1) @ (x * x) - np.einsum("ij,ij->j", x, q @ x)
    gradient[:-2] = weights * np.add.reduceat(each, starts)
    return value, gradient
