"""Maps between the unit interval and numbers, vectorised over trials.

Everything here is plain mathematics on arrays: no parameter, no space. Each map from the unit
interval is exact at its ends: 0 gives the low bound and 1 the high bound, bit by bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Axis", "Bools", "Floats", "Lattice", "Linear", "Logarithmic"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Bound = float | Floats

EXACT = 2**53  # every integer up to here is a double
_POWER = 22  # and so is every power of ten up to here


def _within(x: Floats, low: Bound, high: Bound) -> Floats:
    return np.asarray(np.minimum(np.maximum(x, low), high))


class Linear(NamedTuple):
    """Numbers spread evenly from low to high."""

    low: Bound
    high: Bound

    def at(self, u: Floats) -> Floats:
        return _within(self.low * (1.0 - u) + self.high * u, self.low, self.high)

    def of(self, x: Floats) -> Floats:
        return (x - self.low) / (self.high - self.low)


class Logarithmic(NamedTuple):
    """Numbers whose logarithms are spread evenly; measured from the nearer end, so that both are exact.

    width: from end to end, in logarithms. middle: where the other end becomes the nearer one.
    """

    low: Bound
    high: Bound
    width: Bound
    middle: Bound

    @staticmethod
    def between(low: float, high: float) -> Logarithmic:
        ends = math.log(low), math.log(high)
        return Logarithmic(low, high, ends[1] - ends[0], math.exp(0.5 * (ends[1] + ends[0])))

    def at(self, u: Floats) -> Floats:
        upper = u >= 0.5
        x = np.where(upper, self.high, self.low) * np.exp((u - upper) * self.width)
        return _within(x, self.low, self.high)

    def of(self, x: Floats) -> Floats:
        upper = x >= self.middle
        return np.log(x / np.where(upper, self.high, self.low)) / self.width + upper


Axis = Linear | Logarithmic
"""How the numbers of a continuous parameter lie between its bounds: `at` u of the unit interval, and the inverse `of` x.

Its fields are numbers, or arrays (d,) for d parameters at once; `of` needs bounds that differ.
"""


def cell(u: Floats, count: int) -> Floats:
    """Which of `count` equal cells of the unit interval u falls into: 0 to count - 1."""
    return np.minimum(np.floor(u * count), count - 1)


def centre(index: Floats, count: int) -> Floats:
    return (index + 0.5) / count


def log_integer(u: Floats, low: int, high: int) -> Floats:
    """Integers with P(v) = log((v + 1/2) / (v - 1/2)) / log((high + 1/2) / (low - 1/2)).

    A log-uniform number between low - 1/2 and high + 1/2, rounded.
    """
    x = (low - 0.5) * np.exp(u * math.log((high + 0.5) / (low - 0.5)))
    return _within(np.floor(x + 0.5), low, high)


def log_integer_centre(v: Floats, low: int, high: int) -> Floats:
    """The middle of the part of the unit interval that `log_integer` maps to v."""
    edges = np.log((v - 0.5) / (low - 0.5)) + np.log((v + 0.5) / (low - 0.5))
    return edges / (2.0 * math.log((high + 0.5) / (low - 0.5)))


def normal_mass(low: float, high: float) -> float:
    """P(low < Z < high) for a standard normal Z, computed in the tail where the numbers are small."""
    if low > 0:
        low, high = -high, -low
    return 0.5 * (math.erfc(-high / math.sqrt(2)) - math.erfc(-low / math.sqrt(2)))


def normal(u: Floats, low: float, high: float) -> Floats:
    """Standard normal numbers restricted to low..high, by inverting the distribution function.

    Each number is computed from the tail that it is nearer to: far out, 1 - p would have lost its digits.
    """
    from scipy.special import ndtri  # type: ignore[import-untyped,unused-ignore]  # 0.1 s to import, and only normals and beliefs need it

    mass = normal_mass(low, high)
    below = normal_mass(-math.inf, low) + u * mass
    above = normal_mass(high, math.inf) + (1.0 - u) * mass
    z = ndtri(np.minimum(below, above))
    return np.asarray(np.where(below < above, z, -z), dtype=float)


def pin(x: Floats, u: Floats, low: float, high: float) -> Floats:
    """x held within its bounds, and exactly at them where u is 0 or 1."""
    return np.where(u <= 0.0, low, np.where(u >= 1.0, high, _within(x, low, high)))


@dataclass(frozen=True)
class Lattice:
    """The numbers (first + i * stride) * 10**exponent for i = 0 .. count - 1.

    Each is the double nearest to its decimal text: integers up to 2**53 and powers of ten up to
    10**22 are exact, so that the one multiplication or division rounds correctly (0.3, not
    0.30000000000000004).
    """

    first: int
    stride: int
    exponent: int
    count: int

    @staticmethod
    def between(low: float, high: float, step: float) -> Lattice | tuple[float, float] | None:
        """The lattice from low to high; the two nearest reachable highs if `high` is none of its points;
        None if doubles cannot hold the points apart."""
        from decimal import Decimal  # 4 ms to import, and only steps need it

        decimals = [Decimal(repr(x)).normalize() for x in (low, high, step)]
        exponent = min(int(d.as_tuple().exponent) for d in decimals)
        first, last, stride = (int(d.scaleb(-exponent)) for d in decimals)
        count, rest = divmod(last - first, stride)
        lattice = Lattice(first, stride, exponent, count + 1)
        if abs(exponent) > _POWER or max(abs(first), abs(last)) + stride > EXACT:
            return None
        if rest:
            near = lattice.at(np.array([count, count + 1], dtype=float))
            return float(near[0]), float(near[1])
        return lattice

    def at(self, index: Floats) -> Floats:
        x = self.first + index * self.stride
        return x * 10.0**self.exponent if self.exponent >= 0 else x / 10.0**-self.exponent

    def index(self, x: Floats) -> Floats:
        """The index of the point nearest to x."""
        scaled = x / 10.0**self.exponent if self.exponent >= 0 else x * 10.0**-self.exponent
        return _within(np.rint((scaled - self.first) / self.stride), 0.0, self.count - 1.0)

    def contains(self, other: Lattice) -> bool:
        """Whether every point of `other` is a point of this lattice."""
        e = min(self.exponent, other.exponent)
        mine, theirs = 10 ** (self.exponent - e), 10 ** (other.exponent - e)
        offset = other.first * theirs - self.first * mine
        width = (other.count - 1) * other.stride * theirs
        stride = self.stride * mine
        aligned = offset % stride == 0 and (other.count == 1 or other.stride * theirs % stride == 0)
        return bool(aligned and 0 <= offset <= (self.count - 1) * stride - width)
