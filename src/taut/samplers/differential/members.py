"""Who has children: how a trial that has ended comes to be a member of the population."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from taut.samplers.differential.memory import Memory, Success
from taut.samplers.population.ended import Ended
from taut.snapshot import Snapshot

__all__ = ["ARCHIVE", "Members", "founded"]

ARCHIVE = 2.6  # r_arc: at most as many former members as this times the members
_EQUAL = 1e-8  # of the unit cube: members that are no further apart have nothing to differ by


@dataclasses.dataclass(frozen=True)
class Members:
    """now: those who have children, by standing, best first; or by place, at most one for each. former: who was one, the latest last.

    kept, gone: the same after the last whole generation; since: who has ended since then, without a failure. `now` is chosen from both
    together, so it makes no difference how many are taken in at a time. size: members of a full population. count: trials that have
    ended; begun: how many had when this round began.
    """

    now: Ended
    former: Ended
    kept: Ended
    gone: Ended
    since: Ended
    size: int
    count: int
    begun: int
    memory: Memory

    @property
    def least(self) -> int:
        """So many there must be before anybody has children: four, or after a restart a whole population."""
        return self.size if self.begun else 4

    def and_(self, ended: Ended, generation: int, snapshot: Snapshot, places: bool) -> Members:
        """After these trials, too; at most up to the next whole `generation`. places: whether there is one for each of `size`."""
        count = self.count + len(ended)
        since = self.since.and_(ended.with_results())
        both = since.rows(slice(None, None, -1)).and_(self.kept)
        # Newer ones first: of equal ones the newer is ahead, or a population would stay where all losses around are the same.
        order = np.argsort(both.standing(), kind="stable")
        best = order[:1]
        if places:
            order = order[np.unique(both.numbers[order] % self.size, return_index=True)[1]]
        chosen = order[: self.size]
        left = np.arange(len(both)) >= len(since)
        left[chosen] = False
        now, former = (
            both.rows(chosen),
            self.gone.and_(both.rows(np.flatnonzero(left)[::-1])),
        )  # the worst went first
        former = former.rows(slice(max(len(former) - round(ARCHIVE * self.size), 0), None))
        if count % generation:
            return dataclasses.replace(self, now=now, former=former, since=since, count=count)
        memory = self.memory.after(_successes(both.numbers[chosen], chosen < len(since), snapshot))
        if len(now) == self.size and (np.ptp(now.unit, axis=0) <= _EQUAL).all():
            return _round(both.rows(best), 2 * self.size, count)
        nobody = since.rows(slice(0))
        return Members(now, former, now, former, nobody, self.size, count, self.begun, memory)


def founded(size: int, d: int) -> Members:
    """Before any trial has ended."""
    numbers, active = np.empty(0, np.int64), np.empty((0, d), bool)
    return _round(Ended(numbers, np.empty((0, d)), active, np.empty((0, 0)), np.empty((0, 0))), size, 0)


def _round(first: Ended, size: int, count: int) -> Members:
    nobody = first.rows(slice(0))
    return Members(first, nobody, first, nobody, nobody, size, count, count, Memory())


def _successes(numbers: NDArray[np.int64], new: NDArray[np.bool_], snapshot: Snapshot) -> list[Success]:
    """Of members, best first, those who are `new`; each counts as much as there are places from its own to the last."""
    found = []
    for place in np.flatnonzero(new).tolist():
        note = snapshot.notes.get(int(numbers[place]))
        if note is not None and "F" in note and "CR" in note:
            found.append(Success(float(note["F"]), float(note["CR"]), float(len(numbers) - place)))
    return found
