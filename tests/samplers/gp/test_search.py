"""The search: it finds the maximum of known functions, not what is taken, and its neighbours are neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from taut.samplers.geometry import Geometry
from taut.samplers.gp.search import maximise, perturbed
from taut.space import Space, choice, loguniform_int, ordinal, uniform, uniform_int

CUBE = Space({f"x{j}": uniform(0, 1) for j in range(4)})
CELLS = Space(a=uniform_int(0, 20), b=ordinal([1, 2, 4, 8]), c=choice(list("pqrst")), d=loguniform_int(1, 50))
MIXED = Space(x=uniform(0, 1), n=uniform_int(0, 9), kind=choice(["a", "b", "c"]), y=uniform(0, 1))
CONDITIONAL = Space(
    kind=choice(["plain", "momentum"]), x=uniform(0, 1), m=uniform(0, 1, when="kind == 'momentum'")
)


def best_of(
    space: Space, score: Callable[[Any, Any], Any], taken: Any = None, seed: int = 0, scattered: int = 256
) -> Any:
    rng = np.random.default_rng(seed)
    geometry = Geometry.of(space)
    unit = space.encode(space.quantile(rng.random((scattered, len(space)))))
    taken = np.empty((0, len(space))) if taken is None else taken
    return maximise(score, geometry, unit, unit[:3], taken, rng)[0]


def params(space: Space, unit: Any) -> dict[str, Any]:
    return space.params(Geometry.of(space).codes(unit[None]))[0]


@pytest.mark.parametrize("seed", range(4))
def test_maximum_of_a_continuous_space(seed: int) -> None:
    top = np.array([0.13, 0.5, 0.77, 1.0])
    found = best_of(CUBE, lambda u, _: -((u - top) ** 2).sum(axis=1), seed=seed)
    assert np.abs(found - top).max() < 0.05


def test_steps_shrink_near_the_maximum() -> None:
    space, top = Space(a=uniform(0, 1), b=uniform(0, 1)), np.array([0.13, 0.77])
    found = [
        best_of(space, lambda u, _: -((u - top) ** 2).sum(axis=1), seed=s, scattered=64) for s in range(12)
    ]
    assert np.mean(np.abs(found - top).max(axis=1)) < 0.002


@pytest.mark.parametrize("seed", range(4))
def test_the_higher_of_two_hills(seed: int) -> None:
    """A narrow hill that scattered points hit seldom, above a wide one."""
    narrow, wide = np.array([0.2, 0.2, 0.5, 0.5]), np.array([0.8, 0.8, 0.5, 0.5])

    def score(u: Any, _: Any) -> Any:
        near = [((u - top) ** 2).sum(axis=1) for top in (narrow, wide)]
        return 3 * np.exp(-near[0] / 0.08) + np.exp(-near[1] / 0.2)

    assert np.abs(best_of(CUBE, score, seed=seed, scattered=512) - narrow).max() < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_maximum_of_a_discrete_space(seed: int) -> None:
    codes = np.array([17.0, 2.0, 3.0, 29.0])

    def score(u: Any, _: Any) -> Any:
        at = CELLS.decode(u)
        return -np.abs(at - codes)[:, [0, 1, 3]].sum(axis=1) - (at[:, 2] != codes[2])

    assert params(CELLS, best_of(CELLS, score, seed=seed)) == CELLS.params(codes[None])[0]


@pytest.mark.parametrize("seed", range(4))
def test_maximum_of_a_mixed_space(seed: int) -> None:
    def score(u: Any, _: Any) -> Any:
        at = MIXED.decode(u)
        return (
            -((at[:, 0] - 0.31) ** 2) - 0.1 * np.abs(at[:, 1] - 7) - (at[:, 2] != 1) - (at[:, 3] - 0.9) ** 2
        )

    found = params(MIXED, best_of(MIXED, score, seed=seed))
    assert found["kind"] == "b" and found["n"] == 7
    assert found["x"] == pytest.approx(0.31, abs=0.1) and found["y"] == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize("kind", ["plain", "momentum"])
@pytest.mark.parametrize("seed", range(3))
def test_maximum_of_a_conditional_space(kind: str, seed: int) -> None:
    def score(u: Any, active: Any) -> Any:
        here = active[:, 2]
        assert np.array_equal(here, np.floor(2 * u[:, 0]) == 1) and (u[~here, 2] == 0.5).all()
        bonus = np.where(here == (kind == "momentum"), 1.0, 0.0)
        return bonus - (u[:, 1] - 0.6) ** 2 - np.where(here, (u[:, 2] - 0.9) ** 2, 0.0)

    found = params(CONDITIONAL, best_of(CONDITIONAL, score, seed=seed))
    assert found["kind"] == kind and found["x"] == pytest.approx(0.6, abs=0.02)
    assert ("m" in found) == (kind == "momentum")
    if "m" in found:
        assert found["m"] == pytest.approx(0.9, abs=0.02)


def test_no_taken_point_while_others_are_left() -> None:
    space = Space(a=uniform_int(0, 5), c=choice(["x", "y"]))
    geometry = Geometry.of(space)
    taken = np.empty((0, 2))
    seen = []
    for n in range(12):
        point = best_of(space, lambda u, _: -u[:, 0] - u[:, 1], taken, seed=n)
        seen.append(tuple(params(space, point).values()))
        taken = np.concatenate((taken, space.encode(geometry.codes(point[None]))))
    assert len(set(seen)) == 12
    assert seen[0] == (0, "x")
    again = best_of(space, lambda u, _: -u[:, 0] - u[:, 1], taken)  # none is left
    assert tuple(params(space, again).values()) in seen


@pytest.mark.parametrize("space", [CUBE, CELLS, MIXED, CONDITIONAL])
def test_the_generator_decides(space: Space) -> None:
    def score(u: Any, _: Any) -> Any:
        return np.sin(7 * u).sum(axis=1)

    assert np.array_equal(best_of(space, score, seed=1), best_of(space, score, seed=1))


def test_what_is_handed_over_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    unit, taken = rng.random((50, 4)), rng.random((3, 4))
    before = unit.copy(), taken.copy()
    maximise(lambda u, _: u.sum(axis=1), Geometry.of(CUBE), unit, unit[:2], taken, rng)
    assert np.array_equal(unit, before[0]) and np.array_equal(taken, before[1])


def test_one_point_to_choose_from() -> None:
    space = Space(x=uniform(0, 1), kind=choice(["only"]))
    found = best_of(space, lambda u, _: -np.abs(u[:, 0] - 0.5), scattered=1)
    assert abs(found[0] - 0.5) < 0.2


@pytest.mark.parametrize("spread", [1e-4, 0.1, 0.3, 2.0])
@pytest.mark.parametrize("space", [CUBE, CELLS, MIXED, Space(c=choice(["a", "b"])), Space(o=ordinal([1, 2]))])
def test_neighbours_are_other_points_of_the_cube(space: Space, spread: float) -> None:
    geometry, rng = Geometry.of(space), np.random.default_rng(0)
    parents = geometry.snap(rng.random((2000, len(space))))
    before = parents.copy()
    children = perturbed(geometry, parents, np.full(2000, spread), rng)
    assert np.array_equal(parents, before)
    assert children.shape == parents.shape and ((children >= 0.0) & (children <= 1.0)).all()
    assert np.allclose(geometry.snap(children), children, rtol=0, atol=1e-12), "cells keep to their middles"
    moved = np.abs(children - parents) > 1e-12
    assert moved.any(axis=1).all(), "at least one coordinate moves"
    for j, middles in geometry.middles.items():
        assert set(geometry.nearest(j, children[moved[:, j], j]).tolist()) == set(range(len(middles)))


def test_small_steps_go_to_the_next_cell_and_to_any_choice() -> None:
    geometry, rng = Geometry.of(CELLS), np.random.default_rng(0)
    parents = geometry.snap(rng.random((3000, 4)))
    children = perturbed(geometry, parents, np.full(3000, 1e-4), rng)
    for j in (0, 1, 3):
        here, there = geometry.nearest(j, parents[:, j]), geometry.nearest(j, children[:, j])
        assert set(np.abs(here - there).tolist()) == {0, 1}
    kinds = geometry.nearest(2, parents[:, 2]), geometry.nearest(2, children[:, 2])
    table = np.zeros((5, 5))
    np.add.at(table, kinds, 1)
    others = table[~np.eye(5, dtype=bool)]
    assert others.min() > 0.5 * others.mean()


def test_neighbours_of_small_steps_are_near() -> None:
    rng = np.random.default_rng(0)
    parents = rng.random((500, 4))
    children = perturbed(Geometry.of(CUBE), parents, np.full(500, 0.01), rng)
    assert np.abs(children - parents).max() < 0.06
    some = (np.abs(children - parents) > 1e-12).sum(axis=1)
    assert set(some.tolist()) == {1, 2, 3, 4}
