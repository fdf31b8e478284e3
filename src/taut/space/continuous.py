"""Real-valued parameters spread evenly: uniform and loguniform."""

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
from taut.space.parameter import Searched, is_number, number
from taut.space.prior import Axis, Floats, Lattice, Linear, Logarithmic

__all__ = ["Continuous", "LogUniform", "Number", "Uniform"]


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
        values: list[Any] = codes.tolist()
        return values

    def column(self, codes: Floats) -> NDArray[Any]:
        return codes

    def code(self, value: object) -> float:
        low, high = self.bounds
        # compared before it is converted: whole numbers may be too long for a float
        if is_number(value) and low <= value <= high:
            return float(value) + 0.0
        raise InputError(f"{value!r} is not allowed; it must be {self.allowed()}")

    @property
    def known_code(self) -> Callable[[Any], float]:
        return float

    def admits(self, literal: object) -> bool:
        low, high = self.bounds
        return is_number(literal) and low <= literal <= high

    def allowed(self) -> str:
        low, high = self.bounds
        return f"a number from {low!r} to {high!r}"

    def narrower(self, old: Any) -> str | None:
        return lost_range(self.bounds, old.bounds)


class Continuous(Number):
    """A number that lies on an axis between its bounds."""

    @property
    @abstractmethod
    def axis(self) -> Axis:
        """How values lie between the bounds."""

    def decode(self, u: Floats) -> Floats:
        return self.axis.at(u)

    def encode(self, codes: Floats) -> Floats:
        low, high = self.bounds
        return self.axis.of(codes) if low < high else np.full(np.shape(codes), 0.5)


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
class Uniform(Continuous):
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

    @cached_property
    def axis(self) -> Axis:
        return Linear(self.low, self.high)

    def quantile(self, u: Floats) -> Floats:
        return self.decode(u)

    def decode(self, u: Floats) -> Floats:
        return self.lattice.at(prior.cell(u, self.lattice.count)) if self.lattice else super().decode(u)

    def encode(self, codes: Floats) -> Floats:
        if self.lattice:
            return prior.centre(self.lattice.index(codes), self.lattice.count)
        return super().encode(codes)

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
class LogUniform(Continuous):
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

    @cached_property
    def axis(self) -> Axis:
        return Logarithmic.between(self.low, self.high)

    def quantile(self, u: Floats) -> Floats:
        return self.decode(u)
