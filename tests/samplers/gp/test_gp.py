"""The whole sampler: it finds what is good, sooner than chance, and is pure; its options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gp_lab import Lab

from taut.definition import Method
from taut.errors import InputError
from taut.samplers import registry
from taut.samplers.beliefs import Beliefs
from taut.samplers.geometry import Geometry
from taut.samplers.gp.kernel import Features
from taut.samplers.gp.learn import _marked
from taut.samplers.gp.sampler import GPSampler
from taut.space import Space, choice, lognormal, loguniform, uniform, uniform_int

SMOOTH = Space(x=uniform(-5, 10), y=uniform(0, 15))
MIXED = Space(
    rate=loguniform(1e-5, 1e-1),
    layers=uniform_int(1, 8),
    kind=choice(["sgd", "adam", "other"]),
    momentum=uniform(0.0, 1.0, when="kind == 'sgd'"),
)


def branin(p: Any) -> dict[str, float]:
    x, y = p["x"], p["y"]
    a = y - 5.1 * x**2 / (4 * np.pi**2) + 5 * x / np.pi - 6
    return {"loss": float(a**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10)}


def training(p: Any) -> dict[str, float]:
    loss = (np.log10(p["rate"]) + 2.5) ** 2 / 4 + (p["layers"] - 6) ** 2 / 20
    loss += {"sgd": 0.0, "adam": 0.3, "other": 0.8}[p["kind"]]
    return {"loss": float(loss + (p["momentum"] - 0.85) ** 2 if "momentum" in p else loss)}


def cold() -> None:
    for kept in (_marked, Features.of, Geometry.of, Beliefs.of):
        kept.cache_clear()


def best(lab: Lab, objective: Callable[[Any], dict[str, float]]) -> float:
    return min(objective(p)["loss"] for p in lab.params)


@pytest.mark.parametrize(
    "space, objective, goal", [(SMOOTH, branin, 0.25), (MIXED, training, 0.3)], ids=["smooth", "mixed"]
)
def test_it_is_clearly_better_than_chance(space: Space, objective: Any, goal: float) -> None:
    lowest = 0.397887 if objective is branin else 0.0
    mine, chance = [], []
    for seed in range(6):
        lab, random = Lab(space), Lab(space)
        lab.run(25, objective, seed)
        random.scatter(25, objective, seed)
        mine.append(best(lab, objective) - lowest)
        chance.append(best(random, objective) - lowest)
    assert np.mean(mine) < goal * np.mean(chance)
    assert sum(a < b for a, b in zip(mine, chance, strict=True)) >= 5


def test_it_finds_the_best_of_a_small_discrete_space_and_then_the_rest() -> None:
    space = Space(a=uniform_int(0, 9), b=choice(["x", "y", "z"]))
    lab = Lab(space)
    lab.run(30, lambda p: {"loss": (p["a"] - 6) ** 2 + 5.0 * (p["b"] != "y")})
    assert len({tuple(p.values()) for p in lab.params}) == 30, "each point once"
    assert {"a": 6, "b": "y"} in lab.params[:16]
    lab.run(2, lambda p: {"loss": 0.0})  # nothing is left, and still it answers


def test_several_objectives_are_spread_over_the_front() -> None:
    lab = Lab(Space(x=uniform(0, 1), y=uniform(0, 1)), objectives=("one", "two"))
    lab.run(30, lambda p: {"one": p["x"] + p["y"], "two": 1 - p["x"] + p["y"]})
    late = lab.params[15:]
    assert np.median([p["y"] for p in late]) < 0.2, "on the front y is 0"
    assert np.std([p["x"] for p in late]) > 0.15


def test_noise_does_not_keep_it_at_a_lucky_point() -> None:
    rng = np.random.default_rng(0)
    lab = Lab(Space(x=uniform(0, 1)))
    lab.add({"x": 0.05}, {"loss": 0.05})  # luck
    lab.run(29, lambda p: {"loss": (p["x"] - 0.7) ** 2 + 0.1 * rng.normal()})
    assert np.median([abs(p["x"] - 0.7) for p in lab.params[15:]]) < 0.25


def test_one_diverged_trial_does_not_blind_it() -> None:
    def mean(losses: tuple[float, ...]) -> float:
        found = []
        for seed in range(4):
            lab = Lab(SMOOTH)
            for loss in losses:
                lab.add({"x": -5.0, "y": 0.0}, {"loss": loss})
            lab.run(25, branin, seed)
            found.append(best(lab, branin) - 0.397887)
        return float(np.mean(found))

    assert mean((1e12,)) < max(1.0, 3 * mean((308.0,)))


# -- pure -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [5, 12, 13, 29, 61])
def test_answers_are_equal_with_cold_caches(n: int) -> None:
    lab = Lab(MIXED)
    for _ in range(n):  # as a worker that was there all the time: it asks before each trial
        (params,) = MIXED.params(
            MIXED.quantile(np.random.default_rng([n, lab.snapshot.size]).random((1, len(MIXED))))
        )
        lab.add(params, training(params))
        warm = lab.ask(3) if lab.snapshot.size in (n - 1, n) else []
    cold()
    other = Lab(MIXED)
    for params in lab.params:
        other.add(params, training(params))
    assert other.ask(3) == warm
    cold()
    assert [other.ask(count)[-1] for count in (3, 2, 1)] == warm[::-1]


def test_proposals_of_one_call_know_each_other() -> None:
    lab = Lab(SMOOTH)
    lab.scatter(10, branin)
    numbers = np.array([10, 11])
    one, two = GPSampler().propose(SMOOTH, 0, numbers, lab.snapshot)
    alone = GPSampler().propose(SMOOTH, 0, numbers[1:], lab.snapshot)[0]
    assert not np.array_equal(one, two) and not np.array_equal(two, alone)


def test_other_seeds_search_otherwise() -> None:
    lab = Lab(SMOOTH)
    lab.scatter(10, branin)
    assert lab.ask(seed=1) != lab.ask(seed=2)


# -- how it begins, and how it goes on ---------------------------------------------------------------------


def test_it_begins_with_a_design_from_the_priors() -> None:
    space = Space(x=lognormal(0.0, 1.0), kind=choice(["a", "b"], start="b"))
    lab = Lab(space)
    first = lab.ask(200, startup=200)
    assert first[0]["kind"] == "b"
    logs = np.log([p["x"] for p in first])
    assert abs(logs.mean()) < 0.1 and logs.std() == pytest.approx(1.0, abs=0.1)
    assert 80 < sum(p["kind"] == "a" for p in first) < 120


def test_the_first_is_in_the_middle_where_no_start_is_given() -> None:
    space = Space(x=uniform(-5, 10), rate=loguniform(1e-4, 1.0), y=uniform(0, 15, start=3.0))
    (first,) = Lab(space).ask()
    assert first == {"x": 2.5, "rate": pytest.approx(1e-2), "y": 3.0}


def test_startup_is_when_the_model_begins() -> None:
    lab = Lab(SMOOTH)
    lab.scatter(6, branin)
    assert lab.ask(startup=7) == Lab.ask(lab, startup=99) != lab.ask(startup=6)


def test_it_has_no_model_before_two_trials_are_complete() -> None:
    lab = Lab(SMOOTH)
    for params in lab.ask(9):
        lab.add(params, None)
    assert len({p["x"] for p in lab.ask(9)}) == 9
    lab.add({"x": 1.0, "y": 1.0}, {"loss": 1.0})
    with pytest.raises(InputError, match="two complete trials"):
        GPSampler().model(lab.snapshot)
    lab.add({"x": 2.0, "y": 1.0}, {"loss": 2.0})
    model = GPSampler().model(lab.snapshot)
    mean, _ = model.predict(SMOOTH.encode(np.array([[1.0, 1.0], [2.0, 1.0]])), None)
    assert mean[0] < mean[1]


def test_six_hundred_trials() -> None:
    lab = Lab(MIXED)
    rng = np.random.default_rng(0)
    noise = {i: 0.05 * rng.normal() for i in range(600)}
    lab.scatter(600, lambda p: {"loss": training(p)["loss"] + noise[lab.snapshot.size]})
    proposed = lab.ask(4)
    assert (
        sorted(training(p)["loss"] for p in proposed)[1] < 0.3
    )  # the others look elsewhere: nothing is expected any more
    for params in proposed:
        lab.add(params, training(params))
    assert lab.ask()[0] not in proposed


def test_more_dimensions_than_trials() -> None:
    space = Space({f"x{j}": uniform(0, 1) for j in range(30)})
    lab = Lab(space)
    lab.run(20, lambda p: {"loss": sum((v - 0.5) ** 2 for v in p.values())})
    assert all(0.0 <= v <= 1.0 for p in lab.params for v in p.values())


# -- costs and options ------------------------------------------------------------------------------------


def costly(p: Any) -> dict[str, float]:
    """The same loss left and right of the middle, but trials on the right cost a thousand times as much."""
    return {"loss": float(np.cos(4 * np.pi * p["x"])), "dollars": 10.0 ** (3 * p["x"])}


@pytest.mark.parametrize("cost", ["dollars", "seconds"])
def test_cheap_trials_are_preferred(cost: str) -> None:
    def share(budget: int, **options: Any) -> float:
        right = 0
        for seed in range(10):
            lab = Lab(Space(x=uniform(0, 1)), budget=budget)
            for x in np.linspace(0.02, 0.98, 8).tolist():
                found = costly({"x": x})
                lab.add({"x": x}, found, seconds=found["dollars"])
            right += sum(p["x"] > 0.5 for p in lab.ask(1, seed, **options))
        return right / 10

    assert share(50, cost=cost) < 0.2
    assert share(50) > 0.3
    assert share(8, cost=cost) == share(8), "with the budget used up cost does not matter any more"


def test_a_cost_that_is_never_reported_changes_nothing() -> None:
    lab = Lab(SMOOTH)
    lab.scatter(10, branin)
    assert lab.ask(cost="dollars") == lab.ask()


@pytest.mark.parametrize("startup", [0, 1, -3, 2.0, "5", True, None])
def test_a_wrong_startup_is_named(startup: Any) -> None:
    with pytest.raises(InputError, match="startup") as error:
        registry.make(Method("gp", {"startup": startup}))
    assert error.value.at == ("sampler", "startup")


@pytest.mark.parametrize("cost", ["", "two words", 3, True, ["seconds"]])
def test_a_wrong_cost_is_named(cost: Any) -> None:
    with pytest.raises(InputError, match="cost") as error:
        registry.make(Method("gp", {"cost": cost}))
    assert error.value.at == ("sampler", "cost")


def test_options_are_values() -> None:
    assert GPSampler(startup=7, cost="dollars") == registry.make(
        Method("gp", {"startup": 7, "cost": "dollars"})
    )
    assert hash(GPSampler()) == hash(GPSampler()) and GPSampler.uses_history


@pytest.mark.parametrize("space", [Space(n=uniform_int(0, 20_000)), Space(x=uniform(0, 1, step=1e-5))])
def test_many_cells_are_searched_like_a_continuous_range(space: Space) -> None:
    lab = Lab(space)
    name = space.searched[0]
    high = space.columns[0].bounds[1]  # type: ignore[attr-defined]
    lab.run(30, lambda params: {"loss": (params[name] / high - 0.3) ** 2})
    late = lab.snapshot.values("loss")[15:]  # half of them look elsewhere, once nothing is expected here
    assert np.quantile(late, 0.4) < 1e-3 and len({params[name] for params in lab.params}) == 30
