"""Patience: how long a trial may go without getting better."""

from __future__ import annotations

from typing import Any

import pytest
from histories import GO, STOP, curve, definition, losses, make, started, study, told

from taut.errors import InputError
from taut.pruners.patient import PatientPruner

PLAIN = definition(fidelity=None)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([3, 2, 2, 2], GO),  # patience of 3 steps is not over
        ([3, 2, 2, 2, 2], STOP),
        ([3, 2, 2, 2, 1], GO),
        ([3, 2, 5, 5, 1.9], GO),
        ([1, 2, 3, 4], STOP),
        ([1, 2, 3], GO),
        ([None, None, None, 5.0], GO),
        ([5.0, None, None, None, 6.0], STOP),
        ({1: 3, 2: 2, 9: 2}, STOP),
        ({1: 3, 1.5: 2, 4.4: 2}, GO),
        ({1: 3, 1.5: 2, 4.5: 2}, STOP),
        ({0: 1, 100: 0.5}, GO),
    ],
)
def test_patience_is_in_steps(values: Any, verdict: Any) -> None:
    assert PatientPruner(3).judge(losses(values), 0) is verdict


def test_a_little_better_is_not_better() -> None:
    falling = [1.0 - 0.1 * s for s in range(9)]
    assert PatientPruner(3).judge(losses(falling), 0) is GO
    assert PatientPruner(3, min_delta=0.29).judge(losses(falling), 0) is GO  # 0.3 in three steps
    assert PatientPruner(3, min_delta=0.31).judge(losses(falling), 0) is STOP


def test_of_several_objectives_one_may_get_better() -> None:
    what = definition("loss", maximize="gain")
    for gain, verdict in ((0.0, STOP), (0.1, GO)):
        events = [told(0, s, loss=1.0, gain=gain * s) for s in range(9)]
        assert PatientPruner(3).judge(study(what, [started(0), *events]), 0) is verdict


def test_inside_both_must_want_to_stop() -> None:
    asked = make(PLAIN, "patient", patience=3, inside={"method": "median", "startup": 2})
    alone = make(PLAIN, "median", startup=2)
    good: Any = [[1.0] * 9] * 2
    flat, falling = [5.0] * 9, [9.0 - s for s in range(7)]
    for mine, verdicts in ((flat, (STOP, STOP)), (falling, (STOP, GO)), ([0.5] * 9, (GO, GO))):
        snapshot = losses(*good, mine)
        assert (alone.judge(snapshot, 2), asked.judge(snapshot, 2)) == verdicts


def test_inside_a_pruner_of_rungs_is_asked_when_patience_is_over() -> None:
    """Not only at the rung: at step 9 the trial was still getting better."""
    asked = make(definition(), "patient", patience=2, inside={"method": "asha", "variant": "stopping"})
    good = [[1.0] * 12] * 5
    mine = [20.0 - s for s in range(9)]
    assert asked.judge(losses(*good, mine), 5, since=8.0) is GO
    assert asked.judge(losses(*good, [*mine, 12.0, 12.0]), 5, since=10.0) is STOP


def test_inside_may_be_a_name() -> None:
    assert make(PLAIN, "patient", patience=3, inside="median") == make(
        PLAIN, "patient", patience=3, inside={"method": "median"}
    )


@pytest.mark.parametrize(
    ("inside", "at", "words"),
    [
        ("medain", ("pruner", "inside", "method"), "median"),
        ({"method": "median", "start": 3}, ("pruner", "inside", "start"), "startup"),
        ({"method": "median", "startup": 0}, ("pruner", "inside", "startup"), "at least 1"),
        ({"startup": 3}, ("pruner", "inside"), "method"),
        (3, ("pruner", "inside"), "method"),
        ("hyperband", ("pruner", "inside"), "for good"),
        ("asha", ("pruner", "inside"), "for good"),  # of this fidelity, trials resume
    ],
)
def test_what_cannot_be_inside(inside: Any, at: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make(definition(), "patient", patience=3, inside=inside)
    assert caught.value.at == at


def test_inside_a_pruner_that_needs_a_fidelity() -> None:
    with pytest.raises(InputError, match="whole trial"):
        make(PLAIN, "patient", patience=3, inside="curve")
    assert make(definition(), "patient", patience=3, inside="curve").judge(losses([1.0]), 0) is GO


@pytest.mark.parametrize(
    ("options", "at"),
    [({}, "patience"), ({"patience": 0}, "patience"), ({"patience": 1, "min_delta": -1.0}, "min_delta")],
)
def test_wrong_options(options: dict[str, Any], at: str) -> None:
    with pytest.raises(InputError) as caught:
        make(PLAIN, "patient", **options)
    assert caught.value.at == ("pruner", at)


def test_patience_ignores_what_others_do() -> None:
    snapshot = study(PLAIN, curve(0, [1.0] * 9), curve(1, [50.0 - s for s in range(9)]))
    assert [PatientPruner(4).judge(snapshot, n) for n in (0, 1)] == [STOP, GO]
