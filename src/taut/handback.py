"""Attempts that end here without a result: how their trials go back to the queue."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np

from taut.clock import Clock
from taut.duration import in_words
from taut.endings import Ended
from taut.events import Event, Released
from taut.readings import Readings
from taut.referee import Referee
from taut.snapshot import Snapshot
from taut.trial import State
from taut.verdict import Verdict
from taut.walltime import Walltime

__all__ = ["Handback"]

Used = Mapping[tuple[int, int], Readings]
"""What meters read of attempts, by trial and attempt; of some of them, or of more."""


class Desk(Protocol):
    """What is needed of the store."""

    snapshot: Snapshot
    clock: Clock
    walltime: Walltime
    referee: Referee

    def refresh(self) -> None: ...
    def write(self, events: Sequence[Event], durable: bool) -> None: ...
    def finish(self, ended: Sequence[Ended]) -> None: ...


class Handback:
    """Gives trials back that run in this process. What it writes is on the disk when a call returns."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def release(
        self, attempts: Sequence[tuple[int, int]], why: str, blame: bool, used: Used | None = None
    ) -> None:
        """Give trials back that ran here. blame: whether they may be the reason."""
        used = used or {}
        self._write([self._end(n, a, why, blame, used.get((n, a))) for n, a in self._mine(attempts)])

    def withdraw(self, number: int, attempt: int, why: str) -> None:
        """Give an attempt back that was claimed here and never began."""
        self._write([self._end(number, attempt, why, blame=False)])

    def pause(self, number: int, attempt: int, used: dict[str, float] | None = None) -> None:
        """Give a trial back that has saved itself and goes on from there."""
        desk = self._desk
        if desk.referee.ends_early(number, attempt):  # it does what its pruner wants, in other words
            last = desk.snapshot.curves.last(number)
            values = Verdict("pruned", {} if last is None else last.y, None)
            desk.finish([Ended(number, attempt, values, used=used or {})])
            return
        why = f"paused with its checkpoint: {desk.walltime.leaving() or 'it asked for it'}"
        # What it saved is worth keeping even if others have given it back meanwhile, unless it was begun again.
        mine = self._mine([(number, attempt)], State.WAITING)
        ended = [self._end(n, a, why, False, used) for n, a in mine]
        self._write([msgspec.structs.replace(event, kept=True) for event in ended])

    def cut_short(self, attempts: Sequence[tuple[int, int]], used: Used | None = None) -> None:
        """Give trials back that have to be ended because this worker leaves, and did not save themselves.

        Where nearly all of the job's time was too short the trial may be the reason, since it may be longer than any
        job. Where it was begun late, or somebody wanted the job's place, it is not.
        """
        walltime = self._desk.walltime
        mine, late = self._mine(attempts), walltime.late
        why = walltime.leaving() or "its worker had to leave"
        read = {(n, a): (used or {}).get((n, a)) for n, a in mine}
        self._write(
            [
                self._out_of_time(n, a, read[n, a]) if late else self._end(n, a, why, False, read[n, a])
                for n, a in mine
            ]
        )

    def had(self, n: int) -> float:
        """Seconds that the highest attempt of trial `n` has run by now; NaN before the first."""
        return float(np.maximum(self._desk.clock.now() - self._desk.snapshot.begun(n), 0.0))

    def _mine(self, attempts: Sequence[tuple[int, int]], *also: State) -> list[tuple[int, int]]:
        """Those that are still ours: others may have taken this worker for dead, and judged what became of them.

        also: states besides running in which they may be by now.
        """
        if attempts:
            self._desk.refresh()
        snapshot, states = self._desk.snapshot, (State.RUNNING, *also)
        return [(n, a) for n, a in attempts if snapshot.attempt[n] == a and snapshot.state[n] in states]

    def _end(self, n: int, a: int, why: str, blame: bool, used: Readings | None = None) -> Released:
        had = self.had(n)
        ran = msgspec.UNSET if math.isnan(had) else had
        read = dict(used) if used else msgspec.UNSET
        return Released(n=n, a=a, why=why, blame=blame, t=self._desk.clock.now(), had=ran, u=read)

    def _out_of_time(self, n: int, a: int, used: Readings | None) -> Released:
        had = self.had(n)
        why = f"the job's time was over after {in_words(had)} of this trial"
        blame = had >= self._desk.walltime.whole
        return msgspec.structs.replace(self._end(n, a, why, blame, used), short=True)

    def _write(self, events: Sequence[Released]) -> None:
        if events:
            self._desk.write(events, durable=True)
