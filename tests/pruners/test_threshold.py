"""Limits that a metric may touch and not leave."""

from __future__ import annotations

from typing import Any

import pytest
from histories import GO, STOP, definition, losses, make, started, study, told

from taut.errors import InputError
from taut.pruners.threshold import ThresholdPruner

PLAIN = definition(fidelity=None)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([1.0, 2.0, 0.0], GO),
        ([1.0, 2.01], STOP),
        ([1.0, -0.01], STOP),
        ([1.0, 3.0, 1.0], STOP),  # several reports may come at once
        ([None], STOP),
    ],
)
def test_limits_of_the_first_objective(values: Any, verdict: Any) -> None:
    assert ThresholdPruner(lower=0.0, upper=2.0).judge(losses(values), 0) is verdict


def test_what_was_looked_at_before_is_not_looked_at_again() -> None:
    snapshot = losses([1.0, 3.0, 1.0])
    assert ThresholdPruner(upper=2.0).judge(snapshot, 0, since=1.0) is STOP
    assert ThresholdPruner(upper=2.0).judge(snapshot, 0, since=2.0) is GO


def test_limits_hold_from_grace_on() -> None:
    asked = ThresholdPruner(upper=2.0, grace=3.0)
    assert asked.judge(losses([9.0, None, 2.0]), 0) is GO
    assert asked.judge(losses([9.0, 9.0, 2.1]), 0) is STOP


def test_of_an_objective_to_be_maximized_they_are_those_of_its_own_values() -> None:
    what = definition(maximize="gain")
    for value, verdict in ((0.4, STOP), (0.6, GO)):
        snapshot = study(what, [started(0), told(0, 1, gain=value)])
        assert ThresholdPruner(lower=0.5).judge(snapshot, 0) is verdict


def test_another_metric_is_watched_where_it_is_told() -> None:
    asked = ThresholdPruner("norm", upper=10.0)
    for events, verdict in (
        ([told(0, 1, loss=99.0)], GO),
        ([told(0, 1, loss=99.0, norm=9.0), told(0, 2, loss=1.0)], GO),
        ([told(0, 1, norm=11.0), told(0, 2, loss=1.0)], STOP),
        ([told(0, 1, norm=None)], STOP),
        ([told(0, 1, norm=1.0), told(0, 2, loss=None)], STOP),
        ([told(0, 1, loss=None), told(0, 2, loss=1.0)], GO),
    ):
        assert asked.judge(study(PLAIN, [started(0), *events]), 0) is verdict


@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({}, "upper"),
        ({"lower": 2, "upper": 1}, "lower"),
        ({"upper": True}, "upper"),
        ({"upper": 1, "metric": "a b"}, "metric"),
        ({"upper": 1, "grace": -1}, "grace"),
    ],
)
def test_wrong_options(options: dict[str, Any], at: str) -> None:
    with pytest.raises(InputError) as caught:
        make(PLAIN, "threshold", **options)
    assert caught.value.at == ("pruner", at)
