"""A plan in words and in numbers: what to submit, what will probably come of it, why, and why not something else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from taut.duration import in_words
from taut.queue.memory import Peak
from taut.queue.plan import Goal, Option, Plan, Queue
from taut.queue.shapes import walltime
from taut.queue.waits import Ask
from taut.queue.whynot import hours, why_not
from taut.queue.work import Known

__all__ = ["Asked", "Screen", "as_json", "because", "brief", "end", "finite", "hours", "lines"]

_WHY: dict[Goal, str] = {
    "trade": "the earliest end of all shapes that cost at most a tenth more than the cheapest",
    "finish": "the earliest end, whatever it costs",
    "cost": "the least cost, however long it takes",
}
_LEVELS = np.array([0.1, 0.5, 0.9])
_FEW = 10  # jobs
_EIGHTY = np.array([-1.2815515655446004, 1.2815515655446004])  # of a standard normal variable


class Asked(Queue, Protocol):
    """A queue that can also be asked about one job. jobs: how many are known."""

    @property
    def jobs(self) -> int: ...
    def similar(self, ask: Ask, now: float) -> float: ...

    def quantiles(self, ask: Ask, now: float, levels: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def immediate(self, ask: Ask, now: float) -> float: ...


class Screen(NamedTuple):
    """What is shown. unit: "GPU" or "CPU". budget: unit-hours that are left. source: where the knowledge of the queue comes from, and how old it is.
    memory: what trials and jobs have needed. seconds: during which trials may run yet. finished: trials that have ended. jobs: of the study that are on the queue, in words.
    """

    plan: Plan
    queue: Asked
    now: float
    unit: str
    budget: float | None = None
    source: str = ""
    memory: Sequence[Peak] = ()
    seconds: float = math.inf
    finished: int = 0
    jobs: str = ""

    @property
    def waits(self) -> list[float]:
        """Seconds that such a job waits, at 10, 50 and 90 %."""
        found: list[float] = self.queue.quantiles(self.plan.ask, self.now, _LEVELS).tolist()
        return found


def lines(screen: Screen) -> list[str]:
    plan = screen.plan
    early, half, late = screen.waits
    source = f" ({screen.source})" if screen.source else ""
    return [
        brief(plan, screen.unit, screen.budget),
        *_standing(screen),
        *_known("a trial takes", plan.work.trial),
        *_known("a job needs before its first trial", plan.work.overhead),
        *(f"  {peak.what} needs {_size(peak.bytes)} at most (95 %; {peak.source})" for peak in screen.memory),
        f"  the queue: {plan.strength}{source}; such a job starts within a minute in {screen.queue.immediate(screen.plan.ask, screen.now):.0%} of cases, and waits "
        f"{in_words(half)} (80 %: {in_words(early)} to {in_words(late)})",
        *_unlike(screen),
        f"  chosen for {_WHY[plan.goal]}",
        *_short(screen),
        *too_short(plan),
        "",
        *_table(plan, screen.unit),
        *why_not(plan, screen.unit),
    ]


def _unlike(screen: Screen) -> Iterator[str]:
    """A word of warning where the queue is known, and jobs like these are not."""
    if screen.queue.jobs and screen.queue.similar(screen.plan.ask, screen.now) < _FEW:
        yield "  few of the known jobs are like these, so what they wait is a guess from others"


def _standing(screen: Screen) -> Iterator[str]:
    """What is done, and what is on its way."""
    there = screen.plan.there
    if screen.finished:
        yield f"  {screen.finished} trial{'s are' if screen.finished > 1 else ' is'} finished, and this is what is left"
    if there is not None:
        early, half, late = there.outlook.finish
        yield (
            f"  the jobs that are there ({screen.jobs}) will probably have done it in {end(half)} (80 %: {end(early)} to {end(late)}), "
            f"for {hours(there.outlook.cost[1])} {screen.unit}-h from now on"
        )


def _short(screen: Screen) -> Iterator[str]:
    """What a budget is not enough for."""
    plan, budget = screen.plan, screen.budget
    trials, cost = plan.work.trials, plan.best.outlook.cost[1]
    if plan.enough:
        return
    if budget is not None and cost > budget:
        count = int(trials * budget / cost)
        yield f"  {budget:.4g} {screen.unit}-h pay for about {count} of the {trials} trials; the study ends there"
    busy = plan.best.outlook.finish[1] - screen.waits[1]
    if math.isfinite(busy) and busy > screen.seconds:
        count = int(trials * screen.seconds / busy)
        yield f"  {in_words(screen.seconds)} are over with about {count} of the {trials} trials; the study ends there"


def too_short(plan: Plan) -> Iterator[str]:
    """A word of warning where trials are lost because jobs are too short for them, or may be."""
    lost, trials, best = plan.best.outlook.lost, plan.work.trials, plan.best.shape
    sure, job = walltime(plan.work, 1, best.slots), in_words(best.walltime)
    advice = f"{in_words(sure)} would be enough for 95 %; have them checkpoint, or ask for more time"
    if lost >= max(0.02 * trials, 0.5):
        yield (
            f"  about {_count(lost)} trial{'s' * (round(lost) > 1)} will not end within all of a job of {job}, whatever is tried: {advice}"
        )
    elif sure > best.walltime and not plan.work.saves:
        yield f"  a job of {job} is long enough for the mean trial, and may be too short for a long one: {advice}"


def brief(plan: Plan, unit: str, budget: float | None = None) -> str:
    """The plan in a line."""
    best = plan.best
    early, half, late = best.outlook.finish
    of = "" if budget is None else f" of {budget:.4g}"
    about = "about " * bool(plan.enough)
    why = f" ({plan.enough})" if plan.enough else ""
    side = f", {best.shape.slots} side by side" if best.shape.slots > 1 else ""
    return (
        f"{about}{plan.work.trials} trial{'s' * (plan.work.trials != 1)}{why}: {_jobs(best)} x {in_words(best.shape.walltime)} "
        f"(about {_count(best.trials)} trial{'s' * (_count(best.trials) != '1')} each{side}), {hours(best.outlook.cost[1])} {unit}-h{of}, done in "
        f"{end(half)} (80 %: {end(early)} to {end(late)})"
    )


def because(plan: Plan, source: str) -> str:
    """What the plan is from, in a line. source: as in `Screen`."""
    trial, overhead = plan.work.trial, plan.work.overhead
    return (
        f"  a trial takes {in_words(trial.time.mean)} ({trial.source}), a job {in_words(overhead.time.mean)} before its first ({overhead.source}); "
        f"the queue: {plan.strength}{f' ({source})' if source else ''}"
    )


def _known(what: str, known: Known) -> Iterator[str]:
    mean, spread = known.time
    if mean:
        around = ""
        if spread:
            low, high = known.time.at(_EIGHTY).tolist()
            around = f"80 %: {in_words(low)} to {in_words(high)}; "
        yield f"  {what} {in_words(mean)} ({around}{known.source})"


def _named(plan: Plan) -> list[tuple[str, Option]]:
    others = [(_name(option, plan.best), option) for option in plan.others]
    there = [] if plan.there is None else [("the jobs that are there", plan.there)]
    return [("this plan", plan.best), *there, *others, *plan.naive.items()]


def _table(plan: Plan, unit: str) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("", "jobs", "of", "trials each", "in trials", "done in (80 %)", f"{unit}-h")
    ]
    rows += [_row(name, option) for name, option in _named(plan)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(name: str, option: Option) -> tuple[str, ...]:
    shape, outlook = option.shape, option.outlook
    early, half, late = outlook.finish
    wide = f" x{shape.slots}" if shape.slots > 1 else ""
    return (
        name,
        f"{shape.workers}{wide}",
        in_words(shape.walltime),
        _count(option.trials),
        f"{outlook.efficiency:.0%}",
        f"{end(half)} ({end(early)} to {end(late)})" if math.isfinite(half) else "probably never",
        hours(outlook.cost[1]),
    )


def _name(option: Option, best: Option) -> str:
    if option.shape.slots != best.shape.slots:
        return "wider jobs" if option.shape.slots > best.shape.slots else "narrower jobs"
    if option.shape.workers != best.shape.workers:
        return "fewer jobs" if option.shape.workers < best.shape.workers else "more jobs"
    return "longer jobs" if option.shape.walltime > best.shape.walltime else "shorter jobs"


def _jobs(option: Option) -> str:
    count = option.shape.workers
    return f"{count} job{'s' * (count != 1)}"


def _count(trials: float) -> str:
    return f"{max(trials, 1):.0f}"


def end(seconds: float) -> str:
    return in_words(seconds) if math.isfinite(seconds) else "never"


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


# ---------------------------------------------------------------------- numbers


def as_json(screen: Screen) -> dict[str, Any]:
    """What `lines` says, as plain values: seconds, unit-hours, quantiles at 10, 50 and 90 %; None where a case never ends."""
    plan = screen.plan
    (_, best), *rest = _named(plan)
    return {
        "trials": plan.work.trials,
        "enough": plan.enough,
        "finished": screen.finished,
        "goal": plan.goal,
        "unit": screen.unit,
        "budget": screen.budget,
        "trial": _time(plan.work.trial),
        "overhead": _time(plan.work.overhead),
        "saves": plan.work.saves,
        "memory": [peak._asdict() for peak in screen.memory],
        "queue": {
            "strength": plan.strength,
            "source": screen.source,
            "immediate": screen.queue.immediate(screen.plan.ask, screen.now),
            "wait": screen.waits,
        },
        "plan": _option(best),
        "others": [{"name": name, **_option(option)} for name, option in rest],
        "near": [
            {"name": each.what, "why_not": each.why, **(_option(each.option) if each.option else {})}
            for each in plan.near
        ],
    }


def _time(known: Known) -> dict[str, Any]:
    return {
        "mean": known.time.mean,
        "spread": known.time.spread,
        "values": known.values,
        "source": known.source,
    }


def _option(option: Option) -> dict[str, Any]:
    shape, outlook = option.shape, option.outlook
    return {
        "mode": shape.mode,
        "workers": shape.workers,
        "walltime": shape.walltime,
        "slots": shape.slots,
        "units": shape.units,
        "trials_each": option.trials,
        "jobs": option.jobs,
        "finish": [finite(value) for value in outlook.finish],
        "cost": list(outlook.cost),
        "efficiency": outlook.efficiency,
        "sure": outlook.sure,
        "lost": outlook.lost,
    }


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
