"""The distribution of choices: a probability for each value, moved along the natural gradient.

This is the categorical part of CatCMA (Hamano et al., arXiv:2405.09962, section 3; with margin: arXiv:2504.07884), whose steps are those
of ASNG (Akimoto et al., ICML 2019, arXiv:1905.08537): longer while they agree with each other, shorter while they are noise.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from taut.samplers.cma.gaussian import Rates
from taut.space.prior import Bools, Floats

__all__ = ["Categories"]

_LEAVING = 0.27  # least probability that any choice is not what it is in the likeliest draw; arXiv:2504.07884, section 4
_SIGNAL = 1.5  # ratio of signal to noise at which steps stay as long as they are; alpha in ASNG


@dataclasses.dataclass(frozen=True)
class Categories:
    """Probabilities of m choices.

    p: (m, widest) rows that add up to 1, and 0 beyond a choice's last value. least: (m,) no value's probability falls below it.
    path: (m, widest) steps accumulated, in a geometry where probabilities are as long as they are uncertain. noise: the
    length that it would have by chance. caution: steps are 1 / caution long.
    """

    p: Floats
    least: Floats
    path: Floats
    noise: float = 0.0
    caution: float = 1.0

    @staticmethod
    def begun(odds: list[Floats]) -> Categories:
        """odds: for each choice the logarithm of each value's odds."""
        p = np.zeros((len(odds), max(map(len, odds), default=1)))
        for row, log in zip(p, odds, strict=True):
            row[: len(log)] = np.exp(log - log.max())
        p /= p.sum(axis=1, keepdims=True)
        margin = 1 - (1 - _LEAVING) ** (1 / max(len(odds), 1))
        least = np.array([margin / (len(log) - 1) for log in odds])
        return Categories(_raised(p, p > 0.0, least), least, np.zeros(p.shape))

    def sample(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(m,) a value for each choice."""
        beyond = self.p.cumsum(axis=1) <= rng.random((len(self.p), 1))
        return np.asarray(np.minimum(beyond.sum(axis=1), (self.p > 0.0).sum(axis=1) - 1))

    def told(self, values: NDArray[np.int64], active: Bools, rates: Rates) -> Categories:
        """After a generation (population, m), best first. A trial that did not have a choice says nothing of it."""
        real = self.p > 0.0
        w = np.where(active, np.maximum(rates.weights, 0.0)[:, None], 0.0)
        step = -w.sum(axis=0)[:, None] * self.p
        for i in range(len(self.p)):
            np.add.at(step[i], values[:, i], w[:, i])
        direction = step / np.sqrt(np.where(real, self.p, 1.0))  # by the root of the Fisher matrix
        length = float(np.linalg.norm(direction))
        if length < 1e-12:  # all agree already, or nobody had a choice
            return self
        root = math.sqrt(real.sum() - len(real))  # of the number of free probabilities
        size = min(1.0 / self.caution, root)
        beta = size / root
        path = (1 - beta) * self.path + math.sqrt(beta * (2 - beta)) * direction / length
        noise = (1 - beta) ** 2 * self.noise + beta * (2 - beta)
        caution = self.caution * math.exp(beta * (noise - float((path**2).sum()) / _SIGNAL))
        p = _raised(self.p + size / length * step, real, self.least)
        return Categories(p, self.least, path, noise, caution)


def _raised(p: Floats, real: Bools, least: Floats) -> Floats:
    """Rows with no probability below the least; what is too much comes from the others, by how much they have."""
    floor = np.where(real, least[:, None], 0.0)
    p = np.maximum(p, floor)
    spare = p - floor
    return np.asarray(p - (p.sum(axis=1, keepdims=True) - 1) * spare / spare.sum(axis=1, keepdims=True))
