"""The unit cube as models see it."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from taut.samplers.geometry import Geometry
from taut.space import (
    Space,
    choice,
    expr,
    lognormal,
    loguniform,
    loguniform_int,
    normal,
    ordinal,
    uniform,
    uniform_int,
)

MIXED = Space(
    lr=loguniform(1e-4, 1.0),
    fixed=uniform(2, 2),
    layers=uniform_int(1, 4),
    kind=choice(["sgd", "adam", "lion"]),
    only=choice(["one"]),
    size=ordinal([8, 16]),
    momentum=uniform(0.0, 1.0, when="kind == 'sgd'"),
    depth=loguniform_int(1, 9, when="kind == 'adam'"),
    none=uniform_int(3, 3, when="kind == 'adam'"),
    double=expr("2 * layers"),
)


def test_which_axes_count_and_how() -> None:
    g = Geometry.of(MIXED)
    assert [MIXED.searched[j] for j in g.free] == ["lr", "layers", "kind", "size", "momentum", "depth"]
    assert [MIXED.searched[j] for j in g.choices] == ["kind"] and g.unordered == {3}
    assert [MIXED.searched[j] for j in g.ordered] == ["lr", "layers", "size", "momentum", "depth"]
    assert [MIXED.searched[j] for j in g.conditional] == ["momentum", "depth"]
    assert [MIXED.searched[j] for j in g.discrete] == ["layers", "kind", "size", "depth"]
    assert g.cells[g.discrete].tolist() == [4, 3, 2, 9] and g.cells[0] == g.cells[6] == 0
    assert g.size == math.inf and g.d == 9 and g is Geometry.of(MIXED)


@pytest.mark.parametrize(
    "space, size",
    [
        (Space(n=uniform_int(1, 4), k=choice(["a", "b"]), o=choice([1])), 8),
        (Space(n=uniform_int(1, 4), x=uniform(0, 1)), math.inf),
        (Space(n=uniform_int(1, 4), x=uniform(1, 1)), 4),
        (Space(x=uniform(0, 1, step=0.25)), 5),
        (Space(o=choice([1])), 1),
        (Space(n=uniform_int(0, 99_999)), 100_000),
    ],
)
def test_how_many_points_there_are(space: Space, size: float) -> None:
    assert Geometry.of(space).size == size


def test_an_axis_of_many_cells_is_as_good_as_continuous() -> None:
    g = Geometry.of(
        Space(few=uniform_int(1, 10_000), many=uniform_int(0, 10_000), log=loguniform_int(1, 10_000))
    )
    assert g.discrete.tolist() == [0, 2] and g.cells.tolist() == [10_000, 0, 10_000]
    assert len(g.middles[0]) == len(g.middles[2]) == 10_000
    many = g.space.columns[1]
    middle = many.encode(many.decode(np.array([0.12345678])))[0]
    assert g.snap(np.array([[0.5, 0.12345678, 0.5]]))[0, 1] == middle != 0.12345678


def test_cells_of_logarithmic_integers_lie_unevenly() -> None:
    g = Geometry.of(Space(n=loguniform_int(1, 12)))
    whole = np.log(12.5 / 0.5)
    edges = np.log(np.arange(1, 12) + 0.5) - np.log(0.5)
    middles = g.middles[0]
    assert (
        len(middles) == 12 and (np.diff(middles) > 0).all() and np.diff(middles)[0] > 3 * np.diff(middles)[-1]
    )
    assert (middles[:-1] < edges / whole).all() and (middles[1:] > edges / whole).all()
    assert g.codes(middles[:, None])[:, 0].tolist() == list(range(1, 13))


def test_the_nearest_cell() -> None:
    g = Geometry.of(Space(n=uniform_int(1, 4)))
    assert g.middles[0].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert g.nearest(0, np.array([0.0, 0.249, 0.25, 0.5, 0.74, 1.0])).tolist() == [0, 0, 1, 2, 2, 3]
    u = np.random.default_rng(0).random(500)
    log = Geometry.of(Space(n=loguniform_int(1, 7)))
    expected = np.abs(u[:, None] - log.middles[0]).argmin(axis=1)
    assert log.nearest(0, u).tolist() == expected.tolist()


def any_space(rng: random.Random) -> Space:
    first, cells = rng.randint(-50, 50), rng.randint(1, 400)
    makers: list[Any] = [
        lambda: uniform(first, first + cells),
        lambda: uniform(first, round(first + 0.1 * cells, 1), step=0.1),
        lambda: uniform_int(first, first + cells * 3, step=3),
        lambda: uniform_int(first, first),
        lambda: loguniform_int(1 + abs(first), 1 + abs(first) + cells),
        lambda: loguniform_int(10**6, 10**6 + cells % 40),
        lambda: choice(list(range(1 + cells % 9))),
        lambda: ordinal(list(range(1 + cells))),
        lambda: normal(first, cells, low=first),
        lambda: lognormal(first / 9, 0.3),
    ]
    parameters = {f"p{j}": rng.choice(makers)() for j in range(rng.randint(1, 5))}
    parameters["kind"] = choice(["a", "b"])
    parameters["inner"] = rng.choice(
        [uniform(0, 1, when="kind == 'a'"), uniform_int(0, 6, when="kind == 'a'")]
    )
    return Space(parameters)


@pytest.mark.parametrize("seed", range(60))
def test_a_trial_lies_where_it_was_proposed(seed: int) -> None:
    """To the last bit: a point that was tried is recognised as such."""
    space = any_space(random.Random(seed))
    g = Geometry.of(space)
    unit = np.random.default_rng(seed).random((40, g.d))
    unit[0], unit[1] = 0.0, 1.0
    settled, active = g.settle(unit)
    assert active is not None and active[:, -1].tolist() == (settled[:, -2] < 0.5).tolist()
    codes = g.codes(unit)
    assert np.array_equal(settled, space.encode(codes)) and np.array_equal(active, ~np.isnan(codes))
    assert np.array_equal(g.codes(settled)[:, g.discrete], codes[:, g.discrete], equal_nan=True)
    for j, middles in g.middles.items():
        assert len(middles) == space.cells[j] == len(np.unique(space.columns[j].decode(middles)))
        assert np.array_equal(space.columns[j].encode(space.columns[j].decode(middles)), middles)
    snapped = g.snap(unit)
    assert np.array_equal(g.snap(snapped), snapped) and snapped is not unit
    still = np.setdiff1d(np.arange(g.d), g.discrete)
    assert np.array_equal(snapped[:, still], unit[:, still])
    there = active & np.isin(np.arange(g.d), g.discrete)
    assert np.array_equal(settled[there], g.snap(settled)[there])


def test_without_conditions_every_parameter_is_active() -> None:
    g = Geometry.of(Space(x=uniform(0, 1), n=uniform_int(1, 2)))
    settled, active = g.settle(np.array([[0.3, 0.3], [0.7, 0.9]]))
    assert active is None and settled.tolist() == [[0.3, 0.25], [0.7, 0.75]]


def test_what_lies_outside_is_brought_to_the_edge() -> None:
    g = Geometry.of(Space(x=uniform(2, 4), n=uniform_int(1, 3)))
    assert g.codes(np.array([[-0.1, -2.0], [1.1, 7.0]])).tolist() == [[2.0, 1.0], [4.0, 3.0]]


def test_inactive_parameters_are_in_the_middle() -> None:
    settled, active = Geometry.of(MIXED).settle(np.full((3, 9), 0.1) + np.array([[0.0], [0.4], [0.8]]))
    assert active is not None
    assert active[:, [6, 7, 8]].tolist() == [[True, False, False], [False, True, True], [False, False, False]]
    assert settled[1:, 6].tolist() == [0.5, 0.5] and settled[[0, 2], 7].tolist() == [0.5, 0.5]


def test_where_points_can_come_twice() -> None:
    assert not Geometry.of(Space(x=uniform(0, 1), kind=choice(["a", "b"]))).repeats
    assert Geometry.of(Space(n=uniform_int(0, 20_000))).repeats
    assert Geometry.of(Space(kind=choice(["a", "b"]), x=uniform(0, 1, when="kind == 'a'"))).repeats


def test_a_space_of_more_points_than_a_float_can_count() -> None:
    space = Space({f"c{j}": choice(list(range(10))) for j in range(400)})
    assert Geometry.of(space).size == 1e300
