"""The distribution of a time of which some were only seen to be longer than so much: Kaplan and Meier, with weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from taut.space.prior import Floats

__all__ = ["Curve", "curve"]


class Curve(NamedTuple):
    """A distribution function. seconds: (k,) rising; below: (k,) the probability of less, rising from 0 to 1."""

    seconds: Floats
    below: Floats

    def quantiles(self, levels: Floats) -> Floats:
        """Seconds that are undercut with these probabilities; between two known times, even in their logarithm."""
        return np.expm1(np.interp(levels, self.below, np.log1p(self.seconds)))

    def probability(self, seconds: float) -> float:
        """The probability of at most so many seconds."""
        return float(np.interp(np.log1p(seconds), np.log1p(self.seconds), self.below))


def curve(seconds: Floats, over: Floats, weights: Floats) -> Curve:
    """The distribution behind times in rising order, (n,).

    over: (n,) 1 where the time was over, 0 where it was still running when it was last seen ("right-censored"). weights:
    (n,) how many observations each stands for. Censored ones hand their weight on to those that took longer (Kaplan & Meier,
    JASA 53, 1958, with weights in place of counts). What is left beyond the longest time that was over is taken to last
    up to twice the longest ever seen, since a wait of unknown age is half over.
    """
    at_risk = np.cumsum(weights[::-1])[::-1]
    left = np.cumprod(1.0 - over * weights / np.maximum(at_risk, 1e-300))
    jump = np.flatnonzero(over * weights > 0)
    after = 1.0 - left[jump]
    before = np.concatenate(([0.0], after[:-1]))
    rest = float(left[-1])
    longest = float(seconds[-1])
    below = np.concatenate(([0.0], 0.5 * (before + after), [1.0]))
    first = float(seconds[jump[0]]) if len(jump) else longest
    return Curve(np.concatenate(([first], seconds[jump], [longest * 2.0 if rest > 1e-9 else longest])), below)
