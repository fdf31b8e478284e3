"""A density over a mixed, conditional space: a mixture of product kernels, one for each trial, and a prior.

Every kernel is a product over columns, so the mixture is joint (multivariate): it knows which values go together. In a
conditional space a kernel has the prior in columns that its trial did not have. So a set of active parameters has a
density of its own, made by the trials that had them all; where those are few, it leans on the trials of other sets for
what they share, and on the prior for the rest.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr  # type: ignore[import-untyped,unused-ignore]

from taut.samplers.tpe.axes import Axes, Prior, mass, truncated
from taut.space.prior import Bools, Floats

__all__ = ["Cloud", "Density"]

_WIDTH = 0.2  # of kernels, in ranges, around a single trial
_ADAPTED = 1.4  # of kernels that adapt, in standard deviations of what they describe
_LEAST = 0.5  # of kernels over few ordered cells, in cells


class Cloud(NamedTuple):
    """Trials as points. unit, active: (k, d) where they lie, and which parameters they have. weights: (k,) how many each stands for."""

    unit: Floats
    active: Bools
    weights: Floats


class Density:
    """The mixture; its last component is the prior, with the weight of one trial. total: trials and prior together.

    Kernels over numbers are normal, restricted to the range, and get narrower with n trials in d dimensions as
    n^(-1/(d + 4)) (Scott's rate). They begin with `width`, in ranges; where `adaptive`, with 1.4 standard deviations of the trials, the
    prior being counted as one of them: so a few good trials that agree in a parameter are followed closely there.
    Kernels over choices keep the share n / (n + c) for the trial's own value of c, and give the rest to the prior (a
    pseudocount of one for each value).
    """

    def __init__(
        self, axes: Axes, prior: Prior, cloud: Cloud, adaptive: bool = False, width: float = _WIDTH
    ) -> None:
        unit, active, weights = cloud
        self.axes = axes
        self.total = float(weights.sum()) + 1.0
        n = max(self.total - 1.0, 1.0)
        single = _ADAPTED * _deviation(cloud) if adaptive else np.full(unit.shape[1], width)
        widths = single * n ** (-1.0 / (len(axes.geometry.free) + 4))
        s = axes.smooth
        known = np.zeros((len(unit) + 1, len(s)), bool)  # the last row is the prior's
        known[:-1] = active[:, s]
        self._mean = np.tile(prior.mean, (len(known), 1))
        self._mean[known] = unit[:, s][known[:-1]]
        self._std = np.where(known, widths[s], prior.std)
        self._rows = self._tables(prior, cloud, n, widths)
        self._weights = np.append(weights, 1.0) / self.total

    def _tables(self, prior: Prior, cloud: Cloud, n: float, width: Floats) -> list[Floats]:
        """For each coarse column (k + 1, cells): the probability of its cells under each component."""
        unit, active, _ = cloud
        axes, found = self.axes, []
        cells = axes.cells(unit)
        for i, (j, edges, base) in enumerate(zip(axes.coarse, axes.edges, prior.tables, strict=True)):
            count = len(base)
            if edges is None:
                rows = np.tile(base * (count / (n + count)), (len(unit), 1))
                rows[np.arange(len(unit)), cells[:, i]] += n / (n + count)
            else:
                middles = (edges[1:] + edges[:-1]) / 2
                spread = np.maximum(width[j], _LEAST * np.diff(edges))
                rows = mass((edges - middles[:, None]) / spread[:, None])[cells[:, i]]
            rows[~active[:, j]] = base
            found.append(np.concatenate((rows, base[None])))
        return found

    @cached_property
    def _terms(self) -> tuple[Floats, Floats, Floats]:
        """(k + 1, s) each: what a smooth column adds to a component's logarithm, times 1, x and x * x."""
        mean, std = self._mean, self._std
        inside = ndtr((1.0 - mean) / std) - ndtr(-mean / std)
        precision = std**-2.0
        constant = -np.log(math.sqrt(2.0 * math.pi) * std * inside) - 0.5 * mean * mean * precision
        return constant, mean * precision, -0.5 * precision

    def log(self, unit: Floats, active: Bools | None = None) -> Floats:
        """(n,) log density at points `unit` (n, d), over the parameters that are active there (all, if not given)."""
        x = unit[:, self.axes.smooth]
        constant, linear, square = self._terms
        # Normal kernels are quadratic in x, so one matrix product gives all points under all components.
        if active is None:
            exponent = np.hstack((x, x * x)) @ np.hstack((linear, square)).T + constant.sum(axis=1)
        else:
            there = active[:, self.axes.smooth].astype(float)
            exponent = np.hstack((there, there * x, there * x * x)) @ np.hstack((constant, linear, square)).T
        cells = self.axes.cells(unit)
        for i, (j, rows) in enumerate(zip(self.axes.coarse, self._rows, strict=True)):
            logs = np.log(rows.T)
            exponent += (
                logs[cells[:, i]] if active is None else np.where(active[:, [j]], logs[cells[:, i]], 0.0)
            )
        top = exponent.max(axis=1)
        return np.asarray(top + np.log(np.exp(exponent - top[:, None]) @ self._weights))

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """(count, d) points of the unit cube; 0.5 in columns with one value."""
        bounds = np.cumsum(self._weights)[:-1]
        component = np.searchsorted(bounds, rng.random(count), side="right")
        unit = np.full((count, self.axes.geometry.d), 0.5)
        s = self.axes.smooth
        unit[:, s] = truncated(self._mean[component], self._std[component], rng.random((count, len(s))))
        for j, edges, rows in zip(self.axes.coarse, self.axes.edges, self._rows, strict=True):
            cumulative = np.cumsum(rows[component], axis=1)[:, :-1]
            cell = (rng.random((count, 1)) >= cumulative).sum(axis=1)
            unit[:, j] = (
                (cell + 0.5) / rows.shape[1] if edges is None else (edges[cell] + edges[cell + 1]) / 2
            )
        return unit


def _deviation(cloud: Cloud) -> Floats:
    """(d,) standard deviation of points in each column, with one more that is spread over the whole range."""
    weight = cloud.weights[:, None] * cloud.active
    total = weight.sum(axis=0)
    mean = (weight * cloud.unit).sum(axis=0) / np.maximum(total, 1e-9)
    squares = (weight * (cloud.unit - mean) ** 2).sum(axis=0)
    return np.asarray(np.sqrt((squares + 1.0 / 12.0) / (total + 1.0)))
