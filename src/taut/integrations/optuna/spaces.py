"""Optuna's distributions as taut's parameters."""

from __future__ import annotations

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from taut.errors import InputError
from taut.space import Searched, choice, loguniform, loguniform_int, uniform, uniform_int

__all__ = ["hull", "inside", "outside", "parameter"]


def parameter(distribution: BaseDistribution, when: str | None = None) -> Searched | None:
    """The parameter that has the values of `distribution`; None if there is none, as for whole numbers beyond 2**53.

    Choices go by their positions, since Optuna's may be anything.
    """
    try:
        if isinstance(distribution, CategoricalDistribution):
            return choice(list(range(len(distribution.choices))), when=when)
        if isinstance(distribution, FloatDistribution):
            low, high = distribution.low, distribution.high
            return (
                loguniform(low, high, when=when)
                if distribution.log
                else uniform(low, high, distribution.step, when=when)
            )
        assert isinstance(distribution, IntDistribution)
        if distribution.log:
            return loguniform_int(distribution.low, distribution.high, when=when)
        return uniform_int(distribution.low, distribution.high, distribution.step, when=when)
    except InputError:
        return None


def hull(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """A distribution that has the values of both, which Optuna holds to be compatible: only their ranges may differ."""
    if one == other:
        return one
    if isinstance(one, CategoricalDistribution):
        assert isinstance(other, CategoricalDistribution)
        return CategoricalDistribution(
            [*one.choices, *(each for each in other.choices if each not in one.choices)]
        )
    assert isinstance(one, FloatDistribution | IntDistribution)
    low, high = min(one.low, other.low), max(one.high, other.high)  # type: ignore[attr-defined]
    aligned = one.step == other.step and one.low == other.low  # type: ignore[attr-defined]
    if isinstance(one, FloatDistribution):
        return FloatDistribution(low, high, log=one.log, step=one.step if aligned else None)
    return IntDistribution(int(low), int(high), log=one.log, step=one.step if aligned else 1)


def inside(distribution: BaseDistribution, value: Any) -> float:
    """What a value is called in taut."""
    return distribution.to_internal_repr(value)


def outside(distribution: BaseDistribution, value: Any) -> Any:
    """What it is called in Optuna."""
    return distribution.choices[value] if isinstance(distribution, CategoricalDistribution) else value
