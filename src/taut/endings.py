"""How an attempt that ended counts: as complete, as pruned, or as a trial that waits on a rung. Pure functions."""

from __future__ import annotations

import math

import msgspec

from taut.pruners.base import Pruner
from taut.snapshot import Snapshot
from taut.verdict import Verdict

__all__ = ["Ended", "arrived", "ordered", "rung_of"]


class Ended(msgspec.Struct, frozen=True):
    """How an attempt ended, before it is written down."""

    number: int
    attempt: int
    verdict: Verdict
    aimed: bool = False  # whether it has looked up to which step it was to run
    took: float | None = None  # seconds that the objective ran, where that is known
    ahead: bool = False  # whether it stood ready before, behind another one
    used: dict[str, float] = {}  # what meters read of it


def ordered(snapshot: Snapshot, number: int, attempt: int) -> str | None:
    """What the pruner has ordered this attempt to do, "stop" or "pause"; None if nothing, or if it went on all the same."""
    judged = snapshot.judged.get(number)
    if judged is None or judged.a != attempt:
        return None
    last = snapshot.curves.last(number)
    return None if last is not None and last.a == attempt and last.s > judged.s else judged.verdict


def arrived(snapshot: Snapshot, number: int, attempt: int) -> dict[str, float]:
    """What the trial had reported where this attempt was to go, if an earlier one had come there and this one had nothing left to do; else nothing.

    So it is where a worker died after the trial had saved itself and before it told how it went: the next attempt goes on from there, its loop over
    steps is empty, and it ends without a word.
    """
    goal, last = snapshot.goals.get(number), snapshot.curves.last(number)
    if goal is None or goal[0] != attempt or last is None or last.a >= attempt or last.s < goal[1]:
        return {}
    return {name: math.nan if value is None else value for name, value in last.y.items()}


def rung_of(
    snapshot: Snapshot, pruner: Pruner | None, number: int, attempt: int, pruned: bool, aimed: bool
) -> float | None:
    """The step at which the trial now waits until it is promoted; None where this was its end.

    pruned: whether it ended early, on the pruner's order or by itself. aimed: whether it has looked up to which step it was to run; if
    not, and if it reported nothing, it has run to its end.
    """
    order = ordered(snapshot, number, attempt)
    if order is not None:
        return snapshot.judged[number].s if order == "pause" else None
    fidelity = snapshot.definition.fidelity
    last = snapshot.curves.last(number)
    reached = last.s if last is not None and last.a == attempt else None
    judged = snapshot.judged.get(number)
    told_to_wait = judged is not None and (judged.a, judged.verdict) == (attempt, "pause")
    if pruned and told_to_wait and fidelity is not None and reached is not None:
        # A command is ended from outside: it may come some steps further before that happens.
        return reached if reached < fidelity.max else None
    goal = snapshot.goals.get(number)
    if (
        pruned
        or pruner is None
        or not pruner.pauses
        or fidelity is None
        or goal is None
        or goal[0] != attempt
    ):
        return None
    if reached is None:
        came = aimed or bool(arrived(snapshot, number, attempt))
        return goal[1] if came and goal[1] < fidelity.max else None
    # Whoever stops short of the goal unasked has its own reasons, and is done.
    return reached if goal[1] <= reached < fidelity.max else None
