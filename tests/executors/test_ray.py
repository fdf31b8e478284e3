"""Trials as tasks of Ray, by the executor that the documentation shows."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import taut

ROOT = Path(__file__).parents[2]
TUNE = """
import json, os, signal
import taut


def train(trial):
    if trial.number == 3 and trial.attempt == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    for step in range(1, 10):
        trial.report(step, loss=trial.params["x"] + 1 / step)
        if trial.should_stop():
            break
    return {"loss": trial.params["x"] + 1 / step, "process": os.getpid()}


study = taut.Study(
    "study",
    taut.Space(x=taut.uniform(0, 1)),
    minimize="loss",
    sampler="random",
    pruner={"method": "asha", "fidelity": {"name": "step", "min": 1, "max": 9}},
    retries=1,
)
"""
TELL = """
print(json.dumps([(t.state, t.attempts, t.values.get("process")) for t in study.trials]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed")
def test_tasks_run_the_trials_are_pruned_and_tried_again(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "executors.md").read_text().partition("\n## Ray\n")[2].partition("\n## ")[0]
    (shown,) = re.findall(r"^```\n(.*?)^```", section, re.M | re.S)
    assert 'ray.init(address="auto")' in shown and "trials=500" in shown and "workers=20" in shown
    shown = shown.replace(
        'address="auto"',
        'num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1"',
    )
    shown = shown.replace("trials=500", "trials=30").replace("workers=20", "workers=3")
    (tmp_path / "tune.py").write_text(TUNE + shown + TELL)
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as place:
        ran = subprocess.run(
            [sys.executable, "tune.py"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(taut.__file__).parents[1]),
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_TMPDIR": place,  # short, since sockets lie below it
                "HOME": str(tmp_path),  # where Ray leaves the token of its cluster
            },
            capture_output=True,
            text=True,
            timeout=110,
        )
    assert ran.returncode == 0, ran.stderr
    trials = json.loads(ran.stdout.splitlines()[-1])
    states = [state for state, *_ in trials]
    assert len(trials) == 30 and set(states) == {"complete", "pruned"} and states.count("pruned") >= 10
    assert [attempts for _, attempts, _ in trials] == [1, 1, 1, 2, *[1] * 26]
    assert len({process for *_, process in trials if process}) < 10  # they stay warm
