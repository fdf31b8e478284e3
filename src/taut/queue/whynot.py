"""Why not something else: a plan's neighbours in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from taut.duration import in_words
from taut.queue.plan import DEARER, Option, Plan

__all__ = ["hours", "why_not"]

_SAME = 0.01  # of an end or a cost: a difference that nobody sees


def why_not(plan: Plan, unit: str) -> Iterator[str]:
    """Half and twice as many jobs, half and twice as long: what each would cost, and how much later it would end."""
    if plan.near:
        yield ""
        yield "  why not"
    for each in plan.near:
        if each.option is None:
            yield f"  {each.what}: {each.why}"
            continue
        shape = each.option.shape
        jobs = f"{shape.workers} x {in_words(shape.walltime)}"
        yield f"  {each.what} ({jobs}): {_differs(each.option, plan, unit)}"


def hours(value: float) -> str:
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _differs(option: Option, plan: Plan, unit: str) -> str:
    there, here = option.outlook, plan.best.outlook
    if not math.isfinite(there.finish[1]):
        return "it would probably never be done"
    if math.isinf(here.finish[1]):
        return f"done in {in_words(there.finish[1])}"
    said = [_later(there.finish[1] - here.finish[1], here.finish[1])]
    late = there.finish[2] - here.finish[2]
    if there.finish[1] < here.finish[1] and late > _SAME * here.finish[2]:
        tenth = f"{_about(late)} later" if math.isfinite(late) else "never done"
        said[0] += f", but {tenth} in the slowest tenth of cases"
    more = there.cost[1] - here.cost[1]
    if abs(more) <= _SAME * here.cost[1]:
        said.append(f"for as many {unit}-h")
    else:
        said.append(f"for {hours(abs(more))} {unit}-h {'more' if more > 0 else 'less'}")
    text = ", ".join(said)
    if plan.goal == "trade" and there.cost[1] > DEARER * plan.least:
        text += f": {there.cost[1] / plan.least - 1.0:.0%} above the cheapest"
    return text


def _later(seconds: float, of: float) -> str:
    if abs(seconds) <= _SAME * of:
        return "as early"
    return f"{_about(abs(seconds))} {'later' if seconds > 0 else 'sooner'}"


def _about(seconds: float) -> str:
    """No more precise than anybody knows."""
    return in_words(
        seconds
        if seconds < 120
        else 60.0 * round(seconds / 60)
        if seconds < 36_000
        else 3600.0 * round(seconds / 3600)
    )
