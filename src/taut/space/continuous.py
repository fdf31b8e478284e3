"""Real-valued parameters: uniform, loguniform, normal, lognormal."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.space import prior
from taut.space.parameter import Searched, number
from taut.space.prior import Floats, Lattice

__all__ = ["LogNormal", "LogUniform", "Normal", "Number", "Uniform"]

_SPREAD = 4.0  # standard deviations between the mean and a bound that was left out
_LEAST_MASS = 1e-12  # of the normal distribution that its bounds must hold


class Number(Searched):
    """A parameter whose values lie between two bounds, both included. A value is its own code."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value."""

    @property
    def cells(self) -> int:
        return 0

    @property
    def types(self) -> frozenset[str]:
        return frozenset({"float"})

    def to_python(self, codes: Floats) -> list[Any]:
        return codes.tolist()

    def column(self, codes: Floats) -> NDArray[Any]:
        return codes

    def code(self, value: object) -> float:
        low, high = self.bounds
        if isinstance(value, float) and low <= value <= high:
            return value + 0.0
        number_like = isinstance(value, int | np.integer | np.floating) and not isinstance(value, bool)
        if number_like and low <= value <= high:
            return float(value)
        raise InputError(f"{value!r} is not allowed; it must be {self.allowed()}")

    @property
    def known_code(self) -> Callable[[Any], float]:
        return float

    def admits(self, literal: object) -> bool:
        low, high = self.bounds
        return isinstance(literal, int | float) and not isinstance(literal, bool) and low <= literal <= high

    def allowed(self) -> str:
        low, high = self.bounds
        return f"a number from {low!r} to {high!r}"

    def narrower(self, old: Any) -> str | None:
        return lost_range(self.bounds, old.bounds)


def lost_range(new: tuple[float, float], old: tuple[float, float]) -> str | None:
    if new[0] <= old[0] and old[1] <= new[1]:
        return None
    return f"its range {new[0]!r} to {new[1]!r} does not hold the old one, {old[0]!r} to {old[1]!r}"


def ordered(low: float, high: float, kind: str) -> None:
    if low > high:
        raise InputError(f"low = {low!r} lies above high = {high!r}; swap them", (kind,))
    if not math.isfinite(high - low):
        raise InputError(f"the range from {low!r} to {high!r} is too wide for a number; narrow it", (kind,))


def positive(low: float, kind: str, instead: str) -> None:
    if low <= 0:
        raise InputError(
            f"low = {low!r} must be above 0, because {kind} works on logarithms; raise low, or use {instead}",
            (kind,),
        )


@dataclass(frozen=True, eq=False, repr=False)
class Uniform(Number):
    """Every number from low to high is equally likely.

    For quantities whose differences matter: dropout, momentum, a mixing weight. Where factors matter
    (learning rates), choose `loguniform`.

    low, high: bounds, both included.
    step: only low, low + step, ... , high are allowed, exactly as decimals (0.3, not 0.30000000000000004).
    start, belief, when: see `Searched`.

    Raises `InputError` if low > high, or if high is not a whole number of steps above low.
    """

    kind: ClassVar[str] = "uniform"
    arity: ClassVar[int | None] = 2
    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        low, high = number(self.low, "low", self.kind), number(self.high, "high", self.kind)
        ordered(low, high, self.kind)
        step = None if self.step is None else number(self.step, "step", "step")
        object.__setattr__(self, "step", step)
        if step is not None:
            self._check_step(low, high, step)
        self.settle(low=low, high=high)

    def _check_step(self, low: float, high: float, step: float) -> None:
        if step <= 0:
            raise InputError(f"step = {step!r} must be above 0", ("step",))
        points = Lattice.between(low, high, step)
        if points is None:
            raise InputError(
                f"step = {step!r} is too fine for numbers from {low!r} to {high!r};"
                " use a larger step, or none",
                ("step",),
            )
        if isinstance(points, tuple):
            raise InputError(
                f"high = {high!r} is not reached from low = {low!r} in steps of {step!r};"
                f" use high = {points[0]!r} or {points[1]!r}",
                (self.kind,),
            )

    @cached_property
    def lattice(self) -> Lattice | None:
        """The allowed values where there is a step."""
        if self.step is None:
            return None
        points = Lattice.between(self.low, self.high, self.step)
        assert isinstance(points, Lattice)
        return points

    def arguments(self) -> tuple[Any, ...]:
        return self.low, self.high

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    @property
    def cells(self) -> int:
        return self.lattice.count if self.lattice else 0

    def quantile(self, u: Floats) -> Floats:
        if self.lattice:
            return self.lattice.at(prior.cell(u, self.lattice.count))
        return prior.linear(u, self.low, self.high)

    def decode(self, u: Floats) -> Floats:
        return self.quantile(u)

    def encode(self, codes: Floats) -> Floats:
        if self.lattice:
            return prior.centre(self.lattice.index(codes), self.lattice.count)
        return prior.linear_inverse(codes, self.low, self.high)

    def code(self, value: object) -> float:
        code = super().code(value)
        if self.lattice is None:
            return code
        point = float(self.lattice.at(self.lattice.index(np.array(code))))
        if abs(point - code) > 1e-9 * self.lattice.stride * 10.0**self.lattice.exponent:
            raise InputError(
                f"{value!r} is not allowed; it must be {self.allowed()}, so {point!r} is the nearest"
            )
        return point

    def admits(self, literal: object) -> bool:
        if not super().admits(literal):
            return False
        try:
            return self.code(literal) == literal
        except InputError:
            return False

    def allowed(self) -> str:
        return super().allowed() + (f" in steps of {self.step!r}" if self.step is not None else "")

    def narrower(self, old: Any) -> str | None:
        lost = super().narrower(old)
        if lost or self.lattice is None:
            return lost
        if old.lattice is None:
            return f"it has steps of {self.step!r} now, and had none"
        if self.lattice.contains(old.lattice):
            return None
        return (
            f"its steps of {self.step!r} from {self.low!r} miss old values"
            f" (steps of {old.step!r} from {old.low!r})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class LogUniform(Number):
    """Every order of magnitude from low to high is equally likely (the reciprocal prior).

    For scales of which only the magnitude is in doubt: learning rates, weight decay, regularisation.

    low, high: bounds, both included; low must be above 0.
    start, belief, when: see `Searched`.

    Raises `InputError` if low > high or low <= 0.
    """

    kind: ClassVar[str] = "loguniform"
    arity: ClassVar[int | None] = 2
    low: float
    high: float

    def __post_init__(self) -> None:
        low, high = number(self.low, "low", self.kind), number(self.high, "high", self.kind)
        positive(low, self.kind, "uniform")
        ordered(low, high, self.kind)
        self.settle(low=low, high=high)

    def arguments(self) -> tuple[Any, ...]:
        return self.low, self.high

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def quantile(self, u: Floats) -> Floats:
        return prior.logarithmic(u, self.low, self.high)

    def decode(self, u: Floats) -> Floats:
        return prior.logarithmic(u, self.low, self.high)

    def encode(self, codes: Floats) -> Floats:
        return prior.logarithmic_inverse(codes, self.low, self.high)


@dataclass(frozen=True, eq=False, repr=False)
class Bell(Number):
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

    def quantile(self, u: Floats) -> Floats:
        low, high = self.bounds
        if low == high:
            return prior.linear(u, low, high)
        return prior.pin(self.mean + self.std * prior.normal(u, *self._limits), u, low, high)

    def decode(self, u: Floats) -> Floats:
        return prior.linear(u, *self.bounds)

    def encode(self, codes: Floats) -> Floats:
        return prior.linear_inverse(codes, *self.bounds)


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

    def quantile(self, u: Floats) -> Floats:
        low, high = self.bounds
        if low == high:
            return prior.logarithmic(u, low, high)
        return prior.pin(np.exp(self.mean + self.std * prior.normal(u, *self._limits)), u, low, high)

    def decode(self, u: Floats) -> Floats:
        return prior.logarithmic(u, *self.bounds)

    def encode(self, codes: Floats) -> Floats:
        return prior.logarithmic_inverse(codes, *self.bounds)
