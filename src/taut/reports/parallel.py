"""All parameters side by side: a line for each complete trial, in the colour of its rank."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from taut.reports.points import Axis, Floats, Points, axes_of, thinned
from taut.reports.style import SCALE, Figure, blank, label, layout, level_names, ranks, reach, six
from taut.snapshot import Snapshot

__all__ = ["Parallel", "figure", "parallel"]

_MOST = 1500  # lines that are drawn
_WIDEST = 24  # parameters that are shown
_OFF = -0.12  # where trials lie that do not have a parameter, as a part of its axis


class Parallel(NamedTuple):
    """points: complete trials that keep the constraints. axes: their parameters. rank: 0 for the best trial, 1 for the worst."""

    points: Points
    axes: list[Axis]
    rank: Floats


def parallel(snapshot: Snapshot, metric: str | None = None) -> Parallel:
    """metric: one of the objectives, the first if left out."""
    points = Points.of(snapshot, metric)
    points = points.where(points.good)
    return Parallel(points, axes_of(snapshot, points.number), ranks(points.loss))


def figure(data: Parallel, title: str = "Parallel coordinates") -> Figure:
    if len(data.points.number) < 2 or not data.axes:
        return blank(title, "at least two complete trials are needed")
    rows = thinned(data.points.loss, _MOST)
    value = data.points.value[rows]
    metric = label(data.points.objective.metric)
    dimensions = [_dimension(axis, rows) for axis in data.axes[:_WIDEST]]
    far = reach(data.points.loss[rows])
    if far is not None:  # those that lie far off are drawn at the edge, or all others would be one line
        edge = far[1] if data.points.objective.minimize else -far[1]
        value = np.minimum(value, edge) if data.points.objective.minimize else np.maximum(value, edge)
    dimensions.append({"label": f"<b>{metric}</b>", "values": six(value)})
    # Plotly draws the highest colours last, so that these are the best.
    bar = {"title": {"text": "rank"}, "tickvals": [0, 1], "ticktext": ["worst", "best"], "thickness": 12}
    scale = [[1.0 - place, colour] for place, colour in reversed(SCALE)]
    ends = {"colorscale": scale, "cmin": 0, "cmax": 1, "showscale": True, "colorbar": bar}
    line = {"color": six(1.0 - ranks(data.points.loss[rows])), **ends}
    lines = {
        "type": "parcoords",
        "dimensions": dimensions,
        "line": line,
        "labelangle": -18,
        "labelside": "top",
    }
    form = layout(title, 470, margin={"l": 60, "r": 30, "t": 120, "b": 24})
    return {"data": [lines], "layout": form}


def _dimension(axis: Axis, rows: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, Any]:
    """An axis, of which Plotly reads tags in the label and not in the ticks; those that do not have the parameter lie below it, at a place of their own."""
    at = axis.at[rows]
    low, high = axis.low, axis.high
    places: list[float]
    if axis.labels is not None:
        places, names = [float(i) for i in range(len(axis.labels))], level_names(axis.labels)
    elif axis.log:
        at, low, high = np.log10(at), math.log10(low), math.log10(high)
        places = np.linspace(low, high, 5).tolist()
        names = [f"{10.0**place:.3g}" for place in places]
    elif axis.whole:
        places = np.unique(np.linspace(low, high, 5).round()).tolist()
        names = [f"{place:g}" for place in places]
    else:
        places = np.linspace(low, high, 5).tolist()
        names = [f"{place:.4g}" for place in places]
    form: dict[str, Any] = {
        "label": label(axis.name),
        "range": [low, high],
        "tickvals": places,
        "ticktext": names,
    }
    if np.isnan(at).any():
        off = low + _OFF * (high - low)
        form |= {"range": [off, high], "tickvals": [off, *places], "ticktext": ["not there", *names]}
        at = np.where(np.isnan(at), off, at)
    return {**form, "values": six(at)}
