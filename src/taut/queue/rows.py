"""Jobs as a reader finds them, line by line, on their way into columns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from taut.queue.records import Jobs, Reading

__all__ = ["Row", "Rows"]

_NAMED = 3  # lines that could not be read and are named, of all that are counted
_SKEW = 60.0  # seconds by which clocks of one cluster may differ


class Row(NamedTuple):
    """One job; see `Jobs`."""

    submit: float
    start: float
    eligible: float = math.nan
    end: float = math.nan
    walltime: float = math.nan
    gpus: float = 0.0
    cpus: float = 0.0
    nodes: float = 0.0
    partition: str = ""
    user: str = ""
    account: str = ""
    state: str = ""
    array: int = -1


class Rows:
    """Collects jobs and what could not be read."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._left_out: list[str] = []
        self._unread = self._lines = 0

    def add(self, row: Row, copies: int = 1) -> None:
        """A job, or several that are alike. Raises `ValueError` where its times contradict each other."""
        if not math.isfinite(row.submit):
            raise ValueError("it has no time of submission")
        if row.start < row.submit - _SKEW:
            raise ValueError("it starts before it is submitted")
        if row.end < max(row.submit, row.start) - _SKEW:
            raise ValueError("it ends before it starts")
        start = max(row.start, row.submit) if row.start == row.start else row.start
        end = max(row.end, start, row.submit) if row.end == row.end else row.end
        walltime = row.walltime if row.walltime > 0 else math.nan
        self._rows += [row._replace(start=start, end=end, walltime=walltime)] * copies
        self._lines += 1

    def leave_out(self, number: int, why: str) -> None:
        """A line (the first is 1) that is no job, though it ought to be."""
        self._lines += 1
        self._unread += 1
        if len(self._left_out) < _NAMED:
            self._left_out.append(f"line {number}: {why}")

    def reading(self, clusters: Iterable[str] = ()) -> Reading:
        columns = list(zip(*self._rows, strict=True)) or [()] * len(Row._fields)
        jobs = Jobs.of(**dict(zip(Row._fields, columns, strict=True)))
        return Reading(jobs, self._lines, self._unread, tuple(self._left_out), tuple(sorted(clusters)))
