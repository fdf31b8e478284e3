"""What will be free when, if every job takes all the time that it asked for: the table in which reservations are made."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from taut.queue.simulate.free import Free, first
from taut.queue.simulate.job import Job

__all__ = ["Profile", "Running"]

Running = Sequence[tuple[float, int, Job]]
"""Jobs that run: until when each may, its number, itself; by the first."""


class Profile:
    """From `_times[i]` to the next, the nodes in `_least[c][i]` have at least c free units (see `Free`)."""

    def __init__(self, free: Free, running: Running, now: float) -> None:
        self._units = free.units
        later = free.copy()
        self._times, rows = [now], [later.least.copy()]
        for end, _, job in running:
            later.give(job.mask, job.per)
            if end > self._times[-1]:
                self._times.append(end)
                rows.append(later.least.copy())
            else:
                rows[-1] = later.least.copy()
        self._least = [list(column) for column in zip(*rows, strict=True)]
        self._given: list[
            tuple[int, int, float, int, float]
        ] = []  # nodes, units, seconds, among which, and when

    def pass_to(self, now: float) -> None:
        """Time has passed: forget what was before."""
        past = bisect_right(self._times, now) - 1
        if past > 0:
            del self._times[:past]
            for column in self._least:
                del column[:past]
        self._times[0] = now

    def reserve(self, job: Job, allowed: int) -> tuple[float, int]:
        """Keep the earliest place for `job` among the `allowed` nodes: when, and where; infinitely late where there are too few."""
        times, column, nodes = self._times, self._least[job.per], job.nodes
        last, i = len(times) - 1, bisect_left(times, self._bound(job, allowed))
        while i <= last:
            mask = column[i] & allowed
            if mask and (nodes == 1 or mask.bit_count() >= nodes):
                end, j = times[i] + job.walltime, i
                while j < last and times[j + 1] < end:
                    j += 1
                    mask &= column[j]
                    if not mask or (nodes > 1 and mask.bit_count() < nodes):
                        break
                else:
                    chosen = self._fullest(i, mask, job)
                    self._take(i, j + 1, end, chosen, job.per)
                    self._given.append((nodes, job.per, job.walltime, allowed, times[i]))
                    return times[i], chosen
            i += 1
        return math.inf, 0

    def _bound(self, job: Job, allowed: int) -> float:
        """Before when there is nothing for `job`: where one that is easier to place has gone, since less and less is left."""
        bound, per, nodes, walltime = self._times[0], job.per, job.nodes, job.walltime
        for others, units, seconds, where, at in self._given:
            if (
                at > bound
                and units <= per
                and others <= nodes
                and seconds <= walltime
                and allowed & where == allowed
            ):
                bound = at
        return bound

    def _fullest(self, i: int, mask: int, job: Job) -> int:
        """Among the nodes in `mask`, those that the job gets: a single one where little else is free."""
        if job.nodes > 1:
            return first(mask, job.nodes)
        for c in range(job.per, self._units + 1):
            found: int = mask & ~self._least[c + 1][i]
            if found:
                return found & -found
        raise AssertionError("a node with room has some number of free units")

    def _take(self, i: int, stop: int, end: float, mask: int, per: int) -> None:
        if stop == len(self._times) or self._times[stop] > end:
            self._times.insert(stop, end)
            for column in self._least:
                column.insert(stop, column[stop - 1])
        least, units, rest = self._least, self._units, ~mask
        for c in range(1, units + 1):
            column = least[c]
            if c + per <= units:
                more = least[c + per]
                for j in range(i, stop):
                    column[j] = column[j] & rest | more[j] & mask
            else:
                for j in range(i, stop):
                    column[j] &= rest
