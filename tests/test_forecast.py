"""How long the next trial takes at most, from few or many before it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from taut.forecast import _student, upper


def test_nothing_known_gives_nothing() -> None:
    assert upper(np.array([])) is None
    assert upper(np.array([0.0, np.nan])) is None


def test_one_trial_does_not_promise_that_all_take_as_long() -> None:
    alone = upper(np.array([100.0]))
    agreeing = upper(np.full(50, 100.0))
    assert alone is not None and agreeing is not None
    assert 150 < alone < 400
    assert 100 < agreeing < 120


@pytest.mark.parametrize(("known", "times"), [(1, 2.72), (2, 1.96), (8, 1.38), (50, 1.13)])
def test_how_far_above_equal_durations_the_bound_lies(known: int, times: float) -> None:
    assert upper(np.full(known, 100.0)) == pytest.approx(100.0 * times, rel=0.03)


@pytest.mark.parametrize("freedom", [3, 4, 6, 10, 30, 100])
def test_the_quantile_of_students_t(freedom: int) -> None:
    assert _student(freedom) == pytest.approx(stats.t.ppf(0.95, freedom), abs=0.05)


@pytest.mark.parametrize(("spread", "known"), [(0.1, 5), (0.5, 20), (1.0, 20), (0.5, 300)])
def test_about_95_percent_of_what_follows_takes_less(spread: float, known: int) -> None:
    random = np.random.default_rng(known)
    below = 0
    for _ in range(2000):
        bound = upper(np.exp(random.normal(4.0, spread, known)))
        assert bound is not None
        below += bool(np.exp(random.normal(4.0, spread)) < bound)
    assert 0.925 < below / 2000 <= 1.0
    if spread >= 0.5 and known >= 20:  # where it has data it is not merely careful
        assert below / 2000 < 0.975
