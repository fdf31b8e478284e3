"""From what an evaluation returned to how its trial ends."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taut.definition import Definition, Objective
from taut.errors import InputError
from taut.verdict import needed, numbers, verdict


class Odd:
    """A number that cannot be had, as a tensor of two elements."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __float__(self) -> float:
        raise self.error("a Tensor with 2 elements cannot be converted to Scalar")

    def __repr__(self) -> str:
        return "tensor([1., 2.])"


@pytest.mark.parametrize(
    "value",
    [0.5, np.float64(0.5), np.float32(0.5), np.float16(0.5), np.array(0.5), Fraction(1, 2), Decimal("0.5")],
)
def test_whatever_is_a_number_counts(value: Any) -> None:
    found = verdict(["loss"], {"loss": value})
    assert found == ("complete", {"loss": 0.5}, None)
    assert type(found.values["loss"]) is float


@pytest.mark.parametrize(
    "value",
    [None, "high", "x" * 5000, 1j, [0.5], (0.5,), {}, {0.5}, b"x", np.array([1.0, 2.0]), object, 10**400]
    + [Odd(error) for error in (RuntimeError, ValueError, TypeError, OverflowError, NotImplementedError)],
    ids=lambda value: f"{type(value).__name__}-{value!r:.12}",
)
def test_what_is_no_number_is_refused_and_named(value: Any) -> None:
    for judge in (numbers, lambda values: verdict(["loss"], values)):
        with pytest.raises(InputError, match="loss = ") as caught:
            judge({"accuracy": 1.0, "loss": value})
        assert type(value).__name__ in str(caught.value)
        assert len(str(caught.value)) < 1000  # however long the value is


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), 1e308 * 10])
def test_a_number_that_is_none_is_a_failure_that_says_so(value: float) -> None:
    state, values, error = verdict(["loss"], {"loss": value, "accuracy": 0.25})
    assert state == "failed" and values == {"loss": None, "accuracy": 0.25}
    assert error is not None and f"loss is {float(value)}" in error
    # In a metric that nobody needs it is only left out.
    assert verdict(["accuracy"], {"loss": value, "accuracy": 0.25}) == (
        "complete",
        {"loss": None, "accuracy": 0.25},
        None,
    )


def test_a_missing_metric_is_a_failure_that_names_the_nearest() -> None:
    state, values, error = verdict(["eval_loss"], {"evalloss": 1.0, "time": 2.0})
    assert state == "failed" and values == {"evalloss": 1.0, "time": 2.0}
    assert error is not None
    assert "'eval_loss'" in error and "evalloss, time" in error and "misspelt" in error
    error = verdict(["eval_loss"], {}).error
    assert error is not None and "'eval_loss'" in error and "no metric" in error


def test_the_first_problem_counts() -> None:
    assert "a is nan" in str(verdict(["a", "b"], {"a": math.nan}).error)
    assert "'b'" in str(verdict(["a", "b"], {"a": 1}).error)


def test_a_pruned_trial_needs_no_metric_and_an_error_outweighs_it() -> None:
    assert verdict(["loss"], {}, pruned=True) == ("pruned", {}, None)
    assert verdict(["loss"], {"loss": math.nan}, pruned=True) == ("pruned", {"loss": None}, None)
    assert verdict(["loss"], {"loss": 1}, "boom", pruned=True) == ("failed", {"loss": 1.0}, "boom")


def test_an_error_keeps_what_was_measured() -> None:
    assert verdict(["loss"], {"loss": 0.5}, "killed") == ("failed", {"loss": 0.5}, "killed")
    assert verdict(["loss"], {"loss": 0.5}, "").state == "failed"  # an error without a text is one


def test_what_a_trial_must_bring() -> None:
    objectives = [Objective("loss", True), Objective("speed", False)]
    conditions = ["memory_gb <= 40 and 2 * loss < power", "speed > 1"]
    definition = Definition("s", {}, objectives, subject_to=conditions)
    assert needed(definition)[:2] == ["loss", "speed"]
    assert sorted(needed(definition)) == ["loss", "memory_gb", "power", "speed"]


metrics = st.dictionaries(st.sampled_from("abcd"), st.floats() | st.integers(-9, 9), max_size=4)


@given(metrics, st.lists(st.sampled_from("abcd"), unique=True), st.none() | st.just("no"), st.booleans())
def test_complete_means_that_all_is_there_and_finite(
    values: dict[str, Any], must: list[str], error: str | None, pruned: bool
) -> None:
    found = verdict(must, values, error, pruned)
    good = all(math.isfinite(values.get(name, math.nan)) for name in must)
    assert (found.state == "complete") == (good and error is None and not pruned)
    assert (found.error is None) == (found.state != "failed")
    assert all(value is None or math.isfinite(value) for value in found.values.values())
