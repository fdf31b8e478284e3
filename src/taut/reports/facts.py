"""What a report says beyond the figures: plain values that the command line collects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from taut.queue.promise import Kept
from taut.reports.actual import Jobs
from taut.savings import Savings

__all__ = ["Facts", "Pick"]


class Pick(NamedTuple):
    """A trial to look at first. name: best, or knee. why: what makes it that. against: what it gives and takes beside others."""

    name: str
    number: int
    why: str
    against: Sequence[str] = ()


class Facts(NamedTuple):
    """What a page says beyond the figures. now: seconds since the epoch. summary: lines of what is known, each with its name.

    picks: the best trial, or the knee. jobs, gpus, requested: what the queue knows, GPUs for each slot of a job, and GPU-seconds that were asked
    for. kept: what was expected of jobs, and what came. savings: the pruner's account. refresh: after how many seconds the page loads itself again; None for one that does not.
    """

    now: float
    summary: Sequence[tuple[str, str]]
    picks: Sequence[Pick] = ()
    jobs: Jobs | None = None
    gpus: Mapping[str, float] | None = None
    requested: float | None = None
    kept: Sequence[Kept] = ()
    savings: Savings | None = None
    refresh: int | None = None
