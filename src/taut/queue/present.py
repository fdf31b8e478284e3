"""What a study's jobs will bring that are on the queue already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taut.events import Allocation
from taut.queue.option import Option, option
from taut.queue.plan import Queue, asked, waits_of
from taut.queue.simulate import Shape
from taut.queue.simulate.plan import Mode
from taut.queue.waits import Unit
from taut.queue.work import Work
from taut.slurm.jobs import WAITING, Job
from taut.slurm.rounds import Submission
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["present"]

_TRIES = 8  # to draw a wait that is not over yet


def present(
    work: Work,
    snapshot: Snapshot,
    jobs: Sequence[Job],
    record: Submission,
    queue: Queue,
    now: float,
    *,
    mode: Mode = "async",
    partition: str | None = None,
) -> Option:
    """The option to leave them alone.

    jobs: those that run or wait, of which there is at least one. record: what was submitted last. Their cost is what they will hold from now on. Those that
    wait have waited since they were submitted, and wait longer than that.
    """
    begun = [job for job in jobs if job.state not in WAITING and job.start is not None]
    units = record.gpus or record.cpus
    minutes = record.minutes or next((job.minutes for job in jobs if job.minutes), 60)
    workers = max(min(record.at_once, len(jobs)), 1)
    if mode != "async":
        workers = 1 if mode == "sequential" else min(record.tasks or workers, workers)
    shape = Shape(60.0 * minutes, workers, None, record.slots, max(units, 1), mode, partition)
    unit: Unit = "gpus" if record.gpus else "cpus"
    fresh = waits_of(queue, asked(shape, unit), now)
    waited = max(now - record.t, 0.0)
    first = True

    def waits(rng: np.random.Generator, count: int, runs: int) -> NDArray[np.float64]:
        nonlocal first
        drawn = fresh(rng, count, runs)
        if not first:
            return drawn
        first = False
        for _ in range(_TRIES):
            if not (over := (drawn <= waited)).any():
                break
            drawn = np.where(over, fresh(rng, count, runs), drawn)
        return np.sort(np.maximum(drawn - waited, 0.0), axis=1)

    ages = _ages(snapshot, now)
    running = [
        (max(now - (job.start or now), 0.0), ages.get((job.id, job.life), _before(work, job, now)))
        for job in begun[:workers]
    ]
    return option(shape, work, waits, running=running)


def _ages(snapshot: Snapshot, now: float) -> dict[tuple[int, int], float]:
    """How long the trials have run on average that run in each job, by number and life."""
    found: dict[tuple[int, int], list[float]] = {}
    for n in snapshot.where(State.RUNNING).tolist():
        opened = snapshot.writers.get(int(snapshot.writer[n]))
        if opened is not None and isinstance(opened.job, Allocation):
            job = opened.job.id, opened.job.life
            found.setdefault(job, []).append(max(now - float(snapshot.started[n]), 0.0))
    return {job: sum(ages) / len(ages) for job, ages in found.items()}


def _before(work: Work, job: Job, now: float) -> float:
    """Of a job that has begun no trial yet: below 0, since it will take some time until it does."""
    return min(now - (job.start or now) - work.overhead.time.mean, 0.0)
