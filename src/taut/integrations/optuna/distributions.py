"""taut's parameters as Optuna's distributions, for whoever looks at a study of taut with Optuna's tools."""

from __future__ import annotations

import functools
import json
from typing import Any, NamedTuple

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from taut.errors import InputError
from taut.space import Searched, choice, loguniform, loguniform_int, ordinal, uniform, uniform_int
from taut.space.levels import Levels

__all__ = ["Shown", "held", "outside", "shown"]

_FINEST = 10**7  # steps up to which Optuna can tell whether a number is one of them


class Shown(NamedTuple):
    """A parameter in Optuna. spelled: whether its values are JSON texts there. lost: what Optuna does not know of it, if anything."""

    distribution: BaseDistribution
    spelled: bool = False
    lost: str | None = None

    def outside(self, value: Any) -> Any:
        """What Optuna calls a value."""
        return json.dumps(value) if self.spelled else value

    def inside(self, value: Any) -> Any:
        """The inverse of `outside`. Raises `ValueError` for a text that is no JSON."""
        return json.loads(value) if self.spelled else value


@functools.lru_cache(maxsize=1024)
def shown(parameter: Searched) -> Shown:
    """The distribution that has the values of `parameter`, and its bounds where it has some."""
    if isinstance(parameter, Levels):
        return _levels(parameter)
    low, high = parameter.bounds  # type: ignore[attr-defined]
    if isinstance(parameter, uniform):
        if parameter.cells > _FINEST:
            return Shown(FloatDistribution(low, high), lost="its fine steps")
        return Shown(FloatDistribution(low, high, step=parameter.step))
    if isinstance(parameter, loguniform):
        return Shown(FloatDistribution(low, high, log=True))
    if isinstance(parameter, uniform_int):
        return Shown(IntDistribution(low, high, step=parameter.step))
    if isinstance(parameter, loguniform_int):
        return Shown(IntDistribution(low, high, log=True))
    return Shown(FloatDistribution(low, high, log=parameter.kind == "lognormal"), lost="its normal prior")


def _levels(parameter: Levels) -> Shown:
    values, lost = parameter.arguments()[0], []
    if isinstance(parameter, ordinal):
        lost.append("the order of its values")
    if "list" in parameter.types:
        lost.append("lists, which are texts there")
    elif len(set(values)) < len(values):
        lost.append("1, 1.0 and true as different values, so they are texts there")
    spelled = bool(lost[isinstance(parameter, ordinal) :])
    choices = [json.dumps(value) for value in values] if spelled else values
    return Shown(CategoricalDistribution(choices), spelled, " and ".join(lost) or None)


def held(value: Any) -> Any:
    """What taut calls a choice of Optuna's, which may be anything that JSON holds: itself, or its JSON text."""
    try:
        (kept,) = choice([value]).arguments()[0]
    except InputError:
        return json.dumps(value)
    return kept


def outside(distribution: BaseDistribution, value: Any) -> Any:
    """The inverse of `held` for a value of `distribution`."""
    if not isinstance(distribution, CategoricalDistribution):
        return value
    return next(each for each in distribution.choices if json.dumps(held(each)) == json.dumps(value))
