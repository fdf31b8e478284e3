"""A shape of jobs, and what will probably come of it: played some hundred times, and told as quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.queue.simulate import Lognormal, Shape, Waits, play
from taut.queue.work import Work

__all__ = ["Option", "Outlook", "option"]

_LEVELS = (0.1, 0.5, 0.9)
_RUNS = 400  # cases
_FEWEST, _WIDE = 100, 64  # from so many workers on there are fewer cases, and at least so many
_EACH, _EACH_WORKER = 400, 8  # trials that are played one by one, at least
_AT_ONCE = 128  # slots that are played, at least, of more than twice as many
_OF_JOB = 6  # trials of each slot of a job that are played one by one, at least


class Outlook(NamedTuple):
    """Quantiles at 10, 50 and 90 %. finish: seconds from the submission to the last result. cost: unit-hours that jobs hold. efficiency: the mean part of
    those in which trials run. sure: the share of cases that come to an end at all. lost: how many trials are given up on average because no job is long enough.
    """

    finish: tuple[float, float, float]
    cost: tuple[float, float, float]
    efficiency: float
    sure: float
    lost: float = 0.0


class Option(NamedTuple):
    """A shape, what will probably come of it, how many trials each job has on average, and how many jobs there are."""

    shape: Shape
    outlook: Outlook
    trials: float
    jobs: float


def option(
    shape: Shape,
    work: Work,
    waits: Waits,
    seed: int = 0,
    running: Sequence[tuple[float, float]] = (),
    cases: int = _RUNS,
) -> Option:
    """Play a shape.

    running: as for `play`; what these jobs have held so far is no part of the cost.
    """
    mean, spread = work.trial.time
    # Of very many jobs at a time a part is played, with its part of the trials; the others do the same.
    alike = max(1, shape.workers * shape.slots // _AT_ONCE)
    workers = math.ceil(shape.workers / alike)
    most = max(_EACH, _EACH_WORKER * workers * shape.slots)
    # Of very many trials several count as one, as far as jobs hold many; the rest goes on as what was played.
    fits = (shape.walltime - work.overhead.time.mean) / max(mean, 1e-9)
    fits = min(fits, shape.trials or math.inf, 1.0 if shape.mode == "batch" else math.inf)
    mine = math.ceil(work.trials / alike)
    several = max(1, min(mine // most, int(fits / _OF_JOB)))
    trials = math.ceil(mine / several)
    rest = max(1.0, trials / most)
    times = play(
        shape._replace(
            workers=workers, trials=None if shape.trials is None else max(1, shape.trials // several)
        ),
        min(trials, most),
        Lognormal(mean * several, spread / math.sqrt(several)),
        waits if alike == 1 else _some(waits, alike),
        overhead=work.overhead.time,
        doubt=(work.trial.doubt, work.overhead.doubt),
        runs=max(_FEWEST, min(cases, cases * _WIDE // (workers * shape.slots))),
        seed=seed,
        saves=work.saves,
        running=running[:workers],
    )
    jobs = alike * rest * float(times.jobs.mean())
    spent = sum(since for since, _ in running[:workers]) * shape.units / 3600.0
    ended = np.isfinite(times.finish)
    finish = np.quantile(np.where(ended, rest * times.finish, np.inf), _LEVELS, method="inverted_cdf")
    cost = alike * np.maximum(rest * np.quantile(times.held, _LEVELS) - spent, 0.0)
    outlook = Outlook(
        (float(finish[0]), float(finish[1]), float(finish[2])),
        (float(cost[0]), float(cost[1]), float(cost[2])),
        float(times.efficiency.mean()),
        float(ended.mean()),
        alike * rest * several * float(times.given_up.mean()),
    )
    return Option(shape, outlook, work.trials / jobs, jobs)


def _some(waits: Waits, alike: int) -> Waits:
    """Of jobs that are submitted together the last of each `alike`, so that the slowest of all is among them."""

    def drawn(rng: np.random.Generator, jobs: int, runs: int) -> NDArray[np.float64]:
        if jobs == 1:
            return waits(rng, jobs, runs)
        every: NDArray[np.float64] = np.sort(waits(rng, jobs * alike, runs), axis=1)[:, alike - 1 :: alike]
        return every

    return drawn
