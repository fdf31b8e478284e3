"""What a plan would look like: the course of a typical case, to be drawn before anything is submitted."""

from __future__ import annotations

import math

from taut.decide import Proposals
from taut.definition import Budget, Definition, Objective
from taut.queue.plan import Plan, Queue, waits_of
from taut.queue.simulate import Campaign, Desk, DrawnQueue, Trials
from taut.queue.simulate.course import bars_of
from taut.queue.simulate.job import Job
from taut.queue.simulate.worker import Stretch
from taut.queue.timeline import Bar, Timeline
from taut.samplers.random import RandomSampler
from taut.space import Space, uniform

__all__ = ["course"]

_CASES = 15  # of which the one is shown that ends nearest to the median
_TRIALS = 20_000  # in all cases together, at most


def course(plan: Plan, queue: Queue, now: float, seed: int = 0) -> Timeline:
    """The case that ends nearest to the median of the plan, as whole jobs with whole trials; second 0 is the submission.

    Lanes are the places of jobs: one that starts after another has ended takes its place. How long a job waits is not drawn.
    """
    cases = max(1, min(_CASES, _TRIALS // plan.work.trials))
    played = [_play(plan, queue, now, seed + i) for i in range(cases)]
    typical = min(played, key=lambda each: abs(each.finish - plan.best.outlook.finish[1]))
    return _drawn(typical)


def _play(plan: Plan, queue: Queue, now: float, seed: int) -> Campaign:
    work, shape = plan.work, plan.best.shape
    space = Space(x=uniform(0.0, 1.0))
    study = Definition("plan", space.to_json(), [Objective("y")], seed, budget=Budget(trials=work.trials))
    trials = Trials(lambda params, step: {"y": 0.0}, work.trial.time, saves=work.saves, seed=seed)
    drawn = DrawnQueue(waits_of(queue, plan.ask, now), seed)
    desk = Desk(study, Proposals(RandomSampler(), space))
    campaign = Campaign(drawn, desk, trials, shape, work.overhead.time, seed)
    campaign.begin()
    drawn.run()
    if campaign.why is None:
        campaign.finish = math.inf
    return campaign


def _drawn(campaign: Campaign) -> Timeline:
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
    names = [f"job {place + 1}" for place in range(used)]
    lanes = names if slots == 1 else [f"{name}, {slot + 1}" for name in names for slot in range(slots)]
    return Timeline(tuple(lanes), tuple(sorted(bars)), tuple(campaign.submitted[:1]))
