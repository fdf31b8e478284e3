"""The maps between the unit cube, codes and params."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from space_strategies import discrete, parameters, spaces, units

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

ENDS = np.array([[0.0], [1.0]])


def column(parameter: Searched, u: Any, how: str = "quantile") -> NDArray[np.float64]:
    codes: NDArray[np.float64] = getattr(Space(x=parameter), how)(np.asarray(u, dtype=float).reshape(-1, 1))
    return codes[:, 0]


@given(spaces, st.lists(units, min_size=1, max_size=20), st.sampled_from(["quantile", "decode"]))
def test_every_sample_is_valid(space: Space, u: list[float], how: str) -> None:
    codes = getattr(space, how)(np.repeat(np.array(u)[:, None], len(space), axis=1))
    params = space.params(codes)
    assert all(tuple(p) == space.names for p in params)
    assert np.array_equal(space.codes(params), codes)  # `codes` refuses what is not allowed
    assert np.array_equal(space.codes(params, known=True), codes)


@given(parameters)
def test_ends_of_the_unit_interval_are_the_bounds(parameter: Searched) -> None:
    low, high = getattr(parameter, "bounds", (0.0, parameter.cells - 1.0))
    assert column(parameter, ENDS).tolist() == [low, high]
    assert column(parameter, ENDS, "decode").tolist() == [low, high]


@given(parameters, st.lists(units, min_size=2, max_size=50).map(sorted))
def test_maps_keep_the_order(parameter: Searched, u: list[float]) -> None:
    for how in ("quantile", "decode"):
        x = column(parameter, u, how)
        assert np.all(np.diff(x) >= -4e-16 * np.abs(x[1:]))


@given(discrete, st.lists(units, min_size=1, max_size=20))
def test_discrete_codes_survive_the_unit_cube_exactly(parameter: Searched, u: list[float]) -> None:
    space = Space(x=parameter)
    codes = space.decode(np.array(u)[:, None])
    unit = space.encode(codes)
    assert np.array_equal(space.decode(unit), codes)
    assert np.array_equal(space.encode(space.decode(unit)), unit)
    assert np.array_equal(space.decode(space.encode(space.quantile(unit))), space.quantile(unit))


@given(parameters, st.lists(units, min_size=1, max_size=20))
def test_continuous_codes_survive_the_unit_cube_up_to_rounding(parameter: Searched, u: list[float]) -> None:
    if parameter.cells:
        return
    space = Space(x=parameter)
    low, high = parameter.bounds  # type: ignore[attr-defined]
    codes = space.decode(np.array(u)[:, None])
    unit = space.encode(codes)
    again = space.decode(unit)
    scale = max(abs(low), abs(high))
    if parameter.kind in ("uniform", "normal"):
        assert np.all(np.abs(again - codes) <= 1e-15 * scale)
        close = 1e-15 * (1 + scale / (high - low)) if high > low else 1.0
    else:
        assert np.allclose(again, codes, rtol=1e-14 * (1 + math.log(high / low)), atol=0)
        close = 1e-15 * (1 + 1 / math.log(high / low)) if high > low else 1.0
    assert np.all(np.abs(space.encode(again) - unit) <= close)
    if low < high:
        assert space.encode([[low], [high]]).tolist() == [[0.0], [1.0]]


@given(st.integers(1, 60), st.integers(0, 200))
def test_log_integers_have_exactly_their_probabilities(low: int, width: int) -> None:
    high = low + width
    n = 2**16
    got = column(loguniform_int(low, high), (np.arange(n) + 0.5) / n)
    counts = np.bincount(got.astype(int) - low, minlength=width + 1)
    v = np.arange(low, high + 1)
    mass = np.log((v + 0.5) / (v - 0.5)) / math.log((high + 0.5) / (low - 0.5))
    assert len(counts) == width + 1 and mass.sum() == pytest.approx(1.0)
    assert np.all(np.abs(counts - n * mass) <= 1.0 + 1e-6)  # a cell's two ends each cut one grid interval
    edges = np.log((v - 0.5) / (low - 0.5)) / math.log((high + 0.5) / (low - 0.5))
    assert np.array_equal(column(loguniform_int(low, high), np.minimum(edges + 1e-9, 1)), v)


@pytest.mark.parametrize(
    "parameter",
    [uniform(0, 1, step=0.1), uniform_int(-3, 7), uniform_int(0, 100, step=5), choice(["abc", "efg"])],
)
def test_other_discrete_kinds_have_equal_cells(parameter: Searched) -> None:
    k = parameter.cells
    codes = column(parameter, (np.arange(k * 100) + 0.5) / (k * 100))
    assert np.unique(codes, return_counts=True)[1].tolist() == [100] * k
    assert column(parameter, np.unique(codes), "encode").tolist() == [(i + 0.5) / k for i in range(k)]


def test_steps_are_exact_decimals() -> None:
    space = Space(
        x=uniform(0, 1, step=0.1), y=uniform(1e-5, 5e-5, step=1e-5), z=uniform(1e20, 5e20, step=1e20)
    )
    rows = space.params(space.quantile(np.repeat(np.linspace(0, 1, 101)[:, None], 3, axis=1)))
    assert sorted({r["x"] for r in rows}) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert sorted({r["y"] for r in rows}) == [1e-5, 2e-5, 3e-5, 4e-5, 5e-5]
    assert sorted({r["z"] for r in rows}) == [1e20, 2e20, 3e20, 4e20, 5e20]
    assert space.cells.tolist() == [11, 5, 5]


@given(st.integers(-500, 500), st.integers(1, 99), st.integers(0, 500), st.integers(0, 8))
def test_every_step_reads_as_its_decimal(low: int, step: int, count: int, digits: int) -> None:
    def text(i: int) -> float:
        return float(f"{low + i * step}e-{digits}")

    parameter = uniform(text(0), text(count), step=float(f"{step}e-{digits}"))
    k = parameter.cells
    assert k == count + 1
    values = column(parameter, (np.arange(k) + 0.5) / k).tolist()
    assert values == [text(i) for i in range(k)]


@pytest.mark.parametrize(
    "low, high", [(-2.0, 1.0), (-1.0, 6.0), (3.0, 9.0), (-9.0, -3.0), (6.0, 7.0), (-0.1, 0.1)]
)
def test_truncated_normals_against_the_distribution_function(low: float, high: float) -> None:
    from scipy.stats import truncnorm

    u = np.linspace(0.001, 0.999, 999)
    mean, std = 3.0, 2.0
    x = column(normal(mean, std, low=mean + low * std, high=mean + high * std), u)
    assert np.allclose(truncnorm.cdf(x, low, high, mean, std), u, rtol=1e-8, atol=1e-10)
    y = column(lognormal(mean, std, low=math.exp(mean + low * std), high=math.exp(mean + high * std)), u)
    assert np.allclose(np.log(y), x, rtol=1e-9, atol=1e-9)


def test_models_see_normals_evenly_and_log_kinds_by_magnitude() -> None:
    u = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert column(normal(0, 1), u, "decode").tolist() == [-4, -2, 0, 2, 4]
    assert column(loguniform(1e-4, 1.0), u, "decode") == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert np.log(column(lognormal(-3, 0.5), u, "decode")) == pytest.approx([-5, -4, -3, -2, -1])


def test_constants() -> None:
    space = Space(a=uniform(2, 2), b=loguniform(3, 3), c=normal(0, 1, low=9, high=9), d=uniform_int(4, 4),
                  e=loguniform_int(5, 5), f=choice(["x"]), g=uniform(1, 1, step=1), h=lognormal(0, 1, low=2, high=2))  # fmt: skip
    codes = space.quantile(np.linspace(0, 1, 8 * 7).reshape(7, 8))
    assert space.params(codes) == [dict(a=2.0, b=3.0, c=9.0, d=4, e=5, f="x", g=1.0, h=2.0)] * 7
    assert np.all(space.encode(codes) == 0.5)
    assert np.array_equal(space.decode(np.ones((1, 8))), codes[:1])


def test_extreme_integers() -> None:
    space = Space(a=uniform_int(-(2**53), 2**53), b=loguniform_int(1, 2**53))
    assert space.params(space.quantile([[0, 0], [1, 1]])) == [dict(a=-(2**53), b=1), dict(a=2**53, b=2**53)]


def test_types_of_values() -> None:
    space = Space(a=uniform(0, 1), b=uniform_int(0, 9), c=loguniform_int(1, 9), d=choice([True, None, "s", 1.0, 1]),
                  e=ordinal([[1, 2], []]))  # fmt: skip
    rows = space.params(space.quantile(np.repeat(np.linspace(0, 1, 9)[:, None], 5, axis=1)))
    assert {type(r["a"]) for r in rows} == {float} and {type(r["b"]) for r in rows} == {int} == {
        type(r["c"]) for r in rows
    }
    assert [repr(r["d"]) for r in rows[::2]] == ["True", "None", "'s'", "1.0", "1"]
    assert rows[0]["e"] == [1, 2] and rows[8]["e"] == []
    rows[0]["e"].append(3)  # a trial may change its own list
    assert rows[1]["e"] == [1, 2]
    assert json.loads(json.dumps(rows)) == rows or rows[0]["e"] == [1, 2, 3]


def test_one_value_is_what_its_json_text_says() -> None:
    space = Space(x=choice([1, 1.0, True, "1"]))
    for i, value in enumerate([1, 1.0, True, "1"]):
        assert space.codes([{"x": value}]).tolist() == [[i]]
        assert space.codes([{"x": value}], known=True).tolist() == [[i]]


def test_numpy_values_are_taken() -> None:
    space = Space(a=uniform(0, 1), b=uniform_int(0, 9), c=choice([1, "x", True]))
    assert space.codes([dict(a=np.float32(0.5), b=np.int64(3), c=np.int32(1))]).tolist() == [[0.5, 3.0, 0.0]]
    assert space.codes([dict(a=1, b=3.0, c=np.bool_(True))]).tolist() == [[1.0, 3.0, 2.0]]


def test_known_values_are_kept_even_out_of_range() -> None:
    space = Space(a=uniform(0, 1), b=uniform_int(0, 9), c=choice(["x", ["y", 1]]))
    old = [dict(a=7.5, b=-3, c=["y", 1]), dict(b=2, c="gone"), {}]
    nan = math.nan
    expected = [[7.5, -3, 1], [nan, 2, nan], [nan, nan, nan]]
    assert np.array_equal(space.codes(old, known=True), expected, equal_nan=True)
    assert np.array_equal(space.encode(expected)[:2], [[1.0, 0.05, 0.75], [0.5, 0.25, 0.5]])
    assert space.codes([], known=True).shape == (0, 3) == space.codes([]).shape


def test_no_rows() -> None:
    space = Space(a=uniform(0, 1), b=choice(["ab"]), c=uniform(0, 1, when="a > 0.5"))
    empty = np.empty((0, 3))
    assert space.quantile(empty).shape == space.decode(empty).shape == space.encode(empty).shape == (0, 3)
    assert space.params(empty) == [] and space.active(empty).shape == (0, 3)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"an array of shape \(n, 1\) is needed, not \(3,\)"):
        Space(a=uniform(0, 1)).quantile([0.1, 0.2, 0.3])
