"""The simulated queue against plain programs that do the same, against hand-worked cases, and against its own rules."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from taut.errors import InputError
from taut.queue.simulate import (
    Cluster,
    Failures,
    Job,
    Limits,
    Partition,
    Simulation,
    Weights,
    Why,
    Workload,
    load,
)

HOUR = 3600.0


def played(cluster: Cluster, jobs: Workload, seed: int = 0) -> Simulation:
    simulation = Simulation(cluster, jobs, seed)
    simulation.run()
    return simulation


def starts(simulation: Simulation) -> list[float]:
    """When each job last started, by its number."""
    return [ran.start for ran in sorted(simulation.ran, key=lambda ran: ran.job.number)]


def table(
    rng: np.random.Generator, count: int, most: int, spread: float = 1.0, exact: bool = False
) -> Workload:
    """Jobs in whole seconds, many of them at the same moment."""
    submit = np.cumsum(rng.integers(0, int(20 * spread), count) * (rng.random(count) < 0.7))
    size = np.minimum(rng.integers(1, most + 1, count), rng.integers(1, most + 1, count))
    walltime = rng.integers(5, 120, count)
    runtime = walltime if exact else np.ceil(walltime * rng.random(count) * 1.1)
    return Workload.of(submit, size, walltime, runtime)


# -- plain programs: counts of nodes, everything looked at anew at every event --------------------------


def plainly(policy: str, nodes: int, jobs: Workload) -> list[float]:
    """Start times by a simulator of clusters without partitions, of nodes that one job has: as slow and simple as can be."""
    n = len(jobs.submit)
    start, end = [math.inf] * n, [math.inf] * n
    now = 0.0
    while any(math.isinf(each) for each in start):
        running = [i for i in range(n) if start[i] <= now < end[i]]
        free = nodes - sum(int(jobs.size[i]) for i in running)
        queue = [i for i in range(n) if math.isinf(start[i]) and jobs.submit[i] <= now]
        for i in _starting(
            policy,
            nodes,
            jobs,
            free,
            [(start[j] + jobs.walltime[j], int(jobs.size[j])) for j in running],
            queue,
            now,
        ):
            start[i] = now
            end[i] = now + min(jobs.runtime[i], jobs.walltime[i])
        later = [t for t in [*end, *jobs.submit.tolist()] if now < t < math.inf]
        if not later:
            break
        now = min(later)
    return start


def _starting(
    policy: str,
    nodes: int,
    jobs: Workload,
    free: int,
    ends: list[tuple[float, int]],
    queue: list[int],
    now: float,
) -> list[int]:
    chosen: list[int] = []
    kept: tuple[float, int] | None = (
        None  # when the first that waits starts, and what is free besides it then
    )
    booked: list[tuple[float, float, int]] = [(now, end, size) for end, size in ends]
    for i in queue:
        size, walltime = int(jobs.size[i]), float(jobs.walltime[i])
        if policy == "conservative":
            for at in sorted({now, *(end for _, end, _ in booked)}):
                moments = [at, *(begin for begin, _, _ in booked if at < begin < at + walltime)]
                if all(nodes - sum(s for b, e, s in booked if b <= t < e) >= size for t in moments):
                    booked.append((at, at + walltime, size))
                    if at == now:
                        chosen.append(i)
                    break
            continue
        fits = size <= free
        if kept is not None and fits and now + walltime > kept[0]:
            fits = policy == "easy" and size <= kept[1]
            if fits:
                kept = kept[0], kept[1] - size
        if kept is not None and policy == "first-come":
            break
        if fits:
            chosen.append(i)
            free -= size
            ends.append((now + walltime, size))
        elif kept is None:
            there = free
            for end, group in itertools.groupby(sorted(ends), key=lambda each: each[0]):
                there += sum(each for _, each in group)
                if there >= size:
                    kept = end, there - size
                    break
    return chosen


@pytest.mark.parametrize("policy", ["first-come", "easy", "conservative"])
@pytest.mark.parametrize("seed", range(12))
def test_policies_start_jobs_when_a_plain_program_does(policy: Any, seed: int) -> None:
    # One node of many units: there a count says all, what is left beside a reservation included. Of several nodes, one that is free now
    # and another that is free later do not make one that is free all the time.
    rng = np.random.default_rng(seed)
    units = int(rng.integers(2, 12))
    jobs = table(rng, 60, units)
    assert starts(played(Cluster(1, units, policy=policy, depth=1000), jobs)) == plainly(policy, units, jobs)
    if policy == "first-come":
        assert starts(played(Cluster(units, 1, policy=policy), jobs)) == plainly(policy, units, jobs)


def test_backfill_by_hand() -> None:
    # 4 nodes; A has 2 until 10; B wants 4 and waits for A; C fits before; D would be in the way; E is short enough, when C is over.
    jobs = Workload.of([0, 1, 2, 3, 4], [2, 4, 2, 1, 1], [10, 5, 8, 20, 2], [10, 5, 6, 20, 2])
    assert starts(played(Cluster(4, 1, policy="first-come"), jobs)) == [0, 10, 15, 15, 15]
    assert starts(played(Cluster(4, 1, policy="easy"), jobs)) == [0, 10, 2, 15, 8]
    assert starts(played(Cluster(4, 1, policy="conservative"), jobs)) == [0, 10, 2, 15, 8]


def test_easy_lets_pass_whom_conservative_does_not() -> None:
    # 3 nodes. A has 2 until 10; B wants 3, at 10; C wants 2, at 15; D wants 1 for 14 s: it delays C and not B ... which has all nodes; so not D either.
    jobs = Workload.of([0, 1, 2, 3], [2, 2, 2, 1], [10, 5, 5, 14], [10, 5, 5, 14])
    assert starts(played(Cluster(3, 1, policy="easy"), jobs)) == [0, 10, 15, 3]
    # With places for all: B has two nodes from 10 to 15 and C from 15 to 20, so the third is D's either way; with 11 more seconds, too.
    assert starts(played(Cluster(3, 1, policy="conservative"), jobs)) == [0, 10, 15, 3]
    crossing = Workload.of([0, 1, 2, 3], [2, 2, 3, 1], [10, 5, 5, 14], [10, 5, 5, 14])
    assert starts(played(Cluster(3, 1, policy="easy"), crossing)) == [
        0,
        10,
        17,
        3,
    ]  # D delays C, who is not the first
    assert starts(played(Cluster(3, 1, policy="conservative"), crossing)) == [0, 10, 15, 20]


@pytest.mark.parametrize("policy", ["first-come", "conservative"])
@pytest.mark.parametrize("units", [1, 4])
def test_who_comes_later_delays_nobody(policy: Any, units: int) -> None:
    cluster = Cluster(6, units, policy=policy, depth=1000)
    jobs = table(np.random.default_rng(5), 80, 6 * units, 0.5, exact=True)
    whole = starts(played(cluster, jobs))
    for count in (20, 50):
        part = Workload(*(column[:count] for column in jobs))
        assert starts(played(cluster, part)) == whole[:count]


# -- what must hold in every course --------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["first-come", "easy", "conservative"])
def test_nobody_gets_what_another_has(policy: Any) -> None:
    cluster = Cluster(
        8, 4, policy=policy, partitions=(Partition("a"), Partition("b", range(4, 8), whole=True))
    )
    rng = np.random.default_rng(2)
    jobs = table(rng, 300, 16, 0.3)
    jobs = jobs._replace(partition=rng.integers(0, 2, 300))
    simulation = played(cluster, jobs)
    assert len(simulation.ran) == 300 and not simulation.running
    for moment in {ran.start for ran in simulation.ran}:
        held = np.zeros(8, int)
        for ran in simulation.ran:
            if ran.start <= moment < ran.end:
                nodes = [node for node in range(8) if ran.mask >> node & 1]
                assert len(nodes) == ran.job.nodes and all(
                    node in cluster.span(ran.job.partition) for node in nodes
                )
                held[nodes] += ran.job.per
        assert held.max() <= 4
    for ran in simulation.ran:
        assert ran.start >= ran.job.submit and ran.end == ran.start + min(ran.job.runtime, ran.job.walltime)
        assert ran.why == ("finished" if ran.job.runtime <= ran.job.walltime else "time limit")
        assert ran.job.per == 4 or (ran.job.partition == 0 and ran.job.nodes == 1)


def test_the_same_seed_gives_the_same_course_and_a_cluster_as_busy_as_asked() -> None:
    cluster = Cluster(16, 4, failures=Failures(between=100.0), weights=Weights(size=500.0, fair=2000.0))
    one, two = (played(cluster, load(cluster, 96, 0.8, 3), 4) for _ in range(2))
    course = [(ran.job.number, ran.start, ran.end, ran.why, ran.mask) for ran in one.ran]
    assert course == [(ran.job.number, ran.start, ran.end, ran.why, ran.mask) for ran in two.ran]
    assert course != [
        (ran.job.number, ran.start, ran.end, ran.why, ran.mask)
        for ran in played(cluster, load(cluster, 96, 0.8, 3), 5).ran
    ]
    jobs = load(cluster, 24 * 30, 0.8, 3)
    work = (np.minimum(jobs.runtime, jobs.walltime) * jobs.size).sum() / (cluster.size * 24 * 30 * HOUR)
    assert work == pytest.approx(0.8, rel=0.03) and jobs.submit[-1] > 24 * 29 * HOUR
    used = np.minimum(jobs.runtime / jobs.walltime, 1.0)
    assert (
        0.15 <= np.median(used) <= 0.27 and 0.05 <= (used == 1.0).mean() <= 0.08
    )  # as users do (the module says where from)


def test_small_jobs_wait_less_where_somebody_may_pass() -> None:
    waits: dict[str, Any] = {}
    for policy in ("first-come", "easy"):
        cluster = Cluster(16, 4, policy=policy)  # type: ignore[arg-type]
        ran = played(cluster, load(cluster, 24 * 10, 0.85, 1)).ran
        waits[policy] = np.array([(each.job.size, each.start - each.job.submit) for each in ran])
    small = {policy: np.median(rows[rows[:, 0] == 1, 1]) for policy, rows in waits.items()}
    assert small["easy"] < 0.2 * small["first-come"]
    large = waits["easy"][waits["easy"][:, 0] >= 16, 1]
    assert np.median(large) > 2 * small["easy"]


# -- priorities, preemption, failures ------------------------------------------------------------------


def test_priority_is_what_the_weights_say() -> None:
    # All wait for the first; then the widest goes first, although it came last.
    jobs = Workload.of([0, 1, 2, 3], [4, 1, 2, 4], 10, 10)
    assert starts(played(Cluster(1, 4), jobs)) == [0, 10, 10, 20]
    assert starts(played(Cluster(1, 4, weights=Weights(age=0.0, size=1.0)), jobs)) == [0, 20, 20, 10]
    # User 1 has had the machine; user 2 comes later and goes first.
    jobs = Workload.of([0, 1, 1, 2], 4, 10, 10, 0, [1, 1, 1, 2])
    fair = Weights(age=0.0, fair=1.0, every=1.0)
    assert starts(played(Cluster(1, 4), jobs)) == [0, 10, 20, 30]
    assert starts(played(Cluster(1, 4, weights=fair), jobs)) == [0, 20, 30, 10]


def test_a_higher_partition_goes_first_and_pushes_out_whom_it_may() -> None:
    low = Partition("low", preemptable=True)
    jobs = Workload.of([0, 1, 5, 6], [2, 2, 2, 4], [100, 100, 10, 10], [50, 50, 10, 10], [0, 0, 1, 1])
    polite = Cluster(1, 4, partitions=(low, Partition("high", tier=1)))
    assert starts(played(polite, jobs)) == [0, 1, 50, 60]
    simulation = played(polite._replace(partitions=(low, Partition("high", tier=1, preempts=True))), jobs)
    # The third takes the place of the second, the latest; the fourth waits for its like, and pushes out the first. Both begin again.
    lives = [(ran.job.number, ran.start, ran.end, ran.why) for ran in simulation.ran]
    assert lives == [
        (1, 1.0, 5.0, "preempted"),
        (2, 5.0, 15.0, "finished"),
        (0, 0.0, 15.0, "preempted"),
        (3, 15.0, 25.0, "finished"),
        (0, 25.0, 75.0, "finished"),
        (1, 25.0, 75.0, "finished"),
    ]


class Watcher:
    """An owner that writes down what it is told."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation, self.heard = simulation, []  # type: ignore[var-annotated]

    def started(self, job: Job) -> None:
        self.heard.append((self.simulation.now, "started"))

    def ended(self, job: Job, why: Why) -> None:
        self.heard.append((self.simulation.now, why))


def test_a_node_that_fails_ends_its_jobs_and_comes_back() -> None:
    cluster = Cluster(1, 4, failures=Failures(between=0.6, repair=0.5))
    simulation = Simulation(cluster, seed=3)
    watcher = Watcher(simulation)
    simulation.submit(4, 1e6, owner=watcher, runtime=HOUR)
    other = simulation.submit(1, 1e6, owner=Watcher(simulation), runtime=1e5, requeue=False)
    simulation.run(until=1e6)
    failed = [at for at, what in watcher.heard if what == "node failed"]
    assert watcher.heard[-1][1] == "finished" and failed
    for (before, _), (after, what) in itertools.pairwise(watcher.heard):
        if before in failed:
            assert what == "started" and after >= before + 0.5 * HOUR
    assert other.state == "ended" and other.life == 1
    assert played(cluster._replace(failures=None), Workload.of(0, 4, 1e6, HOUR)).ran[0].end == HOUR


def test_an_owner_ends_and_cancels_its_jobs() -> None:
    simulation = Simulation(Cluster(1, 2))
    watcher = Watcher(simulation)
    jobs = [simulation.submit(2, 100.0, owner=watcher) for _ in range(3)]
    simulation.at(10.0, simulation.finish, jobs[0])
    simulation.at(10.0, simulation.cancel, jobs[1])
    simulation.run()
    assert [ran.why for ran in simulation.ran] == ["finished", "time limit"]
    assert watcher.heard == [(0.0, "started"), (10.0, "finished"), (10.0, "started"), (110.0, "time limit")]
    assert jobs[1].state == "ended" and jobs[1].life == 0
    simulation.submit(1, 5.0, owner=watcher, runtime=1.0)
    simulation.cancel(simulation.submit(1, 5.0, owner=watcher))
    simulation.run()
    assert simulation.ran[-1].end == 111.0 and len(simulation.ran) == 3


def test_a_task_keeps_the_place_of_its_array() -> None:
    simulation = Simulation(Cluster(1, 1), Workload.of([0, 1, 2], 1, 10, 10))
    watcher = Watcher(simulation)
    simulation.at(5.0, lambda _: simulation.submit(1, 10.0, owner=watcher, runtime=10.0, since=0.5))
    simulation.run()
    assert watcher.heard[0] == (10.0, "started")


# -- limits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        Limits(units=6),
        Limits(jobs=3),
        Limits(unit_minutes=8.0),
        Limits(units=5, jobs=4, unit_minutes=10.0, submitted=8),
    ],
)
@pytest.mark.parametrize("policy", ["easy", "conservative"])
def test_no_user_has_more_than_the_limits_say(policy: Any, limits: Limits) -> None:
    rng = np.random.default_rng(8)
    jobs = table(rng, 150, 4, 0.2)._replace(user=rng.integers(0, 3, 150))
    cluster = Cluster(4, 4, policy=policy, partitions=(Partition("gpu", limits=limits),))
    simulation = played(cluster, jobs)
    assert len(simulation.ran) == 150
    reached = 0.0
    for moment in {ran.start for ran in simulation.ran}:
        for user in range(3):
            mine = [ran for ran in simulation.ran if ran.start <= moment < ran.end and ran.job.user == user]
            units = sum(ran.job.units for ran in mine)
            minutes = sum(ran.job.units * (ran.start + ran.job.walltime - moment) for ran in mine) / 60.0
            assert (
                units <= limits.units and len(mine) <= limits.jobs and minutes <= limits.unit_minutes + 1e-6
            )
            reached = max(
                reached, units / limits.units, len(mine) / limits.jobs, minutes / limits.unit_minutes
            )
    assert reached > 0.9  # they were met


def test_running_minutes_open_as_time_passes() -> None:
    # 10 unit-minutes: one job of 2 units x 4 min leaves room for another of its kind once it has run for 3 min.
    cluster = Cluster(2, 2, partitions=(Partition("gpu", limits=Limits(unit_minutes=10.0)),))
    jobs = Workload.of([0, 0], 2, 240, 240)
    assert starts(played(cluster, jobs)) == [0.0, pytest.approx(180.0)]


def test_who_may_not_submit_more_comes_when_there_is_room() -> None:
    cluster = Cluster(1, 1, partitions=(Partition("gpu", limits=Limits(submitted=2)),))
    jobs = Workload.of([0, 1, 2, 3], 1, 10, 10, 0, [1, 1, 1, 2])
    # The third of user 1 is taken when the first has ended, behind user 2.
    assert starts(played(cluster, jobs)) == [0, 10, 30, 20]


# -- mistakes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Simulation(Cluster(0)), "nodes: 0 must be above 0"),
        (lambda: Simulation(Cluster(2, policy="easyy")), "policy: 'easyy' is no policy; did you mean 'easy'"),  # type: ignore[arg-type]
        (lambda: Simulation(Cluster(2, partitions=())), "give at least one"),
        (lambda: Simulation(Cluster(2, partitions=(Partition("a"), Partition("a")))), "'a' is there twice"),
        (lambda: Simulation(Cluster(2, partitions=(Partition("a", range(1, 3)),))), "within range(0, 2)"),
        (
            lambda: Simulation(Cluster(2, partitions=(Partition("a", limits=Limits(jobs=0)),))),
            "partitions.a.limits.jobs",
        ),
        (lambda: Simulation(Cluster(2), Workload.of([0, 1], [1, 9], 10, 10)), "9 of job 1 cannot be"),
        (lambda: Simulation(Cluster(2), Workload.of([0, 1], 1, [10, math.nan], 10)), "needs numbers"),
        (lambda: Workload.of([0, 1], [1, 2, 3], 1, 1), "one value for each job"),
        (lambda: load(Cluster(2), 10, 0.0), "load: 0.0 must be above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert said in str(caught.value)


def test_a_job_that_could_never_start_is_refused() -> None:
    part = Partition("gpu", walltime=100.0, limits=Limits(units=4, unit_minutes=5.0))
    simulation = Simulation(Cluster(2, 4, partitions=(part,)))
    watcher = Watcher(simulation)
    for size, walltime, partition, said in [
        (9, 10.0, None, "9 units cannot be had"),
        (1, 101.0, None, "allows up to 100 s"),
        (5, 10.0, None, "a user may have 4 units"),
        (4, 90.0, None, "5 unit-minutes"),
        (1, 1.0, "cpu", "no partition is named 'cpu'"),
    ]:
        with pytest.raises(InputError, match=said):
            simulation.submit(size, walltime, owner=watcher, partition=partition)
    simulation.run()
    assert not simulation.ran and not simulation.running
