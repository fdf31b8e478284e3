"""The plan: what is chosen, and that it follows from what is known."""

from __future__ import annotations

import functools
import math
import time

import numpy as np
import pytest
from planned_studies import Fixed, T, definition, ran, work

from taut.errors import InputError
from taut.events import Planned
from taut.queue import screen
from taut.queue.checked import check_json, check_lines
from taut.queue.plan import Plan, asked, make, waits_of
from taut.queue.predicted import course
from taut.queue.promise import Kept, kept, promised
from taut.queue.shapes import Bounds
from taut.queue.simulate import Lognormal
from taut.queue.sketch import sketch
from taut.queue.waits import Waits
from taut.queue.work import Known, Work
from taut.slurm.jobs import Life
from taut.slurm.rounds import Submission

WORK, ROOM, QUEUE = work(60), Bounds(), Fixed()


@functools.cache
def planned(of: Work = WORK, room: Bounds = ROOM, queue: Fixed = QUEUE, **more: object) -> Plan:
    return make(of, queue, room, T, **more)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_plan() -> None:
    of, room = work(30), Bounds(longest=7200.0)
    assert make(of, QUEUE, room, T, seed=3) == make(of, QUEUE, room, T, seed=3)
    assert make(of, QUEUE, room, T, seed=3).best.outlook != make(of, QUEUE, room, T, seed=4).best.outlook


def test_the_worked_example() -> None:
    """200 trials of 6 minutes, 8 minutes before the first of a job: some 16 jobs of 2.5 hours, done in some 4 hours."""
    plan = planned(work())
    shape, outlook = plan.best.shape, plan.best.outlook
    assert 8 <= shape.workers <= 24 and 1.5 <= shape.walltime / 3600 <= 4.5
    assert 3.0 < outlook.finish[1] / 3600 < 5.5
    assert 20.0 < outlook.cost[1] < 24.0 and outlook.efficiency > 0.85 and outlook.sure == 1.0
    single, whole = plan.naive["one trial per job"].outlook, plan.naive["everything in one job"].outlook
    assert outlook.finish[1] < 0.6 * single.finish[1] and outlook.cost[1] < 0.6 * single.cost[1]
    assert outlook.finish[1] < 0.3 * whole.finish[1]


def test_200_trials_are_planned_in_seconds() -> None:
    begin = time.process_time()
    make(work(), QUEUE, Bounds(wide=(1, 4)), T, goal="finish")
    assert time.process_time() - begin < 5.0


def test_goals() -> None:
    trade, finish, cost = (
        planned(**({} if goal == "trade" else {"goal": goal})).best.outlook
        for goal in ("trade", "finish", "cost")
    )
    assert finish.finish[1] < trade.finish[1] < cost.finish[1]
    assert cost.cost[1] <= trade.cost[1] <= 1.11 * cost.cost[1]
    assert finish.cost[1] > trade.cost[1]


def test_more_overhead_means_more_trials_in_each_job() -> None:
    each = [planned(work(60, overhead=seconds)).best.trials for seconds in (30.0, 480.0, 3600.0)]
    assert each == sorted(each) and each[0] < each[2] / 1.5


def test_a_longer_wait_means_fewer_rounds_and_a_quick_queue_more_jobs() -> None:
    quick, slow = planned(queue=Fixed(30.0)).best, planned(queue=Fixed(8 * 3600.0)).best
    assert quick.outlook.finish[1] < slow.outlook.finish[1]
    assert slow.jobs <= 1.5 * slow.shape.workers, "nobody waits twice for hours"


def test_a_limit_on_running_minutes_makes_jobs_fewer_or_shorter() -> None:
    limited = planned(room=Bounds(at_once=lambda seconds, slots: int(6 * 3600 // seconds)))
    free = planned()
    shape = limited.best.shape
    assert shape.workers * shape.walltime <= 6 * 3600
    assert shape.workers * shape.walltime < free.best.shape.workers * free.best.shape.walltime
    assert limited.best.outlook.finish[1] > free.best.outlook.finish[1]


def test_a_budget_is_kept_to() -> None:
    dear = planned(goal="finish").best.outlook
    budget = 0.7 * dear.cost[1]
    assert dear.cost[2] > budget
    assert planned(goal="finish", budget=budget).best.outlook.cost[2] <= budget
    reserved = planned(goal="finish", room=Bounds(reserve=budget)).best.shape
    assert reserved.workers * reserved.walltime / 3600 <= budget, "every job counts with all of its time"
    with pytest.raises(
        InputError, match=r"0\.1 GPU-hours are left, and that does not pay for a job"
    ) as error:
        planned(room=Bounds(reserve=0.1))
    assert error.value.at == ("budget", "gpu_hours")


def test_no_job_can_carry_a_trial() -> None:
    with pytest.raises(
        InputError, match=r"a job for one trial needs 11 h.*the longest that may run is 1 h.*checkpoint"
    ):
        planned(work(mean=8 * 3600.0, spread=0.2), Bounds(longest=3600.0))
    with pytest.raises(InputError, match="nothing is left to plan"):
        planned(work(trials=0))
    with pytest.raises(InputError, match="did you mean 'finish'"):
        planned(goal="finnish")


def test_a_gang_has_to_be_clearly_better_than_independent_jobs() -> None:
    """Where a hole for four costs no more than one for one, jobs for one are taken; where nodes are given away whole, there is nothing else."""
    same = Fixed(wider=1.0)
    of = WORK
    for goal in ("trade", "finish", "cost"):
        assert planned(of, Bounds(wide=(1, 4)), same, goal=goal).best.shape.slots == 1
    assert planned(of, Bounds(wide=(4,)), same).best.shape.slots == 4


def test_batches_and_one_after_the_other() -> None:
    batch = planned(work(40), Bounds(mode="batch", workers=8))
    assert (batch.best.shape.mode, batch.best.shape.workers) == ("batch", 8)
    assert "one trial per job" not in batch.naive
    alone = planned(work(10), Bounds(mode="sequential"))
    assert alone.best.shape.workers == 1


def test_doubt_makes_wide_intervals() -> None:
    sure = planned()
    guess = planned(Work(60, Known.said(360.0, 0.4), Known.said(480.0, 0.2)))
    assert guess.best.outlook.cost[2] / guess.best.outlook.cost[0] > 1.5 * (
        sure.best.outlook.cost[2] / sure.best.outlook.cost[0]
    )


def test_the_learned_model_of_a_queue_plans_too() -> None:
    plan = make(work(50), Waits.assumed(), Bounds(unit="gpus"), T)
    assert plan.strength == "none: assumed" and plan.ask.unit == "gpus"
    assert math.isfinite(plan.best.outlook.finish[2])


def test_a_sketch_is_near_what_is_played() -> None:
    """Near enough to say which shapes are worth playing."""
    plan = planned(work())
    for option in (plan.best, *plan.others, plan.naive["everything in one job"]):
        waits = waits_of(QUEUE, asked(option.shape, None), T)
        finish, held, _ = sketch(option.shape, work(), waits, 400, np.random.default_rng(0))
        assert np.median(finish) == pytest.approx(option.outlook.finish[1], rel=0.25)
        assert np.median(held) / 3600 == pytest.approx(option.outlook.cost[1], rel=0.1)


# ---------------------------------------------------------------------- its picture


def test_the_course_that_is_drawn_is_a_typical_case() -> None:
    plan = planned()
    timeline = course(plan, Fixed(), T)
    trials = [bar.trial for bar in timeline.bars if bar.kind == "useful"]
    assert sorted(set(trials)) == list(range(60))  # type: ignore[type-var]
    assert len(timeline.lanes) <= plan.best.shape.workers and timeline.submitted == (0.0,)
    end = max(bar.end for bar in timeline.bars if bar.kind == "useful")
    low, half, high = plan.best.outlook.finish
    assert low < end < high and abs(end - half) < 0.3 * half
    assert course(plan, Fixed(), T) == timeline
    wide = planned(work(40), Bounds(wide=(4,), workers=3))
    assert course(wide, Fixed(), T).lanes[:4] == ("job 1, 1", "job 1, 2", "job 1, 3", "job 1, 4")


# ---------------------------------------------------------------------- in words


def test_the_screen() -> None:
    of = Work(
        200,
        Known(Lognormal(360.0, 0.4), 40, "from 40 trials"),
        Known(Lognormal(480.0, 0.3), 8, "from 8 jobs"),
    )
    plan = planned(of)
    shown = screen.Screen(plan, Fixed(), T, "GPU", 50.0, "learned from accounting")
    said = screen.lines(shown)
    shape, outlook = plan.best.shape, plan.best.outlook
    assert said[0].startswith(f"200 trials: {shape.workers} jobs x ")
    assert f"{outlook.cost[1]:.0f} GPU-h of 50, done in " in said[0] and "(80 %: " in said[0]
    assert said[1] == "  a trial takes 6 min (80 %: 3 min 24 s to 9 min 7 s; from 40 trials)"
    assert (
        said[2] == "  a job needs before its first trial 8 min (80 %: 5 min 15 s to 11 min 9 s; from 8 jobs)"
    )
    assert said[3].startswith(
        "  the queue: none: assumed (learned from accounting); such a job starts within a minute in 10% of cases, and waits "
    )
    assert (
        said[4]
        == "  chosen for the earliest end of all shapes that cost at most a tenth more than the cheapest"
    )
    table = said[6 : said.index("", 6)]
    assert table[0].split() == [
        "jobs",
        "of",
        "trials",
        "each",
        "in",
        "trials",
        "done",
        "in",
        "(80",
        "%)",
        "GPU-h",
    ]
    names = [line[2:23].strip() for line in table[1:]]
    assert names[0] == "this plan" and names[-3:] == [
        "one trial per job",
        "everything in one job",
        "in batches",
    ]
    assert set(names[1:-3]) <= {"fewer jobs", "more jobs", "longer jobs", "shorter jobs"} and names[1:-3]
    assert len({len(line) for line in table}) == 1, "columns are even"


def test_the_numbers() -> None:
    plan = planned(work(50))
    found = screen.as_json(screen.Screen(plan, Fixed(), T, "CPU"))
    assert found["plan"]["finish"] == list(plan.best.outlook.finish)
    assert found["plan"]["walltime"] == plan.best.shape.walltime and found["unit"] == "CPU"
    assert [each["name"] for each in found["others"]][-3:] == [
        "one trial per job",
        "everything in one job",
        "in batches",
    ]


# ---------------------------------------------------------------------- and afterwards


def _promise(**more: object) -> Planned:
    fields: dict[str, object] = {
        "trials": 4, "jobs": 2, "minutes": 60, "slots": 1, "units": 1, "unit": "GPU", "finish": (10.0, 30.0, 50.0),
        "cost": (0.5, 1.0, 2.0), "strength": "weak: 23 jobs", "t": T,
    }  # fmt: skip
    return Planned(**{**fields, **more})  # type: ignore[arg-type]


def test_a_promise_says_what_the_plan_does() -> None:
    plan = planned()
    promise = promised(plan, "GPU", T)
    assert promise is not None
    assert (promise.finish, promise.cost) == (plan.best.outlook.finish, plan.best.outlook.cost)
    assert (promise.trials, promise.jobs, 60 * promise.minutes) == (
        60,
        plan.best.shape.workers,
        plan.best.shape.walltime,
    )
    never = plan.best._replace(outlook=plan.best.outlook._replace(finish=(1.0, math.inf, math.inf)))
    assert promised(plan._replace(best=never), "GPU", T) is None


def test_promises_are_held_against_what_came() -> None:
    snapshot, _ = ran([10.0] * 6)
    snapshot.apply(9, [_promise(), _promise(trials=10), _promise(finish=(1.0, 2.0, 3.0), t=T + 15.0)])
    rounds = [
        Submission("job", 0, "a", 2, 2, 2, 4, 60, 1, 0, t=T + 1e-3, job=50),
        Submission("next", 0, "b", None, 1, 0, 1, 10, 1, 0, t=T + 2e-3, job=60),
    ]
    lives = [
        Life(id=51, life=0, state="COMPLETED", array=50, task=0, start=T, end=T + 3600.0, elapsed=3600),
        Life(id=60, life=0, state="COMPLETED", start=T, end=T + 3600.0, elapsed=3600),
    ]
    first, long, late = kept(snapshot, rounds, lives)
    assert (first.finish, first.done, first.in_time) == (40.0, 4, True)
    assert first.cost == pytest.approx(2 * 100.0 / 3600) and first.in_budget is False
    assert (long.finish, long.done, long.in_time, long.cost) == (None, 6, None, None)
    assert (late.finish, late.in_time) == (35.0, False)
    assert kept(snapshot)[0].cost is None


def test_the_check_in_words() -> None:
    found = [
        Kept(_promise(), 40.0, 1.5, 4),
        Kept(_promise(trials=1, jobs=1), 60.0, None, 1),
        Kept(_promise(), None, None, 3),
    ]
    assert check_lines(found) == [
        "planned for 4 trials: 2 jobs x 60 min, done in 30 s (80 %: 10 s to 50 s), 1.0 GPU-h; the queue: weak: 23 jobs",
        "  came: done in 40 s, within the 80 % that were expected",
        "  came: 1.5 GPU-h, within the 80 % that were expected",
        "planned for 1 trial: 1 job x 60 min, done in 30 s (80 %: 10 s to 50 s), 1.0 GPU-h; the queue: weak: 23 jobs",
        "  came: done in 1 min, more than the 80 % that were expected",
        "planned for 4 trials: 2 jobs x 60 min, done in 30 s (80 %: 10 s to 50 s), 1.0 GPU-h; the queue: weak: 23 jobs",
        "  so far: 3 of 4 trials have ended",
        "1 of 2 ends and 1 of 1 costs within the 80 % that were expected",
    ]
    assert check_lines([])[0].startswith("nothing was planned for this study")
    assert check_json(found)[0]["in_time"] is True and check_json(found)[2]["came"]["trials"] == 3


def test_a_promise_survives_the_log() -> None:
    from taut.events import decode, encode

    assert decode(encode(_promise()).rstrip()) == _promise()
    assert definition().budget.trials == 100
