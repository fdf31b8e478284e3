"""The sampler that chooses the sampler: whom it takes when, and that it says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from taut.definition import Definition, Method, Objective
from taut.errors import InputError
from taut.events import Finished, Started
from taut.samplers import registry
from taut.samplers.auto import AutoSampler
from taut.samplers.gp import GPSampler
from taut.snapshot import Snapshot
from taut.space import Space, choice, uniform, uniform_int

Outcome = Mapping[str, float] | str
Loss = Callable[[np.ndarray, np.random.Generator], float]
PLANE = Space(x=uniform(0, 1), y=uniform(0, 1), z=uniform(0, 1))


def smooth(u: np.ndarray, rng: np.random.Generator) -> float:
    return float(((u - 0.3) ** 2).sum())


def noise(u: np.ndarray, rng: np.random.Generator) -> float:
    return float(rng.normal())


def half(u: np.ndarray, rng: np.random.Generator) -> float:
    return float(((u - 0.3) ** 2).sum() + 0.35 * rng.normal())


def study(
    space: Space = PLANE,
    trials: int = 0,
    loss: Loss = smooth,
    failed: int = 0,
    objectives: tuple[str, ...] = ("loss",),
    seed: int = 0,
    seconds: float = 0.5,
) -> Snapshot:
    wanted = [Objective(name) for name in objectives]
    snapshot = Snapshot(Definition("a study", space.to_json(), wanted), space)
    rng = np.random.default_rng(seed)
    unit = rng.random((trials + failed, len(space)))
    for n, params in enumerate(space.params(space.decode(unit))):
        state: Any = "complete" if n < trials else "failed"
        y: dict[str, float | None] = (
            {name: loss(unit[n] + i / 10, rng) for i, name in enumerate(objectives)} if n < trials else {}
        )
        ended = Finished(n=n, a=0, state=state, y=y, t=n + seconds)
        snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n)), ended])
    return snapshot


def shares(snapshot: Snapshot, count: int = 60, seed: int = 3, other: str = "tpe") -> tuple[float, float]:
    """Which part of the next trials, each asked by itself, are those of `gp`, and which of `other`."""
    found = np.zeros(2)
    for n in range(snapshot.size, snapshot.size + count):
        asked = [snapshot.space, seed, np.array([n]), snapshot]
        (codes, *theirs) = (
            s.propose(*asked) for s in (AutoSampler(), GPSampler(), registry.make(Method(other, {})))
        )
        alike = [np.array_equal(codes, other, equal_nan=True) for other in theirs]
        assert sum(alike) == 1
        found += alike
    return float(found[0] / count), float(found[1] / count)


WIDE = Space({f"x{j}": uniform(0, 1) for j in range(61)})
ALMOST_WIDE = Space({**{f"x{j}": uniform(0, 1) for j in range(60)}, "only": choice([1])})


MIXED = Space(x=uniform(0, 1), kind=choice(["a", "b"]))
WHOLE = Space(n=uniform_int(0, 10**9), x=uniform(0, 1))  # so many cells that it is as good as continuous
SOMETIMES = Space(x=uniform(0, 1), y=uniform(0, 1, when="x > 0.5"))
TWO, FOUR = ("loss", "size"), ("loss", "size", "time", "memory")


@pytest.mark.parametrize(
    "snapshot, gp, other, words",
    [
        (lambda: study(trials=6), 1.0, "tpe", "gp, a Gaussian process, for the first 20 trials"),
        (lambda: study(trials=19, loss=noise), 1.0, "tpe", "for the first 20 trials"),
        (lambda: study(trials=40), 1.0, "tpe", "gp, a Gaussian process: it explains"),
        (lambda: study(trials=25, objectives=TWO), 1.0, "tpe", "for each of 2 objectives: it explains"),
        (lambda: study(trials=15, objectives=FOUR), 1.0, "tpe", "for each of 4 objectives, for the first"),
        (
            lambda: study(trials=501),
            0.0,
            "cma",
            "cma, for many trials over continuous parameters (501 trials",
        ),
        (lambda: study(WHOLE, trials=501), 0.0, "cma", "cma, for many trials"),
        (lambda: study(MIXED, trials=501), 0.0, "tpe", "tpe, for many trials in a space with choices"),
        (lambda: study(SOMETIMES, trials=501), 0.0, "tpe", "tpe, for many trials"),
        (lambda: study(trials=501, objectives=TWO), 0.0, "nsga2", "nsga2, for many trials with 2 objectives"),
        (
            lambda: study(trials=501, objectives=FOUR),
            0.0,
            "nsga3",
            "nsga3, for many trials with 4 objectives",
        ),
        (lambda: study(trials=101, seconds=0.02), 0.0, "cma", "(101 trials now that take less than 0.1 s)"),
        (lambda: study(trials=100, seconds=0.02), 1.0, "tpe", "gp, a Gaussian process: it explains"),
        (lambda: study(WIDE, trials=12), 0.0, "tpe", "tpe, for 61 parameters"),
        (lambda: study(ALMOST_WIDE, trials=6), 1.0, "tpe", "for the first 20 trials"),
        (lambda: study(failed=11), 0.0, "tpe", "tpe, since 11 trials have failed"),
        (lambda: study(failed=10), 1.0, "tpe", "for the first 20 trials"),
        (lambda: study(trials=1, failed=11), 0.0, "tpe", "tpe, since 11 trials have failed"),
        # Nothing is expected of the only point that is not surrounded by failures.
        (lambda: study(trials=2, failed=30), 2 / 3, "tpe", "for the first 20 trials"),
    ],
)
def test_whom_it_takes_and_what_it_says(
    snapshot: Callable[[], Snapshot], gp: float, other: str, words: str
) -> None:
    found = snapshot()
    told = AutoSampler().account(found)
    assert words in told and "\n" not in told and len(told) < 200
    assert shares(found, 3, other=other) == pytest.approx((gp, 1.0 - gp))


def test_what_the_other_method_wants_to_remember_is_remembered() -> None:
    snapshot, numbers = study(trials=501), np.arange(501, 504)
    codes, notes = AutoSampler().propose_noted(PLANE, 0, numbers, snapshot)
    theirs, wanted = registry.make(Method("cma", {})).propose_noted(PLANE, 0, numbers, snapshot)
    assert np.array_equal(codes, theirs) and list(notes) == list(wanted)


def test_noise_is_left_to_tpe() -> None:
    snapshot = study(trials=40, loss=noise)
    assert "gp for 20% of the trials and tpe for the others" in AutoSampler().account(snapshot)
    assert 0.05 <= shares(snapshot)[0] <= 0.4


def test_the_less_a_model_explains_the_more_trials_are_tpes() -> None:
    snapshot = study(trials=40, loss=half)
    share = GPSampler().model(snapshot).skill / 0.5
    assert 0.3 < share < 0.9, "the example is no longer in between"
    assert f"gp for {share:.0%} of the trials" in AutoSampler().account(snapshot)
    assert abs(shares(snapshot, 100)[0] - share) < 0.15  # three standard deviations


def test_a_space_of_one_point() -> None:
    space = Space(x=uniform(1, 1), only=choice(["a"]))
    snapshot = study(space, trials=30)
    assert "nothing to choose" in AutoSampler().account(snapshot)
    assert AutoSampler().propose(space, 0, np.array([30, 31]), snapshot).tolist() == [[1.0, 0.0]] * 2


def test_the_choice_is_the_seeds_and_the_numbers() -> None:
    snapshot, numbers = study(trials=40, loss=half), np.arange(40, 52)

    def ask(seed: int, some: np.ndarray) -> np.ndarray:
        return AutoSampler().propose(PLANE, seed, some, snapshot)

    whole = ask(1, numbers)
    assert np.array_equal(ask(1, numbers), whole) and not (ask(2, numbers) == whole).any()
    assert np.array_equal(ask(1, numbers[:1]), whole[:1])


def test_those_of_both_samplers_are_different_points() -> None:
    space = Space(n=uniform_int(1, 10), kind=choice(["a", "b", "c"]), z=uniform_int(0, 1))  # 60 points
    tried = study(space, trials=24, loss=noise, seed=1)
    assert "tpe for the others" in AutoSampler().account(tried)
    known = {repr(params) for params in space.params(tried.codes)}
    asked = space.params(AutoSampler().propose(space, 0, np.arange(24, 24 + 60 - len(known)), tried))
    assert len(known | {repr(params) for params in asked}) == 60


def test_cost_is_for_the_gaussian_process() -> None:
    assert registry.make(Method("auto", {"cost": "seconds"})) == AutoSampler(cost="seconds")
    with pytest.raises(InputError, match="not a metric") as caught:
        AutoSampler(cost="gpu hours")
    assert caught.value.at == ("sampler", "cost")
    with pytest.raises(InputError, match="allowed: cost"):
        registry.make(Method("auto", {"startup": 5}))
    snapshot = study(trials=30)
    mine, theirs = (
        s.propose(PLANE, 0, np.array([30]), snapshot)
        for s in (AutoSampler("seconds"), GPSampler(cost="seconds"))
    )
    assert np.array_equal(mine, theirs)
