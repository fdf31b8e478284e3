"""A worker dies after the trial had come to its goal and saved itself: the next attempt has nothing left to do, and that is an arrival."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import taut
from taut.opening import make_proposals
from taut.trial import Trial
from taut.verify import verify

SPACE = taut.Space(x=taut.uniform(0, 1))
PRUNER = {"method": "asha", "fidelity": {"name": "epoch", "min": 1, "max": 9, "resume": True}}


def study(path: Path | None, **options: Any) -> taut.Study:
    return taut.Study(path, SPACE, **{"minimize": "loss", "sampler": "random", "pruner": PRUNER, **options})


def dies_at(made: taut.Study, goal: float) -> Trial:
    """A trial that came to `goal` and saved itself, and whose worker then died; its next attempt."""
    for _ in range(40):
        trial = made.ask()
        assert trial.checkpoint_dir is not None
        trial.report(trial.fidelity, loss=trial.params["x"], size=2.0)  # type: ignore[arg-type]
        (trial.checkpoint_dir / "state").write_text("whole")
        if trial.fidelity == goal:
            made.store.handback.release([(trial.number, trial.attempt)], "its process died", blame=True)
            return made.ask()
        made.tell(trial, loss=trial.params["x"])
    raise AssertionError("nobody was promoted so far")


@pytest.mark.parametrize("goal", [1, 3])
def test_it_waits_on_the_rung_with_what_it_had_reported(tmp_path: Path, goal: float) -> None:
    made = study(tmp_path / "s")
    again = dies_at(made, goal)
    assert (again.resumed_step, again.fidelity) == (goal, goal)
    made.tell(again)
    assert made.snapshot.waiting[again.number] == goal
    last = made.snapshot.curves.last(again.number)
    assert last is not None and (last.s, last.y) == (goal, {"loss": again.params["x"], "size": 2.0})
    made.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_at_the_end_it_is_complete(tmp_path: Path) -> None:
    made = study(tmp_path / "s")
    again = dies_at(made, 9)
    made.tell(again)
    record = made.trials[again.number]
    assert (record.state, record.values) == ("complete", {"loss": again.params["x"], "size": 2.0})


def test_what_it_tells_itself_goes_first(tmp_path: Path) -> None:
    made = study(tmp_path / "s")
    again = dies_at(made, 1)
    made.tell(again, loss=0.125)
    assert made.snapshot.waiting[again.number] == 1
    assert made.snapshot.curves.of(again.number)[-1].y == {"loss": 0.125, "size": 2.0}


def test_one_that_had_not_come_there_has_to_tell(tmp_path: Path) -> None:
    made = study(tmp_path / "s", pruner={**PRUNER, "method": "median"})
    trial = made.ask()
    trial.report(8, loss=0.5)
    made.store.handback.release([(trial.number, 0)], "its process died", blame=True)
    made.tell(made.ask())
    assert made.trials[0].state == "failed" and "no value for 'loss'" in str(made.trials[0].error)


def fragile(trial: Trial) -> float | None:
    """Killed once, at the goal of the first attempt, after it had saved itself."""
    begin = int((trial.resumed_from / "epoch").read_text()) if trial.resumed_from else 0
    loss = None
    for epoch in range(begin + 1, int(trial.fidelity or 9) + 1):
        loss = trial.params["x"] + 1 / epoch
        trial.report(epoch, loss=loss)
        assert trial.checkpoint_dir is not None
        (trial.checkpoint_dir / "epoch").write_text(str(epoch))
    if trial.attempt == 0 and trial.number % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss


def test_processes_that_are_killed(tmp_path: Path) -> None:
    made = study(tmp_path / "s")
    made.run(fragile, trials=9, workers=2)
    records = made.trials
    assert {record.state for record in records} == {"paused", "complete"}
    assert any("SIGKILL" in text for record in records for text in record.interruptions)
    heard = [(event.n, event.s) for event in made.snapshot.curves.heard if event.a == 0]
    assert {(n, 1.0) for n in range(9)} <= set(heard)


SCRIPT = """
import os, signal, sys
from pathlib import Path
import taut
place, resumed = Path(os.environ["TAUT_CHECKPOINT_DIR"]), os.environ.get("TAUT_RESUMED_FROM")
begin = int((Path(resumed) / "epoch").read_text()) if resumed else 0
for epoch in range(begin + 1, int(float(os.environ["TAUT_FIDELITY"])) + 1):
    taut.report(step=epoch, loss=float(sys.argv[1]) + 1 / epoch)
    (place / "epoch").write_text(str(epoch))
if resumed is None and int(place.parent.name) % 2:
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_commands_that_are_ended(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "study.toml").write_text(f"""
name = "s"
command = "{sys.executable} train.py {{x}}"
minimize = "loss"
[space]
x = {{ uniform = [0, 1] }}
[budget]
trials = 4
[sampler]
method = "random"
[pruner]
method = "asha"
fidelity = {{ name = "epoch", min = 1, max = 9, resume = true }}
""")
    env = {**os.environ, "PYTHONPATH": str(Path(taut.__file__).parents[1])}
    command = [sys.executable, "-m", "taut", "run", "study.toml"]
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    records = taut.Study(tmp_path / "runs" / "s").trials
    assert {record.state for record in records} == {"paused", "complete"}
    ended = sum("SIGTERM" in text for record in records for text in record.interruptions)
    assert 1 <= ended <= 2, (
        "on a busy machine its report may be heard, and the trial wait, before it ends itself"
    )
