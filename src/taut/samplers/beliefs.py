"""What is believed of a space before any trial, as a density on the unit cube.

Two things are said of a parameter: its prior (``normal`` and ``lognormal`` are bells, the others flat in their own
geometry), and how strongly to lean towards its `start` value (`belief`). Over an ordered parameter both are normal, so their
product is too; of a choice, the start value has odds against each other value.
"""

from __future__ import annotations

import functools

import numpy as np

from taut.samplers.geometry import Geometry
from taut.space import Space
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
    stated: whether a user said anything.
    """

    def __init__(self, space: Space) -> None:
        geometry = Geometry.of(space)
        self.mean, self.precision = np.full(geometry.d, 0.5), np.zeros(geometry.d)
        self.start, self.pull = np.full(geometry.d, 0.5), np.zeros(geometry.d)
        self.odds: dict[int, Floats] = {}
        self._ordered = geometry.ordered
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
        self.stated = bool(self.precision.any() or self.pull.any() or self.odds)

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
        o = self._ordered
        u = unit[:, o]
        prior = -0.5 * self.precision[o] * (u - self.mean[o]) ** 2
        pulled = -0.5 * self.pull[o] * (u - self.start[o]) ** 2
        if active is not None:
            prior, pulled = (np.where(active[:, o], each, 0.0) for each in (prior, pulled))
        total, believed = prior.sum(axis=1), pulled.sum(axis=1)
        for j, table in self.odds.items():
            cell = np.minimum((unit[:, j] * len(table)).astype(np.int64), len(table) - 1)
            found = table[cell] - table.max()
            believed += found if active is None else np.where(active[:, j], found, 0.0)
        if self.pull.any() or self.odds:
            total += np.logaddexp(believed, _FLAT)
        return np.asarray(total)
