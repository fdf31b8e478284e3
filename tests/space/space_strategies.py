"""Random parameters and spaces for the property tests."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from taut.space import (
    Searched,
    Space,
    choice,
    lognormal,
    loguniform,
    loguniform_int,
    normal,
    ordinal,
    uniform,
    uniform_int,
)

finite = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 6))
positive = st.floats(-12, 12).map(lambda x: 10.0**x)


@st.composite
def pairs(draw: Any, values: st.SearchStrategy[Any]) -> tuple[Any, Any]:
    a, b = draw(values), draw(values)
    return min(a, b), max(a, b)


@st.composite
def stepped(draw: Any) -> Searched:
    digits = draw(st.integers(0, 6))
    low, step = draw(st.integers(-1000, 1000)), draw(st.integers(1, 500))
    high = low + step * draw(st.integers(0, 1000))
    unit = 10**digits
    return uniform(low / unit, high / unit, step=step / unit)


@st.composite
def whole(draw: Any) -> Searched:
    low, step = draw(st.integers(-(10**6), 10**6)), draw(st.integers(1, 100))
    return uniform_int(low, low + step * draw(st.integers(0, 10**6)), step=step)


@st.composite
def bell(draw: Any) -> Searched:
    mean, std = draw(st.floats(-20, 20)), draw(st.floats(0.01, 5))
    if draw(st.booleans()):
        plain: list[Searched] = [normal(mean, std), lognormal(mean, std)]
        return plain[int(draw(st.integers(0, 1)))]
    a, b = draw(pairs(st.floats(-6, 6)))
    low, high = mean + a * std, mean + max(b, a + 0.01) * std
    if draw(st.booleans()):
        return normal(mean, std, low=low, high=high)
    return lognormal(mean, std, low=math.exp(low), high=math.exp(high))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("abc é\"'\\\n", max_size=4),
)
levels = st.lists(
    st.one_of(scalars, st.lists(scalars, max_size=3)),
    min_size=1,
    max_size=8,
    unique_by=lambda v: repr(_zero(v)),
)


def _zero(v: Any) -> Any:
    """-0.0 and 0.0 are one value."""
    return [_zero(x) for x in v] if isinstance(v, list) else v + 0.0 if isinstance(v, float) else v


parameters = st.one_of(
    pairs(finite).map(lambda p: uniform(*p)),
    stepped(),
    pairs(positive).map(lambda p: loguniform(*p)),
    bell(),
    whole(),
    pairs(st.integers(1, 10**6)).map(lambda p: loguniform_int(*p)),
    levels.map(choice),
    levels.map(ordinal),
)
discrete = st.one_of(
    stepped(), whole(), pairs(st.integers(1, 10**6)).map(lambda p: loguniform_int(*p)), levels.map(choice)
)
spaces = st.lists(parameters, min_size=1, max_size=6).map(
    lambda ps: Space({f"p{i}": p for i, p in enumerate(ps)})
)
units = st.floats(0, 1)
