"""Several objectives: the front is reached and spread over, with constraints, failures, pending trials and earlier studies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gp_lab import Lab

from taut.samplers.gp.learn import _MOST, _marked, learn
from taut.samplers.gp.sampler import GPSampler, exhausted
from taut.samplers.history import History
from taut.space import Space, choice, loguniform, uniform

PLANE = Space(x=uniform(0, 1), y=uniform(0, 1))
MIXED = Space(
    rate=loguniform(1e-4, 1.0),
    kind=choice(["a", "b", "c"]),
    m=uniform(0, 1, when="kind != 'a'"),
    z=uniform(0, 1),
)
SOLID = Space({name: uniform(0, 1) for name in "xyzw"})
TWO, THREE = ("one", "two"), ("one", "two", "three")
GRID = np.stack(np.meshgrid(np.linspace(0, 1, 41), np.linspace(0, 1, 41)), axis=-1).reshape(-1, 2)


def plain(p: Any) -> dict[str, float]:
    """The front is y = 0: there the two add up to 1."""
    return {"one": p["x"] ** 2 + p["y"], "two": (1 - p["x"]) ** 2 + p["y"]}


def mixed(p: Any) -> dict[str, float]:
    loss = (
        (np.log10(p["rate"]) + 2) ** 2 / 4 + {"a": 0.4, "b": 0.1, "c": 0.0}[p["kind"]] + p.get("m", 0.0) / 4
    )
    return {"one": float(loss + (1 - p["z"]) ** 2), "two": float(10 ** (2 * p["z"]) * (1 + p.get("m", 0.0)))}


def three(p: Any) -> dict[str, float]:
    """The front is z = w = 1/2."""
    far = 4 * (p["z"] - 0.5) ** 2 + 4 * (p["w"] - 0.5) ** 2
    return {"one": p["x"] + far, "two": p["y"] + far, "three": 2 - p["x"] - p["y"] + far}


def volume(lab: Lab, objective: Callable[[Any], dict[str, float]], reference: tuple[float, ...]) -> float:
    """What the trials dominate of the box from 0 to the reference, by many draws."""
    places = np.random.default_rng(9).random((4000, len(reference))) * reference
    held = np.zeros(len(places), bool)
    for params in lab.params:
        held |= (np.array(list(objective(params).values())) <= places).all(axis=1)
    return float(held.mean())


@pytest.mark.parametrize(
    "space, objective, names, reference",
    [
        (PLANE, plain, TWO, (2.0, 2.0)),
        (MIXED, mixed, TWO, (2.0, 200.0)),
        (SOLID, three, THREE, (1.5, 1.5, 2.5)),
    ],
    ids=["plain", "mixed", "three"],
)
def test_it_fills_more_of_the_volume_than_chance(
    space: Space, objective: Any, names: Any, reference: Any
) -> None:
    best = Lab(space, names)
    best.scatter(3000, objective, 100)
    mine, chance = [], []
    for seed in range(2):
        lab, random = Lab(space, names), Lab(space, names)
        lab.run(24, objective, seed)
        random.scatter(24, objective, seed)
        for found, each in ((mine, lab), (chance, random)):
            found.append(volume(best, objective, reference) - volume(each, objective, reference))
    assert np.mean(mine) < 0.6 * np.mean(chance)


def test_trials_are_spread_over_the_front() -> None:
    lab = Lab(PLANE, TWO)
    lab.run(30, plain)
    late = lab.params[15:]
    assert np.median([p["y"] for p in late]) < 0.1
    assert np.ptp([p["x"] for p in late]) > 0.7 and np.std([p["x"] for p in late]) > 0.2


def test_scales_of_objectives_do_not_matter() -> None:
    def other(p: Any) -> dict[str, float]:
        found = plain(p)
        return {"one": 1e6 * found["one"] - 3.0, "two": 1e-9 * found["two"] + 5e-8}

    labs = Lab(PLANE, TWO), Lab(PLANE, TWO)
    for lab, objective in zip(labs, (plain, other), strict=True):
        lab.scatter(10, objective)
    one, two = (lab.model().score(GRID, None) for lab in labs)
    assert np.allclose(one, two, atol=1e-3)


def test_each_objective_has_predictions_of_its_own() -> None:
    lab = Lab(PLANE, TWO)
    lab.scatter(25, plain)
    at = np.array([[0.1, 0.1], [0.9, 0.1]])
    one, two = (lab.model().predict(at, None, objective)[0] for objective in (0, 1))
    assert one[0] < one[1] and two[0] > two[1]
    assert lab.model().skill > 0.8


def test_the_most_promising_are_of_the_front() -> None:
    lab = Lab(PLANE, TWO)
    for x, y in ((0.5, 0.9), (0.1, 0.0), (0.2, 0.8), (0.9, 0.0), (0.5, 0.0), (0.8, 0.7)):
        lab.add({"x": x, "y": y}, plain({"x": x, "y": y}))
    assert sorted(lab.model().best_first[:3, 0].tolist()) == [0.1, 0.5, 0.9]


def test_pending_trials_fill_their_part_of_the_front() -> None:
    lab = Lab(PLANE, TWO)
    lab.scatter(14, plain)
    before = lab.model().score(GRID, None)
    top = GRID[before.argmax()]
    lab.add({"x": float(top[0]), "y": float(top[1])}, None)
    after = lab.model().score(GRID, None)
    assert after[before.argmax()] < before.max() - 1.0
    at_once = np.array([[p["x"], p["y"]] for p in lab.ask(6)])
    assert np.ptp(at_once[:, 0]) > 0.5, "six together do not all go to one end"


def test_the_front_is_of_the_trials_that_keep_the_constraints() -> None:
    late = []
    for seed in range(2):
        lab = Lab(PLANE, TWO, subject_to=("one + two >= 0.8",))
        lab.run(26, plain, seed)
        late += [sum(plain(p).values()) for p in lab.params[14:]]
    assert np.mean(np.array(late) < 0.75) < 0.3 and np.median(late) < 1.0


@pytest.mark.parametrize("bad", ["failed", "pruned"])
def test_without_a_front_it_goes_on(bad: Any) -> None:
    lab = Lab(PLANE, TWO, subject_to=("one <= -1",))
    lab.scatter(6, plain)
    lab.scatter(4, lambda p: bad, seed=1)
    assert np.isfinite(lab.model().score(GRID, None)).all()
    assert len({p["x"] for p in lab.ask(3)}) == 3


def test_equal_and_constant_objectives() -> None:
    for outcome in (lambda p: {"one": 1.0, "two": 1.0}, lambda p: {"one": p["x"], "two": 1.0}):
        lab = Lab(PLANE, TWO)
        lab.run(14, outcome)
        assert np.isfinite(lab.model().score(GRID, None)).all() and len({p["x"] for p in lab.params}) == 14


def test_one_objective_twice_is_one_objective() -> None:
    lab = Lab(PLANE, TWO)
    lab.run(25, lambda p: dict.fromkeys(TWO, (p["x"] - 0.3) ** 2 + (p["y"] - 0.7) ** 2))
    assert min((p["x"] - 0.3) ** 2 + (p["y"] - 0.7) ** 2 for p in lab.params) < 0.002


def test_the_rows_that_stand_for_many_trials_are_the_same_for_each_objective() -> None:
    rng = np.random.default_rng(0)
    lab = Lab(PLANE, TWO)
    lab.scatter(_MOST + 60, lambda p: {k: v + 0.01 * rng.normal() for k, v in plain(p).items()})
    history = History.of(lab.snapshot)
    first, second = lab.model().learned
    assert np.array_equal(first.rows, second.rows) and len(first.rows) <= _MOST + 50
    ends = history.loss.argmin(axis=0)
    assert np.isin(ends, first.rows).all(), "whoever is best in one of them is among those"
    alone = learn(lab.model()._features, history.unit(history.done), history.loss[:, 0].copy())
    assert not np.array_equal(alone.rows, first.rows)


@pytest.mark.parametrize("names, objective", [(TWO, mixed), (THREE, lambda p: {**mixed(p), "three": p["z"]})])
def test_answers_are_equal_with_cold_caches(names: Any, objective: Any) -> None:
    lab = Lab(MIXED, names)
    for n in range(16):
        lab.scatter(1, objective, seed=n)
        warm = lab.ask(3) if n > 12 else []
    _marked.cache_clear()
    other = Lab(MIXED, names)
    for params in lab.params:
        other.add(params, objective(params))
    assert other.ask(3) == warm
    assert [other.ask(count)[-1] for count in (3, 2, 1)] == warm[::-1]


def test_what_is_expected_is_told_for_each_objective() -> None:
    """Gaps of a front are small in each objective, and their volume is a product: it is no reason to look elsewhere."""
    lab = Lab(PLANE, TWO)
    for x in np.linspace(0.0, 1.0, 40).tolist():
        lab.add({"x": x, "y": 0.0}, plain({"x": x, "y": 0.0}))
    lab.scatter(20, plain)
    number = np.array([60])
    codes, worth = GPSampler().choose(PLANE, 0, number, lab.snapshot, explore=False)
    hope = GPSampler().model(lab.snapshot, 60).hope(PLANE.encode(codes), None)
    assert worth == pytest.approx(hope / 2, abs=0.2)
    assert hope < -5.0, "or the example shows nothing"
    assert not exhausted(worth, number + 1)[0] and codes[0, 1] < 0.05
