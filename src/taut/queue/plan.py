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
from taut.queue.neighbours import Neighbour, neighbours
from taut.queue.option import Option, Outlook, option
from taut.queue.shapes import Bounds, naive, shape, shapes, walltime
from taut.queue.simulate import Shape, Waits
from taut.queue.sketch import sketch
from taut.queue.waits import Ask, Unit
from taut.queue.work import Work

__all__ = [
    "DEARER",
    "GOALS",
    "Goal",
    "Neighbour",
    "Option",
    "Outlook",
    "Plan",
    "Queue",
    "asked",
    "make",
    "waits_of",
]

Goal = Literal["trade", "finish", "cost"]
GOALS = get_args(Goal)
_SKETCHED, _CASES, _SOME = 200, 400, 150  # cases of a sketch, of a play, and of what is shown for comparison
_PLAYED = 10  # shapes
_GANG = 1.1  # a wide job has to be so much better than a narrow one: a hole of its size is rarer than small jobs of the past can tell
DEARER = 1.1  # a trade costs so much at most, of the least that is possible
_MOVES = 3  # to a neighbour that is better
_SURE = 0.5  # of the cases a plan has to come to its end in, to be one
_TAG = 8


class Queue(Protocol):
    """What is known of a queue; `taut.queue.waits.Waits` is one."""

    @property
    def strength(self) -> str: ...

    def draw(
        self, rng: np.random.Generator, ask: Ask, now: float, jobs: int, runs: int
    ) -> NDArray[np.float64]: ...


class Plan(NamedTuple):
    """best: what to submit. others: what it was chosen over, the most different first three. naive: what people write without a plan, by name. unit: what is
    counted of the machine; None: nobody knows. near: why not half or twice as many jobs, or as long ones. least: the median cost of the cheapest shape. there: what the jobs will
    probably bring that are on the queue already; None if there are none. enough: what the number of trials comes from, where nobody said one."""

    goal: Goal
    work: Work
    best: Option
    others: tuple[Option, ...]
    naive: dict[str, Option]
    strength: str
    unit: Unit | None = None
    near: tuple[Neighbour, ...] = ()
    least: float = 0.0
    there: Option | None = None
    enough: str = ""

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

    Raises `InputError` where no job can carry a trial. Jobs that carry one as long as the mean do, though that is less sure than a plan wants it.
    """
    if goal not in GOALS:
        raise InputError(
            f"{goal!r} is no goal{nearest(goal, GOALS)}; there are: {', '.join(GOALS)}", ("goal",)
        )
    if work.trials < 1:
        raise InputError("nothing is left to plan: all trials of the study are finished")
    limits = bounds  # these alone say why not another shape
    candidates, bounds = _candidates(work, bounds)

    def waits(shape: Shape) -> Waits:
        return waits_of(queue, asked(shape, bounds.unit), now)

    known: dict[Shape, Option] = {}

    def play(shape: Shape, cases: int = _CASES) -> Option:
        if shape not in known:
            known[shape] = option(shape, work, waits(shape), seed, cases=cases)
        return known[shape]

    played = [play(shape) for shape in _shortlist(candidates, work, waits, bounds, goal, budget, seed)]
    usual = {name: play(shape, _SOME) for name, shape in naive(work, bounds).items()}
    # What people write without a plan is compared, too, as far as it keeps to what was asked for.
    played += [one for one in usual.values() if bounds.allows(one.shape) and one not in played]
    best = _best(played, goal, bounds, budget)
    for _ in range(_MOVES):
        near = neighbours(best, work, limits, play)
        played += [
            one.option
            for one in near
            if one.option is not None and bounds.allows(one.option.shape) and one.option not in played
        ]
        before, best = best, _best(played, goal, bounds, budget)
        if best is before:
            break
    else:
        near = neighbours(best, work, limits, play)
    if bounds.mode != "batch" and best.shape.mode == "async" and best.shape.workers > 1:
        batch = shape(work, bounds.loose._replace(mode="batch"), best.shape.slots, best.shape.workers, 1)
        if batch is not None:
            usual["in batches"] = play(batch, _SOME)
    if (
        best.outlook.sure < _SURE and bounds == limits
    ):  # else nothing longer is to be had, and the warning says so
        raise _too_short(work, f"in jobs of {in_words(best.shape.walltime)} most would be lost")
    shown = [best, *usual.values()]
    others = _different(best, [one for one in played if one not in shown])
    least = min(one.outlook.cost[1] for one in played)
    return Plan(goal, work, best, tuple(others), usual, queue.strength, bounds.unit, tuple(near), least)


def _candidates(work: Work, bounds: Bounds) -> tuple[list[Shape], Bounds]:
    """All shapes, and the bounds that they keep to: where the longest job is surely too short for some trials, and not for the mean, these ask for that one.

    Raises `InputError` where there is no shape.
    """
    if candidates := list(shapes(work, bounds)):
        return candidates, bounds
    if bounds.walltime is None and (candidates := list(shapes(work, full := _full(bounds)))):
        return candidates, full
    unpaid = bounds._replace(reserve=math.inf)
    if bounds.reserve < math.inf and (any(shapes(work, unpaid)) or any(shapes(work, _full(unpaid)))):
        raise InputError(
            f"{max(bounds.reserve, 0.0):.3g} GPU-hours are left, and that does not pay for a job that can carry a trial; raise gpu_hours",
            ("budget", "gpu_hours"),
        )
    raise _too_short(work, f"the longest that may run is {in_words(bounds.longest)}: no job can carry one")


def _full(bounds: Bounds) -> Bounds:
    """Jobs as long as any may be."""
    return bounds._replace(walltime=bounds.walltime or bounds.longest)


def _too_short(work: Work, why: str) -> InputError:
    return InputError(
        f"a job for one trial needs {in_words(walltime(work, 1))} with 95 % probability (a trial takes {in_words(work.trial.time.mean)} on average), "
        f"and {why}; have trials checkpoint, or take a partition, qos or account with longer jobs",
        ("time",),
    )


def outline(
    work: Work, queue: Queue, bounds: Bounds, now: float, goal: Goal = "trade"
) -> tuple[float, float]:
    """What the best shape would need as far as sketches tell: unit-hours, and seconds from the first trial to the last. Raises `InputError` as `make` does."""

    def waits(shape: Shape) -> Waits:
        return waits_of(queue, asked(shape, bounds.unit), now)

    candidates, bounds = _candidates(work, bounds)
    guesses = _guesses(candidates, work, waits, bounds, 0)
    least = min(guess.cost for guess in guesses)
    best = min(guesses, key=lambda guess: _rank(goal, guess.end, guess.cost, least))
    return best.cost, best.busy


def _best(played: Sequence[Option], goal: Goal, bounds: Bounds, budget: float) -> Option:
    within = [one for one in played if one.outlook.cost[2] <= budget] or played
    return min(within, key=_order(goal, bounds, min(one.outlook.cost[1] for one in within)))


def asked(shape: Shape, unit: Unit | None) -> Ask:
    """A job of this shape."""
    return Ask(shape.units, shape.walltime, shape.partition, unit)


def waits_of(queue: Queue, ask: Ask, now: float) -> Waits:
    """What such jobs wait that are submitted now."""
    return lambda rng, jobs, runs: queue.draw(rng, ask, now, jobs, runs)


class _Guess(NamedTuple):
    """A shape as far as a sketch knows it: the end by which it is judged, its cost in unit-hours, at the median and at 90 %, and seconds from the first trial on."""

    shape: Shape
    end: float
    cost: float
    dear: float
    busy: float


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
    guesses = _guesses(candidates, work, waits, bounds, seed)
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


def _guesses(
    candidates: Sequence[Shape], work: Work, waits: Callable[[Shape], Waits], bounds: Bounds, seed: int
) -> list[_Guess]:
    guesses = []
    for one in candidates:
        rng = np.random.default_rng([seed, _TAG])
        finish, held, begin = sketch(one, work, waits(one), _SKETCHED, rng)
        half, most = np.quantile(finish, (0.5, 0.9)).tolist()
        cost, dear = (np.quantile(held, (0.5, 0.9)) / 3600.0).tolist()
        guesses.append(
            _Guess(one, _end(one, bounds, half, most), cost, dear, float(np.median(finish - begin)))
        )
    return guesses


def _end(shape: Shape, bounds: Bounds, half: float, most: float) -> float:
    """By what ends are compared: the geometric mean of two quantiles; a gang counts as later than it probably is."""
    return math.sqrt(half * most) * (_GANG if shape.slots > min(bounds.wide) else 1.0)


def _rank(goal: Goal, end: float, cost: float, least: float) -> tuple[bool, float]:
    """What is less is better."""
    if goal == "cost":
        return False, cost
    if goal == "finish":
        return False, end
    return cost > DEARER * least, end if cost <= DEARER * least else cost


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
