"""How the objective went over the course of a study: each trial when it ended, and the best so far."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from taut.reports.points import Floats, Ints, Points, thinned
from taut.reports.style import BEST, GOOD, PRUNED, Figure, blank, label, layout, six, upright
from taut.snapshot import Snapshot

__all__ = ["History", "figure", "history"]

_MOST = 4000  # points that are drawn
_PLACE = {"x": 0.0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}


class History(NamedTuple):
    """points: trials in the order in which they ended. hours: when, since the first began. ended: how many had by then.

    steps: which rows brought a new best among the complete ones that keep the constraints.
    """

    points: Points
    hours: Floats
    ended: Ints
    steps: Ints

    @property
    def best(self) -> Floats:
        """The best value so far at each of `steps`."""
        return self.points.value[self.steps]


def history(snapshot: Snapshot, metric: str | None = None) -> History:
    """metric: one of the objectives, the first if left out."""
    points = Points.of(snapshot, metric)
    order = np.lexsort((points.number, points.finished))
    points = points.where(order)
    loss = np.where(points.good, points.loss, np.inf)
    before = np.concatenate(([np.inf], np.minimum.accumulate(loss)[:-1]))
    hours = (points.finished - snapshot.first_start) / 3600.0
    return History(points, hours, np.arange(1, len(order) + 1), np.flatnonzero(loss < before))


def figure(data: History, title: str = "History") -> Figure:
    points = data.points
    if not len(points.number):
        return blank(title, "no trial has told a value yet")
    drawn: list[tuple[Ints, dict[str, Any]]] = []
    groups = (
        ("complete", points.good, GOOD, "circle"),
        ("breaks a constraint", points.whole & ~points.kept, PRUNED, "x-thin-open"),
        ("ended early: last report", ~points.whole, PRUNED, "triangle-down-open"),
    )
    for name, chosen, colour, symbol in groups:
        rows = np.flatnonzero(chosen)
        rows = rows[thinned(points.loss[rows], _MOST)]
        if len(rows):
            drawn.append((rows, _dots(points.where(rows), name, colour, symbol)))
    if len(data.steps):
        ends = np.append(data.steps, len(points.number) - 1)
        line = {"color": BEST, "width": 2.5, "shape": "hv"}
        best = {"type": "scatter", "mode": "lines", "name": "best so far", "line": line, "hoverinfo": "skip"}
        drawn.append((ends, {**best, "y": six(np.append(data.best, data.best[-1]))}))
    counts = [data.ended[rows].tolist() for rows, _ in drawn]
    hours = [six(data.hours[rows]) for rows, _ in drawn]
    buttons = [
        _button("by trials", counts, "finished trials"),
        _button("by time", hours, "hours since the first trial began"),
    ]
    form = layout(
        title,
        450,
        xaxis={"title": {"text": "finished trials"}},
        yaxis=upright(points.loss, points.objective),
        margin={"l": 64, "r": 16, "t": 96 if title else 34, "b": 88},
        updatemenus=[{"type": "buttons", "direction": "left", **_PLACE, "buttons": buttons}],
    )
    return {"data": [{**trace, "x": x} for (_, trace), x in zip(drawn, counts, strict=True)], "layout": form}


def _dots(points: Points, name: str, colour: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scattergl" if len(points.number) > 1000 else "scatter",
        "mode": "markers",
        "name": name,
        "y": six(points.value),
        "customdata": points.number.tolist(),
        "hovertemplate": f"trial %{{customdata}}<br>{label(points.objective.metric)} %{{y}}<extra></extra>",
        "marker": {
            "color": colour,
            "symbol": symbol,
            "size": 6,
            "opacity": 0.75,
            "line": {"color": colour, "width": 1},
        },
    }


def _button(name: str, columns: list[Any], axis: str) -> dict[str, Any]:
    change = {"xaxis.title.text": axis, "xaxis.autorange": True}
    return {"label": name, "method": "update", "args": [{"x": columns}, change]}
