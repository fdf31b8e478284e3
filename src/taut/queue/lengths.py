"""What makes a trial long, or heavy: how its time, or its memory, goes with its parameters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.samplers.geometry import Geometry
from taut.space import Space

__all__ = ["ENOUGH", "Trend"]

Floats = NDArray[np.float64]

ENOUGH = 10
"""Trials below which nothing is said."""

_TELLS, _FEW = (
    0.2,
    4.0,
)  # of the variance of trials that were left out, and what n trials must tell more, divided by n: below that nothing is said
_COUNTS = 1.2  # a parameter that changes less than this factor is not named ...
_SURE = 7.0  # ... nor one within two standard errors: from end to end of a uniform number one is 3.5 of the rest, divided by the root of n
_NAMED = 3
_MANY = 30  # levels of a choice; more teach nothing
_PENALTIES = np.logspace(-3, 4, 22)


class Trend(NamedTuple):
    """Ridge regression of a logarithm on the unit cube: for each number a slope and a bend, for each choice a shift of each value.

    explains: how much of the variance it explains of trials that it has not seen (each left out in turn). rest: standard deviation of the logarithm
    around it, of such trials. factors: the parameters that matter, by how much each changes the value from one end to the other, the largest first.
    """

    explains: float
    rest: float
    factors: tuple[tuple[str, float], ...]
    space: Space
    level: float
    coefficients: Floats
    centre: Floats

    @classmethod
    def of(cls, space: Space, codes: Floats, values: Floats) -> Trend | None:
        """From trials with these codes, (n, d), that took `values`, (n,) above 0. None where there are few, or nothing is explained.

        The penalty is the one whose predictions of left-out trials are the best, by the closed form (Allen's PRESS, Technometrics 16, 1974).
        """
        if len(values) < ENOUGH or np.ptp(values) <= 0.0:
            return None
        logs = np.log(values)
        features, columns = _features(space, codes)
        if not features.shape[1]:
            return None
        n, centre, level = len(logs), features.mean(axis=0), float(logs.mean())
        left, sizes, right = np.linalg.svd(features - centre, full_matrices=False)
        along = left.T @ (logs - level)
        best, rest = 0.0, np.inf
        for penalty in _PENALTIES:
            keeps = sizes**2 / (sizes**2 + penalty)
            leverage = np.minimum(1.0 / n + (left**2 * keeps).sum(axis=1), 0.999)
            missed = (logs - level - left @ (keeps * along)) / (1.0 - leverage)
            if (squares := float((missed**2).mean())) < rest:
                best, rest = float(penalty), squares
        alone = float((((logs - level) * n / (n - 1)) ** 2).mean())
        explains = 1.0 - rest / alone
        if explains < _TELLS + _FEW / n:
            return None
        coefficients = right.T @ (sizes / (sizes**2 + best) * along)
        spread = float(np.sqrt(rest))
        factors = _factors(columns, coefficients, max(np.log(_COUNTS), _SURE * spread / np.sqrt(n)))
        return cls(explains, spread, factors, space, level, coefficients, centre)

    def at(self, codes: Floats) -> Floats:
        """(n,) logarithms that are expected at these codes."""
        features, _ = _features(self.space, codes)
        return np.asarray(self.level + (features - self.centre) @ self.coefficients)

    def __str__(self) -> str:
        named = ", ".join(f"{name} {factor:.1f}-fold" for name, factor in self.factors)
        return f"{named or 'the parameters together'} ({self.explains:.0%} explained)"


def _features(space: Space, codes: Floats) -> tuple[Floats, list[tuple[str, slice, int]]]:
    """(n, p) features, and whose they are: a parameter's name, its features, and the levels of a choice (0: a number). All are 0 where a parameter is inactive."""
    geometry, names = Geometry.of(space), space.searched
    units = space.encode(codes)
    there = ~np.isnan(codes)
    parts, columns, at = [np.empty((len(codes), 0))], list[tuple[str, slice, int]](), 0
    for j in geometry.free.tolist():
        levels = int(space.cells[j]) if j in geometry.unordered else 0
        if levels > _MANY:
            continue
        if levels:
            place = np.minimum((units[:, j] * levels).astype(np.int64), levels - 1)
            part = np.eye(levels)[place] - 1.0 / levels
        else:
            part = _curve(units[:, j])
        parts.append(part * there[:, [j]])
        columns.append((names[j], slice(at, at + part.shape[1]), levels))
        at += part.shape[1]
    return np.concatenate(parts, axis=1), columns


def _curve(unit: Floats) -> Floats:
    """(n, 2) Legendre polynomials of degree 1 and 2, which do not overlap."""
    x = 2.0 * unit - 1.0
    return np.stack([x, 1.5 * x**2 - 0.5], axis=-1)


def _factors(
    columns: list[tuple[str, slice, int]], coefficients: Floats, least: float
) -> tuple[tuple[str, float], ...]:
    """least: logarithm of a factor that is worth naming."""
    found = []
    for name, part, levels in columns:
        mine = coefficients[part]
        effect = mine if levels else _curve(np.linspace(0.0, 1.0, 21)) @ mine
        found.append((name, float(np.exp(np.ptp(effect)))))
    found.sort(key=lambda each: -each[1])
    return tuple(each for each in found[:_NAMED] if each[1] >= np.exp(least))
