"""How often jobs are submitted anew that bring nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import taut
from taut.slurm.rounds import Rounds, Submission
from taut.submission import fruitless


def successor(number: int, progress: int = 0, chained: bool = True) -> Submission:
    return Submission(
        "next", number, f"taut-x.{number}.next", None, 1, 0, 1, 10, 1, progress, chained=chained
    )


def said(tmp_path: Path, *last: Submission) -> str:
    study = taut.Study(None, taut.Space(x=taut.uniform(0, 1)), minimize="loss")
    return (fruitless(last, Rounds(tmp_path), study.snapshot) or "").partition(" have")[0]


@pytest.mark.parametrize(
    ("last", "vain"),
    [
        ((), ""),
        ((successor(0, chained=False),), ""),
        ((successor(0, chained=False), successor(1)), "rounds 0 to 1"),
        ((successor(0, -1, chained=False), successor(1)), ""),  # the first has brought something
        ((successor(0, -1, chained=False), successor(1), successor(2)), "rounds 1 to 2"),
        ((successor(9, chained=False), successor(19)), "rounds 0 to 19"),  # batches
        # Somebody has cancelled the first, or mended what was wrong.
        ((successor(0, chained=False), successor(1, chained=False)), ""),
        ((successor(0, chained=False), successor(1), successor(2, chained=False)), ""),
        (
            (successor(0, chained=False), successor(1), successor(2, chained=False), successor(3)),
            "rounds 2 to 3",
        ),
    ],
)
def test_two_chances_since_somebody_submitted(
    tmp_path: Path, last: tuple[Submission, ...], vain: str
) -> None:
    assert said(tmp_path, *last) == vain
