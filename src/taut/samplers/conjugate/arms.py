"""Posteriors of arms: how good each of a few alternatives is, from what it has brought so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

from taut.space.prior import Floats

__all__ = ["BetaBernoulli", "NormalGamma"]

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BetaBernoulli:
    """How often each arm succeeds: theta ~ Beta(1 + S, 1 + F) after S successes and F failures.

    Choose it where an outcome is yes or no, or only its rank can be trusted.

    successes, failures: (k,) of each arm, those of the prior included, above 0.
    """

    successes: Floats
    failures: Floats

    @staticmethod
    def prior(arms: int, successes: float = 1.0, failures: float = 1.0) -> BetaBernoulli:
        return BetaBernoulli(np.full(arms, successes), np.full(arms, failures))

    def update(self, arms: Indices, success: Floats, weights: Floats | None = None) -> BetaBernoulli:
        """With observations more: which arm, 1 or 0, and what each counts (1 each if not given)."""
        weights = np.ones(len(arms)) if weights is None else weights
        k = len(self.successes)
        return BetaBernoulli(
            self.successes + np.bincount(arms, weights * success, k),
            self.failures + np.bincount(arms, weights * (1.0 - success), k),
        )

    @property
    def mean(self) -> Floats:
        """(k,) expected rates of success."""
        return self.successes / (self.successes + self.failures)

    def interval(self, level: float = 0.9) -> tuple[Floats, Floats]:
        """Ends of the central interval (k,) that holds the rate with probability `level`."""
        tail = (1.0 - level) / 2.0
        low: Floats = betaincinv(self.successes, self.failures, tail)
        high: Floats = betaincinv(self.successes, self.failures, 1.0 - tail)
        return low, high

    def draw(self, generator: np.random.Generator) -> Floats:
        """(k,) rates from the posterior."""
        return generator.beta(self.successes, self.failures)


@dataclass(frozen=True, eq=False)
class NormalGamma:
    """What each arm's outcomes are like: normal, with mean and precision unknown (Murphy, "Conjugate Bayesian analysis of the
    Gaussian distribution", 2007, section 3; Bishop, Pattern Recognition and Machine Learning, 2006, equation 2.154).

    ``tau ~ Gamma(alpha, rate beta)`` is the precision, ``mu | tau ~ N(mean, 1/(kappa tau))``. Choose it where outcomes are
    numbers of comparable size, outliers cut off.

    kappa: (k,) observations of the mean, the prior's included. mean: (k,) its expected value. alpha, beta: (k,) see above.
    """

    kappa: Floats
    mean: Floats
    alpha: Floats
    beta: Floats

    @staticmethod
    def prior(
        arms: int, kappa: float = 1.0, mean: float = 0.0, alpha: float = 1.0, beta: float = 0.5
    ) -> NormalGamma:
        return NormalGamma(*(np.full(arms, value) for value in (kappa, mean, alpha, beta)))

    def update(self, arms: Indices, y: Floats, weights: Floats | None = None) -> NormalGamma:
        """With observations more: which arm, the outcome, and what each counts (1 each if not given)."""
        weights = np.ones(len(arms)) if weights is None else weights
        k = len(self.mean)
        n = np.bincount(arms, weights, k)
        centre = np.bincount(arms, weights * y, k) / np.where(n > 0.0, n, 1.0)
        scatter = np.bincount(arms, weights * (y - centre[arms]) ** 2, k)
        kappa = self.kappa + n
        return NormalGamma(
            kappa,
            (self.kappa * self.mean + n * centre) / kappa,
            self.alpha + n / 2.0,
            self.beta + scatter / 2.0 + self.kappa * n * (centre - self.mean) ** 2 / (2.0 * kappa),
        )

    def interval(self, level: float = 0.9) -> tuple[Floats, Floats]:
        """Ends of the central interval (k,) that holds the mean with probability `level`."""
        reach = stdtrit(2.0 * self.alpha, (1.0 + level) / 2.0)
        half = reach * np.sqrt(self.beta / (self.alpha * self.kappa))
        return self.mean - half, self.mean + half

    def draw(self, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """(k,) means and (k,) precisions from the posterior."""
        tau = generator.gamma(self.alpha, 1.0 / self.beta)
        return generator.normal(self.mean, 1.0 / np.sqrt(self.kappa * tau)), tau

    def lowest(self, generator: np.random.Generator, ahead: int) -> Floats:
        """(k,) the least of the next `ahead` outcomes of each arm, drawn: an arm of a good tail wins over one of a good mean."""
        mu, tau = self.draw(generator)
        least: Floats = generator.standard_normal((ahead, len(mu))).min(axis=0)
        return mu + least / np.sqrt(tau)
