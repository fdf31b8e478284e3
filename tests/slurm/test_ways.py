"""The three ways to use taut on Slurm, as the documentation shows them, and several trials in one job."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cluster import Cluster
from workplace import Scenario, Workplace, selected, together

DOCS = Path(__file__).resolve().parents[2] / "docs"

# Says where it ran, and for how long; the file `wait` beside it holds how long that shall be.
PLACED = """\
import argparse, json, os, pathlib, time

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
begun = time.time()
time.sleep(float(pathlib.Path(__file__).with_name("wait").read_text()))
gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
with open(pathlib.Path(__file__).with_name("ran"), "a") as ran:
    ran.write(json.dumps({"x": x, "begun": begun, "ended": time.time(), "gpus": gpus}) + "\\n")
print("loss", x, "attempt", os.environ.get("TAUT_ATTEMPT", "0"))
"""

LOOP = """\
import os

import taut

study = taut.Study("runs/own-script", taut.Space(x=taut.uniform(0, 1)), minimize="loss", trials=12)
for trial in study.work():
    trial.tell(loss=trial.params["x"], task=int(os.environ["SLURM_ARRAY_TASK_ID"]))
"""


def block(page: str, heading: str, number: int = 0) -> str:
    """A shell script below a heading of the documentation: the first, or that of this number."""
    text = (DOCS / page).read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found: list[str] = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    assert number < len(found), f"{page} has {len(found)} scripts below {heading}"
    return found[number]


class Ran(NamedTuple):
    """What PLACED says of one of its runs."""

    begun: float
    ended: float
    x: float
    gpus: str | None


def ran(place: Workplace) -> list[Ran]:
    path = place.path / "ran"
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted(Ran(**json.loads(line)) for line in lines)


def define(place: Workplace, slurm: str, trials: int, wait: float) -> None:
    place.define(slurm, trials=trials, train=PLACED)
    place.write("wait", str(wait))


def plain_array(place: Workplace) -> None:
    """Nothing but the index is shared: each task of the array of the documentation has its own sample."""
    define(place, "", 6, 0.0)
    script = block("slurm.md", "Your own job scripts")
    assert len(script.splitlines()) <= 10 and script.count("--array=0-99") == 1
    place.write("job.sh", script.replace("--array=0-99", "--array=0-5"))
    number = place.run("sbatch", "--parsable", "--mem=200M", "-o", "job-%a.log", "job.sh").strip()
    place.until(lambda: not place.cluster.run("squeue", "-h", "-j", number, "-t", "PD,R,CG"), 60, "the array")
    wanted = [
        json.loads(place.taut("sample", "study.toml", "--index", str(index)))["x"] for index in range(6)
    ]
    assert sorted(one.x for one in ran(place)) == sorted(wanted)
    assert len(set(wanted)) == 6


def own_script(place: Workplace) -> None:
    """The user's own loop as the worker: four tasks of an array share one study."""
    place.write("train_all.py", LOOP)
    script = block("slurm.md", "Your own job scripts", 1)
    assert script.count("--array=0-15") == 1
    place.write("job.sh", script.replace("--array=0-15", "--array=0-3"))
    number = place.run("sbatch", "--parsable", "--mem=200M", "-o", "job-%a.log", "job.sh").strip()
    place.until(lambda: not place.cluster.run("squeue", "-h", "-j", number, "-t", "PD,R,CG"), 60, "the array")
    trials = place.trials()
    assert [trial["state"] for trial in trials] == ["complete"] * 12
    assert {one.job for one in place.log() if one.kind == "started"} <= {
        f"{number}_{task}" for task in range(4)
    }
    assert all(len(ends) == 1 for ends in place.counted().values())
    place.taut("verify", str(place.study))


def sequential(place: Workplace) -> None:
    """An array of one at a time."""
    define(place, 'time = "10m"\nmode = "sequential"', 3, 0.5)
    place.submit()
    array = place.scripts()["job0"]["job"]
    shown = place.cluster.run("scontrol", "show", "job", "-o", str(array))
    assert re.search(r"ArrayTaskId=\S+%1 ArrayTaskThrottle=1 ", shown), shown
    place.until_over(60)
    first, second, third = ran(place)
    assert first.ended <= second.begun and second.ended <= third.begun, "two ran at the same time"
    words = ("sacct", "-n", "-X", "-P", "-j", str(array), "-o", "State")
    place.until(
        lambda: "CANCELLED" in place.run(*words), 15, "surplus tasks that the last worker has cancelled"
    )
    assert list(place.scripts()) == ["job0", "next0"], "the successor was not cancelled"


def batch(place: Workplace) -> None:
    """Dependent arrays: one for each batch, and no trial of a batch before the one before it is finished."""
    define(place, 'time = "10m"\nmode = "batch"\nworkers = 2', 6, 0.5)
    place.submit()
    scripts = place.scripts()
    assert sorted(scripts) == ["job0", "job1", "job2", "next2"]
    shown = {
        key: place.cluster.run("scontrol", "show", "job", "-o", str(one["job"]))
        for key, one in scripts.items()
    }
    for later, earlier in (("job1", "job0"), ("job2", "job1"), ("next2", "job2")):
        assert f"Dependency=afterany:{scripts[earlier]['job']}_*" in shown[later]
    place.until_over(90)
    assert place.finished() == 6
    log = place.log()
    for first in (2, 4):
        before = max(one.t for one in log if one.kind == "finished" and one.n is not None and one.n < first)
        after = min(one.t for one in log if one.kind == "started" and one.n is not None and one.n >= first)
        assert before <= after, f"batch of trial {first} began early"
    for number in range(6):
        started = next(one for one in log if one.kind == "started" and one.n == number)
        assert started.job is not None and started.job.startswith(f"{scripts[f'job{number // 2}']['job']}_")


def asynchronous(place: Workplace) -> None:
    """A free array: all of its tasks may run, and whoever is free takes the next trial."""
    define(place, 'time = "10m"\nworkers = 3', 9, 0.5)
    place.submit()
    array = str(place.scripts()["job0"]["job"])
    tasks, throttle = place.scripts()["job0"]["tasks"], place.scripts()["job0"]["at_once"]
    assert (tasks, throttle) == (9, 3)
    shown = place.jobs("ArrayJobID", "Dependency")
    assert {job[1] for job in shown if job[0] == array} == {"(null)"}
    assert [job[1] for job in shown if job[0] != array] == [f"afterany:{array}_*(unfulfilled)"]
    place.until_over(60)
    assert place.finished() == 9
    began = {one.job for one in place.log() if one.kind == "started"}
    assert began <= {f"{array}_{task}" for task in range(3)} and len(began) > 1


def a_gpu_each(place: Workplace) -> None:
    """Two trials side by side in one job, each with a GPU of its own."""
    define(place, 'time = "10m"\nworkers = 1\ngpus = 2\nper_trial = { gpus = 1 }', 4, 1.0)
    place.submit()
    place.until_over(60)
    first, second = ran(place)[:2]
    assert second.begun < first.ended, "they ran one after the other"
    assert sorted(str(one.gpus) for one in (first, second)) == ["0", "1"]
    assert place.finished() == 4


def a_gpu_each_and_no_more(place: Workplace) -> None:
    """CPUs for one trial alone, in a job of two GPUs: the trial gets the one that the file says."""
    define(place, 'time = "10m"\nworkers = 1\ngpus = 2\nper_trial = { gpus = 1, cpus = 1 }', 1, 0.1)
    place.submit()
    place.until_over(60)
    (only,) = ran(place)
    assert only.gpus == "0"


POOL = """\
import os, time

import taut


def train(trial):
    trial.directory.mkdir(parents=True, exist_ok=True)
    while len(list(trial.directory.parent.iterdir())) < 2:  # both run at once
        time.sleep(0.01)
    return {"loss": trial.params["x"], "gpu": float(os.environ["CUDA_VISIBLE_DEVICES"])}


study = taut.Study("runs/own-job", taut.Space(x=taut.uniform(0, 1)), minimize="loss")
study.run(train, trials=2, workers=2)
"""


def own_job(place: Workplace) -> None:
    """The user's own job around `study.run`: its GPUs are shared out among the warm processes."""
    place.write("tune.py", POOL)
    place.write("job.sh", "#!/bin/bash\n#SBATCH --gres=gpu:2\n#SBATCH -c 2\nexec python tune.py\n")
    number = place.run("sbatch", "--parsable", "--mem=400M", "-o", "job.log", "job.sh").strip()
    place.until(lambda: not place.cluster.run("squeue", "-h", "-j", number, "-t", "PD,R,CG"), 60, "the job")
    trials = json.loads(place.taut("trials", "runs/own-job", "--json"))
    assert sorted(trial["values"]["gpu"] for trial in trials) == [0.0, 1.0], (
        place.path / "job.log"
    ).read_text()


def a_gpu_shared(place: Workplace) -> None:
    """Two trials on one GPU."""
    define(place, 'time = "10m"\nworkers = 1\ngpus = 1\nper_trial = { gpus = 0.5 }', 2, 1.0)
    place.submit()
    place.until_over(60)
    first, second = ran(place)
    assert second.begun < first.ended, "they ran one after the other"
    assert first.gpus == second.gpus and str(first.gpus).isdigit()


# Goes on from its own checkpoint or from that of the trial that it copies.
EPOCHS = """\
import argparse, json, os, pathlib, time

import taut

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--epochs", type=int)
given = parser.parse_args()
weight, begun = 5.0, 0
if before := os.environ.get("TAUT_RESUMED_FROM"):
    weight, begun = json.loads(pathlib.Path(before, "state").read_text())
state = pathlib.Path(os.environ["TAUT_CHECKPOINT_DIR"], "state")
for epoch in range(begun + 1, given.epochs + 1):
    time.sleep(0.1)
    weight *= 1 - given.rate
    state.write_text(json.dumps([weight, epoch]))
    taut.report(step=epoch, loss=weight**2)
"""
POPULATION = """\
name = "{name}"
command = "python train.py --rate {{rate}} --epochs {{epoch}}"
minimize = "loss"

[space]
rate = {{ loguniform = [1e-3, 0.5] }}

[sampler]
method = "random"

[pruner]
{pruner}
fidelity = {{ name = "epoch", min = 3, max = 9, resume = true }}

[budget]
trials = 12

[on.slurm]
time = "10m"
workers = 2
cpus = 1
memory = "200M"
"""


def trained(place: Workplace, pruner: str) -> list[dict[str, Any]]:
    """The trials of a study whose trials wait for each other and go on in other jobs."""
    place.write("train.py", EPOCHS)
    place.write("study.toml", POPULATION.format(name=place.name, pruner=pruner))
    place.submit()
    place.until_over(120)
    attempts: dict[int | None, set[str | None]] = {}
    for one in place.log():
        if one.kind == "started":
            attempts.setdefault(one.n, set()).add(one.job)
    assert any(len(jobs) > 1 for jobs in attempts.values()), "no trial went on in another job"
    assert "reproduced" in place.taut("verify", str(place.study))
    return place.trials()


def population(place: Workplace) -> None:
    """Members wait for each other; who falls behind gives up its place to a copy of a better one."""
    trials = trained(place, 'method = "pbt"\npopulation = 4\ninterval = 3')
    assert sum(trial["state"] == "complete" for trial in trials) == 4
    copies = [trial for trial in trials if trial["parent"] is not None]
    assert copies and len(trials) == 4 + len(copies)
    assert sum(trial["state"] == "pruned" for trial in trials) == len(copies)


def freezing(place: Workplace) -> None:
    """Runs pause, and the most promising one goes on wherever there is room."""
    trials = trained(place, 'method = "freeze-thaw"')
    whole = [trial for trial in trials if trial["state"] == "complete"]
    assert whole and min(trial["attempts"] for trial in whole) > 1
    assert any(trial["state"] == "paused" for trial in trials), "none was left behind"


SCENARIOS = (
    population,
    freezing,
    plain_array,
    own_script,
    sequential,
    batch,
    asynchronous,
    a_gpu_each,
    a_gpu_each_and_no_more,
    a_gpu_shared,
    own_job,
)


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Scenario, Future[None]]]:
    with together(cluster, tmp_path_factory.mktemp("ways"), selected(request, SCENARIOS)) as running:
        yield running
    cluster.tidy()


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_way(scenario: Scenario, running: dict[Scenario, Future[None]]) -> None:
    running[scenario].result()
