"""A first estimate of what a shape brings, a thousand times quicker than to play it: which shapes are worth playing.

Trials are taken for a fluid that all jobs drain that run: a case ends when their time together is the work that there is. What that leaves out (the
last trials of each job, jobs that end too early, batches) counts little against how far waits are spread.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from taut.queue.shapes import notice, too_long
from taut.queue.simulate import Shape, Waits
from taut.queue.work import Work

__all__ = ["sketch"]

Floats = NDArray[np.float64]
_HALVINGS = 40
_ATTEMPTS = 4  # of a trial that no job is long enough for, before another one takes its place


def sketch(
    shape: Shape, work: Work, waits: Waits, runs: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """(runs,) seconds to the end, unit-seconds that jobs hold, and seconds to the first trial."""
    before, each = work.overhead.time.mean, work.trial.time.mean
    # Of its time a job cannot use on average, for want of a whole trial or for the notice that it is given.
    last = notice(work, shape.walltime) + (0.0 if work.saves else each / 2)
    room = max(shape.walltime - before - last, each)
    lost = min(too_long(work, shape.walltime), 0.99)
    demand = work.trials * (each + lost / (1.0 - lost) * _ATTEMPTS * (shape.walltime - before)) / shape.slots
    rounds = math.ceil(demand / (room * shape.workers))
    ready = _ready(shape, waits, rounds, runs, rng) + before
    low, high = ready.min(axis=1), ready.max(axis=1) + demand
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = np.clip(middle[:, None] - ready, 0.0, room).sum(axis=1) >= demand
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    jobs = (ready < high[:, None]).sum(axis=1)
    # The last trial of each slot ends some time after the first slot has nothing to do any more.
    tail = each / 2 if work.trials > 1 else 0.0
    idle = tail * (1.0 - 1.0 / shape.slots)  # of the other slots of a job, which is held until then
    return high + tail, (demand + jobs * (before + idle)) * shape.units, ready.min(axis=1)


def _ready(shape: Shape, waits: Waits, rounds: int, runs: int, rng: np.random.Generator) -> Floats:
    """(runs, workers * rounds) when jobs start: those of the first round together, each other one a wait after the end of the one before."""
    starts = [waits(rng, shape.workers, runs)]
    for _ in range(min(rounds, 40) - 1):
        again = waits(rng, 1, runs * shape.workers).reshape(runs, shape.workers)
        starts.append(starts[-1] + shape.walltime + again)
    return np.concatenate(starts, axis=1)
