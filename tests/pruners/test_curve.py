"""Extrapolation: how well curves are continued, and who is stopped for it."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from histories import GO, STOP, curve, definition, ended, losses, make, study

from taut.fidelity import Fidelity
from taut.pruners.curve import CurvePruner
from taut.pruners.powerlaw import extrapolate, forecast

WHAT = definition(fidelity=Fidelity("epoch", max=100.0))
T = np.arange(1.0, 101.0)


def power(a: float, b: float = 1.0, c: float = 0.7) -> Any:
    return a + b * T**-c


def complete(n: int, values: Any, final: float | None = None) -> list[Any]:
    return [*curve(n, values.tolist()), ended(n, loss=float(values[-1]) if final is None else final)]


# ---------------------------------------------------------------------- the law


@pytest.mark.parametrize("c", [0.1, 0.3, 0.7, 1.5, 2.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_power_law_is_continued(c: float, sign: float) -> None:
    values = sign * (3.0 + 2.0 * T**-c)
    for k in (8, 20, 60):
        mean, variance = extrapolate(T[:k], values[:k], 100.0)
        ahead = abs(values[k - 1] - values[-1])
        assert abs(mean - values[-1]) <= 0.35 * ahead + 0.02
        assert abs(mean - values[-1]) <= 3.0 * math.sqrt(variance)


def test_how_sure_it_is_is_borne_out() -> None:
    """Of power laws and exponentials with noise: the truth lies where it should, about as often as it should."""
    rng, chances = np.random.default_rng(0), []
    for i in range(300):
        tau = rng.uniform(8.0, 40.0)
        values = rng.uniform(0.3, 2.0) * (T ** -rng.uniform(0.2, 1.5) if i % 2 else np.exp(-T / tau))
        values += rng.choice([0.005, 0.03]) * rng.normal(size=100)
        k = int(rng.integers(15, 60))
        chances.append(forecast(T[:k], values[:k], 100.0).below(float(values[-1])))
    outside = np.mean((np.array(chances) < 0.05) | (np.array(chances) > 0.95))
    assert outside <= 0.12 and 0.3 <= np.mean(chances) <= 0.7


def test_more_of_a_curve_makes_surer() -> None:
    values = power(1.0)
    spread = [extrapolate(T[:k], values[:k], 100.0)[1] for k in (4, 10, 30, 90)]
    assert spread == sorted(spread, reverse=True) and spread[-1] < spread[0] / 10.0


def test_units_and_offsets_make_no_difference() -> None:
    values = power(1.0) + 0.01 * np.sin(5.0 * T)
    mean, variance = extrapolate(T[:20], values[:20], 100.0)
    other = extrapolate(1e6 * T[:20], 1e-3 * values[:20] - 7.0, 1e8)
    assert other[0] == pytest.approx(1e-3 * mean - 7.0, abs=1e-9) and other[1] == pytest.approx(
        1e-6 * variance
    )


def test_a_long_curve_is_shortened_and_means_the_same() -> None:
    steps = np.arange(1.0, 5001.0)
    values = 1.0 + steps**-0.5
    mean, variance = extrapolate(steps, values, 10_000.0)
    assert abs(mean - 1.01) < 0.01 and variance < 0.03**2


@pytest.mark.parametrize(
    "values", [[1.0], [1.0, 1.0], [0.0] * 9, [1e100, -1e100, 1e100], [1e-300, 2e-300], [5.0, 4.0, 1e100]]
)
def test_little_and_strange_curves_have_an_answer(values: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = forecast(T[: len(values)], np.array(values), 100.0)
        assert math.isfinite(found.mean) and found.variance >= 0.0
        assert 0.0 <= found.below(values[-1] - 1.0) <= found.below(values[-1] + 1.0) <= 1.0


def test_a_given_spread_keeps_a_single_value_from_being_sure() -> None:
    alone, told = forecast(T[:1], np.ones(1), 100.0), forecast(T[:1], np.ones(1), 100.0, spread=1.0)
    assert math.sqrt(alone.variance) < 1e-6 and math.sqrt(told.variance) > 0.1


# ---------------------------------------------------------------------- the rule


def test_a_trial_that_will_hardly_win_is_stopped_and_one_that_may_is_not() -> None:
    best = complete(0, power(1.0))
    for a, verdict in ((1.5, STOP), (1.02, GO), (0.5, GO)):
        assert CurvePruner().judge(study(WHAT, best, curve(1, power(a)[:20].tolist())), 1) is verdict


def test_a_slow_beginner_may_overtake_one_that_is_ahead_now() -> None:
    best, slow = complete(0, power(1.0, 0.5, 2.0)), power(0.2, 2.0, 0.4)
    assert slow[19] > 0.79 and slow[-1] < 1.0
    assert CurvePruner().judge(study(WHAT, best, curve(1, slow[:10].tolist())), 1) is GO


def test_the_best_complete_result_counts_and_not_the_best_report() -> None:
    mine = curve(1, power(1.2, 0.2)[:20].tolist())
    assert CurvePruner().judge(study(WHAT, complete(0, power(1.0), final=1.0), mine), 1) is STOP
    assert CurvePruner().judge(study(WHAT, complete(0, power(1.0), final=2.0), mine), 1) is GO


def test_with_none_complete_it_is_held_against_what_others_will_surely_reach() -> None:
    for k, verdict in ((60, STOP), (3, GO)):
        others = [curve(n, power(1.0)[:k].tolist()) for n in range(2)]
        assert CurvePruner().judge(study(WHAT, *others, curve(2, power(3.0)[:20].tolist())), 2) is verdict
    assert CurvePruner().judge(study(WHAT, curve(0, power(3.0)[:20].tolist())), 0) is GO


def test_least_and_the_least_step() -> None:
    best, bad = complete(0, power(1.0)), [9.0, 8.9, 8.85, 8.83, 8.82]
    assert [
        CurvePruner(least=k).judge(study(WHAT, best, curve(1, bad[:4])), 1) for k in (3, 4, 5)
    ] == [STOP, STOP, GO]  # fmt: skip
    late = definition(fidelity=Fidelity("epoch", min=10.0, max=100.0))
    assert CurvePruner().judge(study(late, best, curve(1, bad)), 1) is GO
    assert CurvePruner().judge(study(WHAT, best, curve(1, [9.0] * 100)), 1) is GO  # it is there


def test_steps_at_0_and_what_is_no_number_are_left_out() -> None:
    best, values = complete(0, power(1.0)), power(1.5)[:20].tolist()
    plain = dict(zip(T[:20].tolist(), values, strict=True))
    odd: Any = {-1.0: 3.0, 0.0: 900.0} | plain | {7.0: None}
    assert CurvePruner().judge(study(WHAT, best, curve(1, odd)), 1) is STOP
    assert (
        CurvePruner().judge(study(WHAT, best, curve(1, {0.0: 9.0, 1.0: None, 2.0: 9.0, 3.0: 9.0})), 1) is GO
    )


def test_a_complete_trial_that_breaks_a_constraint_is_no_rival() -> None:
    what = definition(fidelity=Fidelity("epoch", max=100.0), subject_to=["size <= 2"])
    for size, verdict in ((1.0, STOP), (3.0, GO)):
        best = [*curve(0, power(1.0).tolist()), ended(0, loss=1.0, size=size)]
        assert CurvePruner().judge(study(what, best, curve(1, power(1.5)[:20].tolist())), 1) is verdict


def test_with_two_objectives_a_complete_trial_must_be_ahead_in_both() -> None:
    what = definition("loss", "size", fidelity=Fidelity("epoch", max=100.0))
    mine = [event for event in curve(2, power(1.5)[:20].tolist())]
    for event in mine[1:]:
        event.y["size"] = 5.0 + 1.0 / event.s  # type: ignore[union-attr]
    for ends, verdict in (
        (((1.0, 4.0), (9.0, 9.0)), STOP),
        (((1.0, 6.0), (2.0, 4.0)), GO),
        (((1.0, 6.0),), GO),
    ):
        done = [
            [*curve(n, []), ended(n, loss=loss, size=size)] for n, (loss, size) in enumerate(ends)
        ]  # fmt: skip
        assert CurvePruner().judge(study(what, *done, mine), 2) is verdict


def test_few_good_trials_are_lost_among_many() -> None:
    """Of noisy curves judged all along against one that is good, those that end better are kept, and most of the others' work is saved."""
    asked, kept, spent = CurvePruner(), [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        table = rng.uniform(0, 1, (40, 1)) + rng.uniform(0.5, 2, (40, 1)) * T ** -rng.uniform(
            0.3, 1.2, (40, 1)
        )
        table += 0.01 * rng.normal(size=table.shape)
        order = table[:, -1].argsort()
        best = complete(0, table[order[4]])
        for n in order[::2]:
            for k in range(4, 101, 12):
                stopped = asked.judge(study(WHAT, best, curve(1, table[n, :k].tolist())), 1) is STOP
                if stopped:
                    break
            if table[n, -1] < table[order[4], -1]:
                kept.append(not stopped)
            else:
                spent.append(k)
    assert np.mean(kept) >= 0.9 and np.mean(spent) < 40.0


def test_it_does_not_fit_a_study_that_does_not_say_where_trials_end() -> None:
    assert CurvePruner.needs_fidelity
    with pytest.raises(ValueError, match="least"):
        make(WHAT, "curve", least=2)
    assert CurvePruner().judge(losses([1.0, 2.0]), 0) is GO
