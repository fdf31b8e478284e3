"""What happens when on which lane: the common form of a simulated and of an actual course, which the Gantt chart draws."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

__all__ = ["Bar", "Kind", "Timeline", "beside", "between"]

Kind = Literal["other", "overhead", "useful", "pruned", "failed", "idle"]
"""other: somebody else's job. overhead: node preparation, imports, loading. idle: held by us, and nothing runs."""


class Bar(NamedTuple):
    """A stretch of time on a lane. begin, end: seconds on the timeline's clock; trial, job: whose, if anybody's."""

    lane: int
    begin: float
    end: float
    kind: Kind
    trial: int | None = None
    job: str | None = None


class Timeline(NamedTuple):
    """lanes: a name for each (a GPU, or a worker's slot). bars: at most one at a time on a lane. submitted: when jobs were.

    zero: what second 0 is in seconds since 1970; None for a simulated course, which begins at 0.
    """

    lanes: tuple[str, ...]
    bars: tuple[Bar, ...]
    submitted: tuple[float, ...] = ()
    zero: float | None = None


def between(timeline: Timeline, begin: float, end: float = math.inf) -> Timeline:
    """What of it lies between two seconds of its clock; `begin` becomes 0, and lanes on which nothing was are left out."""
    bars = [
        bar._replace(begin=max(bar.begin, begin) - begin, end=min(bar.end, end) - begin)
        for bar in timeline.bars
        if bar.end > begin and bar.begin < end
    ]
    used = {lane: place for place, lane in enumerate(sorted({bar.lane for bar in bars}))}
    return Timeline(
        tuple(timeline.lanes[lane] for lane in used),
        tuple(bar._replace(lane=used[bar.lane]) for bar in bars),
        tuple(second - begin for second in timeline.submitted if begin <= second <= end),
        None if timeline.zero is None else timeline.zero + begin,
    )


def beside(planned: Timeline, came: Timeline) -> Timeline:
    """What was expected above what came of it, on one clock; the names of lanes say which is which."""
    below = len(planned.lanes)
    return Timeline(
        (*(f"planned {name}" for name in planned.lanes), *(f"came {name}" for name in came.lanes)),
        (*planned.bars, *(bar._replace(lane=below + bar.lane) for bar in came.bars)),
        tuple(sorted({*planned.submitted, *came.submitted})),
        came.zero,
    )
