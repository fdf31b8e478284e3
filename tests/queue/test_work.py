"""What a study's own trials and jobs say of the work that is left."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned_studies import IN_JOB, POINT, SPACE, T, definition, ran

import taut
from handmade import hello
from taut.definition import Budget, Definition
from taut.errors import InputError
from taut.events import Event, Finished, Released, Reported, Started
from taut.fidelity import Fidelity
from taut.queue.lengths import Trend
from taut.queue.memory import peaks
from taut.queue.work import Known, Work, ended, ended_in_job
from taut.slurm.jobs import Life
from taut.snapshot import Snapshot


@given(
    mean=st.floats(5.0, 1e5),
    spread=st.floats(0.05, 1.0),
    overhead=st.floats(5.0, 3000.0),
    seed=st.integers(0, 1000),
)
def test_means_and_spreads_come_out(mean: float, spread: float, overhead: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sigma = math.sqrt(math.log1p(spread**2))
    took = mean * np.exp(sigma * rng.standard_normal(400) - sigma**2 / 2)
    before = overhead * rng.uniform(0.9, 1.1, 20)
    snapshot, begun = ran(took.tolist(), before.tolist(), of=definition(trials=1000))
    found = Work.of(snapshot, begun)
    assert found.trials == 600
    assert found.trial.time.mean == pytest.approx(mean, rel=5 * sigma / 20)
    assert found.trial.time.spread == pytest.approx(spread, rel=0.4)
    assert found.trial.values == 400
    assert found.overhead.time.mean == pytest.approx(overhead, rel=0.05)
    assert found.overhead.source == "from 20 jobs"


def test_what_is_said_counts_and_is_doubted() -> None:
    snapshot, begun = ran([10.0] * 50, [30.0])
    found = Work.of(snapshot, begun, trials=60, trial=Known.said(99.0, 0.5), overhead=Known.said(7.0))
    assert (found.trials, found.trial.time.mean, found.overhead.time.mean) == (10, 99.0, 7.0)
    assert found.trial.doubt > Work.of(snapshot, begun).trial.doubt


def test_few_trials_do_not_say_all_of_their_spread() -> None:
    alike = Work.of(*ran([10.0, 10.0])).trial
    assert 0.2 < alike.time.spread < 0.3
    assert Work.of(*ran([10.0] * 200)).trial.time.spread < 0.06
    assert alike.doubt > Work.of(*ran([10.0] * 50)).trial.doubt


def test_without_the_queue_an_overhead_counts_from_the_worker_s_first_word() -> None:
    snapshot, _ = ran([10.0], [40.0])
    assert Work.of(snapshot).overhead.time.mean == pytest.approx(20.0)
    local, _ = ran([10.0])
    assert Work.of(local).overhead.source == "assumed"


def test_trials_in_jobs_count_and_those_of_a_laptop_only_as_long_as_there_are_no_others() -> None:
    snapshot, _ = ran([3600.0] * 20)
    alone = Work.of(snapshot).trial
    assert (alone.time.mean, alone.source) == (3600.0, "from 20 trials outside of jobs")
    assert ended(snapshot) and not ended_in_job(snapshot)
    events: list[Event] = [hello(t=T, job=IN_JOB)]
    for n in range(20, 23):
        events.append(Started(n, 0, POINT, 0, n + 1, T + 100.0 * n))
        events.append(Finished(n, 0, "complete", {"loss": 1.0}, T + 100.0 * n + 60.0))
    snapshot.apply(7, events)
    both = Work.of(snapshot)
    assert (both.trial.time.mean, both.trial.source) == (60.0, "from 3 trials")
    assert both.trials == 77 and ended_in_job(snapshot)
    assert snapshot.durations.tolist() == [60.0] * 3, (
        "whether a trial fits into a job is judged by these, too"
    )


def test_trials_that_fail_in_jobs_do_not_say_how_long_one_takes() -> None:
    snapshot, _ = ran([3600.0] * 3)
    failing: list[Event] = [hello(t=T, job=IN_JOB)]
    for n in range(3, 6):
        failing.append(Started(n, 0, POINT, 0, n + 1, T + 1e5 + n))
        failing.append(Finished(n, 0, "failed", {}, T + 1e5 + n + 2.0, error="no module"))
    snapshot.apply(7, failing)
    found = Work.of(snapshot).trial
    assert (found.time.mean, found.source) == (3600.0, "from 3 trials outside of jobs")
    assert not ended_in_job(snapshot)


def test_a_trial_that_began_on_a_laptop_says_nothing_of_jobs() -> None:
    snapshot = Snapshot(definition(), SPACE)
    saved = Released(n=0, a=0, why="asked to", blame=False, t=T + 36000.0, kept=True, had=36000.0)
    snapshot.apply(0, [hello(t=T), Started(0, 0, POINT, 0, 1, T), saved])
    mine: list[Event] = [hello(t=T, job=IN_JOB), Started(0, 1, POINT, 1, 1, T + 4e4)]
    snapshot.apply(1, [*mine, Finished(0, 1, "complete", {"loss": 1.0}, T + 4e4 + 60.0)])
    assert snapshot.durations.tolist() == [36060.0] and not ended_in_job(snapshot)
    begun = T + 5e4
    snapshot.apply(
        1, [Started(1, 0, POINT, 1, 2, begun), Finished(1, 0, "complete", {"loss": 1.0}, begun + 90.0)]
    )
    assert snapshot.durations.tolist() == [90.0] and ended_in_job(snapshot)
    assert Work.of(snapshot).trial.time.mean == 90.0


def test_too_little_is_known() -> None:
    with pytest.raises(InputError, match=r"how many trials are wanted; add .budget. trials = 100") as error:
        Work.of(ran([1.0], of=definition(trials=None))[0])
    assert error.value.at == ("budget", "trials")
    with pytest.raises(InputError, match=r"say it .--trial-time 6m., or let some run first"):
        Work.of(ran([])[0])


def test_attempts_that_came_to_nothing_took_time_too() -> None:
    snapshot = Snapshot(definition())
    x = {"x": 0.5, "layers": 2, "kind": "a"}
    snapshot.apply(
        0,
        [
            Started(0, 0, x, 0, 1, T),
            Released(n=0, a=0, why="its worker died", blame=False, t=T + 50, had=50.0),
            Started(0, 1, x, 0, 1, T + 60),
            Finished(0, 1, "complete", {"loss": 1.0}, T + 70),
        ],
    )
    assert Work.of(snapshot).trial.time.mean == pytest.approx(60.0)
    assert not Work.of(snapshot).saves


def test_trials_that_wait_on_a_rung_have_had_their_place() -> None:
    fidelity = Fidelity("epoch", 9.0)
    of = msgspec.structs.replace(definition(trials=10), fidelity=fidelity)
    snapshot = Snapshot(of)
    x = {"x": 0.5, "layers": 2, "kind": "a"}
    events: list[Event] = []
    for n in range(6):
        events += [
            Started(n, 0, x, 0, n + 1, T, f=1.0),
            Reported(n, 0, 1.0, {"loss": 1.0}, T + 5),
            Released(n=n, a=0, why="waits", blame=False, t=T + 5, had=5.0, at=1.0),
        ]
    events += [Started(6, 0, x, 0, 7, T, f=9.0), Finished(6, 0, "complete", {"loss": 1.0}, T + 45)]
    snapshot.apply(0, events)
    found = Work.of(snapshot)
    assert found.trials == 3
    assert found.trial.time.mean == pytest.approx((6 * 5 + 45) / 7)


def _points(n: int, seed: int, low: int = 1, high: int = 8) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "x": float(rng.random()),
            "layers": int(rng.integers(low, high + 1)),
            "kind": "ab"[int(rng.integers(2))],
        }
        for _ in range(n)
    ]


def _seconds(points: list[dict[str, object]], seed: int, noise: float = 0.1) -> list[float]:
    rng = np.random.default_rng(seed)
    return [
        10.0
        * float(p["layers"])
        * (2.0 if p["kind"] == "b" else 1.0)
        * math.exp(noise * rng.standard_normal())  # type: ignore[arg-type]
        for p in points
    ]


def test_which_parameters_change_the_time_and_by_what_factor() -> None:
    points = _points(60, 1)
    snapshot, _ = ran(_seconds(points, 2), params=points)
    rows = np.arange(60)
    trend = Trend.of(SPACE, snapshot.codes[rows], (snapshot.finished - snapshot.started)[rows])
    assert trend is not None and trend.explains > 0.9
    factors = dict(trend.factors)
    assert set(factors) == {"layers", "kind"}
    assert factors["layers"] == pytest.approx(8.0, rel=0.3) and factors["kind"] == pytest.approx(2.0, rel=0.1)
    assert "it goes with layers" in Work.of(snapshot).trial.source


@pytest.mark.parametrize("n", [9, 10, 30, 100])
def test_nothing_is_said_where_nothing_is_explained(n: int) -> None:
    said = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        codes = SPACE.quantile(rng.random((n, 3)))
        said += Trend.of(SPACE, codes, np.exp(0.4 * rng.standard_normal(n))) is not None
    assert said <= (0 if n == 9 or n >= 100 else 2)


def test_trials_to_come_are_like_the_latest() -> None:
    """A sampler that has settled on large models makes trials longer than they were on average."""
    points = [*_points(60, 1), *_points(20, 2, low=7)]
    snapshot, _ = ran(_seconds(points, 3), params=points)
    settled = Work.of(snapshot).trial
    large = 10.0 * 7.5 * 1.5
    assert settled.time.mean == pytest.approx(large, rel=0.15)
    assert "judged by the parameters of the latest 20" in settled.source
    steady = _points(80, 1)
    seconds = _seconds(steady, 3)
    assert Work.of(ran(seconds, params=steady)[0]).trial.time.mean == pytest.approx(float(np.mean(seconds)))


def test_time_goes_with_the_fidelity() -> None:
    """Trials that were pruned early took less, and say as much of how parameters change the time."""
    of = msgspec.structs.replace(definition(), fidelity=Fidelity("epoch", 27.0))
    points, snapshot = _points(40, 5), Snapshot(of)
    events: list[Event] = []
    for n, (x, seconds) in enumerate(zip(points, _seconds(points, 6, noise=0.02), strict=True)):
        step = 27.0 if n % 2 else 3.0
        end = T + seconds * step / 27.0
        events += [Started(n, 0, x, 0, n + 1, T, f=27.0), Reported(n, 0, step, {"loss": 1.0}, end)]
        events.append(Finished(n, 0, "complete" if n % 2 else "pruned", {"loss": 1.0}, end))
    snapshot.apply(0, events)
    source = Work.of(snapshot).trial.source
    assert "layers" in source and "kind" in source


def test_peak_memory_of_trials_and_of_jobs() -> None:
    points = _points(30, 1)
    metrics = [{"memory_gb": 2.0 * float(p["layers"])} for p in points]  # type: ignore[arg-type]
    snapshot, _ = ran([1.0] * 30, params=points, metrics=metrics)
    lives = [Life(id=1, life=0, state="COMPLETED", max_rss=3 * 2**30), Life(id=2, life=0, state="RUNNING")]
    trial, job = peaks(snapshot, lives)
    assert (trial.what, trial.values, job.what, job.values) == ("a trial", 30, "a job", 1)
    assert 14e9 < trial.bytes < 40e9 and "layers" in trial.source
    assert job.bytes > 3 * 2**30
    assert peaks(ran([1.0])[0]) == []


def test_a_space_that_is_not_known_yet_is_no_obstacle() -> None:
    unknown = Definition("study", {}, definition().objectives, budget=Budget(trials=5))
    snapshot = Snapshot(unknown)
    snapshot.apply(0, [Started(0, 0, {}, 0, 1, T), Finished(0, 0, "complete", {"loss": 1.0}, T + 3)])
    assert Work.of(snapshot).trial.time.mean == 3.0


def test_conditional_parameters_count_where_they_are() -> None:
    space = taut.Space(optim=taut.choice(["adam", "sgd"]), momentum=taut.uniform(0, 1, when="optim == 'sgd'"))
    rng = np.random.default_rng(0)
    codes = space.quantile(rng.random((80, 2)))
    logs = np.where(np.isnan(codes[:, 1]), 0.0, 2.0 * np.nan_to_num(codes[:, 1]))
    trend = Trend.of(space, codes, np.exp(logs + 0.05 * rng.standard_normal(80)))
    assert trend is not None and trend.explains > 0.8
    assert dict(trend.factors)["momentum"] == pytest.approx(math.e**2, rel=0.4)


def test_how_soon_trials_fail_does_not_say_how_long_one_takes() -> None:
    snapshot = Snapshot(definition(trials=20), SPACE)
    for n in range(6):
        snapshot.apply(0, [Started(n=n, a=0, x={"x": 0.5}, r=0, c=n + 1, t=T + n)])
        snapshot.apply(0, [Finished(n=n, a=0, state="failed", y={}, t=T + n + 0.1, error="no")])
    with pytest.raises(InputError, match="nothing is known of how long"):
        Work.of(snapshot)
