"""Populations where it hurts: workers that are killed, commands, and what the command line says of them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import taut
from processes import SOURCE, begin, output, script
from taut.opening import make_proposals
from taut.trial import State
from taut.verify import verify

EPOCHS = 12

WORKER = """
    import json, sys, time
    import taut

    study = taut.Study(
        sys.argv[1],
        taut.Space(rate=taut.loguniform(1e-3, 1.0)),
        minimize="loss",
        sampler="random",
        retries=100,
        seed=1,
        pruner={"method": "pbt", "population": 8, "interval": 3,
                "fidelity": {"name": "epoch", "max": 12, "resume": True}},
    )
    for trial in study.work():
        weight, begin = 5.0, 0
        if trial.resumed_from is not None:
            weight, begin = json.loads((trial.resumed_from / "state").read_text())
        loss = weight ** 2
        for epoch in range(begin + 1, 13):
            time.sleep(0.06)
            weight -= trial.params["rate"] * (weight + ((trial.number * 7 + epoch * 3) % 11 - 5) / 5)
            loss = weight ** 2
            trial.report(epoch, loss=loss)
            if trial.should_stop():
                state = trial.checkpoint_dir / "state"
                state.with_suffix(".tmp").write_text(json.dumps([weight, epoch]))
                state.with_suffix(".tmp").rename(state)
                break
        trial.tell(loss=loss)
"""


def test_workers_that_are_killed_leave_whole_lines(tmp_path: Path) -> None:
    path, program, rng = tmp_path / "s", script(tmp_path, WORKER), random.Random(1)
    workers = [begin(program, path) for _ in range(3)]
    time.sleep(1.0)
    kills = 0
    while kills < 8 and any(worker.poll() is None for worker in workers):
        time.sleep(rng.uniform(0.1, 0.4))
        i = rng.randrange(3)
        if workers[i].poll() is None:
            os.killpg(workers[i].pid, signal.SIGKILL)
            workers[i].communicate()
            kills += 1
            workers[i] = begin(program, path)
    for worker in workers:
        output(worker, 60.0)
    made = taut.Study(path)
    snapshot = made.snapshot
    complete = snapshot.where(State.COMPLETE).tolist()
    assert kills >= 3 and len(complete) == 8 and made.store.done
    assert len(set(snapshot.heirs.values())) == len(snapshot.heirs)  # nobody was replaced twice
    for n in complete:
        weight = 5.0
        for part in made.lineage(n):
            for epoch in range(int(part.begin) + 1, int(part.end or EPOCHS) + 1):
                weight -= part.params["rate"] * (weight + ((part.number * 7 + epoch * 3) % 11 - 5) / 5)
        assert made.trials[n].values["loss"] == weight**2
    made.close()
    assert verify(path, make_proposals).good


SCRIPT = """
    import json, os, sys

    rate, until = float(sys.argv[2]), int(sys.argv[4])
    weight, begin = 5.0, 0
    if "TAUT_RESUMED_FROM" in os.environ:
        weight, begin = json.load(open(os.environ["TAUT_RESUMED_FROM"] + "/state"))
        assert float(os.environ["TAUT_RESUMED_STEP"]) == begin
    for epoch in range(begin + 1, until + 1):
        weight -= rate * weight
        with open(os.environ["TAUT_REPORT"], "a") as report:
            print(json.dumps({"step": epoch, "loss": weight**2}), file=report)
    with open(os.environ["TAUT_CHECKPOINT_DIR"] + "/state", "w") as state:
        json.dump([weight, until], state)
"""

STUDY = """
name = "population"
command = "python train.py --rate {rate} --epochs {epoch}"
minimize = "loss"

[space]
rate = { loguniform = [1e-3, 0.9] }

[sampler]
method = "random"

[pruner]
method = "pbt"
population = 5
interval = 2
fidelity = { name = "epoch", max = 6, resume = true }
"""


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "taut", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_command_is_a_member_as_well(tmp_path: Path) -> None:
    script(tmp_path, SCRIPT, "train.py")
    (tmp_path / "study.toml").write_text(STUDY)
    run(tmp_path, "run", "study.toml", "--workers", "2")
    folder = tmp_path / "runs" / "population"
    made = taut.Study(folder)
    steps = [(event.n, event.s) for event in made.snapshot.curves.heard]
    assert len(steps) == len(set(steps)) == 5 * 6
    assert made.snapshot.counts[State.COMPLETE] == 5 and len(made.snapshot.heirs) >= 2
    for n in made.snapshot.where(State.COMPLETE).tolist():
        weight = 5.0
        for part in made.lineage(n):
            for _ in range(int(part.begin), int(part.end or 6)):
                weight -= part.params["rate"] * weight
        assert made.trials[n].values["loss"] == weight**2
    line = made.lineage(made.best)
    made.close()

    best = run(tmp_path, "best", str(folder))
    if len(line) > 1:
        assert f"descends from {line[-2].number} (epoch {line[-2].end:g})" in best and " -> " in best
    status = run(tmp_path, "status", str(folder))
    assert "pbt: 5 members" in status and "gave up their places to copies of better ones" in status
    rows = json.loads(run(tmp_path, "trials", str(folder), "--json"))
    assert {row["number"] for row in rows if row["parent"] is not None} == set(range(5, len(rows)))
    assert "judgements of the pruner reproduced" in run(tmp_path, "verify", str(folder))
