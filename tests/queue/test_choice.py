"""What a study leaves open is chosen for it when its jobs are planned; no Slurm is needed for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from planned_studies import Fixed, T, definition, ran

from taut.definition import Budget
from taut.jobplan import Planned, plan
from taut.queue.choice import applied, choose, is_first
from taut.slurm.jobs import Life
from taut.slurm.rounds import Rounds
from taut.slurm.settings import Settings
from taut.slurm.site import Config, Partition, Site

SITE = Site(
    user="me",
    config=Config("lab", "22.05.8", kill_wait=30),
    partitions=(Partition("main", default=True, most_minutes=720, usual_minutes=60),),
)
BUDGET, QUEUE = Budget(trials=100), Fixed()
LIVES = [Life(id=100, life=0, state="COMPLETED", start=T, elapsed=3000)]


def planned(
    tmp_path: Path, done: int = 10, budget: Budget = BUDGET, queue: Any = QUEUE, **slurm: Any
) -> Planned:
    of = msgspec.structs.replace(definition(), budget=budget, on={"slurm": slurm})
    snapshot, _ = ran([300.0] * done, [240.0] if done else [], of=of)
    rounds = Rounds(tmp_path / "study" / "slurm")
    return plan(of, snapshot, tmp_path / "study", rounds, SITE, LIVES, 0, True, queue, T)


def test_the_first_round_is_small_and_as_long_as_the_partition_says(tmp_path: Path) -> None:
    found = planned(tmp_path, done=0)
    first = found.steps[0].record
    assert (first.tasks, first.at_once, first.minutes, found.chosen) == (8, 8, 60, None)
    assert "how long trials take is not known yet: 8 jobs begin" in found.notes[-1]
    assert planned(tmp_path, done=0, workers=3).steps[0].record.tasks == 3
    assert planned(tmp_path, done=0, time="2h").steps[0].record.tasks == 100, "nothing waits for a plan"
    endless = planned(tmp_path, done=0, budget=Budget(hours=3.0))
    assert endless.steps[0].record.tasks == 200 and endless.chosen is None, "it can never be planned"


def test_then_time_and_workers_are_the_plan_s(tmp_path: Path) -> None:
    found = planned(tmp_path)
    assert found.chosen is not None
    shape, first = found.chosen.best.shape, found.steps[0].record
    assert found.chosen.work.trials == 90 and found.chosen.work.overhead.source == "from 1 job"
    assert (60 * (first.minutes or 0), first.at_once) == (shape.walltime, shape.workers)
    assert first.tasks == 90, "what the plan did not foresee finds a job, too"
    assert f"#SBATCH --time={int(shape.walltime) // 3600:02d}:" in found.steps[0].script
    assert planned(tmp_path).chosen == found.chosen


def test_what_the_study_says_stays(tmp_path: Path) -> None:
    timed = planned(tmp_path, time="90m")
    assert timed.steps[0].record.minutes == 90 and timed.chosen is not None
    assert timed.chosen.best.shape.walltime == 5400.0
    wide = planned(tmp_path, workers=5)
    assert wide.steps[0].record.at_once == 5 and wide.steps[0].record.minutes != 60
    both = planned(tmp_path, time="90m", workers=5)
    assert both.chosen is not None and both.chosen.best.shape[:2] == (5400.0, 5), (
        "it is expected, if not chosen"
    )


def test_a_notice_of_the_study_s_own_fits_into_its_jobs(tmp_path: Path) -> None:
    found = planned(tmp_path, notice="30m", workers=100)
    assert (found.settings.time or 0) >= 60 and found.settings.notice == 1800
    short = applied(Settings(notice=600), found.chosen or pytest.fail("no plan"))
    assert (short.time or 0) >= 20


def test_gpu_hours_are_enough_for_what_is_submitted(tmp_path: Path) -> None:
    found = planned(tmp_path, budget=Budget(trials=100, gpu_hours=9.0), gpus=1)
    first = found.steps[0].record
    assert first.at_once * (first.minutes or 0) / 60 <= 9.0
    assert found.chosen is not None and found.chosen.best.shape.workers == first.at_once


def test_where_no_plan_is_possible_it_says_so_and_goes_on_as_before(tmp_path: Path) -> None:
    of = msgspec.structs.replace(definition(), on={"slurm": {}})
    snapshot, _ = ran([20 * 3600.0] * 3, of=of)
    found = plan(of, snapshot, tmp_path, Rounds(tmp_path / "slurm"), SITE, LIVES, 0, True, Fixed(), T)
    assert found.chosen is None and found.steps[0].record.minutes == 60
    assert found.notes[0].startswith("not planned: time: a job for one trial needs ")


def test_nothing_is_planned_without_a_queue_or_where_jobs_are_there(tmp_path: Path) -> None:
    assert planned(tmp_path, queue=None).chosen is None
    of = msgspec.structs.replace(definition(), on={"slurm": {}})
    snapshot, _ = ran([300.0] * 10, of=of)
    assert (
        plan(of, snapshot, tmp_path, Rounds(tmp_path / "slurm"), SITE, None, 0, True, Fixed(), T).chosen
        is None
    )


def test_first() -> None:
    assert is_first(definition(), ran([])[0]) and not is_first(definition(), ran([1.0])[0])
    assert not is_first(definition(trials=None), ran([])[0])
    assert choose(definition(), ran([])[0], Settings(), SITE, [], Fixed(), T) is None
