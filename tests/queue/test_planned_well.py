"""What a plan must not overlook: trials that are lost, jobs that are there, budgets of hours, and whether its neighbours are worse."""

from __future__ import annotations

import functools
import math
import time

import numpy as np
import pytest
from planned_studies import Fixed, T, definition, ran, work

from handmade import hello
from taut.errors import InputError
from taut.events import Allocation, Opened, Started
from taut.queue import screen
from taut.queue.checked import check_lines, standing
from taut.queue.choice import for_budget
from taut.queue.enough import MANY, Left, enough
from taut.queue.option import option
from taut.queue.plan import Plan, asked, make, waits_of
from taut.queue.present import present
from taut.queue.promise import kept
from taut.queue.shapes import Bounds, shapes, too_long
from taut.queue.simulate import Lognormal, Shape, play
from taut.queue.sketch import sketch
from taut.slurm.jobs import Job, Life
from taut.slurm.rounds import Submission

QUEUE = Fixed(600.0)


@functools.cache
def planned(trials: int = 60, room: Bounds = Bounds(), queue: Fixed = QUEUE, **more: object) -> Plan:  # noqa: B008
    return make(work(trials), queue, room, T, **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- trials that no job is long enough for


def test_a_trial_that_no_job_is_long_enough_for_is_no_result() -> None:
    """Of a third of the trials all of a job of 7 minutes is too short: others have to be run in their place."""

    def waits(rng: np.random.Generator, jobs: int, runs: int) -> np.ndarray:
        return 600.0 * rng.lognormal(0.0, 1.0, (runs, jobs))

    short, long = (
        play(Shape(seconds, 8), 60, Lognormal(360.0, 0.4), waits, overhead=Lognormal(30.0, 0.2), runs=60)
        for seconds in (420.0, 3600.0)
    )
    assert short.given_up.mean() > 15 and long.given_up.max() == 0
    done = (short.useful / (360.0 / 3600)).mean()
    assert done > 0.7 * 60, "60 results were asked for; those that fit are the shorter ones"
    assert np.median(short.finish) > 4 * np.median(long.finish)
    assert short.held.mean() > 2.5 * long.held.mean()
    never = play(Shape(300.0, 8), 60, Lognormal(3600.0, 0.1), waits, runs=20)
    assert np.isinf(never.finish).all(), "what cannot be done is not called done"


def test_sketches_count_lost_trials_too() -> None:
    of = work(60, overhead=30.0)
    for seconds in (480.0, 900.0, 3600.0):
        shape = Shape(seconds, 8)
        waits = waits_of(QUEUE, asked(shape, None), T)
        told = option(shape, of, waits).outlook
        finish, held, begin = sketch(shape, of, waits, 200, np.random.default_rng(0))
        assert np.median(finish) == pytest.approx(told.finish[1], rel=0.3)
        assert np.median(held) / 3600 == pytest.approx(told.cost[1], rel=0.2)
        assert (begin < finish).all()
    assert 0.2 < too_long(of, 420.0) < 0.5 and too_long(of, 3600.0) < 1e-4
    assert too_long(of._replace(saves=True), 420.0) == 0.0


def test_who_asks_for_too_short_jobs_is_told() -> None:
    plan = planned(room=Bounds(walltime=1020.0, longest=1020.0, workers=8))
    assert plan.best.outlook.lost > 2.0
    said = screen.lines(screen.Screen(plan, QUEUE, T, "GPU"))
    assert any(
        "will not end within all of a job of 17 min, whatever is tried: 20 min would be enough for 95 %"
        in line
        for line in said
    )
    assert not list(screen.too_short(planned()))
    with pytest.raises(
        InputError,
        match=r"a job for one trial needs .* in jobs of 5 min most would be lost; have trials",
    ):
        make(
            work(60, mean=289.0, spread=0.1, overhead=10.0),
            QUEUE,
            Bounds(walltime=300.0, longest=300.0, workers=4),
            T,
        )


def test_very_many_trials_are_played_as_few_and_none_is_lost_by_that() -> None:
    """Several count as one, but not more than a job holds."""
    of, shape = work(4000, overhead=60.0), Shape(1200.0, 64)
    told = option(shape, of, waits_of(QUEUE, asked(shape, None), T)).outlook
    assert told.sure == 1.0 and told.lost < 40
    assert told.cost[1] == pytest.approx(4000 * 400 / 3600, rel=0.1)
    begin = time.process_time()
    every = option(
        Shape(1800.0, 20_000, trials=1), work(20_000), waits_of(QUEUE, asked(shape, None), T), cases=150
    )
    assert time.process_time() - begin < 5.0 and every.jobs == pytest.approx(20_000, rel=0.02)
    assert every.outlook.cost[1] == pytest.approx(20_000 * 840 / 3600, rel=0.1)


# ---------------------------------------------------------------------- why not the neighbours


def test_half_and_twice_as_many_and_as_long_are_worse_and_it_says_by_how_much() -> None:
    plan = planned(200)
    assert [each.what for each in plan.near] == [
        "half as many jobs",
        "twice as many jobs",
        "half as long",
        "twice as long",
    ]
    best, least = plan.best.outlook, plan.least

    def end(finish: tuple[float, float, float]) -> float:
        return math.sqrt(finish[1] * finish[2])

    for each in plan.near:
        assert each.option is not None
        there = each.option.outlook
        assert end(there.finish) >= end(best.finish) or there.cost[1] > 1.1 * least, each.what
    said = screen.lines(screen.Screen(plan, QUEUE, T, "GPU"))
    shown = said[said.index("  why not") + 1 :]
    assert len(shown) == 4 and shown[0].startswith("  half as many jobs (")
    assert all(" later" in line or " sooner" in line or "as early" in line for line in shown)
    assert any("above the cheapest" in line for line in shown)


def test_what_cannot_be_says_why() -> None:
    def why(plan: Plan) -> dict[str, str]:
        return {each.what: each.why for each in plan.near if each.option is None}

    limited = planned(room=Bounds(longest=5400.0, at_once=lambda seconds, slots: 4))
    found = why(limited)
    assert found["twice as many jobs"] == "the account's limits let 4 of them run at a time"
    assert found["twice as long"] == "no job may be longer than 1 h 30 min"
    one = planned(2, goal="finish")
    assert why(one)["twice as many jobs"] == "there are 2 trials to begin with"
    assert "is too short for a trial that needs" in why(one)["half as long"]
    asked_for = planned(room=Bounds(longest=3600.0, walltime=3600.0, workers=3))
    assert why(asked_for)["twice as long"] == "the study asks for 1 h"
    assert next(each for each in asked_for.near if each.what == "twice as many jobs").option is not None


def test_nothing_that_people_write_without_a_plan_is_better() -> None:
    for goal in ("trade", "finish", "cost"):
        plan = planned(40, Bounds(mode=None), Fixed(20.0, spread=0.3), goal=goal)
        every = [plan.best, *plan.others, *plan.naive.values()]
        assert plan.least <= 1.001 * min(each.outlook.cost[1] for each in every)
        if goal == "cost":
            assert plan.best.outlook.cost[1] == plan.least
        if goal == "trade":
            assert plan.best.outlook.cost[1] <= 1.1 * plan.least


def test_an_open_mode_is_compared_and_asynchronous_wins_where_batches_wait() -> None:
    modes = {shape.mode for shape in shapes(work(40), Bounds(mode=None))}
    assert modes == {"async", "batch"}
    assert planned(40, Bounds(mode=None)).best.shape.mode == "async"
    assert planned(40, Bounds(mode="batch")).best.shape.mode == "batch"


# ---------------------------------------------------------------------- budgets without a number of trials


def test_as_many_trials_as_the_hours_are_enough_for() -> None:
    of, room = work(MANY), Bounds()
    paid = for_budget(of, QUEUE, room, T, Left(hours=10.0), wanted=False)
    assert 60 <= paid.work.trials <= 100, "a hundred would do without any overhead"
    assert 8.5 < paid.best.outlook.cost[1] <= 10.3
    assert paid.enough == "as many as 10 GPU-h are enough for"
    assert screen.brief(paid, "GPU", 10.0).startswith(
        f"about {paid.work.trials} trials (as many as 10 GPU-h are enough for): "
    )
    timed = for_budget(of, QUEUE, room, T, Left(seconds=3 * 3600.0), wanted=False)
    assert timed.best.shape.workers <= 8 and 100 < timed.work.trials < 240
    wider = for_budget(of, QUEUE, room._replace(workers=16), T, Left(seconds=3 * 3600.0), wanted=False)
    assert wider.work.trials > 1.3 * timed.work.trials
    grid = for_budget(work(30), QUEUE, room, T, Left(hours=10.0), wanted=False)
    assert (grid.work.trials, grid.enough) == (30, ""), "there are no more"
    assert enough(Left(hours=1.0), lambda n: (5.0, 1.0), 1) == 1, "one is always tried"


def test_hours_that_are_over_first_are_said() -> None:
    plan = planned(200)
    said = screen.lines(screen.Screen(plan, QUEUE, T, "GPU", seconds=1800.0))
    assert any(line.startswith("  30 min are over with about ") for line in said)


# ---------------------------------------------------------------------- jobs that are on the queue already


def _jobs(running: int, waiting: int) -> list[Job]:
    run = [
        Job(id=10 + i, life=0, state="RUNNING", array=9, task=i, start=T - 3000.0, minutes=120)
        for i in range(running)
    ]
    return run + [
        Job(id=9, life=0, state="PENDING", array=9, task=50 + i, minutes=120) for i in range(waiting)
    ]


def test_jobs_that_are_there_count_as_they_stand() -> None:
    of, (snapshot, _) = work(40), ran([])
    record = Submission("job", 0, "a", 12, 6, 1, 4, 120, 1, 0, t=T - 3600.0, job=9)

    def there(running: int, waiting: int) -> tuple[float, float, float]:
        told = present(of, snapshot, _jobs(running, waiting), record, QUEUE, T)
        assert told.shape.workers == min(6, running + waiting) and told.outlook.cost[1] > 0.0
        return told.outlook.finish

    run, mixed, wait = there(6, 6), there(3, 9), there(0, 12)
    assert run[1] < mixed[1] < wait[1]
    assert run[2] < 5 * 3600.0, "40 trials of 6 minutes in six jobs that run"
    single = Submission("job", 0, "a", 1, 1, 1, 4, 600, 1, 0, t=T - 3600.0, job=10)
    job = [Job(id=10, life=0, state="RUNNING", start=T - 5.5 * 3600.0, minutes=600)]
    long = work(1, mean=6 * 3600.0, spread=0.05)
    snapshot, _ = ran([], before=[10.0], of=definition())
    running = Started(0, 0, {"x": 0.5, "layers": 2, "kind": "a"}, 0, 1, T - 5 * 3600.0)
    held = _opened(10)
    snapshot.apply(4, [held, running])
    assert present(long, snapshot, job, single, QUEUE, T).outlook.finish[1] == pytest.approx(
        3600.0, rel=0.2
    ), "five of six hours are over"


def _opened(number: int) -> Opened:
    return hello(t=T - 5.4 * 3600.0, job=Allocation("lab", number, 0, str(number), "node1", 1, 4))


def test_the_screen_tells_of_jobs_that_are_there() -> None:
    plan = planned(40)._replace(there=planned(40).best)
    said = screen.lines(screen.Screen(plan, QUEUE, T, "GPU", finished=20, jobs="4 run, 2 wait"))
    assert said[1] == "  20 trials are finished, and this is what is left"
    assert said[2].startswith("  the jobs that are there (4 run, 2 wait) will probably have done it in ")
    assert any(line.startswith("  the jobs that are there") for line in said[6:])


# ---------------------------------------------------------------------- promises of studies that ended early


def test_a_study_that_ends_early_closes_its_promise() -> None:
    from test_plan import _promise

    snapshot, _ = ran([10.0] * 3)
    snapshot.apply(9, [_promise(), _promise(trials=3)])
    rounds = [Submission("job", 0, "a", 2, 2, 2, 4, 60, 1, 0, t=T + 1e-3, job=50)]
    lives = [Life(id=51, life=0, state="COMPLETED", array=50, task=0, start=T, end=T + 30.0, elapsed=30)]
    open_, done = kept(snapshot, rounds, lives)
    assert open_.early is None and open_.finish is None and done.finish == 30.0
    early, done = kept(snapshot, rounds, lives, over="trial 2 reached loss <= 1")
    assert (early.finish, early.early, early.done, early.in_time) == (None, 30.0, 3, None)
    assert early.cost == pytest.approx(60.0 / 3600)
    said = check_lines([early, done, done])
    assert said[1] == "  came: 3 of 4 trials in 30 s, then the study was over: trial 2 reached loss <= 1"
    assert said[-1] == "2 of 2 ends and 0 of 2 costs within the 80 % that were expected"
    assert standing(early, T + 100.0)[0].endswith(
        "came: 3 of 4 trials in 30 s, then the study was over: trial 2 reached loss <= 1"
    )
    line, news = standing(open_, T + 40.0)
    assert (
        line
        == "planned: 4 trials in 30 s (80 %: 10 s to 50 s), 1.0 GPU-h; came: 3 of them after 40 s, at this pace all in 53 s"
    )
    assert news == standing(open_, T + 45.0)[1] != standing(open_, T + 60.0)[1], "what runs on is no news"
    assert "done in 30 s, 0.02 GPU-h, within the 80 %" in standing(done, T + 100.0)[0]
