"""Which jobs could carry a study: all shapes that are worth comparing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from taut.queue.simulate.plan import Mode, Shape
from taut.queue.waits import Unit
from taut.queue.work import Work
from taut.slurm.settings import usual_notice
from taut.walltime import LAST

__all__ = ["MOST", "Bounds", "Limit", "naive", "notice", "shape", "shapes", "too_long", "walltime", "written"]

Limit = Callable[[float, int], int]
"""(seconds, slots) -> how many such jobs the account's limits let run at a time; 0 if one can never start."""

_SAFE = 1.6448536269514722  # 95th percentile of the standard normal distribution
_MORE = 1.02  # of a walltime, for what nobody thought of
# Jobs that follow each other in the place of one worker; below 1: with time in hand.
_ROUNDS = (2 / 3, 1, 2, 3, 5, 10)
_OPEN: tuple[Mode, ...] = ("async", "batch")
MOST = 256
"""Jobs at a time, where nobody asks for more."""
_STEPS = ((600.0, 60.0), (3600.0, 300.0), (4 * 3600.0, 900.0), (12 * 3600.0, 1800.0), (math.inf, 3600.0))


class Bounds(NamedTuple):
    """What a plan must keep to.

    longest: seconds, of a job. at_once: see `Limit`. units: GPUs (or cores) of one trial. wide: how many trials side by side jobs may hold: several where nodes
    are given away whole.
    workers, walltime, mode: what was asked for; None leaves it to the plan. partition: where jobs go. unit: what `units` counts.
    reserve: unit-hours that jobs may hold together, each for all of its walltime.
    """

    longest: float = 24 * 3600.0
    at_once: Limit = lambda seconds, slots: 10**9
    units: float = 1
    wide: Sequence[int] = (1,)
    workers: int | None = None
    walltime: float | None = None
    mode: Mode | None = "async"
    partition: str | None = None
    unit: Unit | None = None
    reserve: float = math.inf

    @property
    def loose(self) -> Bounds:
        """Without what was asked for: what an account's limits alone allow."""
        return self._replace(workers=None, walltime=None, reserve=math.inf)

    def allows(self, shape: Shape) -> bool:
        """Whether a shape is what was asked for, and is paid for."""
        return (
            self.workers in (None, shape.workers)
            and self.walltime in (None, shape.walltime)
            and self.mode in (None, shape.mode)
            and shape.workers * shape.units * shape.walltime / 3600.0 <= self.reserve + 1e-9
        )


def walltime(work: Work, trials: float, slots: int = 1) -> float:
    """Seconds that a job needs with 95 % probability for so many trials, one after the other in each slot; rounded up to what people write.

    Mean and spread of a sum; of several slots the slowest counts, for which the quantile is taken that all reach together. No trial begins within the
    notice that a job is given before its end, and trials that save themselves have to be through by then.
    """
    mean, spread = work.trial.time
    before, roughly = work.overhead.time
    sigma = math.sqrt(trials * (spread * mean) ** 2 + (roughly * before) ** 2)
    busy = _MORE * (before + trials * mean + _quantile(slots) * sigma)
    seconds = written(busy)
    while seconds < busy + (unused := notice(work, seconds)):
        seconds = written(max(busy + unused, seconds + 1.0))
    return seconds


def notice(work: Work, seconds: float) -> float:
    """How much of the end of a job of so many seconds cannot be used because it is given notice."""
    given = float(usual_notice(int(seconds // 60)))
    return given if work.saves else max(given - work.trial.time.mean, 0.0)


def too_long(work: Work, seconds: float) -> float:
    """The share of trials for which all of a job of so many seconds is too short; 0 where they checkpoint."""
    from statistics import NormalDist

    room = seconds - work.overhead.time.mean - LAST
    mean, spread = work.trial.time
    if work.saves or not mean:
        return 0.0
    variance = math.log1p(spread**2)
    sigma = math.hypot(math.sqrt(variance), work.trial.doubt)
    if room <= 0.0 or not sigma:
        return float(room <= mean)
    return NormalDist().cdf((math.log(mean) - variance / 2 - math.log(room)) / sigma)


def _quantile(slots: int) -> float:
    """Of a standard normal variable: what `slots` of them stay below together with 95 % probability."""
    if slots == 1:
        return _SAFE
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.95 ** (1.0 / slots))


def written(seconds: float) -> float:
    """Rounded up to what people write."""
    step = next(step for most, step in _STEPS if seconds <= most)
    return math.ceil(seconds / step) * step


def shapes(work: Work, bounds: Bounds) -> Iterator[Shape]:
    """From one job for all to a job for each trial, in any width; each as long as its trials need, and as many at a time as may run."""
    if bounds.mode is None:  # one after the other is asynchronous with one job
        for mode in _OPEN:
            yield from shapes(work, bounds._replace(mode=mode))
        return
    seen = set()
    if bounds.mode == "batch":  # a job for each trial of a batch
        for slots in bounds.wide:
            jobs = math.ceil(work.trials / slots)
            every = [shape(work, bounds, slots, workers, 1) for workers in _counts(jobs, bounds)]
            yield from sorted({one for one in every if one is not None})
        return
    for slots in bounds.wide:
        jobs = math.ceil(work.trials / slots)
        for workers in _counts(jobs, bounds):
            for rounds in _ROUNDS:
                each = math.ceil(jobs / (workers * rounds))
                found = shape(work, bounds, slots, workers, each)
                if found is not None and found not in seen:
                    seen.add(found)
                    yield found


def _counts(jobs: int, bounds: Bounds) -> list[int]:
    if bounds.mode == "sequential":
        return [1]
    if bounds.workers is not None:
        return [min(bounds.workers, jobs)]
    steps = {1, *(2**i for i in range(1, 9)), *(3 * 2**i for i in range(7))}
    return sorted({count for count in steps if count <= jobs} | {min(jobs, MOST)})


def shape(work: Work, bounds: Bounds, slots: int, workers: int, each: int) -> Shape | None:
    """`workers` jobs of `slots` trials side by side, and `each` one after the other; None where no such job can start, or carry a trial."""
    seconds = walltime(work, each, slots) if bounds.walltime is None else bounds.walltime
    if seconds > bounds.longest:
        seconds = bounds.longest
        if walltime(work, 1, slots) > seconds and not work.saves:
            return None
    elif (
        bounds.walltime is not None
        and not work.saves
        and work.overhead.time.mean + work.trial.time.mean > seconds
    ):
        return None
    units = max(round(slots * bounds.units), 1)
    workers = int(
        min(workers, bounds.at_once(seconds, slots), (bounds.reserve + 1e-9) // (units * seconds / 3600.0))
    )
    if workers < 1:
        return None
    return Shape(seconds, workers, None, slots, units, bounds.mode or "async", bounds.partition)


def naive(work: Work, bounds: Bounds) -> dict[str, Shape]:
    """What people write without a plan, as far as the limits let them: a job for each trial, and one job for all."""
    found, slots = {}, min(bounds.wide)
    loose = bounds.loose
    every = shape(work, loose, slots, min(math.ceil(work.trials / slots), MOST), 1)
    if every is not None and bounds.mode in (None, "async"):
        found["one trial per job"] = every._replace(trials=1)
    whole = shape(work, loose, slots, 1, math.ceil(work.trials / slots))
    if whole is not None:
        found["everything in one job"] = whole
    return found
