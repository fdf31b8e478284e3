"""Waits that are learned from queues whose law is known."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queues import DAY, NOW, lognormal
from scipy import stats

from taut.errors import InputError
from taut.queue.crowding import Crowding
from taut.queue.known import Known
from taut.queue.records import Jobs
from taut.queue.survival import curve
from taut.queue.waits import Ask, Waits

HOUR = 3600.0
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def truth(
    ask: Ask, levels: tuple[float, ...], spread: float = 0.8, median: float = 1800.0, slope: float = 1.6
) -> Any:
    middle = median * slope ** np.log2(ask.walltime / HOUR)
    return middle * np.exp(spread * stats.norm.ppf(levels))


def test_what_is_assumed_is_the_stated_lognormal() -> None:
    waits = Waits.assumed()
    assert waits.strength == "none: assumed"
    found = waits.quantiles(Ask(1, HOUR), NOW, LEVELS)
    assert found == pytest.approx(HOUR * np.exp(1.2 * stats.norm.ppf(LEVELS)), rel=0.01)
    assert waits.quantiles(Ask(1, 2 * HOUR), NOW, [0.5])[0] == pytest.approx(1.5 * HOUR, rel=0.01)
    assert waits.quantiles(Ask(2, HOUR, "any"), NOW, [0.5])[0] == pytest.approx(1.1 * HOUR, rel=0.01)
    assert waits.immediate(Ask(1, HOUR), NOW) < 0.01


@pytest.mark.parametrize("ask", [Ask(1, HOUR, "gpu"), Ask(4, 8 * HOUR), Ask(2, 0.5 * HOUR, "gpu", "gpus")])
def test_the_law_of_a_queue_is_learned(ask: Ask) -> None:
    waits = Waits.learn(lognormal(3000), NOW)
    found = waits.quantiles(ask, NOW, LEVELS)
    assert np.abs(np.log(found / truth(ask, LEVELS))).max() < 0.45
    assert waits.strength == "good: 2,9" + waits.strength[9:] and waits.strength.endswith(" jobs, 40 days")


def test_slopes_are_learned_and_carry_to_jobs_that_nobody_asked_for() -> None:
    waits = Waits.learn(lognormal(2000, per_walltime=2.0, per_size=1.5), NOW)
    assert np.exp(waits.slopes) == pytest.approx([1.5, 2.0], rel=0.08)
    short, longest = (waits.quantiles(Ask(1, hours * HOUR), NOW, [0.5])[0] for hours in (16, 128))
    assert longest / short == pytest.approx(8, rel=0.5)


def test_without_jobs_of_another_size_slopes_stay_what_is_usual() -> None:
    jobs = lognormal(500)
    jobs = jobs.take((jobs.walltime == HOUR) & (jobs.gpus == 1))
    assert np.exp(Waits.learn(jobs, NOW).slopes) == pytest.approx([1.1, 1.3], rel=1e-6)


def test_few_jobs_are_called_weak_and_make_it_wide() -> None:
    few, many = Waits.learn(lognormal(23), NOW), Waits.learn(lognormal(3000), NOW)
    assert few.strength == f"weak: {few.jobs} jobs"
    assert 15 <= few.jobs <= 23
    wide, narrow = (np.ptp(np.log(waits.quantiles(Ask(2, HOUR), NOW, [0.1, 0.9]))) for waits in (few, many))
    assert wide > narrow


def test_one_job_does_not_say_much() -> None:
    one = Waits.learn(Jobs.of([NOW - DAY], [NOW - DAY + 10], walltime=[HOUR], gpus=[1]), NOW)
    assert one.strength == "weak: 1 job"
    assert 0.3 < one.immediate(Ask(1, HOUR), NOW) < 0.7
    assert one.quantiles(Ask(1, HOUR), NOW, [0.9])[0] > HOUR


def test_no_jobs_or_only_those_to_come_are_no_knowledge() -> None:
    jobs = lognormal(50)
    assert Waits.learn(jobs, NOW - 1000 * DAY).strength == "none: assumed"
    assert Waits.learn(replace(jobs, walltime=np.full(len(jobs), np.nan)), NOW).strength == "none: assumed"


def test_jobs_of_which_none_has_started_are_no_estimate() -> None:
    jobs = lognormal(50)
    none = np.full(len(jobs), np.nan)
    assert Waits.learn(replace(jobs, start=none, end=none), NOW).strength == "none: no job has started yet"


def test_of_a_list_of_partitions_the_first_that_is_known_counts() -> None:
    waits = Waits.learn(lognormal(500), NOW)
    asked = [waits.quantiles(Ask(1, HOUR, name), NOW, LEVELS).tolist() for name in ("gpu", "new,gpu", "new")]
    assert asked[0] == asked[1] != asked[2]


def test_what_happens_later_is_not_looked_at() -> None:
    jobs, then = lognormal(600), NOW - 10 * DAY
    past = jobs.take(jobs.submit <= then)
    later = replace(
        past, start=np.where(past.start > then, past.start * 2, past.start), end=np.full(len(past), np.nan)
    )
    ask = Ask(1, HOUR, "gpu")
    assert (
        Waits.learn(jobs, then).quantiles(ask, then, LEVELS).tolist()
        == Waits.learn(later, then).quantiles(ask, then, LEVELS).tolist()
    )


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_the_probability_of_starting_at_once(share: float) -> None:
    jobs = lognormal(2000, at_once=share)
    waits = Waits.learn(jobs, NOW)
    assert waits.immediate(Ask(1, HOUR, "gpu"), NOW) == pytest.approx(share, abs=0.12)
    low, high = waits.quantiles(Ask(1, HOUR), NOW, [0.5 * share, 1 - 0.1 * (1 - share)])
    assert low < 60 < high


def test_jobs_that_still_wait_count_as_having_waited_longer() -> None:
    """Of jobs that come for two days and wait ten hours in the median, two thirds are still there."""
    jobs = lognormal(400, days=0.6, median=10 * HOUR, per_walltime=1.0, spread=0.6)
    over = jobs.start <= NOW
    naive = float(np.median(jobs.wait[over]))
    found = Waits.learn(jobs, NOW).quantiles(Ask(1, HOUR), NOW, [0.5])[0]
    assert naive < 0.75 * 10 * HOUR
    assert found == pytest.approx(10 * HOUR, rel=0.35)
    assert abs(np.log(found / (10 * HOUR))) < abs(np.log(naive / (10 * HOUR)))


def test_a_job_that_gave_up_waited_at_least_so_long() -> None:
    jobs = lognormal(600, per_walltime=1.0)
    gave_up = np.arange(len(jobs)) % 2 == 0
    left = np.where(gave_up, np.minimum(jobs.start, jobs.submit + 1200), jobs.end)
    quit_early = gave_up & (jobs.wait > 1200)
    jobs = replace(
        jobs, start=np.where(quit_early, np.nan, jobs.start), end=np.where(gave_up, left, jobs.end)
    )
    found = Waits.learn(jobs, NOW).quantiles(Ask(1, HOUR), NOW, [0.5])[0]
    assert found == pytest.approx(1800, rel=0.25)


def test_partitions_units_and_users_are_told_apart() -> None:
    slow, quick = lognormal(400, median=20_000.0), lognormal(400, seed=1, median=600.0)

    def joined(**names: Any) -> Jobs:
        columns = {
            name: np.concatenate([getattr(slow, name), getattr(quick, name)])
            for name in ("submit", "start", "end", "walltime", "gpus")
        }
        return Jobs.of(**{**columns, **names})

    both = ["slow"] * 400 + ["quick"] * 400
    by_partition = Waits.learn(joined(partition=both), NOW)
    assert (
        by_partition.quantiles(Ask(1, HOUR, "slow"), NOW, [0.5])[0]
        > 4 * by_partition.quantiles(Ask(1, HOUR, "quick"), NOW, [0.5])[0]
    )
    by_user = [
        Waits.learn(joined(user=both), NOW, user=name).quantiles(Ask(1, HOUR), NOW, [0.5])[0]
        for name in ("slow", "quick")
    ]
    assert by_user[0] > 4 * by_user[1]
    by_unit = Waits.learn(joined(gpus=[1] * 400 + [0] * 400, cpus=[1] * 800), NOW)
    assert (
        by_unit.quantiles(Ask(1, HOUR, unit="gpus"), NOW, [0.5])[0]
        > 4 * by_unit.quantiles(Ask(1, HOUR, unit="cpus"), NOW, [0.5])[0]
    )


def test_what_is_like_it_is_counted() -> None:
    waits = Waits.learn(lognormal(1000), NOW)
    assert waits.similar(Ask(2, HOUR, "gpu"), NOW) > 30
    assert waits.similar(Ask(1024, HOUR, "gpu"), NOW) < 0.1
    assert waits.similar(Ask(2, HOUR, "other"), NOW) < 0.3 * waits.similar(Ask(2, HOUR), NOW)
    assert Waits.assumed().similar(Ask(1, HOUR), NOW) == 0.0


def test_the_new_counts_more_than_the_old() -> None:
    jobs = lognormal(2000, days=120, per_walltime=1.0)
    late = jobs.submit > NOW - 20 * DAY
    start = np.where(late, jobs.submit + 10 * jobs.wait, jobs.start)
    changed = Waits.learn(replace(jobs, start=start, end=start + 60), NOW)
    assert changed.quantiles(Ask(1, HOUR, "gpu"), NOW, [0.5])[0] > 6 * 1800


@pytest.mark.parametrize("seed", range(3))
def test_four_in_five_waits_lie_in_the_80_percent_interval(seed: int) -> None:
    """Learned at one moment, held against what comes in the ten days after."""
    jobs, then = lognormal(3000, seed=seed, days=60, spread=1.2, at_once=0.3), NOW - 10 * DAY
    waits = Waits.learn(jobs, then)
    inside = []
    for i in np.flatnonzero(jobs.submit > then)[::4]:
        low, high = waits.quantiles(Ask(jobs.size[i], jobs.walltime[i], "gpu"), then, [0.1, 0.9])
        inside.append(low - 1 <= jobs.wait[i] <= high)
    assert 0.72 < np.mean(inside) < 0.93


def test_where_the_last_predictions_were_too_low_the_next_ones_reach_higher() -> None:
    """For five weeks each day has been a fifth slower than the one before."""
    jobs = lognormal(2000, days=70, spread=0.3, median=60.0, per_walltime=1.0)
    slower = 1.2 ** np.maximum(35 - (NOW - jobs.submit) / DAY, 0)
    start = jobs.submit + jobs.wait * slower
    high = Waits.learn(replace(jobs, start=start, end=start + 60), NOW).calibration.high
    assert high > 1.5 > 1.2 > Waits.learn(jobs, NOW).calibration.high


def test_draws_have_the_quantiles_and_bursts_wait_together() -> None:
    waits = Waits.learn(lognormal(3000, burst=6, alike=0.85), NOW)
    ask = Ask(1, HOUR, "gpu")
    drawn = waits.draw(np.random.default_rng(0), ask, NOW, jobs=8, runs=4000)
    assert drawn.shape == (4000, 8)
    assert (np.diff(drawn, axis=1) >= 0).all(), "in order of their starts"
    assert np.quantile(drawn, LEVELS) == pytest.approx(waits.quantiles(ask, NOW, LEVELS), rel=0.12)
    assert waits.calibration.correlation == pytest.approx(0.85, abs=0.1)
    shuffled = np.random.default_rng(1).permuted(np.log(drawn), axis=1)
    assert np.corrcoef(shuffled.T)[0, 1] == pytest.approx(waits.calibration.correlation, abs=0.1)
    spread = np.log(drawn[:, -1] / drawn[:, 0])
    assert np.median(spread) > 0.3, "and yet their starts are spread"


def test_draws_follow_the_generator_alone() -> None:
    waits = Waits.learn(lognormal(200), NOW)
    one, two = (waits.draw(np.random.default_rng(7), Ask(1, HOUR), NOW, 3, 5) for _ in range(2))
    assert one.tolist() == two.tolist()
    assert waits.draw(np.random.default_rng(0), Ask(1, HOUR), NOW, 0, 5).shape == (5, 0)


def test_jobs_that_do_not_wait_alike_are_drawn_apart() -> None:
    apart = Waits.learn(lognormal(3000, burst=6, alike=0.0), NOW)
    assert apart.calibration.correlation < 0.3


@pytest.mark.parametrize("n", [0, 1, 40, 1500])
def test_a_kept_model_says_the_same(n: int) -> None:
    jobs = lognormal(max(n, 1), burst=3)
    waits = Waits.learn(jobs, NOW if n else NOW - 1000 * DAY, user="user0")
    again = Waits.from_json(waits.to_json())
    for ask in (Ask(1, HOUR), Ask(4, 9 * HOUR, "gpu", "gpus"), Ask(1, HOUR, "unheard of")):
        assert (
            again.quantiles(ask, NOW + 5000, LEVELS).tolist()
            == waits.quantiles(ask, NOW + 5000, LEVELS).tolist()
        )
    assert again.strength == waits.strength
    assert again.to_json() == waits.to_json()
    assert "user0" not in waits.to_json()


def test_a_damaged_model_is_refused() -> None:
    text = Waits.learn(lognormal(20), NOW).to_json()
    whole = json.loads(text)
    for broken in (
        "",
        text[:-20],
        "[]",
        "{}",
        json.dumps({**whole, "format": 99}),
        json.dumps({**whole, "wait": whole["wait"][:-1]}),
        json.dumps({**whole, "wait": ["x"] * len(whole["wait"])}),
        json.dumps({**whole, "wait": [-5.0] * len(whole["wait"])}),
        json.dumps({**whole, "stands": [0.0] * len(whole["wait"])}),
        json.dumps({**whole, "partitions": []}),
        json.dumps({**whole, "calibration": [0.0, 1.0, 0.5]}),
    ):
        with pytest.raises(InputError, match="learn it again"):
            Waits.from_json(broken)


@pytest.mark.parametrize(
    ("ask", "levels", "said"),
    [
        (Ask(0, HOUR), [0.5], "size is 0"),
        (Ask(1, float("nan")), [0.5], "walltime is nan"),
        (Ask(1, HOUR, unit="gpu"), [0.5], "did you mean 'gpus'"),  # type: ignore[arg-type]
        (Ask(1, HOUR), [0.5, 1.2], "from 0 to 1"),
        (Ask(1, HOUR), [float("nan")], "from 0 to 1"),
    ],
)
def test_wrong_questions_are_refused(ask: Ask, levels: list[float], said: str) -> None:
    for waits in (Waits.assumed(), Waits.learn(lognormal(20), NOW)):
        with pytest.raises(InputError, match=said):
            waits.quantiles(ask, NOW, levels)


def test_an_unlimited_walltime_is_a_long_one() -> None:
    waits = Waits.learn(replace(lognormal(50), walltime=np.full(50, np.inf)), NOW)
    assert np.isfinite(waits.quantiles(Ask(1, float("inf")), NOW, LEVELS)).all()


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_whatever_the_history_quantiles_rise_and_are_finite(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    times = st.floats(0, 1e6)
    rows = [
        (
            data.draw(times),
            data.draw(st.none() | times),
            data.draw(st.sampled_from([1.0, 600.0, 1e7, np.inf])),
        )
        for _ in range(n)
    ]
    jobs = Jobs.of(
        [row[0] for row in rows],
        [row[0] + row[1] if row[1] is not None and row[1] < 7e5 else np.nan for row in rows],
        end=[row[0] + row[1] if row[1] is not None else np.nan for row in rows],
        walltime=[row[2] for row in rows],
        gpus=data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)),
    )
    now = data.draw(st.floats(0, 2e6))
    waits = Waits.learn(jobs, now)
    ask = Ask(data.draw(st.sampled_from([1, 7, 1e4])), data.draw(st.sampled_from([1.0, HOUR, 1e7])))
    found = waits.quantiles(ask, now, np.linspace(0, 1, 21))
    assert np.isfinite(found).all() and (found >= 0).all() and (np.diff(found) >= -1e-9 * found[1:]).all()
    assert 0.0 <= waits.immediate(ask, now) <= 1.0
    assert (
        Waits.from_json(waits.to_json()).quantiles(ask, now, [0.5]).tolist()
        == waits.quantiles(ask, now, [0.5]).tolist()
    )


def test_kaplan_and_meier_by_hand() -> None:
    """Five, of which the second and the fourth are still running: S = 4/5, 4/5 * 2/3, then 0."""
    found = curve(np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 0, 1, 0, 1]), np.ones(5))
    assert found.seconds.tolist() == [1, 1, 3, 5, 5]
    assert found.below == pytest.approx([0, 0.1, (0.2 + 1 - 8 / 15) / 2, (1 - 8 / 15 + 1) / 2, 1])


def test_what_never_ended_lasts_up_to_twice_as_long() -> None:
    found = curve(np.array([10.0, 20.0]), np.zeros(2), np.ones(2))
    assert found.quantiles(np.array([0.0, 1.0])) == pytest.approx([20, 40])


def test_long_bursts_are_thinned_and_rare_jobs_stay() -> None:
    many, rare = lognormal(900, burst=300), lognormal(5, seed=3)
    columns = {
        name: np.concatenate([getattr(many, name), getattr(rare, name)])
        for name in ("submit", "start", "walltime", "gpus")
    }
    jobs = Jobs.of(**columns, user=["a"] * 900 + list("bcdef"))
    known = Known.of(jobs, Crowding.of(jobs), 6000)
    assert len(known) < 60
    assert known.stands.sum() == pytest.approx(905, rel=0.02)
    assert set(range(len(jobs.users) - 5, len(jobs.users))) <= set(known.user.tolist()) | {0}
    assert len(Known.of(jobs, Crowding.of(jobs), 10)) <= 10


def test_the_crowd_is_what_was_seen_before_the_moment() -> None:
    jobs = Jobs.of(np.arange(0, 100, 10.0), [*np.arange(5, 95, 10.0), np.nan], partition=["a"] * 10)
    recent, pending = Crowding.of(jobs).at(np.array([0.0, 3.0, 50.0, 1000.0]), np.zeros(4, dtype=np.int32))
    assert np.isnan(recent[:2]).all() and recent[2:] == pytest.approx(np.log(6))
    assert np.expm1(pending) == pytest.approx([0, 1, 0, 1])


def test_learning_and_asking_are_quick() -> None:
    jobs = lognormal(30_000, burst=3)
    began = time.process_time()
    waits = Waits.learn(jobs, NOW)
    learned = time.process_time()
    for _ in range(100):
        waits.quantiles(Ask(1, HOUR, "gpu"), NOW, LEVELS)
    assert learned - began < 5.0
    assert time.process_time() - learned < 2.0


def test_at_a_past_moment_only_what_was_over_by_then_is_over() -> None:
    jobs = Jobs.of(
        [0.0, 0.0, 0.0, 50.0], [10.0, 80.0, np.nan, 60.0], end=[20, 90, 30, np.nan], walltime=[60] * 4
    )
    known = Known.of(jobs, Crowding.of(jobs), 100)
    for now, seconds, over in ((20, [10, 20, 20, 0], [1, 0, 0, 0]), (100, [10, 80, 30, 10], [1, 1, 0, 1])):
        wait, done = known.seen(now)
        assert (wait.tolist(), done.tolist()) == (seconds, [bool(one) for one in over])
