"""How many jobs a study is given, and in what order; no Slurm is needed for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import taut
from taut.definition import Budget, Definition, Objective
from taut.errors import InputError
from taut.events import Event, Finished, Released, Started
from taut.jobplan import Planned, plan, words
from taut.slurm.jobs import Life
from taut.slurm.rounds import Rounds, Submission, follows
from taut.slurm.site import Config, Site
from taut.snapshot import Snapshot

SPACE = taut.Space(x=taut.uniform(0, 1))
SITE = Site(user="me", config=Config("lab", "22.05.8", kill_wait=30))


def planned(
    tmp_path: Path,
    trials: int | None = 100,
    done: int = 0,
    lives: Any = (),
    gpu_hours: float | None = None,
    **slurm: Any,
) -> Planned:
    budget = Budget(trials=trials, gpu_hours=gpu_hours)
    definition = Definition(
        "demo", SPACE.to_json(), [Objective("loss")], budget=budget, on={"slurm": {"time": "1h", **slurm}}
    )
    snapshot = Snapshot(definition)
    events: list[Event] = []
    for n in range(done):
        events += [Started(n, 0, {"x": 0.5}, 0, n + 1, 1.0), Finished(n, 0, "complete", {"loss": 1.0}, 2.0)]
    snapshot.apply(0, events)
    study = tmp_path / "study"
    rounds = Rounds(study / "slurm")
    return plan(definition, snapshot, study, rounds, SITE, lives, rounds.latest + 1)


def sizes(found: Planned) -> list[tuple[int | None, int, bool]]:
    """Tasks, how many at a time, and whether it waits for the job before."""
    return [(step.record.tasks, step.record.at_once, step.dependent) for step in found.steps]


@pytest.mark.parametrize(
    ("asked", "arrays"),
    [
        ({}, [(100, 8, False)]),
        ({"workers": 3}, [(75, 3, False)]),  # what 75 jobs leave is the successor's
        ({"workers": 200}, [(100, 100, False)]),
        ({"trials": 5, "workers": 8}, [(5, 5, False)]),
        ({"done": 98, "workers": 8}, [(2, 2, False)]),
        ({"trials": None, "gpu_hours": 30.0, "gpus": 1, "workers": 2}, [(30, 2, False)]),
        ({"workers": 4, "gpus": 4, "per_trial": {"gpus": 1}}, [(25, 4, False)]),
        ({"mode": "sequential"}, [(25, 1, False)]),
        ({"trials": 30, "mode": "batch", "workers": 10}, [(10, 10, False), (10, 10, True), (10, 10, True)]),
        (
            {"mode": "batch", "workers": 4, "cpus": 2, "per_trial": {"cpus": 1}, "trials": 9},
            [(4, 4, False), (4, 4, True)],
        ),
    ],
)
def test_the_arrays_and_the_one_that_follows(tmp_path: Path, asked: Any, arrays: Any) -> None:
    assert sizes(planned(tmp_path, **asked)) == [*arrays, (None, 1, True)]


def test_names_are_the_study_s_own_and_differ_by_round(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path / "study" / "slurm")
    rounds.begin(0)
    prefix = rounds.prefix("demo")
    first = planned(tmp_path, mode="batch", workers=60)
    names = [step.record.name for step in first.steps]
    assert names == [f"{prefix}1", f"{prefix}2", f"{prefix}2.next"]
    assert Rounds(tmp_path / "study" / "slurm").prefix("demo") == prefix
    assert Rounds(tmp_path / "other" / "slurm").prefix("demo") != prefix
    rounds.write(msgspec.structs.replace(first.steps[-1].record, round=0))
    assert rounds.successor(0) == "next2"
    assert follows(names[-1]) and follows(f"{names[-1]}2") and not follows(names[0])


def test_the_words_of_each_mode(tmp_path: Path) -> None:
    place = tmp_path / "study" / "slurm" / "0000"
    asynchronous = planned(tmp_path, workers=3)
    assert words(asynchronous.steps[0], place, None)[1:3] == ["--parsable", "--array=0-74%3"]
    assert words(asynchronous.steps[1], place, 17)[1:3] == ["--parsable", "--dependency=afterany:17"]
    sequential = planned(tmp_path, mode="sequential", trials=4)
    assert "--array=0-3%1" in words(sequential.steps[0], place, None)
    batch = planned(tmp_path, mode="batch", workers=2, trials=4)
    assert words(batch.steps[1], place, 5)[2:4] == ["--array=0-1", "--dependency=afterany:5"]
    assert "--mode batch --notice 120s --grace 25s --batch 2 --once" in batch.steps[0].script


def test_a_budget_of_gpu_hours_is_never_exceeded(tmp_path: Path) -> None:
    """Each job counts with all of its time until it has ended."""
    found = planned(tmp_path, gpu_hours=5.0, gpus=2, time="30m")
    assert sizes(found)[0] == (5, 5, False)
    assert "pay for 5 jobs" in found.notes[-1]
    assert "--no-requeue" in found.steps[0].script, "a second life would be paid for twice"


def test_what_was_used_and_is_reserved_counts(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path / "study" / "slurm")
    rounds.begin(0)
    rounds.write(Submission("job", 0, "x", 3, 3, 2, 1, 30, 1, 0, t=1.0, job=50))
    lives = [
        Life(id=51, life=0, state="COMPLETED", array=50, task=0, elapsed=900, gpus=2, minutes=30),  # 0.5
        Life(id=52, life=0, state="RUNNING", array=50, task=1, elapsed=60, gpus=2, minutes=30),  # 1.0 at most
    ]  # and one that waits: 1.0
    found = planned(tmp_path, gpu_hours=5.0, gpus=2, time="30m", lives=lives)
    assert found.steps[0].record.tasks == 2
    with pytest.raises(
        InputError, match=r"one job may use 4 GPU-hours \(2 x 120 min\), and 2\.50 of 5 are left"
    ):
        planned(tmp_path, gpu_hours=5.0, gpus=2, time="2h", lives=lives)


def test_gpu_hours_without_a_gpu_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the jobs ask for no GPU") as error:
        planned(tmp_path, gpu_hours=5.0)
    assert error.value.at == ("budget", "gpu_hours")


def test_the_successor_is_small_and_runs_without_container_and_setup(tmp_path: Path) -> None:
    found = planned(
        tmp_path, gpus=4, memory="100G", container="apptainer exec image.sif", setup=["module load Python"]
    )
    script = found.steps[-1].script
    assert "gres" not in script and "apptainer" not in script and "--mem" not in script
    assert "module load" not in script and script.rstrip().endswith("--on slurm")


def test_progress_counts_results_saves_and_used_up_retries() -> None:
    definition = Definition("demo", SPACE.to_json(), [Objective("loss")])
    snapshot = Snapshot(definition)
    steps: list[Event] = [
        Started(0, 0, {"x": 0.5}, 0, 1, 1.0),
        Released(n=0, a=0, why="paused", blame=False, t=2.0, kept=True),
        Released(n=1, a=0, why="a node failed", blame=False, t=2.0),
        Released(n=2, a=0, why="out of memory", blame=True, t=2.0),
    ]
    snapshot.apply(0, steps)
    assert snapshot.progress == 2
