"""What is believed of a space before any trial, as a density on the unit cube.

Two things are said of a parameter: its prior (``normal`` and ``lognormal`` are bells, the others flat in their own
geometry), and how strongly to lean towards its `start` value (`belief`). Over an ordered parameter both are normal, so their
product is too; of a choice, the start value has odds against each other value.

All beliefs together may be wrong. So of the points that are drawn every second one leans towards the start values, and the others do not.
"""

from __future__ import annotations

import functools

import numpy as np

from taut.samplers.base import Codes, Numbers
from taut.samplers.geometry import Geometry
from taut.samplers.quasirandom import halton
from taut.space import Space, prior
from taut.space.bell import Bell
from taut.space.prior import Bools, Floats

__all__ = ["Beliefs"]

_SPREAD = {"weak": 0.3, "medium": 0.15, "strong": 0.07}  # of the range, around the start value
_FLAT = float(np.log(0.05))
_ODDS = {"weak": 2.0, "medium": 5.0, "strong": 20.0}  # of the start value against each other choice


class Beliefs:
    """The density's parts; use `Beliefs.of(space)`, which keeps them.

    mean, precision: (d,) of the priors in the unit cube; precision 0 where flat. start, pull: (d,) start values and the
    precision of the belief in them; pull 0 where there is none. odds: by column of a choice, (cells,) logarithms.
    stated: whether a user said anything; leaning: whether of start values.
    """

    def __init__(self, space: Space) -> None:
        self._geometry = geometry = Geometry.of(space)
        self.mean, self.precision = np.full(geometry.d, 0.5), np.zeros(geometry.d)
        self.start, self.pull = np.full(geometry.d, 0.5), np.zeros(geometry.d)
        self.odds: dict[int, Floats] = {}
        for j in geometry.ordered.tolist():
            parameter = space.columns[j]
            if isinstance(parameter, Bell):
                low, high = (parameter.scaled(bound) for bound in parameter.bounds)
                self.mean[j] = (parameter.mean - low) / (high - low)
                self.precision[j] = ((high - low) / parameter.std) ** 2
            if parameter.belief is not None:
                self.start[j] = parameter.encode(np.array([parameter.code(parameter.start)]))[0]
                self.pull[j] = _SPREAD[parameter.belief] ** -2
        for j in geometry.choices.tolist():
            parameter = space.columns[j]
            if parameter.belief is not None:
                self.odds[j] = np.zeros(parameter.cells)
                self.odds[j][int(parameter.code(parameter.start))] = np.log(_ODDS[parameter.belief])
        self.leaning = bool(self.pull.any() or self.odds)
        self.stated = bool(self.precision.any() or self.leaning)

    @staticmethod
    @functools.lru_cache(maxsize=64)
    def of(space: Space) -> Beliefs:
        return Beliefs(space)

    def bell(self, j: int, power: float) -> tuple[float, float]:
        """Mean and precision of an ordered column's prior times its belief to the `power`."""
        more = power * float(self.pull[j])
        precision = float(self.precision[j]) + more
        if not precision:
            return 0.5, 0.0
        return (float(self.precision[j] * self.mean[j]) + more * float(self.start[j])) / precision, precision

    def log(self, unit: Floats, active: Bools | None) -> Floats:
        """(n,) logarithm of the density at points of the cube, up to a constant; inactive parameters say nothing.

        The belief as a whole is mixed with a little that is flat, so that one which is wrong by far can be overcome, however many
        parameters it speaks of.
        """
        o = self._geometry.ordered
        u = unit[:, o]
        priors = -0.5 * self.precision[o] * (u - self.mean[o]) ** 2
        pulled = -0.5 * self.pull[o] * (u - self.start[o]) ** 2
        if active is not None:
            priors, pulled = (np.where(active[:, o], each, 0.0) for each in (priors, pulled))
        total, believed = priors.sum(axis=1), pulled.sum(axis=1)
        for j, table in self.odds.items():
            cell = prior.cell(unit[:, j], len(table)).astype(np.int64)
            found = table[cell] - table.max()
            believed += found if active is None else np.where(active[:, j], found, 0.0)
        if self.leaning:
            total += np.logaddexp(believed, _FLAT)
        return np.asarray(total)

    def scattered(self, unit: Floats) -> Floats:
        """(n, d) points of the cube, drawn by `unit` (n, d), uniform numbers: every second one leans towards the start values."""
        space = self._geometry.space
        points = space.encode(space.quantile(unit))
        if self.leaning:
            points[1::2] = self._leant(unit[1::2])
        return points

    def evenly(self, numbers: Numbers, seed: int) -> Floats:
        """(k, d) points of a scrambled Halton sequence, for `drawn`. Where every second one is drawn otherwise, without its base 2:
        there every second point lies in one half."""
        d = self._geometry.d
        return halton(numbers, d + 1, seed)[:, 1:] if self.leaning else halton(numbers, d, seed)

    def drawn(self, unit: Floats, numbers: Numbers) -> Codes:
        """(k, d) codes of the first trials, drawn by `unit` (k, d): those of odd numbers lean towards the start values. All have a number for
        every parameter, whatever its condition."""
        space = self._geometry.space
        codes, odd = space.quantile(unit, conditions=False), numbers % 2 == 1
        if self.leaning and odd.any():
            codes[odd] = space.decode(self._leant(unit[odd]), conditions=False)
        return codes

    def _leant(self, unit: Floats) -> Floats:
        """(n, d) points of the cube, drawn by the uniform numbers `unit` from what is believed; from the prior where nothing is."""
        space = self._geometry.space
        points = space.encode(space.quantile(unit, conditions=False))
        for j in np.flatnonzero(self.pull).tolist():
            mean, precision = self.bell(j, 1.0)
            std = precision**-0.5
            points[:, j] = mean + std * prior.normal(unit[:, j], -mean / std, (1.0 - mean) / std)
        for j, table in self.odds.items():
            weights = np.exp(table)
            cell = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], unit[:, j], side="right")
            points[:, j] = prior.centre(cell.astype(float), len(table))
        return np.clip(points, 0.0, 1.0)
