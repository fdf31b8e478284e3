"""What Slurm has written into a job's log about its end, as captured from Slurm 22.05."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from processes import SOURCE

ASK = """\
from taut import allocation
from taut.events import Allocation
print(allocation.ending(Allocation("c", 123, 0, "120_3", "node1", 0, 1)))
"""


def answer(log: Path, text: str) -> str:
    """What a process says whose stderr is `log`, in which Slurm has written `text`."""
    log.write_text(text, encoding="utf-8")
    with log.open("ab") as stderr:
        done = subprocess.run(
            [sys.executable, "-c", ASK],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            check=True,
        )
    return done.stdout.strip()


def said(cause: str, job: int = 123, ago: float = 0.0) -> str:
    at = (datetime.fromtimestamp(time.time()) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"epoch 3\nslurmstepd-node1: error: *** JOB {job} ON node1 CANCELLED AT {at}{cause} ***\n"


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("", "job 120_3 was cancelled"),
        (" DUE TO PREEMPTION", "job 120_3 was preempted"),
        (" DUE TO JOB REQUEUE", "job 120_3 was requeued"),
        (" DUE TO TIME LIMIT", "job 120_3 ran into its time limit"),
    ],
)
def test_the_reason_is_read_from_the_log(tmp_path: Path, cause: str, words: str) -> None:
    assert answer(tmp_path / "log", said(cause) + "epoch 4\n") == words


def test_the_word_of_an_earlier_life_or_another_job_says_nothing(tmp_path: Path) -> None:
    assert answer(tmp_path / "log", "epoch 3\n") == "None"
    assert answer(tmp_path / "log", said("", job=124)) == "None"
    assert answer(tmp_path / "log", said(" DUE TO PREEMPTION", ago=60.0)) == "None"
    assert (
        answer(tmp_path / "log", said(" DUE TO PREEMPTION", ago=60.0) + said("")) == "job 120_3 was cancelled"
    )
