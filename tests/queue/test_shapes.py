"""Shapes of jobs: every one keeps to every bound, and holds the trials that it is for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned_studies import work

from taut.errors import InputError
from taut.queue.account import bounds, widened
from taut.queue.shapes import MOST, Bounds, naive, notice, shapes, walltime
from taut.queue.work import Work
from taut.slurm.settings import Settings, usual_notice
from taut.slurm.site import Association, Config, Limit, Nodes, Partition, Qos, Site

WORKS = st.builds(
    work,
    trials=st.integers(1, 2000),
    mean=st.floats(1.0, 40_000.0),
    spread=st.floats(0.0, 1.5),
    overhead=st.floats(0.0, 3600.0),
    saves=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(
    of=WORKS,
    longest=st.floats(60.0, 7 * 86400.0),
    minutes=st.floats(60.0, 1e6),
    wide=st.sampled_from([(1,), (1, 4), (2,), (8,)]),
    units=st.sampled_from([0.25, 1.0, 2.0]),
    workers=st.sampled_from([None, 1, 5, 300]),
    mode=st.sampled_from(["async", "batch", "sequential"]),
)
def test_every_shape_keeps_to_every_bound(
    of: Work,
    longest: float,
    minutes: float,
    wide: tuple[int, ...],
    units: float,
    workers: int | None,
    mode: str,
) -> None:
    wide = (1,) if mode == "sequential" else wide
    running = minutes * 60  # unit-seconds that may be left to run at a time

    def at_once(seconds: float, slots: int = 1) -> int:
        return int(running // seconds)

    room = Bounds(longest, at_once, units, wide, workers, None, mode, "gpu")  # type: ignore[arg-type]
    found = list(shapes(of, room))
    assert len(found) == len(set(found)) and len(found) < 500
    for shape in found:
        shape.check()
        assert 0 < shape.walltime <= longest
        assert shape.workers <= at_once(shape.walltime, shape.slots)
        assert shape.slots in wide and shape.units == max(round(shape.slots * units), 1)
        assert shape.workers * shape.slots <= of.trials + shape.slots
        assert shape.workers <= (workers or math.inf)
        assert (shape.mode, shape.partition) == (mode, "gpu")
        if not of.saves:
            assert shape.walltime >= walltime(of, 1, shape.slots)


@settings(max_examples=100, deadline=None)
@given(of=WORKS, trials=st.integers(1, 50), slots=st.sampled_from([1, 4]))
def test_a_walltime_is_enough_for_its_trials(of: Work, trials: int, slots: int) -> None:
    seconds = walltime(of, trials, slots)
    mean = of.trial.time.mean
    assert seconds >= 1.02 * (of.overhead.time.mean + trials * mean)
    assert seconds >= of.overhead.time.mean + (trials - 1) * mean + usual_notice(int(seconds // 60))
    assert seconds % 60 == 0, "people write whole minutes"
    assert walltime(of, trials + 1, slots) >= seconds
    assert notice(of, seconds) <= 120


def test_the_95_percent_are_those_of_the_sum() -> None:
    of = work(mean=600.0, spread=0.5, overhead=300.0)
    rng = np.random.default_rng(0)
    took = of.overhead.time.draw(rng, (20_000,)) + of.trial.time.draw(rng, (20_000, 10)).sum(axis=1)
    late = float((took > walltime(of, 10)).mean())
    assert 0.01 < late < 0.06
    wide = of.overhead.time.draw(rng, (5000, 1)) + of.trial.time.draw(rng, (5000, 4, 10)).sum(axis=2)
    assert float((wide.max(axis=1) > walltime(of, 10, 4)).mean()) < 0.06


def test_no_shape_where_no_job_can_carry_a_trial() -> None:
    long = work(mean=30_000.0)
    assert not list(shapes(long, Bounds(longest=3600.0)))
    saves = list(shapes(long._replace(saves=True), Bounds(longest=3600.0)))
    assert saves and all(shape.walltime == 3600.0 for shape in saves)
    assert not list(shapes(work(), Bounds(at_once=lambda seconds, slots: 0)))


# ---------------------------------------------------------------------- of an account


def site(**limits: Limit) -> Site:
    parts = (
        Partition("main", default=True, most_minutes=600, nodes=(Nodes(4, 8, 16_000, {"": 4}),)),
        Partition("whole", most_minutes=2880, whole=True, nodes=(Nodes(2, 8, 16_000, {"": 4}),)),
        Partition("cpus", most_minutes=60, nodes=(Nodes(2, 16, 16_000),)),
    )
    named = {tuple(name.split("_", 1)): limit for name, limit in limits.items()}
    qos = Qos(
        "normal", frozenset(), {(kind, what.replace("_", "/")): most for (kind, what), most in named.items()}
    )
    return Site(
        user="me",
        config=Config("lab", "23.02", enforced=frozenset({"limits"})),
        partitions=parts,
        qos={"normal": qos},
        mine=(Association("mine", "me", qos=frozenset({"normal"}), usual_qos="normal"),),
        usual_account="mine",
    )


def test_the_longest_job_is_the_partitions_or_the_qos() -> None:
    asked = Settings(gpus=1)
    assert bounds(asked, site(), 10).longest == 600 * 60
    assert bounds(asked, site(), 10).partition == "main"
    assert bounds(Settings(gpus=1, partition="whole"), site(), 10).longest == 2880 * 60
    assert bounds(asked, site(MaxWallPJ_=Limit(90)), 10).longest == 90 * 60
    assert bounds(asked, site(), 10, shorter=1800.0).longest == 1800.0
    assert bounds(asked, None, 10).longest == 24 * 3600.0


def test_running_minutes_let_more_short_jobs_run_than_long_ones() -> None:
    room = bounds(Settings(gpus=1), site(GrpTRESRunMins_gres_gpu=Limit(240, used=40)), 50)
    assert [room.at_once(60.0 * minutes, 1) for minutes in (4, 20, 100, 200, 600)] == [50, 10, 2, 1, 0]


def test_jobs_are_as_wide_as_nodes_where_the_study_does_not_say() -> None:
    assert bounds(Settings(gpus=1), site(), 10, wider=True).wide == (1, 4)
    assert bounds(Settings(gpus=2), site(), 10, wider=True).wide == (1, 2)
    assert bounds(Settings(gpus=1, partition="whole"), site(), 10, wider=True).wide == (4,)
    assert bounds(Settings(cpus=2, partition="cpus"), site(), 10, wider=True).wide == (1,)
    assert bounds(Settings(gpus=4, trial_gpus=1), site(), 10, wider=True).wide == (4,)
    assert bounds(Settings(gpus=1), site(), 10).wide == (1,)
    shared = bounds(Settings(gpus=2, trial_gpus=0.5), site(), 10)
    assert (shared.wide, shared.units) == ((4,), 0.5)
    assert bounds(Settings(gpus=2, trial_gpus=1, mode="sequential"), site(), 10).wide == (1,)


def test_as_many_side_by_side_as_a_node_has_cpus_and_memory_for() -> None:
    """A node of `main` has 4 GPUs, 8 CPUs and 16,000 MiB."""
    assert bounds(Settings(gpus=1, cpus=2), site(), 10, wider=True).wide == (1, 4)
    assert bounds(Settings(gpus=1, cpus=3), site(), 10, wider=True).wide == (1, 2)
    assert bounds(Settings(gpus=1, memory="5G"), site(), 10, wider=True).wide == (1, 3)
    assert bounds(Settings(gpus=1, cpus=5, partition="whole"), site(), 10, wider=True).wide == (1,)
    assert bounds(Settings(cpus=3, partition="whole"), site(), 10, wider=True).wide == (2,)
    assert bounds(Settings(gpus=1), site(MaxTRESPJ_gres_gpu=Limit(3)), 10, wider=True).wide == (1, 3)
    assert bounds(Settings(gpus=1, cpus=2), site(MaxTRESPJ_cpu=Limit(5)), 10, wider=True).wide == (1, 2)


def test_a_wide_job_holds_for_each_trial_what_a_narrow_one_does() -> None:
    asked = Settings(gpus=1, gpu_type="a100", cpus=3, memory="5G")
    wide = widened(asked, 3)
    assert (wide.gpus, wide.cpus, wide.memory, wide.slots) == (3, 9, "15G", 3)
    assert (wide.trial_gpus, wide.trial_cpus) == (1.0, 3)
    assert widened(Settings(), 4).slots == 4 and widened(Settings(gpus=2), 2).slots == 2
    shared = Settings(gpus=1, trial_gpus=0.5)
    assert widened(shared, 2).slots == 4 and widened(shared, 2).trial_gpus == 0.5


def test_what_was_asked_for_stays() -> None:
    room = bounds(Settings(gpus=1, time=90, workers=3), site(), 100)
    assert (room.walltime, room.workers, room.longest) == (5400.0, 3, 5400.0)
    assert {(shape.walltime, shape.workers) for shape in shapes(work(100), room)} == {(5400.0, 3)}


def test_what_can_never_start_is_refused_as_it_is_at_submission() -> None:
    with pytest.raises(InputError, match="the most is 4") as error:
        bounds(Settings(gpus=8), site(), 10)
    assert error.value.at == ("on", "slurm", "gpus")


def test_a_wide_job_meets_limits_with_all_that_it_holds() -> None:
    user = bounds(Settings(gpus=1), site(MaxTRESPU_gres_gpu=Limit(8)), 50, wider=True)
    assert user.wide == (1, 4) and [user.at_once(3600.0, slots) for slots in user.wide] == [8, 2]
    job = bounds(Settings(gpus=1), site(MaxTRESPJ_gres_gpu=Limit(2)), 50, wider=True)
    assert job.at_once(3600.0, 1) == 50 and job.at_once(3600.0, 4) == 0


def test_who_asks_for_shorter_jobs_goes_before_the_file() -> None:
    found = bounds(Settings(gpus=1, time=240), site(), 10, shorter=3600.0)
    assert found.longest == 3600.0 and found.walltime is None


def test_what_people_write_is_not_more_than_a_plan_ever_has_at_a_time() -> None:
    assert {name: one.workers for name, one in naive(work(1_000_000), Bounds()).items()} == {
        "one trial per job": MOST,
        "everything in one job": 1,
    }
