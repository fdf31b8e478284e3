"""How fast the simulated queue is, and what it says of a study's modes.

    python benchmarks/simulate.py                # --days 14 --load 0.9 --rehearse

First jobs a second of processor time, by policy: a cluster of 64 nodes with 4 GPUs each and other people's jobs alone, drawn as
`taut.queue.simulate.load` says. Then plans: cases a second in which only times are played, for the worked examples of the planner, and whole
studies a second, with every decision that real workers make. With `--rehearse`, regret against hours of a study of 60 trials in three modes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import header, met, table
from numpy.typing import NDArray

from taut.definition import Budget, Definition, Method, Objective
from taut.opening import make_proposals
from taut.queue.simulate import (
    PROBLEMS,
    Campaign,
    Cluster,
    Desk,
    DrawnQueue,
    Lognormal,
    Policy,
    Shape,
    Simulation,
    Trials,
    load,
    play,
    rehearse,
)
from taut.queue.simulate import table as side_by_side

HOUR = 3600.0
GOAL, PLANS = 10_000.0, 200.0
PROBLEM = PROBLEMS["hartmann"]
POLICIES: tuple[Policy, ...] = ("first-come", "easy", "conservative")
PLAN = "200 trials of 6 min"
EXAMPLES = [
    (f"{PLAN}, 8 jobs x 25, 4 h", Shape(4 * HOUR, 8, 25), 200, Lognormal(360.0, 0.4), Lognormal(480.0, 0.3)),
    (
        f"{PLAN}, 16 jobs x 13, 2.5 h",
        Shape(2.5 * HOUR, 16, 13),
        200,
        Lognormal(360.0, 0.4),
        Lognormal(480.0, 0.3),
    ),
    (
        f"{PLAN}, 200 jobs x 1, 0.5 h, 8 at a time",
        Shape(0.5 * HOUR, 8, 1),
        200,
        Lognormal(360.0, 0.4),
        Lognormal(480.0, 0.3),
    ),
    (
        "1000 trials of 20 s, 8 jobs x 125, 1 h",
        Shape(HOUR, 8, 125),
        1000,
        Lognormal(20.0, 0.3),
        Lognormal(180.0, 0.3),
    ),
    (
        "40 trials of 3 h, 20 jobs x 2, 10 h",
        Shape(10 * HOUR, 20, 2),
        40,
        Lognormal(3 * HOUR, 0.3),
        Lognormal(1800.0, 0.3),
    ),
]


def waits(hours: float) -> Callable[[np.random.Generator, int, int], NDArray[np.float64]]:
    """The assumed waits of the examples: a median of an hour at one hour of walltime, half as much again for each doubling, and jobs of a burst alike."""

    def draw(rng: np.random.Generator, jobs: int, runs: int) -> NDArray[np.float64]:
        shared, own = rng.standard_normal((runs, 1)), rng.standard_normal((runs, jobs))
        z = np.sqrt(0.85) * shared + np.sqrt(0.15) * own
        return np.asarray(HOUR * 1.5 ** np.log2(hours) * np.exp(1.2 * z))

    return draw


def cluster_rates(days: float, busy: float) -> str:
    rows: list[list[Any]] = []
    for policy in POLICIES:
        cluster = Cluster(64, 4, policy=policy)
        simulation = Simulation(cluster, load(cluster, 24 * days, busy, seed=1))
        before = time.process_time()
        simulation.run()
        rate = len(simulation.ran) / (time.process_time() - before)
        wait = np.array([ran.start - ran.job.submit for ran in simulation.ran]) / HOUR
        goal = [f">= {GOAL:,.0f}", met(rate, GOAL)] if policy == "easy" else ["", ""]
        rows.append(
            [
                policy,
                len(wait),
                f"{rate:,.0f}",
                *goal,
                f"{np.median(wait):.2f}",
                f"{np.quantile(wait, 0.9):.1f}",
            ]
        )
    return table(["policy", "jobs", "jobs/s", "goal", "met", "median wait, h", "90 %, h"], rows)


def plan_rates(runs: int) -> str:
    rows = []
    for name, shape, trials, seconds, overhead in EXAMPLES:
        draw = waits(shape.walltime / HOUR)
        before = time.process_time()
        found = play(shape, trials, seconds, draw, overhead=overhead, runs=runs)
        rate = runs / (time.process_time() - before)
        count = 10
        before = time.process_time()
        for seed in range(count):
            whole(shape, trials, seconds, overhead, DrawnQueue(draw, seed))
        each = (time.process_time() - before) / count
        when = "/".join(f"{second / HOUR:.1f}" for second in np.quantile(found.finish, (0.1, 0.5, 0.9)))
        numbers = [f"{found.efficiency.mean():.2f}", when, f"{found.held.mean():.1f}"]
        rows.append(
            [name, *numbers, f"{rate:,.0f}", f">= {PLANS:.0f}", met(rate, PLANS), f"{1e3 * each:.0f}"]
        )
    columns = [
        "plan",
        "efficiency",
        "finish, h (p10/50/90)",
        "GPU-h",
        "cases/s",
        "goal",
        "met",
        "a whole study, ms",
    ]
    return table(columns, rows)


def definition(trials: int, method: str) -> Definition:
    space = PROBLEM.space.to_json()
    return Definition("b", space, [Objective("loss")], budget=Budget(trials=trials), sampler=Method(method))


def whole(shape: Shape, trials: int, seconds: Lognormal, overhead: Lognormal, queue: DrawnQueue) -> None:
    asked = definition(trials, "random")
    desk = Desk(asked, make_proposals(asked, PROBLEM.space))
    campaign = Campaign(queue, desk, Trials(PROBLEM.objective, seconds), shape, overhead)
    campaign.begin()
    queue.run()


def rehearsal(method: str, repeats: int) -> str:
    cluster = Cluster(16, 4)
    others = [load(cluster, 24 * 4, 0.85, seed) for seed in range(repeats)]
    shapes = {
        "sequential": Shape(24 * HOUR, 1, mode="sequential"),
        "batch of 8": Shape(HOUR, 8, mode="batch"),
        "asynchronous, 8 jobs": Shape(3 * HOUR, 8),
    }
    found = rehearse(
        definition(60, method),
        make_proposals,
        Trials(PROBLEM.objective, Lognormal(900.0, 0.4)),
        shapes,
        lambda seed: Simulation(cluster, others[seed], seed),
        overhead=Lognormal(480.0, 0.3),
        repeats=repeats,
        begin=36 * HOUR,
    )
    return side_by_side(found, [hours * HOUR for hours in (1, 2, 4, 8, 16)], PROBLEM.best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=float, default=14.0)
    parser.add_argument("--load", type=float, default=0.9)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--method", default="tpe")
    parser.add_argument("--repeats", type=int, default=8)
    args = parser.parse_args()
    print(header("The simulated queue, one core"))
    print(cluster_rates(args.days, args.load), "\n")
    print(plan_rates(args.runs), "\n")
    if args.rehearse:
        print(rehearsal(args.method, args.repeats))


if __name__ == "__main__":
    main()
