"""A course as a Gantt chart for a terminal: one letter for what a lane did most of the time that a column stands for, without colour."""

from __future__ import annotations

from collections.abc import Iterable

from taut.queue.timeline import Kind, Timeline
from taut.reports.lanes import KINDS, NAMES, Axis, fewer, raster, reach
from taut.reports.ticks import ticks

__all__ = ["text"]

_BLOCKS: dict[Kind, str] = {
    "other": "░",
    "overhead": "▒",
    "useful": "█",
    "pruned": "▚",
    "failed": "x",
    "idle": "·",
}
_NAMED = 12, 24  # letters of a lane's name, at most: in a narrow terminal, and in a wide one
_LANES = 40  # drawn one by one, where nobody says how many


def text(
    timeline: Timeline, width: int = 100, lanes: int = _LANES, finish: tuple[float, float] | None = None
) -> str:
    """The chart in `width` columns; it needs no colour. Each cell shows what filled most of its time.

    lanes: how many rows there are at most; of more lanes neighbours share one. finish: between which seconds a predicted course ends in 80 % of the
    cases, a heavy line on the axis.
    """
    shown = fewer(timeline, lanes)
    letters = min(max(width // 4, _NAMED[0]), _NAMED[1])
    names = [_short(name, letters) for name in shown.lanes]
    margin = max((len(name) for name in names), default=0) + 1
    columns = max(width - margin - 1, 10)
    axis = Axis(*reach(timeline, finish), 0.0, float(columns))
    rows = [
        f"{name:>{margin - 1}} {_cells(row)}".rstrip()
        for name, row in zip(names, raster(shown, axis, columns), strict=True)
    ]
    below = [" " * margin + line for line in _ruler(timeline, axis, columns, finish)]
    return "\n".join([*rows, *below, (" " * margin + _key(timeline, finish)).rstrip()])


def _short(name: str, most: int) -> str:
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _cells(row: Iterable[int]) -> str:
    return "".join(_BLOCKS[KINDS[kind]] if kind >= 0 else " " for kind in row)


def _ruler(
    timeline: Timeline, axis: Axis, columns: int, finish: tuple[float, float] | None
) -> tuple[str, str]:
    """The line of the axis, and what its places are called."""
    rule = ["─"] * (columns + 1)
    if finish is not None:
        first, last = (int(axis.at(second)) for second in finish)
        rule[first : last + 1] = "━" * (last + 1 - first)
    for second in timeline.submitted:
        rule[int(axis.at(second))] = "╎"
    places, labels = ticks(axis.low, axis.high, max(columns // 12, 2))
    below = [" "] * (columns + 1 + max((len(label) for label in labels), default=0))
    for place, label in zip(places, labels, strict=True):
        at = round(axis.at(place))
        rule[at] = {"─": "┬", "━": "┯"}.get(rule[at], rule[at])
        start = min(max(at - len(label) // 2, 0), columns + 1 - len(label))
        if "".join(below[max(start - 1, 0) : start + len(label) + 1]).isspace():
            below[start : start + len(label)] = label
    return "".join(rule), "".join(below).rstrip()


def _key(timeline: Timeline, finish: tuple[float, float] | None) -> str:
    there = {bar.kind for bar in timeline.bars}
    named = [f"{_BLOCKS[kind]} {NAMES[kind]}" for kind in KINDS if kind in there]
    named += ["╎ submitted"] if timeline.submitted else []
    return "  ".join([*named, *(["━ finish, 80 %"] if finish is not None else [])])
