"""Real-valued parameters that are likelier near a mean: normal and lognormal."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from taut.errors import InputError
from taut.space import prior
from taut.space.continuous import Continuous, ordered, positive
from taut.space.parameter import number
from taut.space.prior import Axis, Floats, Linear, Logarithmic

__all__ = ["Bell", "LogNormal", "Normal"]

_SPREAD = 4.0  # standard deviations between the mean and a bound that was left out
_LEAST_MASS = 1e-12  # of the normal distribution that its bounds must hold


@dataclass(frozen=True, eq=False, repr=False)
class Bell(Continuous):
    """What normal and lognormal share: a mean, a standard deviation, and bounds that cut the tails off."""

    arity: ClassVar[int | None] = 2
    mean: float
    std: float
    low: float | None = None
    high: float | None = None

    @staticmethod
    @abstractmethod
    def scaled(x: float) -> float:
        """A value on the scale on which the distribution is normal."""

    @staticmethod
    @abstractmethod
    def unscaled(z: float) -> float:
        """The inverse of `scaled`."""

    def __post_init__(self) -> None:
        mean, std = number(self.mean, "mean", self.kind), number(self.std, "std", self.kind)
        if std <= 0:
            raise InputError(f"std = {std!r} must be above 0", (self.kind,))
        low = None if self.low is None else number(self.low, "low", "low")
        high = None if self.high is None else number(self.high, "high", "high")
        for name, value in (("mean", mean), ("std", std), ("low", low), ("high", high)):
            object.__setattr__(self, name, value)
        self._check_bounds()
        self.settle()

    def _check_bounds(self) -> None:
        try:
            low, high = self.bounds
        except OverflowError:
            raise InputError(
                f"mean = {self.mean!r} and std = {self.std!r} are those of ln x, and give numbers"
                " beyond 1e308; lower them",
                (self.kind,),
            ) from None
        ordered(low, high, self.kind)
        if low < high and prior.normal_mass(*self._limits) < _LEAST_MASS:
            raise InputError(
                f"the bounds {low!r} to {high!r} hold less than {_LEAST_MASS} of the distribution with mean"
                f" {self.mean!r} and std {self.std!r}; move the mean between them, or use uniform",
                (self.kind,),
            )

    def arguments(self) -> tuple[Any, ...]:
        return self.mean, self.std

    @cached_property
    def _span(self) -> tuple[float, float]:
        low = self.unscaled(self.mean - _SPREAD * self.std) if self.low is None else self.low
        high = self.unscaled(self.mean + _SPREAD * self.std) if self.high is None else self.high
        return low, high

    @property
    def bounds(self) -> tuple[float, float]:
        return self._span

    @cached_property
    def _limits(self) -> tuple[float, float]:
        """The bounds in standard deviations from the mean."""
        low, high = self.bounds
        return (self.scaled(low) - self.mean) / self.std, (self.scaled(high) - self.mean) / self.std


class Normal(Bell):
    """Numbers near `mean` are likelier: a normal distribution cut off at its bounds.

    For a quantity of which a good value is known, roughly. To lean towards a value without changing
    what is drawn, give `start` and `belief` to a `uniform` instead.

    mean, std: of the distribution before it is cut off; std above 0.
    low, high: bounds, both included; left out: four standard deviations from the mean.
    start, belief, when: see `Searched`.

    Raises `InputError` if the bounds hold less than 1e-12 of the distribution.
    """

    kind: ClassVar[str] = "normal"

    @staticmethod
    def scaled(x: float) -> float:
        return x

    @staticmethod
    def unscaled(z: float) -> float:
        return z

    @cached_property
    def axis(self) -> Axis:
        return Linear(*self.bounds)

    def quantile(self, u: Floats) -> Floats:
        low, high = self.bounds
        if low == high:
            return self.decode(u)
        return prior.pin(self.mean + self.std * prior.normal(u, *self._limits), u, low, high)


class LogNormal(Bell):
    """Orders of magnitude near a known one are likelier: ln x is normal, cut off at its bounds.

    For a scale of which a good magnitude is known, for instance a learning rate near 3e-4:
    ``lognormal(math.log(3e-4), 1.0)``.

    mean, std: of ln x (as in NumPy), before it is cut off; std above 0.
    low, high: bounds of x itself, both included, above 0; left out: four standard deviations of ln x.
    start, belief, when: see `Searched`.

    Raises `InputError` if low <= 0, or if the bounds hold less than 1e-12 of the distribution.
    """

    kind: ClassVar[str] = "lognormal"

    @staticmethod
    def scaled(x: float) -> float:
        return math.log(x)

    @staticmethod
    def unscaled(z: float) -> float:
        return math.exp(z)

    def _check_bounds(self) -> None:
        if self.low is not None:
            positive(self.low, self.kind, "normal")
        if self.high is not None and self.high <= 0:
            raise InputError(
                f"high = {self.high!r} must be above 0, because lognormal works on logarithms", (self.kind,)
            )
        super()._check_bounds()

    @cached_property
    def axis(self) -> Axis:
        return Logarithmic.between(*self.bounds)

    def quantile(self, u: Floats) -> Floats:
        low, high = self.bounds
        if low == high:
            return self.decode(u)
        return prior.pin(np.exp(self.mean + self.std * prior.normal(u, *self._limits)), u, low, high)
