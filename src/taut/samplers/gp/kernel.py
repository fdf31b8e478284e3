"""Matern-5/2 covariance over mixed spaces, and what its hyperparameters mean.

k(x, x') = s (1 + r + r^2/3) exp(-r),  r^2 = 5 sum_g w_g d_g(x, x')^2

One weight w = 1 / lengthscale^2 for each *group* of features: an ordered parameter is a group of one feature, a choice is a
group whose squared distance is 0 between equal values and 1 between different ones, and so is whether a conditional
parameter is there. Source: Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), equation 4.17.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.samplers.geometry import Geometry
from taut.space import Space
from taut.space.prior import Bools, Floats

__all__ = ["Features", "Hyper", "covariance", "distances", "matern"]


class Hyper(NamedTuple):
    """Hyperparameters: weights (g,) = 1 / lengthscale^2 of each group, signal variance, noise variance."""

    weights: Floats
    signal: float
    noise: float

    @staticmethod
    def fixed(groups: int) -> Hyper:
        """What explains tuning problems on average, for when there are too few trials to learn it from."""
        return Hyper(np.full(groups, 1.0 / (0.35**2 * groups)), 1.0, 0.02)

    def scale(self, group: NDArray[np.int64]) -> Floats:
        """(p,) what to multiply features by, for Euclidean distances to be r."""
        return np.asarray(np.sqrt(5.0 * self.weights[group]))


class Features:
    """How points of a space become rows of numbers whose Euclidean distances are the kernel's.

    group: (p,) the group of each feature. count: the number of groups. graded: whether rows also say how far a trial was taken.
    """

    def __init__(self, space: Space, graded: bool = False) -> None:
        geometry = Geometry.of(space)
        self._ordered = geometry.ordered
        self._choices = [(j, int(space.cells[j])) for j in geometry.choices.tolist()]
        self._flags = geometry.conditional
        sizes = [1] * len(self._ordered) + [k for _, k in self._choices] + [1] * (len(self._flags) + graded)
        self.count = len(sizes)
        self.group: NDArray[np.int64] = np.repeat(np.arange(self.count), sizes)
        self._all_ordered = len(self._ordered) == geometry.d and not len(self._flags)
        self._graded = graded

    @staticmethod
    @functools.lru_cache(maxsize=64)
    def of(space: Space, graded: bool = False) -> Features:
        return Features(space, graded)

    def rows(self, unit: Floats, active: Bools | None, grade: Floats | float = 0.0) -> Floats:
        """(n, p) features of points (n, d) of the unit cube. active: (n, d), or None where every parameter is.

        grade: (n,) how far trials were taken, where rows tell: from -1 to 0, the whole.
        """
        if self._all_ordered and not self._graded:
            return unit
        parts: list[Floats] = [unit[:, self._ordered]]
        for j, k in self._choices:
            hot = np.floor(unit[:, [j]] * k) == np.arange(k)
            if active is not None:
                hot &= active[:, [j]]
            parts.append(np.asarray(hot * np.sqrt(0.5)))
        if len(self._flags):
            there = np.ones((len(unit), len(self._flags))) if active is None else active[:, self._flags]
            parts.append(np.asarray(there, float))
        if self._graded:
            parts.append(np.broadcast_to(np.asarray(grade, float), len(unit))[:, None])
        return np.concatenate(parts, axis=1)


def distances(a: Floats, b: Floats) -> Floats:
    """(n, m) squared Euclidean distances between rows."""
    ones = np.ones((max(len(a), len(b)), 1))  # |a|^2 - 2 a b + |b|^2 as one product of matrices
    left = np.concatenate((-2.0 * a, np.einsum("ij,ij->i", a, a)[:, None], ones[: len(a)]), axis=1)
    right = np.concatenate((b, ones[: len(b)], np.einsum("ij,ij->i", b, b)[:, None]), axis=1)
    square: Floats = left @ right.T
    return np.maximum(square, 0.0, out=square)


def matern(square: Floats) -> tuple[Floats, Floats]:
    """Correlations (1 + r + r^2/3) exp(-r) at r^2 = `square`, and (1 + r) exp(-r), which their derivative needs."""
    r = np.sqrt(square)
    decay = np.exp(-r)
    slope = r
    slope += 1.0
    correlation = square / 3.0
    correlation += slope
    correlation *= decay
    slope *= decay
    return correlation, slope


def covariance(a: Floats, b: Floats, signal: float) -> Floats:
    """(n, m) covariances between rows of scaled features."""
    square = distances(a, b)
    r = np.sqrt(square)
    square /= 3.0
    square += r
    square += 1.0
    np.subtract(math.log(signal), r, out=r)
    square *= np.exp(r, out=r)
    return square
