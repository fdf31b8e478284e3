"""What is believed before any trial, as a density."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import taut
from taut.samplers.base import begun
from taut.samplers.beliefs import Beliefs
from taut.samplers.geometry import Geometry
from taut.samplers.quasirandom import halton
from taut.space import Space, choice, lognormal, loguniform, normal, ordinal, uniform, uniform_int


def test_nothing_is_believed_of_flat_parameters() -> None:
    space = Space(x=uniform(0, 1, start=0.2), lr=loguniform(1e-5, 1), kind=choice(["a", "b"], start="b"))
    beliefs = Beliefs.of(space)
    assert not beliefs.stated and beliefs is Beliefs.of(space)
    assert beliefs.log(np.random.default_rng(0).random((5, 3)), None).tolist() == [0.0] * 5
    assert beliefs.bell(0, 1.0) == (0.5, 0.0)


def differences(found: np.ndarray, expected: np.ndarray) -> float:
    """How far two logarithms are from differing by a constant."""
    return float(np.ptp(found - expected))


@pytest.mark.parametrize("low, high", [(None, None), (-1.0, 9.0), (4.0, 5.0)])
def test_a_bell_is_the_normal_density_over_its_range(low: float | None, high: float | None) -> None:
    space = Space(x=normal(3, 2) if low is None else normal(3, 2, low=low, high=high))
    unit = np.linspace(0, 1, 41)[:, None]
    expected = stats.norm(3, 2).logpdf(space.decode(unit)[:, 0])
    assert Beliefs.of(space).stated
    assert differences(Beliefs.of(space).log(unit, None), expected) < 1e-9


def test_a_lognormal_bell_lies_over_the_logarithm() -> None:
    space = Space(x=lognormal(1, 0.5))
    unit = np.linspace(0.01, 0.99, 41)[:, None]
    expected = stats.norm(1, 0.5).logpdf(np.log(space.decode(unit)[:, 0]))
    assert differences(Beliefs.of(space).log(unit, None), expected) < 1e-9


def leant(u: Any, start: float, spread: float) -> Any:
    """The logarithm of a bell around the start value, 0 at its top."""
    return -0.5 * ((u - start) / spread) ** 2


def mixed(believed: Any) -> Any:
    """A belief as a whole, with a twentieth of its height everywhere."""
    return np.log(np.exp(believed) + 0.05)


@pytest.mark.parametrize("belief, spread", [("weak", 0.3), ("medium", 0.15), ("strong", 0.07)])
def test_a_start_value_is_leant_to(belief: str, spread: float) -> None:
    space = Space(x=uniform(0, 10, start=2, belief=belief), lr=loguniform(1e-4, 1, start=0.1, belief=belief))
    unit = np.random.default_rng(0).random((50, 2))
    expected = mixed(leant(unit[:, 0], 0.2, spread) + leant(unit[:, 1], 0.75, spread))
    assert differences(Beliefs.of(space).log(unit, None), expected) < 1e-9


@pytest.mark.parametrize("belief, odds", [("weak", 2.0), ("medium", 5.0), ("strong", 20.0)])
def test_a_choice_has_odds(belief: str, odds: float) -> None:
    space = Space(x=uniform(0, 1), kind=choice(["a", "b", "c"], start="b", belief=belief))
    unit = np.array([[0.5, u] for u in (0.0, 1 / 6, 0.5, 0.6, 5 / 6, 1.0)])
    other, start = mixed(-math.log(odds)), mixed(0.0)
    expected = [other, other, start, start, other, other]
    assert Beliefs.of(space).log(unit, None) == pytest.approx(expected)
    assert Beliefs.of(space).stated


def test_ordered_discrete_values_lie_in_the_middle_of_their_cells() -> None:
    space = Space(
        n=uniform_int(1, 4, start=2, belief="weak"), size=ordinal([8, 16], start=16, belief="strong")
    )
    beliefs, unit = Beliefs.of(space), Geometry.of(space).snap(np.random.default_rng(0).random((60, 2)))
    best = space.params(space.decode(unit[[int(beliefs.log(unit, None).argmax())]]))
    assert best == [{"n": 2, "size": 16}] and beliefs.start.tolist() == [0.375, 0.75]


def test_a_prior_and_a_belief_are_multiplied() -> None:
    space = Space(x=normal(0, 1, low=-2, high=2, start=1, belief="medium"))
    beliefs, unit = Beliefs.of(space), np.linspace(0, 1, 101)[:, None]
    prior, belief = stats.norm(0.5, 0.25), stats.norm(0.75, 0.15)
    expected = prior.logpdf(unit[:, 0]) + mixed(leant(unit[:, 0], 0.75, 0.15))
    assert differences(beliefs.log(unit, None), expected) < 1e-9
    for power in (0.0, 0.3, 1.0, 2.0):
        mean, precision = beliefs.bell(0, power)
        powered = prior.logpdf(unit[:, 0]) + power * belief.logpdf(unit[:, 0])
        assert differences(stats.norm(mean, precision**-0.5).logpdf(unit[:, 0]), powered) < 1e-9
    assert beliefs.bell(0, 0.0) == pytest.approx((0.5, 16.0))
    flat = Beliefs.of(Space(x=uniform(0, 1, start=0.2, belief="weak")))
    assert flat.bell(0, 0.09) == pytest.approx((0.2, 1.0)) and flat.bell(0, 0.0) == (0.5, 0.0)


def test_what_a_trial_lacks_says_nothing() -> None:
    space = Space(
        kind=choice(["a", "b"], start="a", belief="weak"),
        x=uniform(0, 1, start=0.1, belief="strong", when="kind == 'a'"),
        sub=choice([1, 2], start=2, belief="strong", when="kind == 'a'"),
    )
    beliefs = Beliefs.of(space)
    unit, active = Geometry.of(space).settle(np.array([[0.2, 0.9, 0.9], [0.8, 0.9, 0.9], [0.8, 0.1, 0.1]]))
    found = beliefs.log(unit, active)
    assert found[0] == pytest.approx(mixed(leant(0.9, 0.1, 0.07)))  # it has the start values of both choices
    assert found[1] == found[2] == pytest.approx(mixed(-math.log(2)))


def test_a_belief_that_is_wrong_everywhere_can_be_overcome() -> None:
    parameters = {f"x{i}": uniform(0, 1, start=0.1, belief="strong") for i in range(12)}
    beliefs = Beliefs.of(Space(parameters))
    right, wrong = beliefs.log(np.array([[0.1] * 12, [0.9] * 12]), None)
    assert 3.0 < right - wrong < 3.1


LEANT = Space(
    lr=loguniform(1e-4, 1, start=0.1, belief="strong"),
    flat=uniform(0, 1),
    size=ordinal([8, 16, 32, 64], start=64, belief="strong"),
    kind=choice(["a", "b", "c", "d"], start="b", belief="strong"),
    x=uniform(0, 1, start=0.0, belief="medium", when="kind == 'a'"),
    only_b=uniform(0, 1, when="kind == 'b'"),
    bell=normal(0, 1, low=-2, high=2, start=1, belief="medium"),
)


def test_every_second_point_leans_towards_the_start_values() -> None:
    beliefs, unit = Beliefs.of(LEANT), np.random.default_rng(0).random((4000, 7))
    plain, leant = beliefs.scattered(unit)[::2], beliefs.scattered(unit)[1::2]
    assert np.array_equal(plain, LEANT.encode(LEANT.quantile(unit))[::2])
    assert ((leant >= 0) & (leant <= 1)).all()
    rate = stats.truncnorm(-0.75 / 0.07, 0.25 / 0.07, 0.75, 0.07)
    assert stats.kstest(leant[:, 0], rate.cdf).pvalue > 0.01
    assert stats.kstest(leant[:, 1], "uniform").pvalue > 0.01
    params = LEANT.params(LEANT.decode(leant))
    for name, value, expected in (("kind", "b", 20 / 23), ("size", 64, 0.96)):
        assert np.mean([p[name] == value for p in params]) == pytest.approx(expected, abs=0.03)
    assert all(("x" in p) == (p["kind"] == "a") for p in params) and any("x" in p for p in params)
    assert stats.kstest([p["bell"] for p in params], _product().cdf).pvalue > 0.01
    assert stats.kstest([p["only_b"] for p in params if "only_b" in p], "uniform").pvalue > 0.01


def _product() -> Any:
    """The standard normal prior on -2 .. 2 times a belief in 1 with a deviation of 0.15 of the range."""
    precision = 1 + 0.6**-2
    mean, std = 0.6**-2 / precision, precision**-0.5
    return stats.truncnorm((-2 - mean) / std, (2 - mean) / std, mean, std)


def test_the_first_trials_lean_in_turns_and_to_both_sides() -> None:
    beliefs, numbers = Beliefs.of(LEANT), np.arange(64)
    params = LEANT.params(begun(LEANT, beliefs.drawn(beliefs.evenly(numbers, 5), numbers), numbers))
    assert params[0] == {**params[0], "lr": 0.1, "size": 64, "kind": "b", "bell": 1.0}
    rates = np.array([p["lr"] for p in params])
    near = np.abs(np.log(rates / 0.1) / np.log(1e4)) < 0.21
    assert near[1::2].all() and near[::2].mean() < 0.6
    for half in (rates[1::2], rates[2::2]):  # of what is drawn evenly, a quarter lies above the start value
        assert 0.2 < (half > 0.1).mean() < 0.6
    one = beliefs.drawn(beliefs.evenly(numbers[[7]], 5), numbers[[7]])
    assert LEANT.params(LEANT.condition(one)) == [params[7]]


def test_what_nothing_is_believed_of_is_covered_evenly_all_the_same() -> None:
    space = Space(kind=choice(["a", "b", "c"]), x=uniform(0, 1), y=uniform(0, 1, start=0.2, belief="strong"))
    beliefs, numbers = Beliefs.of(space), np.arange(1, 10)
    for seed in range(20):
        codes = beliefs.drawn(beliefs.evenly(numbers, seed), numbers)
        assert np.bincount(codes[:, 0].astype(int)).tolist() == [3, 3, 3]
        for some in (codes[::2, 1], codes[1::2, 1]):  # those that lean, and the others
            assert some.min() < 0.45 and some.max() > 0.55


@pytest.mark.parametrize("method", ["gp", "tpe", "auto"])
def test_samplers_with_beliefs_begin_with_them(method: str) -> None:
    rates = np.empty((6, 5))
    for seed in range(6):
        study = taut.Study(None, LEANT, minimize="loss", trials=5, sampler=method, seed=seed)
        for i in range(5):
            trial = study.ask()
            rates[seed, i] = trial.params["lr"]
            study.tell(trial, loss=rates[seed, i])
    away = np.abs(np.log(rates / 0.1) / np.log(1e4))
    assert (away[:, 0] < 1e-9).all() and (away[:, [1, 3]] < 0.28).all()
    assert (away[:, [2, 4]].max(axis=1) > 0.28).sum() >= 4


def test_without_beliefs_the_first_trials_are_the_halton_sequence() -> None:
    space, numbers = Space(x=uniform(0, 1, start=0.3), y=normal(0, 1)), np.arange(9)
    beliefs = Beliefs.of(space)
    unit = halton(numbers, 2, 4)
    assert np.array_equal(beliefs.evenly(numbers, 4), unit)
    assert np.array_equal(beliefs.drawn(unit, numbers), space.quantile(unit))
    assert np.array_equal(beliefs.scattered(unit), space.encode(space.quantile(unit)))


def test_one_value_needs_no_belief() -> None:
    space = Space(x=uniform(1, 1, start=1, belief="strong"), only=choice(["a"], start="a", belief="strong"))
    assert not Beliefs.of(space).stated and beliefs_are_flat(space)


def beliefs_are_flat(space: Space) -> bool:
    return not np.ptp(Beliefs.of(space).log(np.random.default_rng(0).random((9, len(space))), None))
