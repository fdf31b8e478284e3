"""The course of a study on a busy queue, by the size of its jobs and by its mode: drawn from the simulator.

python docs/pictures_queue.py             # the numbers under the pictures; docs/make_pictures.py draws them
"""

from __future__ import annotations

from functools import cache

import numpy as np

from taut.definition import Budget, Definition, Method, Objective
from taut.opening import make_proposals
from taut.queue.simulate import (
    PROBLEMS,
    Campaign,
    Cluster,
    Desk,
    Lognormal,
    Shape,
    Simulation,
    Trials,
    Workload,
    hours,
    timeline,
)
from taut.queue.timeline import Timeline
from taut.reports.gantt import svg

__all__ = ["COURSES", "pictures", "played"]

HOUR, MINUTE = 3600.0, 60.0
CLUSTER = Cluster(nodes=4, units=4)
TRIALS = 24
TIME, OVERHEAD = Lognormal(12 * MINUTE, 0.35), Lognormal(8 * MINUTE, 0.25)
BEGIN = 36 * HOUR  # the queue is in its usual state by then
BEFORE = 1 * HOUR  # is shown
SEED = 8  # a busy moment; where nobody waits the pictures differ by the overheads alone

COURSES = {
    "queue_short": ("Short and small: a job for each trial", Shape(0.75 * HOUR, workers=6, trials=1)),
    "queue_medium": ("Medium: four trials in a job", Shape(1.75 * HOUR, workers=6, trials=4)),
    "queue_wide": (
        "Big and wide: four trials side by side in one job",
        Shape(1.75 * HOUR, workers=1, slots=4, units=4),
    ),
    "queue_sequential": (
        "Sequential: one trial after the other",
        Shape(8 * HOUR, workers=1, mode="sequential"),
    ),
    "queue_batch": (
        "Batch: six trials start when the six before have ended",
        Shape(0.75 * HOUR, workers=6, mode="batch"),
    ),
    "queue_async": ("Asynchronous: nobody waits for anybody", Shape(1.75 * HOUR, workers=6)),
}


def others(days: float = 4.0, seed: int = SEED) -> Workload:
    """Other people's jobs on this small cluster: of 1 to 8 GPUs, for half an hour to eight hours, of which they need a half on average."""
    rng = np.random.default_rng(seed)
    count = int(days * 24 * 2.0)
    submit = np.sort(rng.random(count)) * days * 24 * HOUR
    size = rng.choice([1, 2, 4, 8], count, p=[0.4, 0.25, 0.22, 0.13])
    walltime = HOUR * rng.choice([0.5, 1, 2, 4, 8], count, p=[0.15, 0.2, 0.3, 0.25, 0.1])
    return Workload.of(submit, size, walltime, walltime * rng.uniform(0.3, 1.05, count))


@cache
def played(name: str, seed: int = SEED) -> tuple[Timeline, str]:
    """The course of that name, and what is to be said below it."""
    problem = PROBLEMS["branin"]
    definition = Definition(
        name,
        problem.space.to_json(),
        [Objective("loss")],
        budget=Budget(trials=TRIALS),
        sampler=Method("quasirandom"),
    )
    queue = Simulation(CLUSTER, others(seed=seed))
    desk = Desk(definition, make_proposals(definition, problem.space))
    campaign = Campaign(queue, desk, Trials(problem.objective, TIME), COURSES[name][1], OVERHEAD)
    campaign.begin(BEGIN)
    queue.run()
    end = campaign.finish + 0.5 * HOUR
    queue.run(until=end)
    spent = hours(campaign)
    caption = (
        f"{TRIALS} trials in {spent.jobs} job{'s' if spent.jobs > 1 else ''}: efficiency {spent.efficiency:.0%} "
        f"({spent.held:.1f} GPU-h held, {spent.useful:.1f} of them useful), finished {(campaign.finish - campaign.began) / HOUR:.1f} h after the first submission."
    )
    return timeline(queue, campaign, BEGIN - BEFORE, end), caption


def pictures() -> dict[str, str]:
    """The six pictures by their names."""
    drawn = {}
    for name, (title, _) in COURSES.items():
        course, caption = played(name)
        drawn[name] = svg(course, title=title, caption=caption)
    return drawn


def main() -> None:
    for name, (title, _) in COURSES.items():
        print(f"{title}\n  {played(name)[1]}")


if __name__ == "__main__":
    main()
