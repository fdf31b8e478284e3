"""Learning curves: what trials reported on their way, and the rungs at which they were compared."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from taut.definition import Objective
from taut.leading import rungs
from taut.pruners.base import Pruner
from taut.reports.points import Floats, Points, objective_of, thinned
from taut.reports.style import BEST, GOOD, PRUNED, Figure, blank, label, layout, six, upright
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["Curve", "Learning", "figure", "learning"]

_MOST = 200  # curves that are drawn
_LONGEST = 400  # points of a curve

_GROUPS = (
    ("ended early", PRUNED, "dot", (State.PRUNED, State.PAUSED, State.WAITING)),
    ("failed", BEST, "dot", (State.FAILED,)),
    ("running", GOOD, "dash", (State.RUNNING,)),
    ("complete", GOOD, "solid", (State.COMPLETE,)),
)


class Curve(NamedTuple):
    """What a trial reported, by step."""

    number: int
    state: State
    step: Floats
    value: Floats


class Learning(NamedTuple):
    """objective: what is shown. unit: what steps count. rungs: where trials were compared. best: the number of the best trial, if there is one.

    curves: some of `total`: the best, and others evenly among the rest.
    """

    objective: Objective
    unit: str
    rungs: list[float]
    curves: list[Curve]
    total: int
    best: int | None


def learning(snapshot: Snapshot, metric: str | None = None, pruner: Pruner | None = None) -> Learning:
    """metric: one of the objectives, the first if left out."""
    definition = snapshot.definition
    objective = objective_of(definition, metric)
    found = [
        curve for n in sorted(snapshot.curves.trials()) if (curve := _curve(snapshot, n, objective.metric))
    ]
    sign = 1.0 if objective.minimize else -1.0
    kept = thinned(np.array([sign * curve.value[-1] for curve in found]), _MOST).tolist()
    points = Points.of(snapshot, objective.metric)
    points = points.where(points.good)
    best = int(points.number[points.loss.argmin()]) if len(points.number) else None
    fidelity = definition.fidelity
    steps = rungs(snapshot, pruner) if fidelity is not None and pruner is not None else []
    return Learning(
        objective,
        "step" if fidelity is None else fidelity.name,
        steps,
        [found[i] for i in kept],
        len(found),
        best,
    )


def _curve(snapshot: Snapshot, n: int, metric: str) -> Curve | None:
    rows = [(event.s, value) for event in snapshot.curves.of(n) if (value := event.y.get(metric)) is not None]
    if not rows or n >= snapshot.size:
        return None
    table = np.array(rows)
    if len(table) > _LONGEST:
        table = table[np.linspace(0, len(table) - 1, _LONGEST).round().astype(int)]
    return Curve(n, State(int(snapshot.state[n])), table[:, 0], table[:, 1])


def figure(data: Learning, title: str = "Learning curves") -> Figure:
    if not data.curves:
        return blank(title, "no trial has reported on its way (trial.report)")
    traces = [
        _lines(data, [curve for curve in data.curves if curve.state in states], name, colour, dash)
        for name, colour, dash, states in _GROUPS
        if any(curve.state in states for curve in data.curves)
    ]
    for curve in data.curves:
        if curve.number == data.best:
            traces.append(_lines(data, [curve], f"best: trial {curve.number}", BEST, "solid", 3.0))
    values = np.concatenate([curve.value for curve in data.curves])
    side = upright(values if data.objective.minimize else -values, data.objective)
    side["title"] = {"text": label(data.objective.metric)}
    lines = [
        {
            "type": "line",
            "x0": step,
            "x1": step,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": PRUNED, "width": 1, "dash": "dot"},
        }
        for step in data.rungs
    ]
    names = [
        {
            "x": step,
            "y": 1,
            "yref": "paper",
            "yanchor": "bottom",
            "text": f"{step:g}",
            "showarrow": False,
            "font": {"size": 10},
        }
        for step in data.rungs
    ]
    some = "" if len(data.curves) == data.total else f" ({len(data.curves)} of {data.total} trials)"
    axis = {"title": {"text": f"{label(data.unit)}{some}"}}
    form = layout(
        title,
        440,
        xaxis=axis,
        yaxis=side,
        shapes=lines,
        annotations=names,
    )
    return {"data": traces, "layout": form}


def _lines(
    data: Learning, curves: list[Curve], name: str, colour: str, dash: str, width: float = 1.2
) -> dict[str, Any]:
    """Several curves as one line with gaps."""
    x: list[float | None] = []
    y: list[float | None] = []
    whose: list[int] = []
    for curve in curves:
        x += [*six(curve.step), None]
        y += [*six(curve.value), None]
        whose += [curve.number] * (len(curve.step) + 1)
    return {
        "type": "scattergl" if len(x) > 5000 else "scatter",
        "mode": "lines+markers" if all(len(curve.step) == 1 for curve in curves) else "lines",
        "name": name,
        "x": x,
        "y": y,
        "customdata": whose,
        "hovertemplate": f"trial %{{customdata}}<br>{label(data.unit)} %{{x}}: %{{y}}<extra></extra>",
        "line": {"color": colour, "width": width, "dash": dash},
        "opacity": 1.0 if width > 2 else 0.55,
    }
