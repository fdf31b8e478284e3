"""Constraints that a running trial breaks for good."""

from __future__ import annotations

from typing import Any

import pytest
from histories import definition, started, study, told

from taut.pruners.broken import broken


def breaks(condition: str, metric: str, *values: float | None, others: Any = ()) -> bool:
    what = definition(subject_to=[*others, condition])
    events = [told(0, s, loss=1.0, **{metric: value}) for s, value in enumerate(values)]
    return broken(study(what, [started(0), *events]), 0)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((), False),
        ((48.0,), False),
        ((48.0, 48.0), True),
        ((30.0, 48.0), False),
        ((30.0, 48.0, 48.0), True),
        ((48.0, 30.0), False),
        ((50.0, 48.0), False),  # it comes down
        ((50.0, 45.0, 50.0), True),
        ((48.0, None, 48.0), True),  # what is no number tells nothing
        ((48.0, None), False),
        ((40.0, 40.0), False),
    ],
)
def test_a_limit_on_memory(values: Any, verdict: bool) -> None:
    assert breaks("memory_gb <= 40", "memory_gb", *values) is verdict


def test_an_accuracy_that_still_rises_is_left_alone() -> None:
    assert not breaks("accuracy >= 0.5", "accuracy", 0.1, 0.2, 0.3)
    assert breaks("accuracy >= 0.5", "accuracy", 0.1, 0.2, 0.1)


def test_each_of_several_constraints_counts() -> None:
    assert breaks("memory_gb <= 40", "memory_gb", 48.0, 48.0, others=["loss < 3"])
    assert breaks("loss < 3 and memory_gb <= 40", "memory_gb", 48.0, 48.0)
    assert not breaks("memory_gb <= 40", "memory_gb", 8.0, 8.0, others=["unheard < 3"])


def test_a_condition_that_is_no_comparison() -> None:
    assert breaks("loss > 5 or memory_gb <= 40", "memory_gb", 48.0, 48.0)
    assert not breaks("loss < 5 or memory_gb <= 40", "memory_gb", 48.0, 48.0)


def test_reports_that_leave_the_metric_out_are_passed_over() -> None:
    what = definition(subject_to=["memory_gb <= 40"])
    events = [
        told(0, 1, memory_gb=48.0),
        told(0, 2, loss=1.0),
        told(0, 3, memory_gb=48.0),
        told(0, 4, loss=1.0),
    ]
    assert broken(study(what, [started(0), *events]), 0)
    assert not broken(study(definition(), [started(0), *events]), 0)


def test_an_attempt_that_began_again_is_judged_by_its_own_reports() -> None:
    what = definition(subject_to=["memory_gb <= 40"])
    first = [started(0), *(told(0, s, memory_gb=48.0) for s in (1, 2, 3))]
    second = [started(0, 1), told(0, 1, 1, memory_gb=48.0)]
    assert broken(study(what, first), 0)
    assert not broken(study(what, first, second), 0) and not broken(study(what, second, first), 0)
