"""Several objectives: the trials that no other beats in all of them, among the rest."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from taut.definition import Objective
from taut.metrics.pareto import Front, losses
from taut.reports.points import Floats, Ints, thinned
from taut.reports.style import BEST, GOOD, Figure, blank, label, layout, six, upright
from taut.snapshot import Snapshot

__all__ = ["Pareto", "figure", "pareto"]

_MOST = 2000  # trials that are drawn beside the front
_AXES = 4  # objectives that are shown against each other


class Pareto(NamedTuple):
    """axes: the objectives, and a cost if the study weighs one. number, values: (k,), (k, m) of the front, by the first objective.

    others, behind: (n,), (n, m) of the complete trials that keep the constraints and are not on it.
    """

    axes: list[Objective]
    number: Ints
    values: Floats
    others: Ints
    behind: Floats


def pareto(snapshot: Snapshot) -> Pareto:
    front = Front.of(snapshot)
    signs = np.array([1.0 if axis.minimize else -1.0 for axis in front.axes])
    numbers, table = losses(snapshot)
    if len(front.axes) > table.shape[1]:  # the cost of a trial, which only the front knows
        return Pareto(
            front.axes, front.numbers, front.loss * signs, np.empty(0, np.int64), np.empty((0, len(signs)))
        )
    rest = ~np.isin(numbers, front.numbers)
    return Pareto(front.axes, front.numbers, front.loss * signs, numbers[rest], table[rest] * signs)


def figure(data: Pareto, title: str = "Pareto front") -> Figure:
    if len(data.axes) < 2:
        return blank(title, "there is one objective, so the front is the best trial")
    if not len(data.number):
        return blank(title, "no complete trial keeps the constraints yet")
    pairs = list(itertools.combinations(range(min(len(data.axes), _AXES)), 2))
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    form = layout(title, 110 + (330 if rows == 1 else 280 * rows))
    traces = []
    kept = thinned(data.behind[:, 0], _MOST)
    gap, foot = 0.09, 0.0 if rows == 1 else 0.24
    width = (1.0 - gap * (columns - 1)) / columns
    for i, (a, b) in enumerate(pairs):
        row, column = divmod(i, columns)
        name = "" if i == 0 else str(i + 1)
        left, top = column * (width + gap), 1.0 - row / rows
        form[f"xaxis{name}"] = {**_side(data, a), "domain": [left, left + width], "anchor": f"y{name}"}
        form[f"yaxis{name}"] = {
            **_side(data, b),
            "domain": [top - (1 - foot) / rows, top],
            "anchor": f"x{name}",
        }
        for label_, numbers, values, style in (
            (
                "other complete trials",
                data.others[kept],
                data.behind[kept],
                {"color": GOOD, "size": 5, "opacity": 0.45},
            ),
            ("front", data.number, data.values, {"color": BEST, "size": 9, "symbol": "diamond"}),
        ):
            if len(numbers):
                traces.append(_dots(data, numbers, values, a, b, name, label_, style, i == 0))
    if len(data.axes) == 2:
        traces[-1] |= {
            "mode": "lines+markers",
            "line": {"color": BEST, "shape": "hv" if data.axes[1].minimize else "vh", "width": 1.5},
        }
    return {"data": traces, "layout": form}


def _side(data: Pareto, j: int) -> dict[str, Any]:
    axis = data.axes[j]
    values = np.concatenate((data.values[:, j], data.behind[:, j]))
    form = upright(values if axis.minimize else -values, axis)
    aim = "less" if axis.minimize else "more"
    return {**form, "title": {"text": f"{form['title']['text']}, {aim} is better"}}


def _dots(
    data: Pareto,
    numbers: Ints,
    values: Floats,
    a: int,
    b: int,
    name: str,
    said: str,
    style: dict[str, Any],
    key: bool,
) -> dict[str, Any]:
    x, y = label(data.axes[a].metric), label(data.axes[b].metric)
    return {
        "type": "scattergl" if len(numbers) > 1000 else "scatter",
        "mode": "markers",
        "name": said,
        "legendgroup": said,
        "showlegend": key,
        "x": six(values[:, a]),
        "y": six(values[:, b]),
        "xaxis": f"x{name}",
        "yaxis": f"y{name}",
        "customdata": numbers.tolist(),
        "hovertemplate": f"trial %{{customdata}}<br>{x} %{{x}}<br>{y} %{{y}}<extra></extra>",
        "marker": style,
    }
