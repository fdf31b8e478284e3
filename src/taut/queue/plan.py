"""The plan: of all shapes that a study's jobs could have, the one that suits, and what will probably come of it.

All shapes are sketched, and those that may be best are played some hundred times, with the same seeds: waits are drawn from what is known of the
queue, times from what is known of the trials, and means that are not well known are drawn, too. What is shown are quantiles of those cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from taut.duration import in_words
from taut.errors import InputError, nearest
from taut.queue.shapes import Bounds, shape, shapes, walltime
from taut.queue.simulate import Lognormal, Shape, Times, Waits, play
from taut.queue.sketch import sketch
from taut.queue.waits import Ask, Unit
from taut.queue.work import Work

__all__ = ["GOALS", "Goal", "Option", "Outlook", "Plan", "Queue", "asked", "make", "waits_of"]

Goal = Literal["trade", "finish", "cost"]
GOALS = get_args(Goal)
LEVELS = (0.1, 0.5, 0.9)
_SKETCHED, _RUNS = 200, 400  # cases of a sketch, and of a play
_FEWEST, _WIDE = 100, 64  # from so many workers on there are fewer cases, and at least so many
_PLAYED = 10  # shapes
_EACH, _EACH_WORKER = 400, 8  # trials that are played one by one, at least
_GANG = 1.1  # a wide job has to be so much better than a narrow one: a hole of its size is rarer than small jobs of the past can tell
_DEARER = 1.1  # a trade costs so much at most, of the least that is possible
_TAG = 8


class Queue(Protocol):
    """What is known of a queue; `taut.queue.waits.Waits` is one."""

    @property
    def strength(self) -> str: ...

    def draw(
        self, rng: np.random.Generator, ask: Ask, now: float, jobs: int, runs: int
    ) -> NDArray[np.float64]: ...


class Outlook(NamedTuple):
    """Quantiles at 10, 50 and 90 %. finish: seconds from the submission to the last result. cost: unit-hours that jobs hold. efficiency: the mean part of
    those in which trials run. sure: the share of cases that come to an end at all."""

    finish: tuple[float, float, float]
    cost: tuple[float, float, float]
    efficiency: float
    sure: float


class Option(NamedTuple):
    """A shape, what will probably come of it, and how many trials each job has on average."""

    shape: Shape
    outlook: Outlook
    trials: float
    jobs: float


class Plan(NamedTuple):
    """best: what to submit. others: what it was chosen over, the most different first three. naive: what people write without a plan, by name. unit: what is
    counted of the machine; None: nobody knows."""

    goal: Goal
    work: Work
    best: Option
    others: tuple[Option, ...]
    naive: dict[str, Option]
    strength: str
    unit: Unit | None = None

    @property
    def ask(self) -> Ask:
        """One of its jobs."""
        return asked(self.best.shape, self.unit)


def make(
    work: Work,
    queue: Queue,
    bounds: Bounds,
    now: float,
    *,
    goal: Goal = "trade",
    budget: float = math.inf,
    seed: int = 0,
) -> Plan:
    """The best shape for what is left of a study.

    now: seconds since the epoch, when it would be submitted. goal: "finish", the earliest end; "cost", the fewest unit-hours; "trade", the earliest end
    of those shapes that cost at most a tenth more than the cheapest. Ends are compared by the geometric mean of their median and their 90 % quantile, since
    a good median alone may come with a long wait. budget: unit-hours; shapes that probably (90 %) need more are left out, unless all do.

    Raises `InputError` where no job can carry a trial.
    """
    if goal not in GOALS:
        raise InputError(
            f"{goal!r} is no goal{nearest(goal, GOALS)}; there are: {', '.join(GOALS)}", ("goal",)
        )
    if work.trials < 1:
        raise InputError("nothing is left to plan: all trials of the study are finished")
    candidates = list(shapes(work, bounds))
    if not candidates:
        if bounds.reserve < math.inf and any(shapes(work, bounds._replace(reserve=math.inf))):
            raise InputError(
                f"{bounds.reserve:.3g} unit-hours are left, and that does not pay for a job that can carry a trial; raise gpu_hours",
                ("budget", "gpu_hours"),
            )
        raise InputError(
            f"a job for one trial needs {in_words(walltime(work, 1))} with 95 % probability (a trial takes {in_words(work.trial.time.mean)} on average), "
            f"and the longest that may run is {in_words(bounds.longest)}: no job can carry one; have trials checkpoint, "
            "or take a partition, qos or account with longer jobs",
            ("time",),
        )

    def waits(shape: Shape) -> Waits:
        return waits_of(queue, asked(shape, bounds.unit), now)

    chosen = _shortlist(candidates, work, waits, bounds, goal, budget, seed)
    played = [_option(shape, work, waits, seed) for shape in chosen]
    within = [option for option in played if option.outlook.cost[2] <= budget] or played
    best = min(within, key=_order(goal, bounds, min(option.outlook.cost[1] for option in within)))
    naive = {
        name: _option(shape, work, waits, seed) for name, shape in _naive(work, bounds, best.shape).items()
    }
    known = [best.shape, *(option.shape for option in naive.values())]
    others = [option for option in played if option.shape not in known]
    return Plan(goal, work, best, tuple(_different(best, others)), naive, queue.strength, bounds.unit)


def asked(shape: Shape, unit: Unit | None) -> Ask:
    """A job of this shape."""
    return Ask(shape.units, shape.walltime, shape.partition, unit)


def waits_of(queue: Queue, ask: Ask, now: float) -> Waits:
    """What such jobs wait that are submitted now."""
    return lambda rng, jobs, runs: queue.draw(rng, ask, now, jobs, runs)


class _Guess(NamedTuple):
    """A shape as far as a sketch knows it: the end by which it is judged, and its cost in unit-hours, at the median and at 90 %."""

    shape: Shape
    end: float
    cost: float
    dear: float


def _shortlist(
    candidates: Sequence[Shape],
    work: Work,
    waits: Callable[[Shape], Waits],
    bounds: Bounds,
    goal: Goal,
    budget: float,
    seed: int,
) -> list[Shape]:
    """The shapes that may be best: first by sketches, and of shapes that are alike only one."""
    guesses = []
    for one in candidates:
        rng = np.random.default_rng([seed, _TAG])
        finish, held = sketch(one, work, waits(one), _SKETCHED, rng)
        half, most = np.quantile(finish, (0.5, 0.9)).tolist()
        cost, dear = (np.quantile(held, (0.5, 0.9)) / 3600.0).tolist()
        guesses.append(_Guess(one, _end(one, bounds, half, most), cost, dear))
    within = [guess for guess in guesses if guess.dear <= budget] or guesses
    least = min(guess.cost for guess in within)

    def order(guess: _Guess) -> tuple[bool, float]:
        return _rank(goal, guess.end, guess.cost, least)

    within.sort(key=order)
    first = within[: _PLAYED // 2]
    # The other half: the best of each width, so that what is shown beside the best is not all the same.
    widths: dict[tuple[int, int], _Guess] = {}
    for guess in within[_PLAYED // 2 :]:
        widths.setdefault((guess.shape.workers, guess.shape.slots), guess)
    rest = sorted(widths.values(), key=order)[: _PLAYED - len(first)]
    return [guess.shape for guess in (*first, *rest)]


def _end(shape: Shape, bounds: Bounds, half: float, most: float) -> float:
    """By what ends are compared: the geometric mean of two quantiles; a gang counts as later than it probably is."""
    return math.sqrt(half * most) * (_GANG if shape.slots > min(bounds.wide) else 1.0)


def _rank(goal: Goal, end: float, cost: float, least: float) -> tuple[bool, float]:
    """What is less is better."""
    if goal == "cost":
        return False, cost
    if goal == "finish":
        return False, end
    return cost > _DEARER * least, end if cost <= _DEARER * least else cost


def _order(goal: Goal, bounds: Bounds, least: float) -> Callable[[Option], tuple[bool, bool, float]]:
    def key(option: Option) -> tuple[bool, bool, float]:
        (_, half, most), cost = option.outlook.finish, option.outlook.cost
        end = _end(option.shape, bounds, half, most)
        return option.outlook.sure < 0.9, *_rank(goal, end, cost[1], least)

    return key


def _different(best: Option, others: Sequence[Option]) -> list[Option]:
    """At most three: the next ones with fewer jobs, with more, and with as many of another length."""
    few = [o for o in others if o.shape.workers < best.shape.workers]
    many = [o for o in others if o.shape.workers > best.shape.workers]
    same = [o for o in others if o.shape.workers == best.shape.workers]
    near = sorted(few, key=lambda o: (-o.shape.workers, o.outlook.finish[1]))[:1]
    near += sorted(same, key=lambda o: o.outlook.finish[1])[:1]
    near += sorted(many, key=lambda o: (o.shape.workers, o.outlook.finish[1]))[:1]
    return near


def _naive(work: Work, bounds: Bounds, best: Shape) -> dict[str, Shape]:
    """A job for each trial, one job for all, and as many jobs as in the best shape, but in batches; as far as the limits let them."""
    found, slots = {}, min(bounds.wide)
    bounds = bounds._replace(workers=None, walltime=None, reserve=math.inf)
    every = shape(work, bounds, slots, math.ceil(work.trials / slots), 1)
    if every is not None and bounds.mode == "async":
        found["one trial per job"] = every._replace(trials=1)
    whole = shape(work, bounds, slots, 1, math.ceil(work.trials / slots))
    if whole is not None:
        found["everything in one job"] = whole
    batch = shape(work, bounds._replace(mode="batch"), best.slots, best.workers, 1)
    if batch is not None and bounds.mode == "async" and best.workers > 1:
        found["in batches"] = batch
    return found


def _option(shape: Shape, work: Work, waits: Callable[[Shape], Waits], seed: int) -> Option:
    """Play a shape. Of very many trials several count as one, which changes no quantile that is shown."""
    several = max(1, work.trials // max(_EACH, _EACH_WORKER * shape.workers * shape.slots))
    mean, spread = work.trial.time
    times = play(
        shape if shape.trials is None else shape._replace(trials=max(1, shape.trials // several)),
        math.ceil(work.trials / several),
        Lognormal(mean * several, spread / math.sqrt(several)),
        waits(shape),
        overhead=work.overhead.time,
        doubt=(work.trial.doubt, work.overhead.doubt),
        runs=max(_FEWEST, min(_RUNS, _RUNS * _WIDE // (shape.workers * shape.slots))),
        seed=seed,
        saves=work.saves,
    )
    jobs = float(times.jobs.mean())
    return Option(shape, _outlook(times), work.trials / jobs, jobs)


def _outlook(times: Times) -> Outlook:
    ended = np.isfinite(times.finish)
    finish = np.quantile(np.where(ended, times.finish, np.inf), LEVELS, method="inverted_cdf")
    cost = np.quantile(times.held, LEVELS)
    return Outlook(
        (float(finish[0]), float(finish[1]), float(finish[2])),
        (float(cost[0]), float(cost[1]), float(cost[2])),
        float(times.efficiency.mean()),
        float(ended.mean()),
    )
