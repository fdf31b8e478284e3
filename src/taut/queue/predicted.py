"""What a plan would look like: the course of a typical case, to be drawn before anything is submitted, and beside what came when all is over."""

from __future__ import annotations

import math

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from taut.decide import Proposals
from taut.definition import Budget, Definition, Objective
from taut.events import Planned
from taut.queue.plan import Plan, Queue, waits_of
from taut.queue.simulate import Campaign, Desk, DrawnQueue, Lognormal, Shape, Trials, Waits
from taut.queue.simulate.course import bars_of
from taut.queue.simulate.job import Job
from taut.queue.simulate.worker import Stretch
from taut.queue.timeline import Bar, Timeline
from taut.samplers.random import RandomSampler
from taut.space import Space, uniform

__all__ = ["course", "expected", "usual"]

_CASES = 15  # of which the one is shown that ends nearest to the median
_TRIALS = (
    2000  # that are played, in all cases together and in each of them, at most; of more several count as one
)
_STARTS = 24  # of which the waits are kept, at most
_SEEN = 200  # cases that say what a wait usually is


def course(plan: Plan, queue: Queue, now: float, seed: int = 0) -> Timeline:
    """The case that ends nearest to the median of the plan, as whole jobs with whole trials; second 0 is the submission.

    Lanes are the places of jobs: one that starts after another has ended takes its place. How long a job waits is not drawn. Of very many trials
    several are drawn as one, without a number.
    """
    work = plan.work
    waits = waits_of(queue, plan.ask, now)
    finish = plan.best.outlook.finish[1]
    return _typical(
        plan.best.shape, work.trials, work.trial.time, work.overhead.time, waits, finish, seed, work.saves
    )


def usual(plan: Plan, queue: Queue, now: float) -> tuple[float, ...]:
    """The median waits of the plan's first jobs, in order; of many jobs some, evenly."""
    rng = np.random.default_rng([0, 9])
    jobs = plan.best.shape.workers
    medians = np.median(np.sort(waits_of(queue, plan.ask, now)(rng, jobs, _SEEN), axis=1), axis=0)
    some = np.linspace(0, jobs - 1, min(jobs, _STARTS)).round().astype(np.intp)
    return tuple(round(float(seconds), 1) for seconds in medians[some])


def expected(promise: Planned) -> Timeline | None:
    """The course that a promise was made of; second 0 is its submission. None for one that does not say enough (of an earlier release)."""
    if promise.trial is UNSET or promise.overhead is UNSET or promise.waits is UNSET or not promise.waits:
        return None
    starts = np.array(promise.waits)

    def waits(rng: np.random.Generator, jobs: int, runs: int) -> NDArray[np.float64]:
        places = np.linspace(0.0, len(starts) - 1.0, jobs) if jobs > 1 else [(len(starts) - 1) / 2]
        return np.tile(np.interp(places, np.arange(len(starts)), starts), (runs, 1))

    mode = "async" if promise.mode is UNSET else promise.mode
    shape = Shape(60.0 * promise.minutes, promise.jobs, slots=promise.slots, units=promise.units, mode=mode)
    trial, overhead = Lognormal(*promise.trial), Lognormal(*promise.overhead)
    return _typical(shape, promise.trials, trial, overhead, waits, promise.finish[1], 0, False)


def _typical(
    shape: Shape,
    trials: int,
    trial: Lognormal,
    overhead: Lognormal,
    waits: Waits,
    finish: float,
    seed: int,
    saves: bool,
) -> Timeline:
    """Of some cases the one that ends nearest to `finish` seconds."""
    several = -(-trials // _TRIALS)
    if several > 1:
        trial = Lognormal(trial.mean * several, trial.spread / math.sqrt(several))
        trials = -(-trials // several)
        if shape.trials is not None:
            shape = shape._replace(trials=max(1, shape.trials // several))
    space = Space(x=uniform(0.0, 1.0))
    study = Definition("plan", space.to_json(), [Objective("y")], budget=Budget(trials=trials))

    def played(turn: int) -> Campaign:
        does = Trials(lambda params, step: {"y": 0.0}, trial, saves=saves, seed=turn)
        queue = DrawnQueue(waits, turn)
        campaign = Campaign(
            queue, Desk(study, Proposals(RandomSampler(), space)), does, shape, overhead, turn
        )
        campaign.begin()
        queue.run()
        if not campaign.done:
            campaign.finish = math.inf
        return campaign

    cases = [played(seed + turn) for turn in range(max(1, min(_CASES, _TRIALS // trials)))]
    return _drawn(min(cases, key=lambda case: abs(case.finish - finish)), numbered=several == 1)


def _drawn(campaign: Campaign, numbered: bool) -> Timeline:
    slots = campaign.shape.slots
    stretches: dict[tuple[Job, int], list[Stretch]] = {}
    for each in campaign.stretches:
        stretches.setdefault((each.job, each.life), []).append(each)
    bars: list[Bar] = []
    lives: dict[Job, int] = {}
    used = 0
    for ran in sorted(campaign.queue.ran, key=lambda ran: (ran.start, ran.job.number)):
        lives[ran.job] = life = lives.get(ran.job, 0) + 1
        place = ran.mask.bit_length() - 1
        used = max(used, place + 1)
        held = [place * slots + slot for slot in range(slots)]
        bars += bars_of(ran, held, stretches.get((ran.job, life), []), campaign)
    if not numbered:
        bars = [bar._replace(trial=None) for bar in bars]
    names = [f"job {place + 1}" for place in range(used)]
    lanes = names if slots == 1 else [f"{name}, {slot + 1}" for name in names for slot in range(slots)]
    return Timeline(tuple(lanes), tuple(sorted(bars)), tuple(campaign.submitted[:1]))
