"""Checks of a sampler's options; each message says what is wrong and what may be given."""

from __future__ import annotations

from taut.errors import InputError, nearest

__all__ = ["number", "one_of", "whole"]


def whole(name: str, value: object, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(
            f"{value!r} does not fit; give a whole number from {low} to {high}", ("sampler", name)
        )
    return value


def number(name: str, value: object, low: float, high: float, *, open_below: bool = False) -> float:
    """A number from `low` to `high`, or above `low`."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or (open_below and value == low):
        span = f"above {low:g} and at most {high:g}" if open_below else f"from {low:g} to {high:g}"
        raise InputError(f"{value!r} does not fit; give a number {span}", ("sampler", name))
    assert isinstance(value, int | float)
    return float(value)


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise InputError(
            f"{value!r} is not known{nearest(value, allowed)}; there are: {', '.join(allowed)}",
            ("sampler", name),
        )
    return str(value)
