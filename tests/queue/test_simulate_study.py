"""A study on the simulated queue: its decisions are those of real workers, its times those of the closed forms, its hours add up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import taut
from taut.definition import Budget, Definition, Earlier, Method, Objective
from taut.errors import InputError
from taut.fidelity import Fidelity
from taut.opening import make_proposals
from taut.queue.simulate import (
    Campaign,
    Cluster,
    Desk,
    DrawnQueue,
    Failures,
    Lognormal,
    Partition,
    Shape,
    Simulation,
    Trials,
    hours,
    load,
    play,
    timeline,
)
from taut.trial import State

HOUR = 3600.0
SPACE = taut.Space(x=taut.uniform(-5.0, 5.0), rate=taut.loguniform(1e-4, 1.0), kind=taut.choice(["a", "b"]))


def loss(params: Mapping[str, Any], step: float | None) -> dict[str, float]:
    value = params["x"] ** 2 + abs(math.log10(params["rate"]) + 2.0) + (params["kind"] == "b")
    return {"loss": value if step is None else value + 4.0 / step}


def definition(trials: int | None = 40, method: str = "random", **changes: Any) -> Definition:
    space = SPACE.to_json()
    return Definition(
        "s", space, [Objective("loss")], budget=Budget(trials=trials), sampler=Method(method), **changes
    )


def waits_of(seconds: float) -> Any:
    return lambda rng, jobs, runs: np.full((runs, jobs), seconds)


def campaign(
    shape: Shape, asked: Definition, trials: Trials, queue: Any = None, overhead: float = 300.0, **more: Any
) -> Campaign:
    """One that has run to its end."""
    queue = DrawnQueue(waits_of(0.0)) if queue is None else queue
    made = Campaign(
        queue, Desk(asked, make_proposals(asked, SPACE)), trials, shape, Lognormal(overhead), **more
    )
    made.begin()
    queue.run(until=1e7)
    assert made.done and made.why
    return made


# -- the decisions of real workers ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["tpe", "gp"])
def test_one_worker_tries_what_a_real_study_tries(method: str) -> None:
    real = taut.Study(None, SPACE, minimize="loss", sampler=method, seed=0)
    real.run(lambda **params: loss(params, None), trials=25)
    trials = Trials(loss, Lognormal(600.0, 0.5))
    simulated = campaign(Shape(2 * HOUR), definition(25, method), trials)
    snapshot = simulated.desk.snapshot
    assert [snapshot.params(n) for n in range(25)] == [trial.params for trial in real.trials]
    assert snapshot.values("loss").tolist() == [trial.values["loss"] for trial in real.trials]


@pytest.mark.parametrize("pruner", ["asha", "median", "hyperband"])
def test_trials_are_pruned_and_promoted_as_in_a_real_study(pruner: str) -> None:
    fidelity = {"name": "epoch", "min": 1, "max": 9}
    real = taut.Study(
        None,
        SPACE,
        minimize="loss",
        sampler="random",
        seed=0,
        pruner={"method": pruner, "fidelity": fidelity},
    )

    def train(trial: taut.Trial) -> None:
        for epoch in range(1, 10):
            trial.report(step=epoch, loss=loss(trial.params, epoch)["loss"])
            if trial.should_stop():
                break

    real.run(train, trials=30)
    asked = definition(30, pruner=Method(pruner), fidelity=Fidelity("epoch", 9.0))
    simulated = campaign(Shape(24 * HOUR), asked, Trials(loss, Lognormal(600.0)))
    snapshot, theirs = simulated.desk.snapshot, real.snapshot
    assert snapshot.state.tolist() == theirs.state.tolist() and len(set(snapshot.state.tolist())) > 1
    assert [len(snapshot.curves.of(n)) for n in range(30)] == [len(theirs.curves.of(n)) for n in range(30)]
    # What was not run was not paid for: a ninth of a trial for each epoch.
    epochs = sum(event.s == 9 for event in snapshot.curves.heard) + sum(
        event.s < 9 for event in snapshot.curves.heard
    )
    assert hours(simulated).useful == pytest.approx(epochs * 600.0 / 9 / HOUR)


def test_a_trial_that_goes_on_pays_for_the_rest_alone() -> None:
    asked = definition(27, pruner=Method("asha"), fidelity=Fidelity("epoch", 9.0, resume=True))
    resumed = campaign(Shape(24 * HOUR), asked, Trials(loss, Lognormal(600.0)))
    reports = [(event.n, event.s) for event in resumed.desk.snapshot.curves.heard]
    assert len(set(reports)) == len(reports)  # no step twice
    assert hours(resumed).useful == pytest.approx(len(reports) * 600.0 / 9 / HOUR)


def test_members_of_a_population_descend_as_in_a_real_study() -> None:
    options = {"population": 8, "interval": 2}
    fidelity = {"name": "epoch", "min": 1, "max": 9, "resume": True}
    real = taut.Study(
        None,
        SPACE,
        minimize="loss",
        sampler="random",
        seed=0,
        pruner={"method": "pbt", **options, "fidelity": fidelity},
    )

    def train(trial: taut.Trial) -> None:
        for epoch in range(1 + int(trial.resumed_step or 0), 10):
            trial.report(step=epoch, loss=loss(trial.params, epoch)["loss"])
            if trial.should_stop():
                break

    real.run(train)
    asked = definition(None, pruner=Method("pbt", options), fidelity=Fidelity("epoch", 9.0, resume=True))
    made = campaign(Shape(100 * HOUR), asked, Trials(loss, Lognormal(600.0, 0.3)))
    assert made.desk.snapshot.descents == real.snapshot.descents and len(real.snapshot.descents) > 4
    assert made.desk.snapshot.state.tolist() == real.snapshot.state.tolist()


def test_the_modes_keep_their_word() -> None:
    trials = Trials(loss, Lognormal(600.0, 0.5))
    made = {
        "sequential": campaign(Shape(8 * HOUR, mode="sequential"), definition(), trials),
        "batch": campaign(Shape(2 * HOUR, workers=5, mode="batch"), definition(), trials),
        "async": campaign(Shape(2 * HOUR, workers=5), definition(), trials),
    }
    for mode, each in made.items():
        snapshot = each.desk.snapshot
        begin, end = snapshot.started, snapshot.finished
        assert (snapshot.state == State.COMPLETE).sum() == 40
        together = max(int(((begin <= moment) & (end > moment)).sum()) for moment in begin)
        assert together == (1 if mode == "sequential" else 5)
        if mode == "batch":
            assert all(begin[5 * k : 5 * k + 5].min() >= end[: 5 * k].max() for k in range(1, 8))
    assert made["async"].finish < made["batch"].finish < made["sequential"].finish


def test_no_trial_begins_that_would_probably_not_fit() -> None:
    trials = Trials(loss, Lognormal(600.0, 0.4))
    made = campaign(Shape(HOUR, workers=4), definition(200), trials, DrawnQueue(waits_of(60.0)))
    spent = hours(made)
    assert made.desk.snapshot.n_finished == 200
    cut = [each for each in made.stretches if each.lost]
    begun = [each for each in made.stretches if each.trial is not None]
    assert len(cut) < 0.05 * len(begun)
    # A job ends with time left that the next trial would probably not have fitted into.
    left = [ran.job.walltime - (ran.end - ran.start) for ran in made.queue.ran[4:-8]]
    assert 400.0 < np.mean(left) < 1100.0 and spent.idle < 0.02 * spent.held


def test_a_trial_longer_than_any_job_is_given_up_and_one_that_saves_itself_is_not() -> None:
    asked = definition(3, retries=2)
    made = campaign(Shape(HOUR), asked, Trials(loss, Lognormal(2 * HOUR)))
    snapshot = made.desk.snapshot
    assert snapshot.tally() == {State.FAILED: 3} and hours(made).useful == 0.0
    assert [len(snapshot.releases.why(n)) for n in range(3)] == [3, 3, 3]
    saving = campaign(Shape(HOUR), asked, Trials(loss, Lognormal(2 * HOUR), saves=True))
    assert saving.desk.snapshot.tally() == {State.COMPLETE: 3}
    assert hours(saving).lost == 0.0 and hours(saving).useful == pytest.approx(6.0)


def test_failures_of_nodes_and_trials_and_preemption_are_survived() -> None:
    partitions = (Partition("scavenger", preemptable=True), Partition("high", tier=1, preempts=True))
    cluster = Cluster(8, 4, partitions=partitions, failures=Failures(between=10.0, repair=1.0))
    for saves in (False, True):
        others = load(cluster, 48, 0.8, 2, shares=(0.0, 1.0))
        trials = Trials(loss, Lognormal(900.0, 0.4), failing=0.1, saves=saves)
        made = campaign(Shape(6 * HOUR, workers=6), definition(120), trials, Simulation(cluster, others, 1))
        snapshot = made.desk.snapshot
        whys = {ran.why for ran in made.queue.ran if ran.job.owner is made}
        assert {"preempted", "node failed", "finished"} <= whys
        tally = snapshot.tally()
        assert tally[State.COMPLETE] + tally[State.FAILED] == 120 and 3 <= tally[State.FAILED] <= 25
        assert bool(snapshot.releases.saves) == saves
        assert math.fsum(hours(made)[2:6]) == pytest.approx(hours(made).held)


def test_the_same_seed_gives_the_same_study() -> None:
    cluster = Cluster(8, 4)
    made = [
        campaign(
            Shape(2 * HOUR, workers=6),
            definition(60, "tpe"),
            Trials(loss, Lognormal(600.0, 0.5), seed=3),
            Simulation(cluster, load(cluster, 24, 0.9, 2)),
            seed=4,
        )
        for _ in range(2)
    ]
    assert made[0].stretches and [tuple(each)[1:] for each in made[0].stretches] == [
        tuple(each)[1:] for each in made[1].stretches
    ]


# -- what it costs, and what it looks like -------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2])
def test_every_second_of_a_lane_is_one_thing_and_the_hours_add_up(slots: int) -> None:
    cluster = Cluster(4, 4)
    queue = Simulation(cluster, load(cluster, 24, 0.8, 5))
    shape = Shape(2 * HOUR, workers=4, slots=slots, units=2)
    made = campaign(shape, definition(60), Trials(loss, Lognormal(600.0, 0.6), failing=0.1), queue)
    end = made.finish + HOUR
    drawn = timeline(queue, made, 0.0, end)
    assert drawn.lanes[:5] == ("n1:0", "n1:1", "n1:2", "n1:3", "n2:0") and len(drawn.lanes) == 16
    for _, bars in itertools.groupby(drawn.bars, key=lambda bar: bar.lane):
        for one, two in itertools.pairwise(bars):
            assert one.begin < one.end <= two.begin
    spent = hours(made)

    def total(*kinds: str) -> float:
        return sum(bar.end - bar.begin for bar in drawn.bars if bar.kind in kinds) / HOUR

    assert total("overhead") == pytest.approx(spent.overhead) and total("failed") == pytest.approx(spent.lost)
    assert total("useful") == pytest.approx(spent.useful) and total("idle") == pytest.approx(
        spent.idle, abs=1e-9
    )
    assert spent.held == pytest.approx(sum(spent[2:6])) and spent.requested >= spent.held
    assert drawn.submitted == tuple(made.submitted) and {
        bar.job for bar in drawn.bars if bar.kind == "useful"
    } > {None} - {None}
    later = timeline(queue, made, HOUR, end)
    assert all(0.0 <= bar.begin < bar.end <= end - HOUR for bar in later.bars)


def test_a_queue_of_waits_alone_has_a_timeline_too() -> None:
    made = campaign(
        Shape(2 * HOUR, workers=3, units=2, slots=2),
        definition(30),
        Trials(loss, Lognormal(600.0, 0.5)),
        DrawnQueue(waits_of(900.0)),
    )
    drawn = timeline(made.queue, made)
    assert drawn.lanes == ("job 1:0", "job 1:1", "job 2:0", "job 2:1", "job 3:0", "job 3:1")
    assert {bar.kind for bar in drawn.bars} == {"overhead", "useful", "idle"} and min(
        bar.begin for bar in drawn.bars
    ) == 900.0
    useful = sum(bar.end - bar.begin for bar in drawn.bars if bar.kind == "useful")
    assert useful / HOUR == pytest.approx(hours(made).useful)


# -- many cases at once --------------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "spread"), [(4, 0.3), (8, 0.5), (16, 0.4)])
def test_asynchronous_times_are_those_of_the_closed_form(workers: int, spread: float) -> None:
    # h + N D / J + D (1 + c^2) / 2 (1 - 1 / J), without a queue, with trials enough for each worker and none much longer than others.
    trials, mean, before = 25 * workers, 600.0, 300.0
    found = play(
        Shape(1e6, workers),
        trials,
        Lognormal(mean, spread),
        waits_of(0.0),
        overhead=Lognormal(before),
        runs=400,
    )
    expected = before + trials * mean / workers + mean * (1 + spread**2) / 2 * (1 - 1 / workers)
    assert found.finish.mean() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("workers", "spread", "longest"),
    [(4, 0.3, 1.33), (8, 0.3, 1.48), (16, 0.3, 1.63), (4, 1.0, 2.0), (16, 1.0, 3.5)],
)
def test_a_batch_takes_as_long_as_its_longest_trial(workers: int, spread: float, longest: float) -> None:
    found = play(
        Shape(1e6, workers, mode="batch"),
        10 * workers,
        Lognormal(600.0, spread),
        waits_of(0.0),
        overhead=Lognormal(300.0),
        runs=400,
    )
    assert found.finish.mean() / 10 == pytest.approx(300.0 + 600.0 * longest, rel=0.03)


def test_efficiency_is_the_share_of_the_overhead() -> None:
    found = play(
        Shape(1e6, 1, 9), 90, Lognormal(600.0, 0.3), waits_of(0.0), overhead=Lognormal(600.0), runs=200
    )
    assert found.efficiency.mean() == pytest.approx(0.9, abs=0.005) and (found.jobs == 10).all()


@pytest.mark.parametrize(
    ("shape", "more"),
    [
        (Shape(0.5 * HOUR, 6, 1), {}),
        (Shape(1.0 * HOUR, 4), {}),
        (Shape(1.0 * HOUR, 4), {"failing": 0.2}),
        (Shape(1.5 * HOUR, 3, slots=2, units=2), {}),
        (Shape(24 * HOUR, 1, mode="sequential"), {}),
    ],
)
def test_many_cases_agree_with_whole_studies(shape: Shape, more: dict[str, Any]) -> None:
    def waits(rng: np.random.Generator, jobs: int, runs: int) -> Any:
        return 1200.0 * np.exp(0.8 * rng.standard_normal((runs, jobs)))

    time, before = Lognormal(600.0, 0.5), 240.0
    whole = [
        campaign(
            shape, definition(40), Trials(loss, time, seed=seed, **more), DrawnQueue(waits, seed), before
        )
        for seed in range(40)
    ]
    found = play(shape, 40, time, waits, overhead=Lognormal(before), runs=800, **more)
    for field in ("held", "overhead", "useful", "jobs"):
        mean = np.mean([getattr(hours(each), field) for each in whole])
        assert getattr(found, field).mean() == pytest.approx(mean, rel=0.08), field
    assert np.median(found.finish) == pytest.approx(np.median([each.finish for each in whole]), rel=0.12)
    ends = np.array([each.finish for each in whole])
    inside = (ends >= np.quantile(found.finish, 0.1)) & (ends <= np.quantile(found.finish, 0.9))
    assert 0.6 <= inside.mean() <= 0.95


def test_a_plan_that_comes_to_nothing_has_no_end() -> None:
    found = play(Shape(600.0, 2), 5, Lognormal(60.0), waits_of(0.0), overhead=Lognormal(700.0), runs=3)
    assert np.isinf(found.finish).all()
    given_up = play(Shape(HOUR, 2), 4, Lognormal(2 * HOUR), waits_of(0.0), runs=3, retries=1)
    assert np.isinf(given_up.finish).all(), "trials that are given up are no results"
    assert not given_up.useful.any() and (given_up.lost > 0).all() and (given_up.given_up > 4).all()
    saved = play(Shape(HOUR, 2), 4, Lognormal(2 * HOUR), waits_of(0.0), runs=3, saves=True)
    assert saved.useful == pytest.approx(8.0) and not saved.lost.any()


def test_what_cannot_be_simulated_is_refused() -> None:
    unknown = Definition("s", {}, [Objective("loss")])
    with pytest.raises(InputError, match="give the space"):
        Desk(unknown, make_proposals(unknown, unknown.parsed_space()))
    warm = definition(5, warm_start=[Earlier("before", digest="x")])
    with pytest.raises(InputError, match="learns from earlier ones"):
        Desk(warm, make_proposals(warm, SPACE))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"walltime": 0.0}, "walltime: 0 s must be above 0"),
        ({"workers": 0}, "workers: 0 must be 1 or more"),
        ({"mode": "asinc"}, "did you mean 'async'"),
        ({"mode": "sequential", "workers": 2}, "one worker with one slot"),
    ],
)
def test_shapes_that_make_no_sense_are_refused(change: dict[str, Any], said: str) -> None:
    shape = Shape(HOUR)._replace(**change)
    with pytest.raises(InputError) as caught:
        play(shape, 5, Lognormal(60.0), waits_of(0.0))
    assert said in str(caught.value)
    with pytest.raises(InputError):
        campaign(shape, definition(), Trials(loss, Lognormal(60.0)))
    with pytest.raises(InputError, match=r"time\.mean"):
        play(Shape(HOUR), 5, Lognormal(-1.0), waits_of(0.0))
