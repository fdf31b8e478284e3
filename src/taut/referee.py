"""Between the trials that run in this process and the study's pruner: who goes on, who ends, and who waits on a rung.

A trial reports, and asks. The pruner's word is a pure function of the snapshot; here it is asked for at the right moment, written down
where it ends an attempt, and held against what the attempt then did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from taut import checkpoints
from taut.clock import Clock
from taut.decide import Proposals, judge
from taut.endings import Ended, ordered, rung_of
from taut.events import Event, Judged, Released, Reported
from taut.pruners.base import Judgement
from taut.snapshot import Snapshot

__all__ = ["Referee"]


class Desk(Protocol):
    """What is needed of the store."""

    snapshot: Snapshot
    clock: Clock

    @property
    def proposals(self) -> Proposals: ...
    def glance(self) -> None: ...
    def write(self, events: Sequence[Event]) -> None: ...
    def news(self) -> list[int]: ...
    def trial_directory(self, number: int) -> str | None: ...


_NEVER = -1, -math.inf, 0, -math.inf


class Referee:
    """Judges the trials that run in this process."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        # By trial, when it was judged last: the attempt, the step, of how many objectives there, since which step.
        self._asked: dict[int, tuple[int, float, int, float]] = {}

    def judge(self, number: int, attempt: int) -> Judgement:
        """Whether a trial that runs here goes on; anything else is written down."""
        desk = self._desk
        if desk.proposals.pruner is None:
            return Judgement.GO
        desk.glance()
        snapshot = desk.snapshot
        order = ordered(snapshot, number, attempt)
        if order is not None:
            return Judgement(order)
        last = snapshot.curves.last(number)
        if last is None or last.a != attempt:
            return Judgement.GO
        told = 0
        for objective in snapshot.definition.objectives:
            told += objective.metric in last.y
        before, step, known, since = self._asked.get(number, _NEVER)
        if before != attempt:
            since = -math.inf
        elif known and (step != last.s or told <= known):
            since = step
        # Else nothing was judged, or not all: a learning rate came first, say, and the objective follows, perhaps at the same step.
        judgement = judge(snapshot, desk.proposals, number, since)
        self._asked[number] = attempt, last.s, told, since
        if judgement is not Judgement.GO:
            self._note(number, attempt, last.s, judgement, since)
        return judgement

    def _note(self, number: int, attempt: int, step: float, judgement: Judgement, since: float) -> None:
        desk = self._desk
        event = Judged(
            n=number,
            a=attempt,
            s=step,
            verdict="stop" if judgement is Judgement.STOP else "pause",
            r=len(desk.snapshot.revisions) - 1,
            t=desk.clock.now(),
            since=since if math.isfinite(since) else msgspec.UNSET,
            seen=desk.news(),
        )
        desk.write([event])

    def stops(self, number: int, attempt: int) -> bool:
        """Whether a trial that runs here and asks is to stop."""
        return self.judge(number, attempt) is not Judgement.GO

    def ends_early(self, number: int, attempt: int) -> bool:
        """Whether a trial that runs here was told to end, and has not gone on all the same."""
        return ordered(self._desk.snapshot, number, attempt) is not None

    def waits(self, end: Ended, now: float, had: float) -> list[Event] | None:
        """What is to be written where the trial waits on a rung from now on; None where this was its end.

        What it told in the end is what it had there. had: seconds that the attempt ran.
        """
        desk, n, a = self._desk, end.number, end.attempt
        snapshot, pruner = desk.snapshot, desk.proposals.pruner
        if pruner is None or end.verdict.error is not None:
            return None
        rung = rung_of(snapshot, pruner, n, a, end.verdict.state == "pruned", end.aimed)
        if rung is None:
            return None
        events: list[Event] = []
        last, values = snapshot.curves.last(n), end.verdict.values
        before = last.y if last is not None and (last.a, last.s) == (a, rung) else {}
        if any(before.get(name) != value for name, value in values.items()):
            events.append(Reported(n=n, a=a, s=rung, y={**before, **values}, t=now))
        fidelity, directory = snapshot.definition.fidelity, desk.trial_directory(n)
        assert fidelity is not None, "trials wait only where steps have a meaning"
        if directory is None:
            kept = fidelity.resume
        else:
            kept = any(checkpoints.whole(checkpoints.place(Path(directory), a)))
        why = f"waits at {fidelity.told(rung)} until it is promoted"
        events.append(
            Released(
                n=n,
                a=a,
                why=why,
                blame=False,
                t=now,
                kept=kept or msgspec.UNSET,
                had=had,
                at=rung,
                u=end.used or msgspec.UNSET,
            )
        )
        return events
