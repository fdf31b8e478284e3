"""What trials print is kept with them, and thousands that print nothing cost no file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taut.executors.base import Died, Message, Outcome, Task
from taut.executors.pool import PoolExecutor

OBJECTIVE = """\
import os, sys, time

def objective(x):
    if x == 1:
        print("one")
    if x == 2:
        os.write(2, b"two\\n")
    if x == 3:
        os.write(1, b"three\\n")
        os.kill(os.getpid(), 9)
    if x == 4:
        os.write(1, b"four\\n")
        time.sleep(60)
    return float(x)
"""


@pytest.fixture
def pool(tmp_path: Path) -> PoolExecutor:
    (tmp_path / "printing.py").write_text(OBJECTIVE)
    (tmp_path / "trials").mkdir()
    return PoolExecutor(
        "printing:objective",
        slots=1,
        names=["x"],
        main=["loss"],
        base=str(tmp_path),
        capture=True,
        timeout=20,
    )


def run(pool: PoolExecutor, folder: Path, number: int, x: int, attempt: int = 0) -> Message:
    pool.start(Task(number, attempt, {"x": x}, str(folder / "trials" / str(number)), 0))
    while not (found := pool.poll(5.0)):
        pass
    return found[0]


def files(folder: Path) -> dict[str, str]:
    root = folder / "trials"
    return {
        str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_each_trial_has_what_it_printed_and_silent_ones_have_nothing(
    pool: PoolExecutor, tmp_path: Path
) -> None:
    for number, x in enumerate([0, 0, 0, 1, 0, 0, 2, 1, 0, 0]):
        assert isinstance(run(pool, tmp_path, number, x, attempt=number % 2), Outcome)
    pool.close()
    assert {name: text for name, text in files(tmp_path).items() if text} == {
        "3/stdout.1": "one\n",
        "6/stderr": "two\n",
        "7/stdout.1": "one\n",
    }
    assert sorted(os.listdir(tmp_path / "trials")) == ["0", "3", "4", "6", "7", "8"]


def test_the_last_words_of_one_that_is_killed_are_its_own(pool: PoolExecutor, tmp_path: Path) -> None:
    for number in range(3):
        run(pool, tmp_path, number, 0)
    assert isinstance(run(pool, tmp_path, 3, 3), Died)
    assert isinstance(run(pool, tmp_path, 4, 0), Outcome)
    pool.close()
    assert files(tmp_path)["3/stdout"] == "three\n"
    assert not [name for name in os.listdir(tmp_path / "trials") if name.startswith(".")]


def test_what_runs_on_can_be_read_meanwhile_and_stays(pool: PoolExecutor, tmp_path: Path) -> None:
    for number in range(2):
        run(pool, tmp_path, number, 0)
    pool.start(Task(2, 0, {"x": 4}, str(tmp_path / "trials" / "2"), 0))
    while not [text for text in files(tmp_path).values() if text]:
        pool.poll(0.05)
    pool.stop()
    pool.close()
    assert files(tmp_path)["2/stdout"] == "four\n"
