"""What a trial is expected to cost, and what that takes from its worth."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from taut.samplers.gp.acquisition import log_feasible
from taut.samplers.gp.kernel import Features
from taut.samplers.gp.learn import learn
from taut.samplers.gp.posterior import Posterior
from taut.space.prior import Bools, Floats

__all__ = ["Price", "Purse"]


class Price(NamedTuple):
    """logs: (k,) logarithms of what each complete trial cost, NaN where that is not known; two are.
    thrift: the power of cost that improvement is divided by. within: the logarithm of what the next trial should cost at most.
    """

    logs: Floats
    thrift: float = 0.0
    within: float = math.inf


class Purse:
    """A model of the logarithm of cost. x: (k, p) features of the complete trials."""

    def __init__(self, price: Price, features: Features, x: Floats) -> None:
        self._price = price
        known = np.isfinite(price.logs)
        learned = learn(features, x[known], price.logs[known], "cost")
        self._cost = Posterior(learned.root, learned.outputs)
        logs = price.logs[known][learned.rows]
        self._mean, self._unit = float(logs.mean()), max(float(logs.std()), 1e-12)

    def affords(self, x: Floats) -> Bools:
        """(m,) where the cost is expected to be within the limit."""
        return np.asarray(self._cost.mean(x) * self._unit + self._mean <= self._price.within)

    def log_worth(self, x: Floats) -> Floats:
        """(m,) what cost adds to the logarithm of a point's worth: improvement per cost, and the chance that it is within."""
        mean, variance = self._cost.predict(x)
        worth = -self._price.thrift * self._unit * mean
        if math.isfinite(self._price.within):
            worth += log_feasible(mean - (self._price.within - self._mean) / self._unit, variance)
        return np.asarray(worth)
