"""Other people's jobs played again, and a finished study rehearsed among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planned_studies import Fixed, T, work

import taut
from handmade import hello
from taut.definition import Budget, Definition, Method, Objective
from taut.errors import InputError
from taut.events import Event, Finished, Started
from taut.opening import make_proposals
from taut.queue.plan import Option, Outlook, Plan
from taut.queue.records import Jobs
from taut.queue.rehearsal import modes, rehearsed
from taut.queue.shapes import Bounds
from taut.queue.simulate import Cluster, Lognormal, Shape, Simulation, load
from taut.queue.simulate.replayed import replayed
from taut.snapshot import Snapshot

HOUR = 3600.0
SHAPE = Shape(2 * HOUR, 4)
PLAN = Plan(
    "trade",
    work(16, 900.0),
    Option(SHAPE, Outlook((HOUR, 2 * HOUR, 4 * HOUR), (4.0, 5.0, 6.0), 0.9, 1.0), 4.0, 4.0),
    (),
    {},
    "none: assumed",
)


def history(nodes: int = 6, hours: float = 7 * 24, **more: Any) -> Jobs:
    """What accounting would say of a busy cluster with 4 GPUs a node."""
    cluster = Cluster(nodes, 4)
    simulation = Simulation(cluster, load(cluster, hours, 0.9, seed=1))
    simulation.run()
    ran = simulation.ran
    columns: dict[str, Any] = {
        "submit": [T + one.job.submit for one in ran],
        "start": [T + one.start for one in ran],
        "end": [T + one.end for one in ran],
        "walltime": [one.job.walltime for one in ran],
        "gpus": [one.job.size for one in ran],
        "nodes": [one.job.nodes for one in ran],
        "partition": ["gpu"] * len(ran),
    }
    return Jobs.of(**{**columns, **more})


def test_a_cluster_is_found_on_which_others_wait_as_they_have_waited() -> None:
    past = replayed(history())
    assert past.cluster.units == 4 and 5 <= past.cluster.nodes <= 7
    real, again = (float(np.log1p(waits).mean()) for waits in (past.waits, past.again))
    assert abs(real - again) < 0.35, (real, again)


def test_the_jobs_last_as_long_as_they_are_needed_from_any_moment() -> None:
    past = replayed(history(2, 48))
    one, same, other = (past.turned(seed, 400 * HOUR) for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.submit, other.submit)
    assert one.submit.max() > 300 * HOUR and (np.diff(one.submit) >= 0).all()
    assert sorted(one.size) == sorted(np.tile(past.others.size, len(one.size) // len(past.others.size)))


def test_what_is_not_known_of_jobs_is_taken_for_the_worst_or_left_out() -> None:
    jobs = history(2, 48)
    count = len(jobs)
    end = np.where(np.arange(count) % 10 == 0, np.nan, jobs.end)
    start = np.where(np.arange(count) % 7 == 1, np.nan, jobs.start)
    walltime = np.where(np.arange(count) % 9 == 2, np.inf, jobs.walltime)
    past = replayed(
        Jobs.of(
            jobs.submit, start, end=np.where(np.isnan(start), np.nan, end), walltime=walltime, gpus=jobs.gpus
        )
    )
    assert len(past.others.submit) == int(np.isfinite(start).sum())
    assert past.cluster.units == 1, "nobody says how many nodes a job had"


def test_a_partition_alone_and_too_few_jobs() -> None:
    jobs = history(4, 96)
    names = ["gpu" if i % 2 else "debug" for i in range(len(jobs))]
    parted = Jobs.of(
        jobs.submit, jobs.start, end=jobs.end, walltime=jobs.walltime, gpus=jobs.gpus, partition=names
    )
    assert len(replayed(parted, partition="debug").waits) == -(-len(jobs) // 2)
    assert len(replayed(parted, partition="elsewhere").waits) == len(jobs)
    for few, unit in ((jobs.take(slice(0, 20)), "gpus"), (jobs, "cpus")):
        with pytest.raises(InputError, match="give a longer history"):
            replayed(few, unit)
    with pytest.raises(InputError, match="of 0 the end is known"):
        replayed(Jobs.of(jobs.submit, jobs.start, walltime=jobs.walltime, gpus=jobs.gpus))


# ---------------------------------------------------------------------- a study among them


def study(count: int = 16, subject_to: tuple[str, ...] = ()) -> Snapshot:
    """A finished study of trials of 10 minutes; the loss is least at x = 0.3."""
    space = taut.Space(x=taut.uniform(0, 1))
    definition = Definition(
        "s",
        space.to_json(),
        [Objective("loss")],
        subject_to=list(subject_to),
        budget=Budget(trials=count),
        sampler=Method("random"),
    )
    events: list[Event] = [hello(t=T)]
    for n in range(count):
        x = n / count
        events.append(Started(n, 0, {"x": x}, 0, n + 1, T + 600.0 * n))
        events.append(Finished(n, 0, "complete", {"loss": (x - 0.3) ** 2, "gb": x}, T + 600.0 * (n + 1)))
    snapshot = Snapshot(definition)
    snapshot.apply(0, events)
    return snapshot


def test_three_modes_of_the_plans_own_jobs() -> None:
    found = modes(PLAN, Bounds())
    assert list(found) == ["one after the other", "in batches of 4", "nobody waits, 4 jobs"]
    assert [one.mode for one in found.values()] == ["sequential", "batch", "async"]
    assert found["nobody waits, 4 jobs"] == SHAPE
    alone = PLAN._replace(best=PLAN.best._replace(shape=Shape(9 * HOUR)))
    assert [one.workers for one in modes(alone, Bounds()).values()] == [1, 8, 8], "one job has no mode"


@pytest.mark.parametrize("among", [False, True])
def test_who_waits_for_nobody_is_done_first_and_all_come_to_the_same_best(among: bool) -> None:
    past = replayed(history(4, 72)) if among else None
    found = rehearsed(study(), make_proposals, PLAN, Bounds(), Fixed(600.0), T, "GPU", 2, past=past)
    finish = [each.quantiles()[1] for each in found.modes.values()]
    assert finish[2] < finish[0] and found.trials == 16 and found.best == pytest.approx(0.000156, abs=1e-6)
    assert list(found.at) == sorted(found.at)
    lines = found.lines()
    assert ("among " in lines[0]) is among and len(lines) == 7 and lines[1].endswith("loss 0.00015625")
    said = found.as_json()
    assert [one["mode"] for one in said["modes"]] == ["sequential", "batch", "async"]
    assert all(len(one["regret"]) == len(said["at"]) for one in said["modes"])
    again = rehearsed(study(), make_proposals, PLAN, Bounds(), Fixed(600.0), T, "GPU", 2, past=past)
    assert again.as_json() == said


def test_the_best_keeps_the_constraints_and_a_time_that_is_said_counts() -> None:
    told: list[str] = []
    found = rehearsed(
        study(subject_to=("gb >= 0.5",)), make_proposals, PLAN, Bounds(), Fixed(600.0), T, "GPU", 1, Lognormal(60.0), told=told.append
    )  # fmt: skip
    assert found.best == pytest.approx(0.04) and told == list(found.modes)
    assert all((values >= 0.04 - 1e-9).all() for each in found.modes.values() for _, values in each.found)
    slow = found.modes["one after the other"]
    assert slow.hours[0].useful == pytest.approx(16 * 60 / 3600, rel=0.01)
    with pytest.raises(InputError, match="no trial keeps the constraints"):
        rehearsed(study(subject_to=("gb > 2",)), make_proposals, PLAN, Bounds(), Fixed(), T, "GPU", 1)
