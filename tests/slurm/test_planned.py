"""A study whose jobs are planned from what its first trials have shown, on a real Slurm; and what came of the plan."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster import Cluster

SOURCE = Path(__file__).parents[2] / "src"

TASK = """\
import time


def evaluate(x):
    time.sleep(0.5 + x)
    return (x - 0.3) ** 2
"""

STUDY = """\
name = "planned"
function = "task:evaluate"
minimize = "loss"

[space]
x = { uniform = [0, 1] }

[sampler]
method = "random"

[budget]
trials = 3

[on.slurm]
cpus = 1
memory = "300M"
setup = ["sleep 2"]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "task.py").write_text(TASK, encoding="utf-8")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def taut(home: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "taut", *words],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def finished(home: Path, trials: int, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while (
        len([t for t in json.loads(taut(home, "trials", "study.toml", "--json")) if t["finished"]]) < trials
    ):
        assert time.monotonic() < until, taut(home, "status", "study.toml", "--jobs")
        time.sleep(0.5)


def test_a_round_is_planned_from_the_one_before_and_comes_as_expected(home: Path, slurm: Cluster) -> None:
    first = taut(home, "run", "study.toml", "--on", "slurm")
    assert "how long trials take in a job is not known yet: 3 begin in 3 jobs" in first
    assert "3 workers, at most 3 at a time, each 1 CPU, 10 min" in first, "the partition's own time"
    assert "\nplanned: " not in first
    finished(home, 3)
    slurm.wait_idle()
    assert taut(home, "plan", "study.toml", "--check").startswith("nothing was planned")

    # What accounting knows of those jobs is a history, if a short one.
    screen = taut(home, "plan", "study.toml", "--trials", "23", "--from-sacct")
    assert re.match(r"20 trials: \d+ jobs? x \d+ min \(about ", screen), screen
    assert re.search(r"before its first trial .* from \d jobs?\)", screen) and "from 3 trials" in screen
    assert re.search(r"the queue: weak: \d+ jobs? \(from accounting\)", screen)

    shown = taut(home, "run", "study.toml", "--on", "slurm", "--trials", "23", "--dry-run")
    assert shown.startswith("# planned: 20 trials: ") or "\n# planned: 20 trials: " in shown
    assert taut(home, "plan", "study.toml", "--check").startswith("nothing was planned")
    said = taut(home, "run", "study.toml", "--on", "slurm", "--trials", "23")
    planned = re.search(r"^planned: 20 trials: (\d+) jobs? x (\d+) min ", said, re.MULTILINE)
    assert planned and f"at most {planned[1]} at a time, each 1 CPU, {planned[2]} min" in said, said
    assert re.search(
        r"a trial takes [01]\.\d s \(from 3 trials\), a job [\w. ]+ before its first \(from \d jobs?\)", said
    )
    finished(home, 23)
    slurm.wait_idle()
    (found,) = json.loads(taut(home, "plan", "study.toml", "--check", "--json"))
    low, half, high = found["expected"]["finish"]
    assert 5.0 < low < half < high
    assert found["came"]["finish"] > 5.0
    assert found["came"]["cost"] is not None and found["in_time"] is not None
    assert taut(home, "plan", "study.toml", "--check").count("  came: ") == 2
    assert "all 23 suggestions reproduced" in taut(home, "verify", "study.toml")


def test_from_a_pilot_to_a_plan_by_itself(home: Path, slurm: Cluster) -> None:
    text = (home / "study.toml").read_text().replace("trials = 3", "trials = 14")
    (home / "study.toml").write_text(text)
    said = taut(home, "run", "study.toml", "--on", "slurm")
    assert "3 begin in 3 jobs, and what follows is planned from them" in said
    screen = taut(home, "plan", "study.toml", "--trial-time", "1s")
    assert re.search(
        r"^  the jobs that are there \(\d (runs?|waits?).* will probably have done it in ",
        screen,
        re.MULTILINE,
    )
    assert re.search(
        r"^nothing needs to be done: .* scancel \d+, and taut run with time = ", screen, re.MULTILINE
    )
    finished(home, 14, 100.0)
    found = json.loads(taut(home, "plan", "study.toml", "--check", "--json"))
    assert found[0]["trials"] == 11 and found[0]["came"]["trials"] == 11, "three had shown how long they take"
    assert "planned: 11 trials in " in taut(home, "status", "study.toml")
    slurm.wait_idle()
    assert "all 14 suggestions reproduced" in taut(home, "verify", "study.toml")


def test_what_the_study_says_stays_and_what_is_open_is_chosen(home: Path, slurm: Cluster) -> None:
    taut(home, "run", "study.toml")
    more = (home / "study.toml").read_text().replace("trials = 3", "trials = 6")
    (home / "study.toml").write_text(more + 'time = "7m"\n')
    assert "planned: 3 trials: " in taut(home, "run", "study.toml", "--on", "slurm", "--dry-run"), (
        "as well as can be known from trials outside of jobs"
    )
    (home / "study.toml").write_text(more)
    said = taut(home, "run", "study.toml", "--on", "slurm")
    assert "how long trials take in a job is not known yet: 3 begin in 3 jobs" in said
    finished(home, 6, 100.0)
    slurm.wait_idle()
    text = (home / "study.toml").read_text().replace("trials = 6", "trials = 30")
    (home / "study.toml").write_text(text + 'time = "7m"\nworkers = 3\n')
    said = taut(home, "run", "study.toml", "--on", "slurm", "--dry-run")
    assert "--time=00:07:00" in said and "--array=0-2 " in said and "3 jobs x 7 min" in said
    (home / "study.toml").write_text(text + 'time = "auto"\nworkers = 2\n')
    said = taut(home, "run", "study.toml", "--on", "slurm", "--dry-run")
    assert "planned: 24 trials: 2 jobs x " in said and "--time=00:10:00" not in said
    (home / "study.toml").write_text(text + 'time = "auto"\nworkers = "auto"\nqos = "cpurun"\n')
    screen = json.loads(taut(home, "plan", "study.toml", "--json"))
    plan = screen["plan"]
    assert plan["workers"] * plan["walltime"] / 60 <= 10, "cpurun lets ten CPU-minutes run at a time"
