"""What a study leaves open is chosen for it when its jobs are planned; no Slurm is needed for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from planned_studies import IN_JOB, POINT, Fixed, T, definition, ran

from handmade import hello
from taut.definition import Budget
from taut.errors import InputError
from taut.events import Event, Finished, Released, Started
from taut.jobplan import Planned, plan
from taut.queue.choice import applied, choose
from taut.queue.pilot import is_first, pilot
from taut.slurm.jobs import Life
from taut.slurm.rounds import Rounds, Submission
from taut.slurm.settings import Settings
from taut.slurm.site import Config, Nodes, Partition, Site

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


def test_a_study_of_which_nothing_is_known_begins_with_three_trials(tmp_path: Path) -> None:
    """Not with eight jobs of all the time that the partition allows, which may finish it before anything is planned."""
    found = planned(tmp_path, done=0)
    first = found.steps[0].record
    assert (first.tasks, first.at_once, first.minutes, found.chosen) == (3, 3, 60, None)
    assert "--begin 1" in found.steps[0].script and found.steps[1].record.kind == "next"
    assert (
        "how long trials take in a job is not known yet: 3 begin in 3 jobs, and what follows is planned"
        in found.notes[-1]
    )
    two = planned(tmp_path, done=0, workers=2)
    assert (two.steps[0].record.tasks, two.steps[0].record.at_once) == (2, 2)
    assert planned(tmp_path, done=0, time="2h").steps[0].record.tasks == 100, "nothing waits for a plan"
    asked = planned(tmp_path, done=0, time="2h", workers="auto").steps[0].record
    assert (asked.tasks, asked.minutes) == (3, 120)
    beside = planned(tmp_path, done=0, cpus=4, per_trial={"cpus": 1})
    assert beside.steps[0].record.tasks == 1 and "--begin 3" in beside.steps[0].script
    alone = planned(tmp_path, done=0, mode="sequential")
    assert alone.steps[0].record.tasks == 1 and "--begin 3" in alone.steps[0].script
    for budget in (Budget(hours=3.0), Budget(gpu_hours=30.0)):
        assert planned(tmp_path, done=0, budget=budget, gpus=1).steps[0].record.tasks == 3
    endless = planned(tmp_path, done=0, budget=Budget(until="loss < 1"))
    assert endless.steps[0].record.tasks == 200 and "a plan needs an end" in endless.notes[0]


def test_a_pilot_is_short_and_longer_where_that_was_too_short() -> None:
    of = definition()
    snapshot, _ = ran([], of=of)
    first = pilot(of, snapshot, Settings(), [])
    assert first is not None and first.within(1440, 2880) == 120 and first.within(10, 2880) == 10
    before = [Submission("job", 0, "a", 3, 3, 1, 1, 120, 1, 0, job=50)]
    failed = pilot(of, snapshot, Settings(), before)
    assert failed is not None and failed.minutes == 120, "a script that fails needs no more time"
    snapshot.apply(
        0,
        [
            hello(job=IN_JOB),
            Started(0, 0, POINT, 0, 1, T),
            Released(0, 0, "the job's time was over", True, T + 7200),
        ],
    )
    again = pilot(of, snapshot, Settings(), before)
    assert again is not None and again.within(10, 2880) == 480 and again.within(10, 300) == 300


def test_what_came_to_nothing_on_a_laptop_says_nothing_of_the_jobs_before() -> None:
    of = definition()
    snapshot, _ = ran([60.0] * 3, of=of)
    saved = Released(3, 0, "asked to leave", False, T + 9e3, kept=True, had=50.0)
    snapshot.apply(0, [Started(3, 0, POINT, 0, 4, T + 8e3), saved])
    failing: list[Event] = [hello(job=IN_JOB), Started(4, 0, POINT, 0, 5, T + 1e4)]
    snapshot.apply(1, [*failing, Finished(4, 0, "failed", {}, T + 1e4 + 1.0)])
    first = pilot(
        of, snapshot, Settings(), [Submission("job", 0, "a", 3, 3, 1, 1, 120, 1, 0, job=50, finished=3)]
    )
    assert first is not None and not first.again and first.minutes == 120


def test_where_workers_do_not_see_their_jobs_a_pilot_ends_with_the_first_trial() -> None:
    """As in a container without Slurm's variables."""
    of, before = definition(), Submission("job", 0, "a", 3, 3, 1, 1, 120, 1, 0, job=50, finished=3)
    assert pilot(of, ran([60.0] * 3, of=of)[0], Settings(), [before]) is not None
    assert pilot(of, ran([60.0] * 4, of=of)[0], Settings(), [before]) is None


def test_where_gpu_hours_are_few_a_pilot_has_fewer_jobs_before_shorter_ones(tmp_path: Path) -> None:
    def begun(hours: float, **slurm: Any) -> tuple[Any, ...]:
        found = planned(tmp_path, 0, Budget(trials=100, gpu_hours=hours), **{"gpus": 1, **slurm})
        first, script = found.steps[0].record, found.steps[0].script
        return first.tasks, first.minutes, next(n for n in (1, 2, 3) if f"--begin {n}" in script)

    assert begun(3.0) == (3, 60, 1) and begun(2.5) == (2, 60, 2) and begun(0.1) == (1, 6, 3)
    assert begun(4.0, gpus=8) == (1, 30, 3)
    with pytest.raises(InputError, match=r"0\.01 GPU-hours are left: they pay for one job of 0 min;"):
        begun(0.01)


def again(tmp_path: Path, hours: float) -> Submission:
    """What follows three jobs of 2 hours that were too short for a trial."""
    of = msgspec.structs.replace(
        definition(), budget=Budget(trials=100, gpu_hours=hours), on={"slurm": {"gpus": 1}}
    )
    rounds = Rounds(tmp_path / "study" / "slurm")
    before = Submission("job", 0, rounds.prefix(of.name), 3, 3, 1, 1, 120, 1, 0, job=100)
    rounds.begin(0)
    rounds.write(before)
    snapshot, _ = ran([], of=of)
    for n in range(3):
        began = Started(n, 0, POINT, 0, n + 1, T)
        over = Released(n, 0, "the job's time was over", True, T + 7200)
        snapshot.apply(n, [hello(job=IN_JOB), began, over])
    lives = [Life(100 + n, 0, "TIMEOUT", array=100, task=n, start=T, elapsed=7200) for n in range(3)]
    site = msgspec.structs.replace(
        SITE, partitions=(Partition("main", default=True, most_minutes=2880, usual_minutes=120),)
    )
    return plan(of, snapshot, tmp_path / "study", rounds, site, lives, 1, True, QUEUE, T).steps[0].record


def test_no_pilot_is_shorter_than_one_that_was_too_short(tmp_path: Path) -> None:
    rich, poor = again(tmp_path / "a", 40.0), again(tmp_path / "b", 10.0)
    assert (rich.tasks, rich.minutes) == (3, 480) and (poor.tasks, poor.minutes) == (1, 240)
    with pytest.raises(InputError, match="one job of 90 min, and jobs of 120 min were too short for a trial"):
        again(tmp_path / "c", 7.5)


def test_what_gpu_hours_do_not_pay_for_is_not_submitted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.1 GPU-hours are left, and that does not pay for a job"):
        planned(tmp_path, budget=Budget(trials=100, gpu_hours=0.1), gpus=1)


def test_then_time_and_workers_are_the_plan_s(tmp_path: Path) -> None:
    found = planned(tmp_path)
    assert found.chosen is not None
    shape, first = found.chosen.best.shape, found.steps[0].record
    assert found.chosen.work.trials == 90 and found.chosen.work.overhead.source == "from 1 job"
    assert (60 * (first.minutes or 0), first.at_once) == (shape.walltime, shape.workers)
    jobs = found.chosen.best.jobs
    assert jobs <= (first.tasks or 0) <= 1.2 * jobs + 1 < 60, "what these leave is planned anew"
    assert f"#SBATCH --time={int(shape.walltime) // 3600:02d}:" in found.steps[0].script
    assert planned(tmp_path).chosen == found.chosen


def test_jobs_fill_nodes_that_are_given_away_whole(tmp_path: Path) -> None:
    """How many trials share a job is chosen, too, and each of them gets what the study asks for."""
    whole = Partition(
        "main", default=True, most_minutes=720, whole=True, nodes=(Nodes(3, 16, 64_000, {"": 4}),)
    )
    of = msgspec.structs.replace(definition(), on={"slurm": {"gpus": 1, "cpus": 3, "memory": "10G"}})
    snapshot, _ = ran([300.0] * 10, [240.0], of=of)
    site = msgspec.structs.replace(SITE, partitions=(whole,))
    found = plan(of, snapshot, tmp_path, Rounds(tmp_path / "slurm"), site, LIVES, 0, True, Fixed(), T)
    first, script = found.steps[0].record, found.steps[0].script
    assert found.chosen is not None and found.chosen.best.shape.slots == 4
    assert (first.slots, first.gpus, first.cpus) == (4, 4, 12)
    assert "--workers 4 --trial-gpus 1" in script and "--mem=40G" in script
    assert first.tasks is not None and first.tasks <= 1.2 * found.chosen.best.jobs + 1


def test_jobs_that_are_too_short_for_many_trials_are_said(tmp_path: Path) -> None:
    of = msgspec.structs.replace(definition(), on={"slurm": {"time": "7m", "workers": 4}})
    took = [200.0, 400.0, 150.0, 300.0, 100.0, 250.0, 600.0, 180.0, 350.0, 220.0]
    snapshot, _ = ran(took, [60.0], of=of)
    found = plan(of, snapshot, tmp_path, Rounds(tmp_path / "slurm"), SITE, LIVES, 0, True, Fixed(), T)
    assert any("will not end within all of a job of 7 min, whatever is tried" in note for note in found.notes)


def test_hours_alone_are_planned(tmp_path: Path) -> None:
    timed = planned(tmp_path, budget=Budget(hours=2.0))
    assert timed.chosen is not None and timed.chosen.enough.startswith("as many as ")
    assert timed.steps[0].record.at_once <= 8
    paid = planned(tmp_path, budget=Budget(gpu_hours=6.0), gpus=1)
    assert paid.chosen is not None and 40 < paid.chosen.work.trials <= 72
    assert paid.chosen.best.outlook.cost[1] <= 6.2


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


def with_trials_of(hours: float, tmp_path: Path, **slurm: Any) -> Planned:
    """A round for four more trials, where the longest job is one of 12 hours."""
    of = msgspec.structs.replace(definition(trials=7), on={"slurm": slurm})
    snapshot, _ = ran([3600.0 * hours] * 3, [240.0], of=of)
    return plan(of, snapshot, tmp_path, Rounds(tmp_path / "slurm"), SITE, LIVES, 0, True, Fixed(), T)


def test_where_no_job_can_carry_a_trial_none_is_submitted(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"a job for one trial needs 1 d 5 h .* the longest that may run is 12 h"
    ):
        with_trials_of(20.0, tmp_path)
    said = with_trials_of(20.0, tmp_path, time="12h")
    assert said.chosen is None and said.steps[0].record.minutes == 720, "who says a time has it"
    assert said.notes[0].startswith("not planned: time: a job for one trial needs ")


@pytest.mark.parametrize("hours", [9.0, 11.5])
def test_where_the_longest_job_may_carry_a_trial_it_is_taken_and_said(tmp_path: Path, hours: float) -> None:
    found = with_trials_of(hours, tmp_path)
    assert found.chosen is not None and found.steps[0].record.minutes == 720
    assert any(" would be enough for 95 %; have them checkpoint" in note for note in found.notes)
    near = {one.what: one.why for one in found.chosen.near}
    assert near["twice as long"] == "no job may be longer than 12 h"


def test_nothing_is_planned_without_a_queue_or_where_jobs_are_there(tmp_path: Path) -> None:
    assert planned(tmp_path, queue=None).chosen is None
    of = msgspec.structs.replace(definition(), on={"slurm": {}})
    snapshot, _ = ran([300.0] * 10, of=of)
    assert (
        plan(of, snapshot, tmp_path, Rounds(tmp_path / "slurm"), SITE, None, 0, True, Fixed(), T).chosen
        is None
    )


def test_first() -> None:
    assert is_first(definition(), ran([])[0]) and not is_first(definition(), ran([1.0], [2.0])[0])
    assert is_first(definition(), ran([1.0])[0]), "a laptop does not show how long a trial takes in a job"
    assert not is_first(definition(trials=None), ran([])[0])
    assert choose(definition(), ran([])[0], Settings(), SITE, [], Fixed(), T) is None
