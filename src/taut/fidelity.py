"""How far a trial is taken before its result counts: what its steps are, from the least that tells something to the whole."""

from __future__ import annotations

import functools
import math

import msgspec
import numpy as np

from taut.errors import InputError
from taut.space.expression import Expression

__all__ = ["Fidelity"]

_MOST = 10_000  # levels, or rungs


class Fidelity(msgspec.Struct, frozen=True, omit_defaults=True):
    """The resource that a trial is given more of the better it looks.

    name: what the steps of `report` count (epoch, tokens, a share of the data); a command may use it: ``--epochs {epoch}``.
    max: the step of a whole trial; only such trials are complete. min: the least step that tells something.
    unit: for people, such as "1e9 tokens". resume: whether a trial that stopped goes on from its checkpoint; if not, it begins
    again. cost: what a trial up to a step costs, as an expression of `name`; in proportion to the step if left out.
    levels: the steps that there are, where only some can be had (sizes of data sets, of models).
    """

    name: str
    max: float
    min: float = 1.0
    unit: str | None = None
    resume: bool = False
    cost: str | None = None
    levels: list[float] = []

    def check(self) -> None:
        """Raise `InputError` for what the types cannot say."""
        if not self.name.isidentifier():
            raise InputError(f"{self.name!r} is not a name; use letters, digits and _: epoch", ("name",))
        for key in ("min", "max"):
            if not 0 < getattr(self, key) < math.inf:
                raise InputError(f"{getattr(self, key)} must be above 0 and finite", (key,))
        if not self.min <= self.max:
            raise InputError(f"min = {self.min:g} is above max = {self.max:g}", ("min",))
        if self.levels:
            if len(self.levels) > _MOST or sorted(set(self.levels)) != self.levels:
                raise InputError("levels must grow from the first to the last: [1, 3, 9]", ("levels",))
            if (self.levels[0], self.levels[-1]) != (self.min, self.max):
                raise InputError("the first of levels must be min, and the last one max", ("levels",))
        if self.cost is not None:
            try:
                expression = Expression.parse(self.cost)
                kind = expression.check({self.name: "float"})
                if kind == "bool" or not all(self._price(step) > 0.0 for step in (self.min, self.max)):
                    raise InputError(f"{self.cost!r} must be a number above 0 from min to max")
            except InputError as error:
                raise error.under("cost") from None

    def rungs(self, eta: float) -> list[float]:
        """Steps at which trials are compared, `max` the last: each `eta` times the one before, downwards as far as `min`."""
        return _rungs(self.min, self.max, tuple(self.levels), eta)

    def settle(self, step: float) -> float:
        """The nearest step that there is: a level, or a whole number where `min` and `max` are such."""
        return _settled(self.min, self.max, tuple(self.levels), step)

    def share(self, step: float) -> float:
        """What a trial up to `step` costs, as a part of a whole one."""
        return self._price(min(step, self.max)) / self._price(self.max) if step > 0.0 else 0.0

    def _price(self, step: float) -> float:
        if self.cost is None:
            return step
        return float(Expression.parse(self.cost).evaluate({self.name: np.array([step])}).values[0])

    def told(self, step: float) -> str:
        """A step in words: ``epoch 3 of 27``."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} {step:g} of {self.max:g}{unit}"


@functools.lru_cache(maxsize=64)
def _rungs(low: float, high: float, levels: tuple[float, ...], eta: float) -> list[float]:
    count = int(math.log(high / low) / math.log(eta) + 1e-9)
    steps = [high / eta**k for k in range(min(count, _MOST) + 1)]
    return sorted({_settled(low, high, levels, step) for step in steps})


def _settled(low: float, high: float, levels: tuple[float, ...], step: float) -> float:
    if levels:
        return min(levels, key=lambda level: abs(math.log(level / step)))
    if float(low).is_integer() and float(high).is_integer():
        step = math.floor(step + 0.5)
    return float(min(max(step, low), high))
