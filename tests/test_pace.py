"""How the pace of trials decides on blocks of numbers and on flushes."""

from __future__ import annotations

import pytest

from taut.pace import Pace


def test_nothing_is_claimed_ahead_before_the_pace_is_known() -> None:
    assert Pace(0.0).block == 0.0 and not Pace(0.0).tiny


def test_a_block_holds_a_quarter_of_a_second_of_work() -> None:
    pace = Pace(10.0)
    pace.ended(5, 10.05)
    assert pace.block == pytest.approx(25.0)
    for k in range(1, 400):
        pace.ended(1, 10.05 + k * 1e-6)
    assert pace.block == 256


def test_trials_are_tiny_that_take_less_than_a_flush() -> None:
    pace = Pace(0.0)
    pace.ran(0.01)
    assert not pace.tiny
    pace.flushed(0.02)
    assert pace.tiny


def test_a_single_slow_trial_moves_the_mean_by_a_twentieth() -> None:
    pace = Pace(0.0)
    pace.ran(1.0)
    pace.ran(-3.0)  # the clock was set back
    assert pace.length == pytest.approx(0.95)


def test_the_next_trial_stands_ready_only_where_trials_are_tiny_and_chosen_quickly() -> None:
    """What a model takes long to choose is not chosen earlier than it must be: it would know less."""
    for between, hasty in ((0.001, True), (0.02, False)):
        pace = Pace(0.0)
        for k in range(1, 40):
            assert not pace.hasty or k > 32
            pace.ran(0.0005)
            pace.ended(1, k * between)
        assert pace.hasty is hasty
