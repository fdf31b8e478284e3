"""How two parameters act together: the rank that trials had in each part of the plane, smoothed, and the trials themselves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from taut.errors import InputError, nearest
from taut.reports.points import Axis, Floats, Points, axes_of, thinned
from taut.reports.style import SURFACE, Figure, axis_form, blank, label, layout, ranks, six
from taut.snapshot import Snapshot

__all__ = ["Contour", "contour", "contours", "figure", "nothing"]

_FINE = 32  # cells along a parameter without levels
_LEAST = 10  # trials, below which a surface would say nothing
_MOST = 400  # trials that are drawn
_THIN = 0.3  # trials' worth of weight below which a place is left blank


class Contour(NamedTuple):
    """points: complete trials that have both parameters. rank: 0 for the best of them, 1 for the worst.

    xs, ys: where the surface is known. surface: (len(ys), len(xs)) the usual rank there, NaN where no trial is near.
    """

    x: Axis
    y: Axis
    points: Points
    rank: Floats
    xs: Floats
    ys: Floats
    surface: Floats


def contour(snapshot: Snapshot, x: str, y: str, metric: str | None = None) -> Contour:
    """x, y: names of two parameters that are searched and have several values. metric: one of the objectives, the first if left out."""
    points = Points.of(snapshot, metric)
    points = points.where(points.good)
    axes = {axis.name: axis for axis in axes_of(snapshot, points.number)}
    if len(points.number):
        for name in (x, y):
            if name not in axes:
                known = f"use two of {', '.join(axes)}{nearest(name, axes)}"
                raise InputError(f"{name!r} is no parameter that is searched here; {known}")
    if x == y:
        raise InputError(f"{x!r} twice; give two different parameters")
    return _contour(points, axes[x], axes[y])


def contours(
    snapshot: Snapshot, order: Sequence[str], metric: str | None = None, most: int = 3
) -> list[Contour]:
    """The pairs of the first parameters in `order`, such as the most important ones: at most `most` surfaces."""
    points = Points.of(snapshot, metric)
    points = points.where(points.good)
    if len(points.number) < _LEAST:
        return []
    axes = {axis.name: axis for axis in axes_of(snapshot, points.number)}
    names = [name for name in (order or axes) if name in axes][:3]
    found = [_contour(points, axes[a], axes[b]) for a, b in itertools.combinations(names, 2)]
    return [each for each in found if len(each.points.number) >= _LEAST][:most]


def _contour(points: Points, x: Axis, y: Axis) -> Contour:
    both = ~np.isnan(x.at) & ~np.isnan(y.at)
    x, y = (axis._replace(at=axis.at[both], unit=axis.unit[both]) for axis in (x, y))
    points = points.where(both)
    rank = ranks(points.loss)
    width = max(
        0.29 * max(len(rank), 1) ** (-1 / 6), 0.05
    )  # Scott's rule for two dimensions, of an even spread
    (xs, across), (ys, up) = _weights(x, width), _weights(y, width)
    weight = up.T @ across
    with np.errstate(invalid="ignore"):
        surface = np.where(weight >= _THIN, (up.T @ (across * rank[:, None])) / weight, np.nan)
    return Contour(x, y, points, rank, xs, ys, surface)


def _weights(axis: Axis, width: float) -> tuple[Floats, Floats]:
    """Places along an axis, and (n, places) how near each trial is to them, 1 at most."""
    if axis.labels is not None:
        count = len(axis.labels)
        places = np.arange(count, dtype=float)
        if not axis.ordered:
            return places, (axis.at[:, None] == places[None, :]).astype(float)
        units = (places + 0.5) / count
    else:
        units = (np.arange(_FINE) + 0.5) / _FINE
        places = axis.low + (axis.high - axis.low) * units
        if axis.log:
            places = axis.low * (axis.high / axis.low) ** units
    return places, np.exp(-0.5 * ((axis.unit[:, None] - units[None, :]) / width) ** 2)


def figure(data: Contour, title: str = "") -> Figure:
    title = title or f"{label(data.x.name)} and {label(data.y.name)}"
    if len(data.points.number) < _LEAST:
        return blank(title, f"at least {_LEAST} complete trials with both parameters are needed")
    low, high = float(np.nanmin(data.surface)), float(np.nanmax(data.surface))
    bar = {"title": {"text": "rank"}, "tickvals": [low, high], "ticktext": ["best", "worst"], "thickness": 12}
    scale = {"colorscale": SURFACE, "zmin": low, "zmax": high, "colorbar": bar}
    grid = {"x": six(data.xs), "y": six(data.ys), "z": [six(row) for row in data.surface]}
    smooth = data.x.labels is None and data.y.labels is None
    form = {"type": "contour", "ncontours": 12, "line": {"width": 0.5}} if smooth else {"type": "heatmap"}
    surface = {**form, **grid, **scale, "hoverinfo": "skip", "connectgaps": False, "opacity": 0.85}
    rows = thinned(data.points.loss, _MOST)
    dots: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": six(data.x.at[rows]),
        "y": six(data.y.at[rows]),
        "customdata": [
            [n, v]
            for n, v in zip(data.points.number[rows].tolist(), six(data.points.value[rows]), strict=True)
        ],
        "hovertemplate": f"trial %{{customdata[0]}}<br>{label(data.points.objective.metric)} %{{customdata[1]}}<extra></extra>",
        "marker": {"color": "#ffffff", "size": 5, "line": {"color": "#24272c", "width": 1}},
    }
    shape = layout(title, 440, showlegend=False, xaxis=axis_form(data.x), yaxis=axis_form(data.y))
    return {"data": [surface, dots], "layout": shape}


def nothing() -> Figure:
    """What stands where no pair of parameters can be shown."""
    return blank("Contour", f"at least {_LEAST} complete trials with two parameters in common are needed")
