"""Ant colony: where ants go from an archive, what gets into it, and that the colony finds what it should."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from breeding_lab import Lab, Params
from scipy import stats

from taut.errors import InputError
from taut.samplers.ants import AntsSampler
from taut.samplers.geometry import Geometry
from taut.samplers.history import History
from taut.samplers.population.ended import Ended
from taut.space import Space, choice, normal, ordinal, uniform, uniform_int

LINE = Space(x=uniform(0.0, 1.0))
PLANE = Space(x=uniform(0.0, 1.0), y=uniform(0.0, 1.0))
MIXED = Space(
    kind=choice(["a", "b", "c"]),
    x=uniform(0.0, 1.0, when="kind == 'a'"),
    bell=normal(10.0, 1.0, when="kind == 'a'"),
    n=uniform_int(0, 7),
    size=ordinal([8, 16, 32, 64]),
    y=uniform(0.0, 1.0),
)


def archive(unit: Any, active: Any = None, loss: Any = None) -> Ended:
    unit = np.array(unit, float)
    k = len(unit)
    has = np.ones(unit.shape, bool) if active is None else np.array(active)
    losses = np.arange(k, dtype=float)[:, None] if loss is None else np.array(loss, float)[:, None]
    return Ended(np.arange(k), unit, has, losses, np.zeros((k, 0)))


def ants(space: Space, state: Ended, count: int = 8000, **options: Any) -> Any:
    sampler, rng = AntsSampler(**options), np.random.default_rng(0)
    snapshot = Lab(space, sampler).snapshot
    return np.array([sampler.child(Geometry.of(space), state, 0, snapshot, rng)[0] for _ in range(count)])


# -- where an ant goes ----------------------------------------------------------------------------------------


def test_trials_are_followed_by_rank() -> None:
    state = archive([[0.1], [0.3], [0.5], [0.7], [0.9]])
    points = ants(LINE, state, locality=0.2, spread=1e-9)[:, 0]
    share = np.bincount((points * 5).astype(int), minlength=5) / len(points)
    weights = np.exp(-0.5 * np.arange(5) ** 2)
    assert share == pytest.approx(weights / weights.sum(), abs=0.015)


def test_steps_are_as_wide_as_the_mean_distance_to_the_others() -> None:
    state = archive([[0.5, 0.5], [0.52, 0.5], [0.54, 0.6], [0.44, 0.5]])
    points = ants(PLANE, state, locality=1e-3, spread=0.5)
    for j, apart in enumerate([(0.02 + 0.04 + 0.06) / 3, 0.1 / 3]):
        z = (points[:, j] - 0.5) / (0.5 * apart)
        assert stats.kstest(z, "norm").pvalue > 1e-3


def test_ants_do_not_heap_up_at_a_bound() -> None:
    points = ants(LINE, archive([[0.02], [0.5], [0.6]]), locality=1e-3)[:, 0]
    assert points.min() >= 0.0 and points.max() <= 1.0
    assert len(np.unique(points)) == len(points)
    assert np.mean(points < 0.05) < 0.1


def test_discrete_values_can_be_left_when_all_agree() -> None:
    space = Space(n=uniform_int(0, 9), size=ordinal([8, 16, 32, 64]), y=uniform(0.0, 1.0))
    geometry = Geometry.of(space)
    points = geometry.snap(ants(space, archive([[0.45, 0.625, 0.5]] * 3)))
    for j in (0, 1):
        assert np.mean(points[:, j] != [0.45, 0.625][j]) == pytest.approx(0.0455, abs=0.01)
    assert (points[:, 2] == 0.5).all()


def test_choices_are_drawn_by_weight_and_never_averaged() -> None:
    space = Space(kind=choice(list("abcde")))
    state = archive([[0.1], [0.9], [0.9], [0.3]])
    share = np.bincount((ants(space, state, locality=0.5)[:, 0] * 5).astype(int), minlength=5) / 8000
    weights = np.exp(-0.5 * (np.arange(4) / 2.0) ** 2)
    weights /= weights.sum()
    wanted = 0.9 * np.array([weights[0], weights[3], 0, 0, weights[1] + weights[2]]) + 0.02
    assert share == pytest.approx(wanted, abs=0.015)


def test_what_a_trial_lacked_is_drawn_from_the_prior_and_no_distance_to_it() -> None:
    with_it, without = [True] * 6, [True, False, False, True, True, True]
    rows = [
        [1 / 6, 0.3, 0.5, 0.4375, 0.375, 0.5],
        [0.5, 0.5, 0.5, 0.4375, 0.375, 0.5],
        [1 / 6, 0.34, 0.5, 0.4375, 0.375, 0.6],
    ]
    known = ants(MIXED, archive(rows, [with_it, without, with_it]), locality=1e-3, spread=0.5)
    assert known[:, 1].std() == pytest.approx(0.5 * 0.04, rel=0.05)
    assert known[:, 5].std() == pytest.approx(0.5 * 0.05, rel=0.05)

    rows[0], rows[1] = rows[1], rows[0]
    fresh = ants(MIXED, archive(rows, [without, with_it, with_it]), locality=1e-3)
    assert stats.kstest(fresh[:, 1], "uniform").pvalue > 1e-3
    bell = MIXED.columns[2].decode(fresh[:, 2])
    assert bell.mean() == pytest.approx(10.0, abs=0.05) and bell.std() == pytest.approx(1.0, abs=0.05)


# -- what gets into the archive -------------------------------------------------------------------------------


def grown(lab: Lab, step: int, **options: Any) -> Ended:
    """The archive after the trials of a study, taken in so many at a time."""
    sampler, ended = AntsSampler(**options), Ended.of(History.of(lab.snapshot))
    state: Ended | None = None
    for begin in range(0, len(ended), step):
        chunk = ended.rows(slice(begin, begin + step))
        state = sampler.grown(Geometry.of(lab.space), state, chunk, lab.snapshot)
    assert state is not None
    return state


def test_the_best_stay_and_failed_ones_never_get_in() -> None:
    lab = Lab(LINE, AntsSampler())
    outcomes: list[Any] = [5.0, "failed", 3.0, 4.0, "failed", 1.0, 3.0, 9.0]
    for x, loss in enumerate(outcomes):
        lab.add({"x": x / 10}, loss if isinstance(loss, str) else {"loss": loss})
    assert grown(lab, 8, archive=4).numbers.tolist() == [5, 2, 6, 3]
    assert grown(lab, 1, archive=100).numbers.tolist() == [5, 2, 6, 3, 0, 7]


def test_those_that_break_a_constraint_stand_last() -> None:
    lab = Lab(LINE, AntsSampler(), subject_to=("memory <= 1", "heat <= 1"))
    rows = [(1.0, 9.0, 0.0), (5.0, 0.0, 1.0), (0.0, 1.5, 0.5), (7.0, 1.0, 1.0), (2.0, 0.0, 4.0)]
    for x, (loss, memory, heat) in enumerate(rows):
        lab.add({"x": x / 10}, {"loss": loss, "memory": memory, "heat": heat})
    assert grown(lab, 2, archive=3).numbers.tolist() == [1, 3, 2]


@pytest.mark.parametrize("objectives", [("loss",), ("loss", "size")])
def test_it_makes_no_difference_how_many_trials_are_taken_in_at_once(objectives: tuple[str, ...]) -> None:
    lab = Lab(PLANE, AntsSampler(), objectives, ("x <= 0.7",))
    rng = np.random.default_rng(0)
    for x, y in rng.random((80, 2)).tolist():
        metrics = {"loss": round(x + y, 1), "size": round(1 - x, 1), "x": x}
        lab.add({"x": x, "y": y}, "failed" if y > 0.9 else metrics)
    states = [grown(lab, step, archive=7) for step in (1, 3, 80)]
    for field in dataclasses.fields(Ended):
        one, *others = (getattr(state, field.name) for state in states)
        assert all(np.array_equal(one, other) for other in others), field.name


def test_ants_wait_for_as_many_results_as_the_first_draws() -> None:
    lab = Lab(LINE, AntsSampler(startup=4))
    sampler = lab.sampler
    assert isinstance(sampler, AntsSampler)
    for x in (0.1, 0.2, 0.3):
        lab.add({"x": x}, {"loss": x})
        lab.add({"x": x + 0.5}, "failed")
    assert not sampler.ready(sampler.state(lab.snapshot))
    lab.add({"x": 0.4}, {"loss": 0.4})
    assert sampler.ready(sampler.state(lab.snapshot))


def test_a_colony_that_has_converged_begins_anew() -> None:
    """Two basins, the better one narrow: sooner or later one colony comes upon it."""

    def basins(params: Params) -> dict[str, float]:
        return {"loss": min(abs(params["x"] - 0.8), 12.0 * abs(params["x"] - 0.2) - 0.1)}

    lab = Lab(LINE, AntsSampler(archive=5, startup=5))
    lab.run(400, basins, seed=4)
    losses = np.array(lab.losses())
    assert 0.0 <= losses[:100].min() < 1e-6
    assert losses.min() < -0.09


# -- what it finds --------------------------------------------------------------------------------------------


def best(
    space: Space, objective: Callable[[Params], Any], budget: int, pending: int = 0, **options: Any
) -> float:
    found = []
    for seed in range(5):
        lab = Lab(space, AntsSampler(**options))
        lab.run(budget, objective, seed=seed, pending=pending)
        found.append(min(lab.losses()))
    return float(np.median(found))


@pytest.mark.parametrize("pending", [0, 7, 40])
def test_it_finds_the_bottom(pending: int) -> None:
    def sphere(params: Params) -> dict[str, float]:
        return {"loss": (params["x"] - 0.3) ** 2 + (params["y"] - 0.6) ** 2}

    assert best(PLANE, sphere, 300, pending) < 1e-6  # random search comes to 1e-3


def test_it_finds_a_choice_and_what_depends_on_it() -> None:
    def outcome(params: Params) -> Any:
        if params["kind"] == "c":
            return "failed"
        inside = (params["x"] - 0.8) ** 2 + (params["bell"] - 9.0) ** 2 if params["kind"] == "a" else 0.5
        whole = 0.01 * abs(params["n"] - 5) + 0.001 * abs(params["size"] - 32)
        return {"loss": inside + (params["y"] - 0.2) ** 2 + whole}

    assert best(MIXED, outcome, 300, pending=3) < 0.005


def test_several_objectives_are_followed_along_the_front() -> None:
    lab = Lab(PLANE, AntsSampler(), ("one", "two"))
    lab.run(300, lambda p: {"one": p["x"] ** 2 + p["y"], "two": (p["x"] - 1.0) ** 2 + p["y"]})
    last = np.array([[params["x"], params["y"]] for params, _ in lab.trials[-60:]])
    assert np.median(last[:, 1]) < 0.05 and np.ptp(last[:, 0]) > 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"archive": 1},
        {"startup": 2.0},
        {"locality": 0.0},
        {"locality": "0.1"},
        {"spread": 11.0},
        {"spread": True},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: Any) -> None:
    (name,) = options
    with pytest.raises(InputError, match=f"{name} = .* must be a .*; leave it out for"):
        AntsSampler(**options)
