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
