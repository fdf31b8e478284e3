"""Whole-number parameters: uniform_int and loguniform_int."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.space import prior
from taut.space.continuous import Number, lost_range, ordered
from taut.space.parameter import number
from taut.space.prior import EXACT, Floats, Lattice

__all__ = ["LogUniformInt", "UniformInt", "Whole"]


class Whole(Number):
    """A parameter with whole numbers for values."""

    @property
    def types(self) -> frozenset[str]:
        return frozenset({"int"})

    def to_python(self, codes: Floats) -> list[Any]:
        values: list[Any] = codes.astype(np.int64).tolist()
        return values

    def column(self, codes: Floats) -> NDArray[Any]:
        return codes.astype(np.int64)

    def code(self, value: object) -> float:
        code = super().code(value)
        if code != int(code):
            raise InputError(f"{value!r} is not allowed; it must be {self.allowed()}")
        return code

    @property
    def known_code(self) -> Callable[[Any], float]:
        return float

    def admits(self, literal: object) -> bool:
        try:
            self.code(literal)
        except InputError:
            return False
        return True

    def allowed(self) -> str:
        low, high = self.bounds
        return f"a whole number from {low} to {high}"


def _whole(value: Any, what: str, kind: str) -> int:
    x = number(value, what, kind)
    if x != int(x):
        raise InputError(
            f"{what} = {value!r} is not a whole number; use {kind.removesuffix('_int')}, or round it", (kind,)
        )
    if abs(value) > EXACT:  # asked of the value itself, because x is rounded
        raise InputError(f"{what} = {value!r} is too large; whole numbers go up to 2**53 = {EXACT}", (kind,))
    return int(x)


@dataclass(frozen=True, eq=False, repr=False)
class UniformInt(Whole):
    """Every whole number from low to high is equally likely.

    For small counts: layers, heads, warm-up epochs. For counts over several magnitudes (batch sizes,
    widths), choose `loguniform_int`, or `ordinal` with the powers of two.

    low, high: bounds, both included; up to 2**53.
    step: only low, low + step, ... , high are allowed; 1 or more.
    start, belief, when: see `Searched`.

    Raises `InputError` if low > high, or if high is not a whole number of steps above low.
    """

    kind: ClassVar[str] = "uniform_int"
    arity: ClassVar[int | None] = 2
    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        low, high = _whole(self.low, "low", self.kind), _whole(self.high, "high", self.kind)
        ordered(low, high, self.kind)
        step = number(self.step, "step", "step")
        if step < 1 or step != int(step):
            raise InputError(f"step = {self.step!r} must be a whole number, 1 or more", ("step",))
        below = low + (high - low) // int(step) * int(step)
        if below != high:
            raise InputError(
                f"high = {high} is not reached from low = {low} in steps of {int(step)};"
                f" use high = {below} or {below + int(step)}",
                (self.kind,),
            )
        object.__setattr__(self, "step", int(step))
        self.settle(low=low, high=high)

    @cached_property
    def lattice(self) -> Lattice:
        """The allowed values."""
        return Lattice(self.low, self.step, 0, (self.high - self.low) // self.step + 1)

    def arguments(self) -> tuple[Any, ...]:
        return self.low, self.high

    @property
    def bounds(self) -> tuple[int, int]:
        return self.low, self.high

    @property
    def cells(self) -> int:
        return self.lattice.count

    def quantile(self, u: Floats) -> Floats:
        return self.lattice.at(prior.cell(u, self.lattice.count))

    def decode(self, u: Floats) -> Floats:
        return self.quantile(u)

    def encode(self, codes: Floats) -> Floats:
        return prior.centre(self.lattice.index(codes), self.lattice.count)

    def code(self, value: object) -> float:
        code = super().code(value)
        if (int(code) - self.low) % self.step:
            raise InputError(f"{value!r} is not allowed; it must be {self.allowed()}")
        return code

    def allowed(self) -> str:
        return super().allowed() + (f" in steps of {self.step}" if self.step > 1 else "")

    def narrower(self, old: Any) -> str | None:
        lost = lost_range(self.bounds, old.bounds)
        if lost or self.lattice.contains(old.lattice):
            return lost
        return (
            f"its steps of {self.step} from {self.low} miss old values (steps of {old.step} from {old.low})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class LogUniformInt(Whole):
    """Whole numbers, every order of magnitude equally likely.

    For counts over several magnitudes: batch size, hidden width, number of trees.
    P(v) = log((v + 1/2) / (v - 1/2)) / log((high + 1/2) / (low - 1/2)).

    low, high: bounds, both included; low is 1 or more, high at most 2**53.
    start, belief, when: see `Searched`.

    Raises `InputError` if low > high or low < 1.
    """

    kind: ClassVar[str] = "loguniform_int"
    arity: ClassVar[int | None] = 2
    low: int
    high: int

    def __post_init__(self) -> None:
        low, high = _whole(self.low, "low", self.kind), _whole(self.high, "high", self.kind)
        if low < 1:
            raise InputError(
                f"low = {low} must be 1 or more, because loguniform_int works on logarithms;"
                " raise low, or use uniform_int",
                (self.kind,),
            )
        ordered(low, high, self.kind)
        self.settle(low=low, high=high)

    def arguments(self) -> tuple[Any, ...]:
        return self.low, self.high

    @property
    def bounds(self) -> tuple[int, int]:
        return self.low, self.high

    @property
    def cells(self) -> int:
        return self.high - self.low + 1

    def quantile(self, u: Floats) -> Floats:
        return prior.log_integer(u, self.low, self.high)

    def decode(self, u: Floats) -> Floats:
        return prior.log_integer(u, self.low, self.high)

    def encode(self, codes: Floats) -> Floats:
        return prior.log_integer_centre(codes, self.low, self.high)
