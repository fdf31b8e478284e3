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
from taut.queue.promise import Kept
from taut.queue.waits import Ask
from taut.queue.work import Known

__all__ = ["Asked", "Screen", "as_json", "because", "brief", "check_json", "check_lines", "lines"]

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
    memory: what trials and jobs have needed."""

    plan: Plan
    queue: Asked
    now: float
    unit: str
    budget: float | None = None
    source: str = ""
    memory: Sequence[Peak] = ()

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
        *_known("a trial takes", plan.work.trial),
        *_known("a job needs before its first trial", plan.work.overhead),
        *(f"  {peak.what} needs {_size(peak.bytes)} at most (95 %; {peak.source})" for peak in screen.memory),
        f"  the queue: {plan.strength}{source}; such a job starts within a minute in {screen.queue.immediate(screen.plan.ask, screen.now):.0%} of cases, and waits "
        f"{in_words(half)} (80 %: {in_words(early)} to {in_words(late)})",
        *_unlike(screen),
        f"  chosen for {_WHY[plan.goal]}",
        *_short(plan, screen.unit, screen.budget),
        "",
        *_table(plan, screen.unit),
    ]


def _unlike(screen: Screen) -> Iterator[str]:
    """A word of warning where the queue is known, and jobs like these are not."""
    if screen.queue.jobs and screen.queue.similar(screen.plan.ask, screen.now) < _FEW:
        yield "  few of the known jobs are like these, so what they wait is a guess from others"


def _short(plan: Plan, unit: str, budget: float | None) -> Iterator[str]:
    """What a budget does not pay for."""
    cost = plan.best.outlook.cost[1]
    if budget is not None and cost > budget:
        count = int(plan.work.trials * budget / cost)
        yield f"  {budget:g} {unit}-h pay for about {count} of the {plan.work.trials} trials; the study ends there"


def brief(plan: Plan, unit: str, budget: float | None = None) -> str:
    """The plan in a line."""
    best = plan.best
    early, half, late = best.outlook.finish
    of = "" if budget is None else f" of {budget:g}"
    side = f", {best.shape.slots} side by side" if best.shape.slots > 1 else ""
    return (
        f"{plan.work.trials} trial{'s' * (plan.work.trials != 1)}: {_jobs(best)} x {in_words(best.shape.walltime)} "
        f"(about {_count(best.trials)} trial{'s' * (_count(best.trials) != '1')} each{side}), {_hours(best.outlook.cost[1])} {unit}-h{of}, done in "
        f"{_end(half)} (80 %: {_end(early)} to {_end(late)})"
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
    return [("this plan", plan.best), *others, *plan.naive.items()]


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
        f"{_end(half)} ({_end(early)} to {_end(late)})" if math.isfinite(half) else "probably never",
        _hours(outlook.cost[1]),
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


def _hours(hours: float) -> str:
    return f"{hours:.2f}" if hours < 1 else f"{hours:.1f}" if hours < 10 else f"{hours:.0f}"


def _end(seconds: float) -> str:
    return in_words(seconds) if math.isfinite(seconds) else "never"


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def check_lines(found: Sequence[Kept]) -> list[str]:
    """Promises against what came."""
    if not found:
        return [
            "nothing was planned for this study: taut run --on slurm writes down what it expects, once some trials have shown how long they take"
        ]
    said = []
    for each in found:
        promise = each.promise
        early, half, late = promise.finish
        said.append(
            f"planned for {promise.trials} trial{'s' * (promise.trials != 1)}: {promise.jobs} job{'s' * (promise.jobs != 1)} x {promise.minutes} min, "
            f"done in {_end(half)} (80 %: {_end(early)} to {_end(late)}), {_hours(promise.cost[1])} {promise.unit}-h; the queue: {promise.strength}"
        )
        if each.finish is None:
            said.append(f"  so far: {each.done} of {promise.trials} trials have ended")
            continue
        said.append(f"  came: done in {in_words(each.finish)}, {_verdict(each.finish, promise.finish)}")
        if each.cost is not None:
            said.append(f"  came: {_hours(each.cost)} {promise.unit}-h, {_verdict(each.cost, promise.cost)}")
    judged = [each.in_time for each in found if each.in_time is not None]
    if len(judged) > 1:
        said.append(f"{sum(judged)} of {len(judged)} ends within the 80 % that were expected")
    return said


def _verdict(value: float, expected: tuple[float, float, float]) -> str:
    low, _, high = expected
    if low <= value <= high:
        return "within the 80 % that were expected"
    return "less than the 80 % that were expected" if value < low else "more than the 80 % that were expected"


# ---------------------------------------------------------------------- numbers


def as_json(screen: Screen) -> dict[str, Any]:
    """What `lines` says, as plain values: seconds, unit-hours, quantiles at 10, 50 and 90 %; None where a case never ends."""
    plan = screen.plan
    (_, best), *rest = _named(plan)
    return {
        "trials": plan.work.trials,
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
        "finish": [_finite(value) for value in outlook.finish],
        "cost": list(outlook.cost),
        "efficiency": outlook.efficiency,
        "sure": outlook.sure,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def check_json(found: Sequence[Kept]) -> list[dict[str, Any]]:
    """What `check_lines` says, as plain values."""
    return [
        {
            "submitted": each.promise.t,
            "trials": each.promise.trials,
            "jobs": each.promise.jobs,
            "minutes": each.promise.minutes,
            "unit": each.promise.unit,
            "strength": each.promise.strength,
            "expected": {
                "finish": [_finite(value) for value in each.promise.finish],
                "cost": list(each.promise.cost),
            },
            "came": {"finish": each.finish, "cost": each.cost, "trials": each.done},
            "in_time": each.in_time,
            "in_budget": each.in_budget,
        }
        for each in found
    ]
