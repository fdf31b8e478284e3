"""What `taut status` and `taut trials` say of work that took several jobs."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from cluster import Cluster
from test_submit import STUDY, edit, name_of, taut

from handmade import claim, finished, hello, write
from taut.events import Allocation, Event, Opened, Released, Started
from taut.slurm.rounds import Rounds, Submission


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("import time; time.sleep(99)\n", encoding="utf-8")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def in_job(job: int, life: int) -> Opened:
    where = Allocation("lab", id=job, life=life, label=f"{job}_0", node="node1", gpus=2, cpus=4)
    return msgspec.structs.replace(hello(pid=1, born="1"), job=where)


def started(n: int, a: int, t: float) -> Started:
    return Started(n=n, a=a, x={"x": 0.5}, r=0, c=n + 1, t=t)


def ended(n: int, a: int, t: float, had: float, kept: bool = False, short: bool = False) -> Released:
    event = Released(n=n, a=a, why="it had to leave", blame=short, t=t, had=had)
    if kept:
        return msgspec.structs.replace(event, kept=True)
    return msgspec.structs.replace(event, short=True) if short else event


def worked(home: Path, *lives: list[Event], minutes: int = 60) -> None:
    """The study, as jobs left it: the events of each life of job 7. One trial, 2 slots on 2 GPUs."""
    edit(home, "trials = 6", "trials = 1")
    taut(home, "run", "study.toml", "--for", "0.000001s")
    for life, events in enumerate(lives):
        write(home / "runs/demo", life, [in_job(7, life), *events])
        claim(home / "runs/demo", f"0.{life}" if life else 0, life)
    rounds = Rounds(home / "runs/demo/slurm")
    rounds.begin(0)
    rounds.write(
        Submission("job", 0, name_of(home), 1, 1, gpus=2, cpus=4, minutes=minutes, slots=2, progress=0, job=7)
    )


def test_every_attempt_counts_in_a_trial_s_hours(home: Path) -> None:
    worked(
        home,
        [started(0, 0, 0.0), ended(0, 0, 3600.0, 3600.0, kept=True)],
        [started(0, 1, 5000.0), ended(0, 1, 6800.0, 1800.0)],  # thrown away
        [started(0, 2, 7000.0), msgspec.structs.replace(finished(0, 2), t=8800.0)],
    )
    (trial,) = json.loads(taut(home, "trials", "study.toml", "--json"))
    assert trial["spent"] == 7200.0 and trial["gpu_hours"] == pytest.approx(2.0)
    (row,) = csv.DictReader(taut(home, "trials", "study.toml", "--csv").splitlines())
    assert float(row["spent"]) == 7200.0 and float(row["gpu_hours"]) == pytest.approx(2.0)
    assert "2 h  2.000 GPU-h" in taut(home, "trials", "study.toml")
    assert "time: 1 h 30 min in finished trials, 1 h 30 min each" in taut(home, "status", "study.toml")


@pytest.mark.parametrize("saved", [True, False])
def test_trials_that_are_longer_than_a_job_are_named(home: Path, slurm: Cluster, saved: bool) -> None:
    had = {"kept": True} if saved else {"short": True}
    worked(home, [started(0, 0, 0.0), ended(0, 0, 280.0, 280.0, **had)], minutes=5)
    said = taut(home, "status", "study.toml")
    assert "no job is left, and the study is not finished" in said
    assert ("trials were not finished after 4 min 40 s, and a job lasts 5 min: raise time" in said) != saved


def test_following_speaks_when_something_changed(home: Path, slurm: Cluster) -> None:
    taut(home, "run", "study.toml", "--on", "slurm")
    job = Rounds(home / "runs/demo/slurm").all()[0].job
    until = time.monotonic() + 30
    while "2 running" not in taut(home, "status", "study.toml").splitlines()[1]:
        assert time.monotonic() < until
        time.sleep(0.5)
    follow = subprocess.Popen(
        [sys.executable, "-m", "taut", "status", "study.toml", "--follow", "--jobs"],
        cwd=home,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(14.0)  # Slurm is asked in between, and hours run on
    follow.terminate()
    said, _ = follow.communicate(timeout=10)
    # At first, and when the controller and accounting first tell of the jobs; not at each of its looks.
    assert 1 <= said.count("study demo in") <= 3, said
    assert f"{job}_0" in said
