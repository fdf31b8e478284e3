"""Workers that have to leave: trials save themselves, pause and go on elsewhere; others are cut short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import taut
from processes import SOURCE, until

# A trial of `steps` steps that goes on from where its checkpoint says.
CAREFUL = """\
import pathlib
import sys
import time

import taut

study = taut.Study(sys.argv[1], taut.Space(x=taut.uniform(0, 1)), minimize="steps", trials=1)
last = int(sys.argv[2])
for trial in study.work():
    step = int((trial.resumed_from / "step").read_text()) if trial.resumed_from else 0
    begun = step
    while step < last and not trial.should_checkpoint():
        time.sleep(0.1)
        step += 1
        trial.report(step=step, steps=step)
    (trial.checkpoint_dir / "step").write_text(str(step))
    if step < last:
        trial.pause()
        print("paused at", step, flush=True)
    else:
        trial.tell(steps=step, begun=begun)
"""

CARELESS = """\
import sys
import time

import taut

study = taut.Study(sys.argv[1], taut.Space(x=taut.uniform(0, 1)), minimize="x", trials=2)
for trial in study.work():
    print("begun", flush=True)
    time.sleep(float(sys.argv[2]))
    trial.tell(x=trial.params["x"])
"""


def job(
    folder: Path, text: str, *arguments: object, life: int = 0, left: float = 3600.0
) -> subprocess.Popen[str]:
    """A process as in a job that ends in `left` seconds."""
    program = folder / "program.py"
    program.write_text(text, encoding="utf-8")
    variables = {
        "SLURM_JOB_ID": "4711",
        "SLURM_RESTART_COUNT": str(life),
        "SLURMD_NODENAME": "node1",
        "SLURM_CLUSTER_NAME": "nowhere",
        "SLURM_JOB_END_TIME": str(int(time.time() + left)),
        "PYTHONPATH": str(SOURCE),
    }
    return subprocess.Popen(
        [sys.executable, str(program), *map(str, arguments)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return out


@pytest.mark.parametrize("how", ["notice", "signal", "kill"])
def test_a_trial_pauses_and_the_next_worker_goes_on(tmp_path: Path, how: str) -> None:
    path = tmp_path / "study"
    # A job of 22 s is given notice a quarter of that before its end.
    steps = 185 if how == "notice" else 40
    first = job(tmp_path, CAREFUL, path, steps, left=22.0 if how == "notice" else 3600.0)
    if how != "notice":
        until(lambda: list(path.glob("log/*")) and len(taut.Study(path).trials) == 1)
        time.sleep(0.5)
        first.send_signal(signal.SIGUSR1 if how == "signal" else signal.SIGTERM)
    assert "paused at" in ended(first)
    study = taut.Study(path)
    (trial,) = study.trials
    assert trial.state == "paused" and "paused with its checkpoint" in trial.interruptions[0]
    ended(job(tmp_path, CAREFUL, path, steps, life=1))
    (trial,) = study.trials
    assert (trial.state, trial.attempts, trial.values["steps"]) == ("complete", 2, float(steps))
    assert 0 < trial.values["begun"] < steps, "it did not go on, it began again"


def test_a_trial_that_does_not_fit_is_not_started(tmp_path: Path) -> None:
    path = tmp_path / "study"
    first = job(tmp_path, CARELESS, path, 1.0, left=3600.0)
    until(lambda: list(path.glob("log/*")) and len(taut.Study(path).trials) == 2, timeout=30)
    first.send_signal(signal.SIGUSR1)  # no second life for the trial that runs: it finishes
    ended(first)
    # Trials of 1 s do fit into 200 s; ones of 300 s would not.
    assert [trial.state for trial in taut.Study(path).trials] == ["complete", "complete"]


def test_a_trial_that_ignores_the_request_is_cut_short_without_blame(tmp_path: Path) -> None:
    path = tmp_path / "study"
    process = job(tmp_path, CARELESS, path, 60.0)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert 20.0 <= time.monotonic() - begun < 30.0, "the grace is 20 s"
    (trial,) = taut.Study(path).trials
    assert trial.state == "waiting" and "told to end" in (trial.error or "")
    log = (path / "log" / "0000.jsonl").read_text()
    assert '"blame":false' in log


def test_a_new_life_of_a_job_takes_over_from_the_one_before(tmp_path: Path) -> None:
    """Its process may live on after a node failure; what it then tells is kept apart."""
    path = tmp_path / "study"
    old = job(tmp_path, CARELESS, path, 15.0)
    assert old.stdout is not None and old.stdout.readline() == "begun\n"
    new = job(tmp_path, CARELESS, path, 0.1, life=1)
    ended(new)
    study = taut.Study(path)
    assert [trial.state for trial in study.trials] == ["complete", "complete"]
    assert study.trials[0].attempts == 2
    assert study.trials[0].interruptions == ["attempt 0: job 4711 was requeued"]
    before = study.trials[0].finished
    _, err = old.communicate(timeout=60)
    assert "started again elsewhere" in err
    assert study.trials[0].finished == before and len(study.trials) == 2


def test_a_loop_in_a_job_does_not_wait_for_the_last_trials_of_others(tmp_path: Path) -> None:
    """Its GPU would stand idle meanwhile."""
    path = tmp_path / "study"
    other = taut.Study(path, taut.Space(x=taut.uniform(0, 1)), minimize="x", trials=2)
    last = other.ask()
    begun = time.monotonic()
    ended(job(tmp_path, CARELESS, path, 0.1))  # it does the other one
    assert 15.0 <= time.monotonic() - begun < 45.0
    assert [trial.state for trial in other.trials] == ["running", "complete"]
    other.tell(last, x=0.5)
