"""Grid search: which cells there are, in which order, and what it refuses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import taut
from taut.definition import Method
from taut.errors import InputError
from taut.samplers import registry
from taut.space import (
    Space,
    choice,
    expr,
    loguniform,
    loguniform_int,
    normal,
    ordinal,
    uniform,
    uniform_int,
)


def grid(space: Space, resolution: Any = None) -> list[dict[str, Any]]:
    options = {} if resolution is None else {"resolution": resolution}
    sampler = registry.make(Method("grid", options))
    limit = sampler.limit(space)
    assert limit is not None
    return space.params(sampler.propose(space, 0, np.arange(limit), None))


def test_every_combination_once_the_last_parameter_changing_fastest() -> None:
    space = Space(a=choice(["x", "y"]), b=uniform_int(1, 5, step=2), c=ordinal([8, 16]))
    expected = [{"a": a, "b": b, "c": c} for a, b, c in itertools.product(["x", "y"], [1, 3, 5], [8, 16])]
    assert grid(space) == expected


def test_continuous_parameters_are_cut_evenly_bounds_included() -> None:
    space = Space(x=uniform(-1, 1), lr=loguniform(1e-4, 1e-2))
    cells = grid(space, 5)
    assert len(cells) == 25
    assert sorted({cell["x"] for cell in cells}) == [-1.0, -0.5, 0.0, 0.5, 1.0]
    rates = sorted({cell["lr"] for cell in cells})
    assert rates[0] == 1e-4 and rates[-1] == 1e-2
    assert rates == pytest.approx([1e-4, 10**-3.5, 1e-3, 10**-2.5, 1e-2], rel=1e-12)


def test_a_resolution_for_each() -> None:
    space = Space(
        x=uniform(0, 1), y=normal(0, 1, low=-2, high=2), n=uniform_int(0, 9), kind=choice(["a", "b", "c"])
    )
    cells = grid(space, {"x": 2, "y": 3})
    assert len(cells) == 2 * 3 * 10 * 3
    assert {cell["y"] for cell in cells} == {-2.0, 0.0, 2.0}
    assert len(grid(space, {"x": 2, "y": 3, "n": 4})) == 2 * 3 * 4 * 3
    assert {cell["n"] for cell in grid(space, {"x": 1, "y": 1, "n": 2})} == {0, 9}
    assert {cell["x"] for cell in grid(space, {"x": 1, "y": 1})} == {0.5}


def test_a_resolution_above_the_number_of_cells_takes_each_once() -> None:
    space = Space(n=uniform_int(1, 3), x=uniform(0, 0.3, step=0.1))
    assert grid(space, 100) == [
        {"n": n, "x": x} for n, x in itertools.product([1, 2, 3], [0.0, 0.1, 0.2, 0.3])
    ]


@pytest.mark.parametrize("resolution", [2, 3, 5, 30, 60, 99])
def test_a_coarse_grid_over_log_integers_repeats_nothing(resolution: int) -> None:
    values = [cell["n"] for cell in grid(Space(n=loguniform_int(1, 100)), resolution)]
    assert values == sorted(set(values)) and values[0] == 1 and values[-1] == 100
    assert len(values) <= resolution


def test_inactive_parameters_do_not_multiply_the_grid() -> None:
    space = Space(
        kind=choice(["sgd", "adam", "none"]),
        momentum=ordinal([0.0, 0.9], when="kind == 'sgd'"),
        nesterov=choice([True, False], when="momentum > 0.5"),
        beta=uniform(0, 1, when="kind == 'adam'"),
    )
    assert grid(space, {"beta": 2}) == [
        {"kind": "sgd", "momentum": 0.0},
        {"kind": "sgd", "momentum": 0.9, "nesterov": True},
        {"kind": "sgd", "momentum": 0.9, "nesterov": False},
        {"kind": "adam", "beta": 0.0},
        {"kind": "adam", "beta": 1.0},
        {"kind": "none"},
    ]


def test_constants_and_expressions() -> None:
    space = Space(one=uniform(0.5, 0.5), only=choice(["x"]), r=ordinal([8, 16]), alpha=expr("2 * r"))
    assert grid(space, 3) == [{"one": 0.5, "only": "x", "r": r, "alpha": 2 * r} for r in (8, 16)]


def test_values_of_choices_keep_their_types() -> None:
    values = [1, 1.0, True, None, "1", [1, 2]]
    assert [repr(cell["v"]) for cell in grid(Space(v=choice(values)))] == [repr(v) for v in values]


def test_equal_looking_choices_do_not_share_a_cached_grid() -> None:
    one, other = Space(v=choice([1, 0])), Space(v=choice([True, False]))
    assert [repr(c["v"]) for c in grid(one)] == ["1", "0"]
    assert [repr(c["v"]) for c in grid(other)] == ["True", "False"]


def test_a_resolution_is_needed_for_continuous_parameters() -> None:
    with pytest.raises(InputError, match=r"'lr' is continuous.*resolution = \{ lr = 5 \}.*random") as caught:
        grid(Space(n=uniform_int(1, 2), lr=loguniform(1e-4, 1e-2)))
    assert caught.value.at == ("sampler", "resolution")
    with pytest.raises(InputError, match="'y' is continuous"):
        grid(Space(x=uniform(0, 1), y=uniform(0, 1)), {"x": 3})


@pytest.mark.parametrize("resolution", [0, -1, 2.5, True, "5", None, [3], {"x": 0}, {"x": "a"}, {"x": True}])
def test_a_wrong_resolution_is_refused(resolution: Any) -> None:
    with pytest.raises(InputError) as caught:
        taut.Study(
            None,
            Space(x=uniform(0, 1)),
            minimize="loss",
            sampler={"method": "grid", "resolution": resolution},
        )
    assert caught.value.at == ("sampler", "resolution")


def test_a_resolution_for_a_name_that_is_not_there() -> None:
    with pytest.raises(InputError, match="'lrr' is not a searched parameter; did you mean 'lr'"):
        grid(Space(lr=uniform(0, 1), twice=expr("2 * lr")), {"lrr": 3})
    with pytest.raises(InputError, match="'twice' is not a searched parameter"):
        grid(Space(lr=uniform(0, 1), twice=expr("2 * lr")), {"lr": 3, "twice": 3})


def test_a_grid_too_large_is_refused_at_once() -> None:
    space = Space({f"x{j}": uniform(0, 1) for j in range(30)})
    with pytest.raises(InputError, match=r"1,000,000; lower the resolution"):
        grid(space, 10)
    with pytest.raises(InputError, match=r"1,000,000"):
        grid(Space(n=uniform_int(0, 2**53)))
    assert len(grid(Space({f"x{j}": uniform(0, 1) for j in range(5)}), 10)) == 100_000


def test_the_warning_names_the_number_of_cells_and_the_better_choice() -> None:
    sampler = registry.make(Method("grid", {"resolution": 11}))
    warning = sampler.warning(Space(x=uniform(0, 1), y=uniform(0, 1), z=uniform(0, 1)))
    assert warning is not None and "1,331" in warning and "random" in warning


def test_a_study_ends_with_its_grid() -> None:
    space = Space(x=uniform(0, 1), kind=choice(["a", "b"]))
    sampler = {"method": "grid", "resolution": 3}
    study = taut.Study(None, space, minimize="loss", trials=100, sampler=sampler)
    study.run(lambda x, kind: x + (kind == "b"))
    assert [trial.params for trial in study.trials] == grid(space, 3)
    assert study.best.params == {"x": 0.0, "kind": "a"}
    with pytest.raises(taut.StudyError, match="all 6 trials are finished"):
        study.ask()


def test_a_grid_that_is_extended_tries_every_combination_and_none_twice(tmp_path: Any) -> None:
    old = Space(x=choice([1, 2]), y=choice([1, 2]))
    new = Space(x=choice([1, 2]), y=choice([1, 2, 3]))
    path = tmp_path / "study"
    taut.Study(path, old, minimize="loss", sampler="grid", trials=100).run(lambda x, y: x * y)
    try:
        study = taut.Study(path, new)
    except taut.InputError:
        return  # to refuse is an answer too
    study.run(lambda x, y: x * y)
    tried = sorted((trial.params["x"], trial.params["y"]) for trial in study.trials)
    assert tried == list(itertools.product([1, 2], [1, 2, 3]))
