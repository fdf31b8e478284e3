"""What every picture of a course needs: its reach in time, and who fills most of each column of a lane."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, get_args

import numpy as np

from taut.queue.timeline import Bar, Kind, Timeline
from taut.reports.ticks import span_text

__all__ = ["KINDS", "NAMES", "Axis", "described", "fewer", "raster", "reach"]

KINDS: tuple[Kind, ...] = get_args(Kind)
NAMES: dict[Kind, str] = {
    "other": "other people's jobs",
    "overhead": "overhead",
    "useful": "useful work",
    "pruned": "pruned",
    "failed": "failed",
    "idle": "idle",
}


_BEYOND = 3.0  # times what is drawn, from where on a late end that is expected would squeeze the rest


class Axis(NamedTuple):
    """Seconds `low` to `high` on `left` to `right`, in pixels or characters."""

    low: float
    high: float
    left: float
    right: float

    def at(self, second: float) -> float:
        inside = min(max(second, self.low), self.high)
        return self.left + (inside - self.low) / (self.high - self.low) * (self.right - self.left)


def reach(timeline: Timeline, finish: tuple[float, float] | None) -> tuple[float, float]:
    """From when to when the chart goes: from 0, or from when our own things begin; other people's jobs may reach beyond, and so may
    the end of the band of `finish`."""
    ours = [bar for bar in timeline.bars if bar.kind != "other"]
    shown = ours or timeline.bars
    low = min([0.0, *(bar.begin for bar in ours), *timeline.submitted])
    high = max([low, *(bar.end for bar in shown), *timeline.submitted])
    if finish is not None:
        late = finish[1] if high <= 0.0 else min(finish[1], _BEYOND * high)
        high = max(high, late)
    return low, high if high > low else low + 1.0


def fewer(timeline: Timeline, most: int) -> Timeline:
    """At most so many lanes: of more, as many neighbours as it takes share one, which is named after the first and the last of them."""
    count = len(timeline.lanes)
    if count <= most:
        return timeline
    several = -(-count // most)
    groups = [timeline.lanes[at : at + several] for at in range(0, count, several)]
    names = tuple(group[0] if len(group) == 1 else _from_to(group[0], group[-1]) for group in groups)
    return timeline._replace(
        lanes=names, bars=tuple(bar._replace(lane=bar.lane // several) for bar in timeline.bars)
    )


def _from_to(first: str, last: str) -> str:
    alike = first.rpartition(" ")[0] == last.rpartition(" ")[0] and " " in first
    return f"{first} … {last.rpartition(' ')[2] if alike else last}"


def raster(timeline: Timeline, axis: Axis, columns: int) -> Iterable[list[int]]:
    """For each lane the kind that fills most of each column, as its place in `Kind`; -1 where nothing was."""
    scale = columns / (axis.right - axis.left)
    lanes: list[list[Bar]] = [[] for _ in timeline.lanes]
    for bar in timeline.bars:
        if bar.end > axis.low and bar.begin < axis.high:
            lanes[bar.lane].append(bar)
    for bars in lanes:
        filled = np.zeros((len(KINDS), columns))
        for bar in bars:
            a, b = ((axis.at(second) - axis.left) * scale for second in (bar.begin, bar.end))
            first, last = min(int(a), columns - 1), min(int(b), columns - 1)
            row = filled[KINDS.index(bar.kind)]
            if first == last:
                row[first] += max(b - a, 1e-9)
            else:
                row[first] += first + 1 - a
                row[first + 1 : last] += 1.0
                row[last] += b - last
        kinds: list[int] = np.where(filled.any(axis=0), filled.argmax(axis=0), -1).tolist()
        yield kinds


def described(timeline: Timeline) -> str:
    """What the chart shows, in words, for those who cannot see it."""
    totals = {kind: sum(bar.end - bar.begin for bar in timeline.bars if bar.kind == kind) for kind in KINDS}
    told = [f"{NAMES[kind]} {span_text(total)}" for kind, total in totals.items() if total > 0.0]
    count = len(timeline.lanes)
    return f"Gantt chart of {count} lane{'' if count == 1 else 's'}, in lane-time: {', '.join(told) or 'nothing yet'}"
