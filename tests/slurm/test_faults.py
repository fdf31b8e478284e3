"""What goes wrong on a cluster, each on a real one: what is told of it, and that the study comes to its end.

All scenarios run at the same time. Jobs of one have nodes of their own where it takes a whole node away.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack

import cluster_files
import pytest
from cluster import Cluster, temporary
from workplace import CAREFUL, PLAIN, Scenario, Workplace, selected, together

SHARED = 'extra = ["--exclude=node2,node3,node4"]'  # node1 is for all that leave their node in peace


def two_lives(place: Workplace) -> None:
    """A node is lost, its process lives on: its trial is begun again elsewhere, and what it tells later does not count."""
    place.define('time = "10m"\nworkers = 1\nextra = ["--exclude=node1,node2"]', trials=4)
    place.hold("0-0", "0-1", "2-0")
    place.submit()
    old = place.until(lambda: place.find("started", "0-0"), 30, "the first start")
    assert old.job is not None
    node = place.node(old.job)
    place.cluster.kill_node(node)
    released = place.until(lambda: place.find("released", "0-0"), 120, "the news of the lost node")
    assert released.writer != old.writer
    place.let_go("2-0")  # what the new worker was busy with
    place.until(lambda: place.find("started", "0-1"), 20, "the second life of trial 0")
    time.sleep(3.0)  # the old worker looks every two seconds whether it is dismissed
    place.let_go("0-0")
    told = place.until(lambda: place.find("finished", "0-0"), 10, "the result of the first life")
    assert told.writer == old.writer
    assert place.trials()[0]["state"] == "running", "what the first life told was counted"
    time.sleep(1.0)  # in which the old worker would take trial 3
    assert [one.n for one in place.log() if one.kind == "started" and one.writer == old.writer] == [0]
    place.let_go("0-1")
    place.until_over(60)
    trials = place.trials()
    assert [(trial["state"], trial["attempts"]) for trial in trials] == [
        ("complete", 2),
        *[("complete", 1)] * 3,
    ]
    assert trials[0]["values"]["attempt"] == 1.0, "the result of the superseded attempt was counted"
    assert trials[0]["interruptions"] == [f"attempt 0: {node}, where job {old.job} ran, failed"]
    place.taut("verify", str(place.study))


def no_checkpoints(place: Workplace) -> None:
    """A trial that is longer than its jobs and cannot save itself is tried `retries` times more, then given up."""
    place.define(f'time = "1m"\nworkers = 2\n{SHARED}', trials=3, retries=1)
    place.hold("0-0", "0-1")
    place.submit()
    place.until_over(240)
    trial = place.trials()[0]
    assert (trial["state"], trial["attempts"]) == ("failed", 2), place.account()
    assert all("time was over after" in why for why in trial["interruptions"]), trial
    assert trial["error"].startswith("given up after 2 attempts: the job's time was over"), trial
    place.taut("verify", str(place.study))


def checkpoints(place: Workplace) -> None:
    """A trial that is longer than its jobs and saves itself goes on in the next one until it is finished."""
    place.define(
        f'time = "1m"\nworkers = 1\n{SHARED}', trials=1, retries=0, train=CAREFUL.replace("STEPS", "400")
    )
    place.submit()
    place.until_over(300)
    (trial,) = place.trials()
    assert trial["state"] == "complete" and trial["attempts"] >= 2, place.account()
    assert all("paused with its checkpoint" in why for why in trial["interruptions"]), trial
    assert trial["values"]["attempt"] >= 20, "the last job did not go on from the one before"
    began = {one.job for one in place.log() if one.kind == "started"}
    assert len(began) == trial["attempts"], "each attempt had a job of its own"


def preemption(place: Workplace) -> None:
    """A job with more priority takes the node: the trial saves itself at once and goes on when the job comes back."""
    train = CAREFUL.replace("STEPS", "250")
    place.define(
        'partition = "low"\ntime = "10m"\nworkers = 1\nextra = ["--nodelist=node2"]', trials=1, train=train
    )
    place.submit()
    first = place.until(lambda: place.find("started", "0-0"), 30, "the start")
    time.sleep(3.0)
    words = (
        "-p",
        "high",
        "-w",
        "node2",
        "-c",
        "4",
        "--mem=50",
        "-t",
        "1",
        "-o",
        "/dev/null",
        "--wrap",
        "sleep 1",
    )
    place.cluster.run("sbatch", *words)
    place.until(place.finished, 60, "the end")
    place.until_over(30)
    (trial,) = place.trials()
    assert (trial["state"], trial["attempts"]) == ("complete", 2)
    assert trial["interruptions"] == [f"attempt 0: paused with its checkpoint: job {first.job} was preempted"]
    assert trial["values"]["attempt"] >= 20, "it began again"
    second = place.find("started", "0-1")
    assert second is not None and second.job == first.job, "the same job came back"


def no_worker_left(place: Workplace) -> None:
    """Somebody cancels all of the jobs: the successor submits what is left."""
    place.define(f'time = "10m"\nworkers = 1\n{SHARED}', trials=4)
    place.hold("1-0")
    place.submit()
    place.until(lambda: place.find("started", "1-0"), 30, "trial 1")
    victim = place.find("started", "1-0")
    assert victim is not None
    place.cluster.run("scancel", str(place.scripts()["job0"]["job"]))
    place.until(lambda: place.finished() == 4, 60, "the end")
    place.until_over(30)
    assert place.trials()[1]["interruptions"] == [f"attempt 0: job {victim.job} was cancelled"]
    assert sorted(place.scripts()) == ["job0", "job1", "next0", "next1"]


def hopeless(place: Workplace) -> None:
    """Jobs that all fail at once are submitted once more, and not again and again."""
    broken = "setup = '[[ $SLURM_JOB_NAME == *.next ]]'"  # for the workers alone
    place.define(f'time = "10m"\nworkers = 2\n{broken}\n{SHARED}', trials=2)
    place.submit()
    place.until_over(90)
    assert sorted(place.scripts()) == ["job0", "job1", "next0", "next1"]
    assert "setup failed with exit code 1" in (place.study / "slurm" / "0001" / "0.log").read_text()
    why = "rounds 0 to 1 have brought no result"
    assert why in (place.study / "slurm" / "0001" / "next.log").read_text()
    assert why in place.taut("status", str(place.study))


def twice(place: Workplace) -> None:
    """A second `taut run` finds the jobs; one that crashed before or after sbatch is made good by the next."""
    place.define(f'time = "10m"\nworkers = 1\n{SHARED}', trials=2)
    place.hold("0-0")
    place.submit()
    first = place.until(lambda: place.find("started", "0-0"), 30, "the start")
    before = place.jobs("ArrayJobID", "ArrayTaskID")
    assert "has jobs already" in place.submit() and place.jobs("ArrayJobID", "ArrayTaskID") == before
    # As after a crash between sbatch and the record of its answer: the jobs are found by their names.
    folder = place.study / "slurm" / "0000"
    records = {path: path.read_bytes() for path in folder.glob("*.json")}
    for path, text in records.items():
        path.write_text(json.dumps({**json.loads(text), "job": None}))
    assert "has jobs already" in place.submit() and place.jobs("ArrayJobID", "ArrayTaskID") == before
    # As after a crash between the record and sbatch, an hour ago: nothing is there, and the next run submits it.
    place.cluster.run("scancel", *{job[0] for job in before})
    place.until_over(20)
    os.utime(folder, (time.time() - 3600,) * 2)
    place.let_go("0-0")
    assert "job " in place.submit()
    place.until(lambda: place.finished() == 2, 60, "the end")
    place.until_over(30)
    assert place.trials()[0]["interruptions"] == [f"attempt 0: job {first.job} was cancelled"]


HUNGRY = (
    PLAIN
    + """
if mark[0] == "0":
    much = b"x" * (600 << 20)
    time.sleep(5.0)  # where the kernel does not watch, Slurm looks once a second
"""
)


def memory(place: Workplace) -> None:
    """A command that takes too much is killed by the kernel, its worker stays: a failed trial, and the study goes on."""
    if not place.cluster.confines_memory:
        pytest.skip("no cgroups of version 1 here, so that Slurm itself looks after the memory of jobs")
    place.define(f'time = "10m"\nworkers = 1\n{SHARED}', trials=2, train=HUNGRY, memory="250M")
    place.submit()
    place.until(lambda: place.finished() == 2, 60, "the end")
    place.until_over(30)
    trial, other = place.trials()
    assert (trial["state"], other["state"]) == ("failed", "complete")
    assert re.match(
        r"ran out of memory \(limit 250 MiB; the largest process held \d+ MiB\)\n", trial["error"]
    ), trial


IMPORTED = """\
def train(trial):
    if trial.number == 0:
        much = b"x" * (600 << 20)
    return {"loss": trial.params["x"]}
"""


def memory_of_a_function(place: Workplace) -> None:
    """A warm process that takes too much is killed, its worker stays: tried `retries` times more, then given up."""
    if not place.cluster.confines_memory:
        pytest.skip("no cgroups of version 1 here, so that Slurm itself looks after the memory of jobs")
    place.define(f'time = "10m"\nworkers = 1\n{SHARED}', trials=2, train=IMPORTED, retries=1, memory="250M")
    text = (place.path / "study.toml").read_text()
    begun, _, rest = text.replace('command = "python train.py {args}"', 'function = "train:train"').partition(
        "[results]"
    )
    place.write("study.toml", begun + rest[rest.index("[space]") :])
    place.submit()
    place.until(lambda: place.finished() == 1 and place.trials()[0]["state"] == "failed", 60, "the end")
    place.until_over(30)
    trial, other = place.trials()
    why = r"its process ran out of memory \(limit 250 MiB; the largest process held \d+ MiB\)"
    assert other["state"] == "complete"
    assert trial["attempts"] == 2 and re.match(f"given up after 2 attempts: {why}", trial["error"]), trial
    assert all(re.search(why, text) for text in trial["interruptions"]) and trial["interruptions"], trial


def memory_of_the_job(place: Workplace) -> None:
    """Where Slurm watches the memory itself, it kills the whole job: tried `retries` times more, then given up."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cluster_files, "confines_memory", lambda: False)
            cluster = stack.enter_context(temporary())
        place = Workplace(cluster, place.path / "own", "memory")
        place.define('time = "10m"\nworkers = 2', trials=2, train=HUNGRY, retries=1, memory="250M")
        place.submit()
        place.until(
            lambda: [one["state"] for one in place.trials()] == ["failed", "complete"], 180, "the end"
        )
        place.until_over(90)
        trial = place.trials()[0]
        assert trial["attempts"] == 2 and trial["error"].startswith("given up after 2 attempts: job "), trial
        for why in trial["interruptions"]:
            assert re.search(r"job \d+_\d ran out of memory \(MaxRSS \d+ MiB of 250 MiB\)", why), why


SCENARIOS = (
    *(two_lives, no_checkpoints, checkpoints, preemption, no_worker_left, hopeless, twice, memory),
    *(memory_of_a_function, memory_of_the_job),
)


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Scenario, Future[None]]]:
    with together(cluster, tmp_path_factory.mktemp("faults"), selected(request, SCENARIOS)) as running:
        yield running
    cluster.tidy()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_fault(scenario: Scenario, running: dict[Scenario, Future[None]]) -> None:
    running[scenario].result()
