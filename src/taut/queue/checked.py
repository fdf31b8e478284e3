"""Promises of earlier plans against what came of them, in words and in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taut.duration import in_words
from taut.queue.promise import Kept
from taut.queue.screen import end, finite, hours

__all__ = ["check_json", "check_lines", "standing"]


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
            f"done in {end(half)} (80 %: {end(early)} to {end(late)}), {hours(promise.cost[1])} {promise.unit}-h; the queue: {promise.strength}"
        )
        if each.early is not None:
            said.append(f"  came: {_early(each)}")
            if each.cost is not None:
                said.append(f"  came: {hours(each.cost)} {promise.unit}-h until then")
            continue
        if each.finish is None:
            said.append(f"  so far: {each.done} of {promise.trials} trials have ended")
            continue
        said.append(f"  came: done in {in_words(each.finish)}, {_verdict(each.finish, promise.finish)}")
        if each.cost is not None:
            said.append(f"  came: {hours(each.cost)} {promise.unit}-h, {_verdict(each.cost, promise.cost)}")
    ends = [each.in_time for each in found if each.in_time is not None]
    costs = [each.in_budget for each in found if each.in_budget is not None]
    if len(ends) > 1:
        paid = f" and {sum(costs)} of {len(costs)} costs" if costs else ""
        said.append(f"{sum(ends)} of {len(ends)} ends{paid} within the 80 % that were expected")
    return said


def standing(each: Kept, now: float) -> tuple[str, str]:
    """The latest promise against how things stand, in a line; and what of it is news."""
    promise, since = each.promise, now - each.promise.t
    early, half, late = promise.finish
    text = f"planned: {promise.trials} trial{'s' * (promise.trials != 1)} in {end(half)} (80 %: {end(early)} to {end(late)}), {hours(promise.cost[1])} {promise.unit}-h"
    if each.early is not None:
        came = _early(each)
    elif each.finish is not None:
        cost = "" if each.cost is None else f", {hours(each.cost)} {promise.unit}-h"
        came = f"done in {in_words(each.finish)}{cost}, {_verdict(each.finish, promise.finish)}"
    else:
        came = f"{each.done} of them after {in_words(since)}"
        if each.done:
            came += f", at this pace all in {in_words(since * promise.trials / each.done)}"
        if since > late:
            came += ", later than expected"
        return f"{text}; came: {came}", f"{text}{each.done}{since > late}"
    return (line := f"{text}; came: {came}"), line


def _early(each: Kept) -> str:
    return f"{each.done} of {each.promise.trials} trials in {in_words(each.early or 0.0)}, then the study was over: {each.why}"


def _verdict(value: float, expected: tuple[float, float, float]) -> str:
    low, _, high = expected
    if low <= value <= high:
        return "within the 80 % that were expected"
    return "less than the 80 % that were expected" if value < low else "more than the 80 % that were expected"


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
                "finish": [finite(value) for value in each.promise.finish],
                "cost": list(each.promise.cost),
            },
            "came": {"finish": each.finish, "cost": each.cost, "trials": each.done},
            "early": None if each.early is None else {"after": each.early, "why": each.why},
            "in_time": each.in_time,
            "in_budget": each.in_budget,
        }
        for each in found
    ]
