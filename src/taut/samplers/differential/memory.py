"""What has worked: the scale factors and crossover rates that children were made with who came to be members."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from taut.space.prior import Floats

__all__ = ["Memory", "Success"]

_ENTRIES = 6  # H
_SPREAD = 0.1  # of both, around what is remembered


class Success(NamedTuple):
    """A child who came to be a member: what it was made with, and how much that counts."""

    scale: float
    rate: float
    weight: float


class Memory(NamedTuple):
    """H pairs of means (L-SHADE, section II-B). scales: M_F. rates: M_CR, None once no success needed more than one gene. at: which is
    replaced next."""

    scales: tuple[float, ...] = (0.5,) * _ENTRIES
    rates: tuple[float | None, ...] = (0.5,) * _ENTRIES
    at: int = 0

    @property
    def means(self) -> tuple[float, float]:
        """Of all scales, and of all rates."""
        return sum(self.scales) / _ENTRIES, sum(rate or 0.0 for rate in self.rates) / _ENTRIES

    def drawn(self, rng: np.random.Generator) -> tuple[float, float]:
        """F and CR for a child, around a pair of means."""
        pair = int(rng.integers(_ENTRIES))
        mean = self.rates[pair]
        # Eq. 1: CR = randn(M_CR, 0.1), cut off at 0 and 1; 0 for the terminal value.
        rate = 0.0 if mean is None else min(max(float(rng.normal(mean, _SPREAD)), 0.0), 1.0)
        scale = 0.0
        while scale <= 0.0:  # Eq. 2: F = randc(M_F, 0.1), drawn again at 0 or below, cut off at 1
            scale = self.scales[pair] + _SPREAD * math.tan(math.pi * (float(rng.random()) - 0.5))
        return min(scale, 1.0), rate

    def after(self, successes: Sequence[Success]) -> Memory:
        """What is remembered after a generation (L-SHADE, algorithm 1)."""
        if not successes:
            return self
        scale, rate, weight = np.array(successes).T
        scales, rates, at = list(self.scales), list(self.rates), self.at
        scales[at] = _lehmer(scale, weight)
        if rates[at] is not None:
            rates[at] = _lehmer(rate, weight) if rate.max() > 0.0 else None
        return Memory(tuple(scales), tuple(rates), (at + 1) % _ENTRIES)


def _lehmer(values: Floats, weights: Floats) -> float:
    """Eq. 7: sum(w v^2) / sum(w v)."""
    return float(weights @ values**2 / (weights @ values))
