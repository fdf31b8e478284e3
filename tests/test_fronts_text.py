"""How `taut best` words what a trial gives and takes beside another."""

from __future__ import annotations

import pytest

from taut.cli.fronts import _change, _condition
from taut.definition import Objective
from taut.preference import Rank


@pytest.mark.parametrize(
    "before, after, text",
    [
        (1.0, 1.0, "the same y"),
        (0.226, 0.00069, "y 328 times as low"),
        (395.0, 3531.0, "y 8.9 times as high"),
        (1.0, 35.0, "y 35 times as high"),
        (1.0, 2.35, "y 135 % higher"),
        (1.0, 0.36, "y 64 % lower"),
        (1.0, 0.11, "y 89 % lower"),
        (10.0, 0.9999, "y 10 times as low"),
        (-1.0, -20.0, "y 20 times as low"),
        (-20.0, -1.0, "y 20 times as high"),
        (0.0, 0.5, "y 0.5 higher"),
        (-1.0, 1.0, "y 2 higher"),
    ],
)
def test_changes(before: float, after: float, text: str) -> None:
    assert _change("y", before, after) == text


def test_a_share_of_nothing_is_said_to_be_nothing() -> None:
    error = Objective("err")
    assert "a tolerance in the metric's unit" in _condition(Rank("err", 0.05, True), error, 0.0)
    for rank, best in ((Rank("err", 0.05, True), 0.1), (Rank("err", 0.05), 0.0), (Rank("err"), 0.0)):
        assert "tolerance" not in _condition(rank, error, best)
