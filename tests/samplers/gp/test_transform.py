"""Transforms of outputs: monotone, standardised, as good as SciPy's, and calm in the face of bad values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from taut.samplers.gp.transform import signed_log, standardised, yeo_johnson

values = st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 6)), min_size=1, max_size=60).map(np.array)
SAMPLES = {
    "normal": np.random.default_rng(0).normal(3.0, 2.0, 80),
    "lognormal": np.random.default_rng(1).lognormal(0.0, 1.0, 80),
    "negative skew": -np.random.default_rng(2).lognormal(0.0, 0.7, 80),
    "uniform": np.random.default_rng(3).random(80),
    "heavy": np.random.default_rng(4).standard_t(3, 80),
}


@settings(max_examples=150, deadline=None)
@given(values)
def test_order_is_kept_and_outputs_are_standardised(y: Any) -> None:
    for transformed in (standardised(y), yeo_johnson(y)):
        order = np.argsort(y, kind="stable")
        assert (np.diff(transformed[order]) >= 0.0).all()
        assert np.isfinite(transformed).all()
        if len(set(y.tolist())) == 1:
            assert not transformed.any()
        else:
            assert transformed.mean() == pytest.approx(0.0, abs=1e-9)
            assert transformed.std() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("y", SAMPLES.values(), ids=SAMPLES)
def test_different_values_stay_different(y: Any) -> None:
    assert (np.diff(yeo_johnson(np.sort(y))) > 0.0).all()


@pytest.mark.parametrize("scale", [1e-14, 1e-6, 1.0, 1e9])
@pytest.mark.parametrize("y", SAMPLES.values(), ids=SAMPLES)
def test_the_unit_of_a_metric_makes_no_difference(y: Any, scale: float) -> None:
    assert np.allclose(yeo_johnson(scale * y), yeo_johnson(y), atol=1e-6)


@pytest.mark.parametrize("name", ["normal", "lognormal", "negative skew", "uniform"])
def test_the_power_is_close_to_scipys_maximum_likelihood(name: str) -> None:
    """Not the power itself, which a change of scale would change, but how likely a normal distribution then is."""
    mine = yeo_johnson(SAMPLES[name])
    best, power = stats.yeojohnson(standardised(SAMPLES[name]))
    assert abs(stats.shapiro(mine).statistic - stats.shapiro(best).statistic) < 0.01
    if -3 < power < 3:
        assert np.corrcoef(mine, best)[0, 1] > 0.999


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_constant_outputs_are_0(count: int) -> None:
    for value in (0.0, -7.3, 1e-9, 1e15, 0.1):
        assert not standardised(np.full(count, value)).any()
        assert not yeo_johnson(np.full(count, value)).any()


def test_two_values() -> None:
    assert yeo_johnson(np.array([5.0, 3.0])).tolist() == [1.0, -1.0]


@pytest.mark.parametrize("outlier", [1e3, 1e6, 1e17, 1e200])
def test_one_huge_loss_leaves_the_others_apart(outlier: float) -> None:
    """A training that diverged must not blind the model to all others."""
    y = np.append(np.linspace(0.1, 0.9, 9), outlier)
    transformed = yeo_johnson(y)
    assert np.isfinite(transformed).all()
    assert (np.diff(transformed) > 0.0).all()
    assert transformed[8] - transformed[0] > 0.03 * (transformed[9] - transformed[8])


@pytest.mark.parametrize("share", [0.2, 0.3, 0.4])
@pytest.mark.parametrize("outlier", [1e6, 1e200])
def test_many_huge_losses_leave_the_others_apart(share: float, outlier: float) -> None:
    """At high learning rates many trainings diverge."""
    bad = int(share * 30)
    y = np.append(np.linspace(0.1, 0.9, 30 - bad), outlier * np.arange(1, bad + 1))
    transformed = yeo_johnson(y)
    assert (np.diff(transformed) > 0.0).all()
    assert transformed[-bad - 1] - transformed[0] > 0.03 * (transformed[-1] - transformed[0])


@settings(max_examples=100, deadline=None)
@given(values)
def test_the_logarithm_of_slacks_keeps_sign_and_order(y: Any) -> None:
    transformed = signed_log(y)
    assert np.isfinite(transformed).all()
    assert (np.sign(transformed) == np.sign(y)).all()
    assert (np.diff(transformed[np.argsort(y, kind="stable")]) >= 0.0).all()


@pytest.mark.parametrize("count", [1, 5])
def test_slacks_that_are_just_broken_do_not_hide_the_others(count: int) -> None:
    """What is not known counts as just broken; it may be most of all."""
    transformed = signed_log(np.array([math.ulp(0.0)] * count + [-1.0, 2.0]))
    assert np.isfinite(transformed).all()
    assert transformed[-2] < 0.0 < transformed[-1] and transformed[-1] > 0.3


def test_slacks_of_0() -> None:
    assert not signed_log(np.zeros(3)).any()


def test_the_smallest_and_the_largest_number_together() -> None:
    found = yeo_johnson(np.append(1e-160 * np.arange(1.0, 10.0), 1e150))
    assert np.isfinite(found).all() and (np.diff(found) > 0.0).all()
