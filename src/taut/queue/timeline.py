"""What happens when on which lane: the common form of a simulated and of an actual course, which the Gantt chart draws."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Bar", "Kind", "Timeline"]

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
