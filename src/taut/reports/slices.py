"""One panel for each parameter: its values against the objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from taut.reports.points import Axis, Points, axes_of, thinned
from taut.reports.style import BEST, GOOD, PRUNED, Figure, axis_form, blank, label, layout, six, upright
from taut.snapshot import Snapshot

__all__ = ["Slices", "figure", "slices"]

_MOST = 1000  # points in a panel
_PANELS = 12
_COLUMNS = 3
_EDGES, _HEIGHT = 40, 250  # pixels above and below, and for each row of panels
_GAP, _FOOT = 0.045, 0.26  # between panels, and below each for its name


class Slices(NamedTuple):
    """points: complete trials and, with `whole` false, those that ended early. axes: the parameters to show."""

    points: Points
    axes: list[Axis]


def slices(snapshot: Snapshot, metric: str | None = None, order: Sequence[str] = ()) -> Slices:
    """metric: one of the objectives, the first if left out. order: the parameters to show first, such as the most important ones."""
    points = Points.of(snapshot, metric)
    place = {name: i for i, name in enumerate(order)}
    axes = sorted(axes_of(snapshot, points.number), key=lambda axis: place.get(axis.name, len(place)))
    return Slices(points, axes)


def figure(data: Slices, title: str = "Slices") -> Figure:
    points = data.points
    if len(points.number) < 2 or not data.axes:
        return blank(title, "at least two trials with a value are needed")
    shown = data.axes[:_PANELS]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    form = layout(
        title,
        _EDGES + _HEIGHT * rows,
        showlegend=False,
        margin={"l": 64, "r": 16, "t": 56 if title else 34, "b": 4},
    )
    kept = thinned(points.loss, _MOST)
    best = kept[points.good[kept]]
    best = best[np.argsort(points.loss[best], kind="stable")[:1]]
    traces = []
    for i, axis in enumerate(shown):
        row, column = divmod(i, columns)
        name = "" if i == 0 else str(i + 1)
        width = (1.0 - _GAP * (columns - 1)) / columns
        left, top = column * (width + _GAP), 1.0 - row / rows
        form[f"xaxis{name}"] = axis_form(axis, domain=[left, left + width], anchor=f"y{name}")
        side = upright(points.loss, points.objective)
        if column:
            side |= {"title": {}, "showticklabels": False}
        form[f"yaxis{name}"] = {**side, "domain": [top - (1.0 - _FOOT) / rows, top], "anchor": f"x{name}"}
        at, there = _spread(axis), ~np.isnan(axis.at)
        for chosen, colour, symbol, size in (
            (kept[there[kept] & ~points.whole[kept]], PRUNED, "triangle-down-open", 5),
            (kept[there[kept] & points.whole[kept]], GOOD, "circle", 5),
            (best[there[best]], BEST, "star", 13),
        ):
            if len(chosen):
                traces.append(_dots(points.where(chosen), six(at[chosen]), name, colour, symbol, size))
    return {"data": traces, "layout": form}


def _spread(axis: Axis) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Where trials are drawn: those on the same level a little apart, as if by chance and always the same."""
    if axis.labels is None:
        return axis.at
    golden = (np.arange(len(axis.at)) * 0.618034) % 1.0 - 0.5
    return axis.at + 0.5 * golden


def _dots(
    points: Points, x: list[float | None], axis: str, colour: str, symbol: str, size: int
) -> dict[str, Any]:
    return {
        "type": "scattergl" if len(x) > 400 else "scatter",
        "mode": "markers",
        "x": x,
        "y": six(points.value),
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "customdata": points.number.tolist(),
        "hovertemplate": f"trial %{{customdata}}<br>{label(points.objective.metric)} %{{y}}<extra></extra>",
        "marker": {"color": colour, "symbol": symbol, "size": size, "opacity": 0.7 if size < 10 else 1.0},
    }
