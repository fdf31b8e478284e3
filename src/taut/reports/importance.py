"""Which parameters matter for being among the best, and which may only seem to."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from taut.ladder import Ladder
from taut.leading import rungs
from taut.metrics.pareto import losses
from taut.pruners.base import Pruner
from taut.reports.pedanova import pedanova
from taut.reports.points import Floats, Ints, axes_of, objective_of
from taut.reports.style import GOOD, PALE, Figure, blank, label, layout, six
from taut.snapshot import Snapshot
from taut.standing import standing
from taut.trial import State

__all__ = ["Importance", "figure", "importance"]

_BEST = 0.1  # part of the trials that counts as the best
_FEWEST = 4  # of these
_AGES = 10  # groups of trials by age
_LEAST = 12  # trials, below which nothing is said
_ENOUGH = 40  # trials on a rung, from which on it is better than those below


class Importance(NamedTuple):
    """names: parameters, the most important first. share: (d,) of the sum of all importances. chance: (d,) a share that may well come about by chance.

    among, best: how many trials were looked at, and how many counted as the best. told: at which step they were compared, if before
    the end.
    """

    names: list[str]
    share: Floats
    chance: Floats
    among: int
    best: int
    told: str | None = None


def importance(snapshot: Snapshot, metric: str | None = None, pruner: Pruner | None = None) -> Importance:
    """PED-ANOVA of the best tenth among all trials that came to the end, or to the highest rung where enough have.

    metric: one of the objectives; all of them together if left out, by fronts.
    """
    numbers, merit, told = _compared(snapshot, metric, pruner)
    axes = axes_of(snapshot, numbers)
    if len(numbers) < _LEAST or not axes:
        return Importance([], np.empty(0), np.empty(0), len(numbers), 0, told)
    best = max(_FEWEST, math.ceil(_BEST * len(numbers)))
    top = np.zeros(len(numbers), bool)
    top[np.argsort(merit, kind="stable")[:best]] = True
    columns = dict(zip(snapshot.space.searched, snapshot.space.columns, strict=True))
    cells = np.array([columns[axis.name].cells for axis in axes])
    units = np.column_stack([axis.unit for axis in axes])
    strata = np.arange(len(numbers)) * _AGES // len(numbers)  # numbers grow with time
    raw, chance = pedanova(units, cells, np.array([axis.ordered for axis in axes]), top, strata)
    total = raw.sum() or 1.0
    order = np.argsort(-raw, kind="stable")
    return Importance(
        [axes[j].name for j in order.tolist()],
        raw[order] / total,
        chance[order] / total,
        len(numbers),
        best,
        told,
    )


def _compared(
    snapshot: Snapshot, metric: str | None, pruner: Pruner | None
) -> tuple[Ints, Floats, str | None]:
    """The trials to compare, their merit (less is better), and at which step that is, if before the end."""
    definition, fidelity = snapshot.definition, snapshot.definition.fidelity
    objective_of(definition, metric)
    column = slice(None) if metric is None else [[o.metric for o in definition.objectives].index(metric)]
    numbers, table = losses(snapshot)
    if fidelity is None or len(numbers) >= _ENOUGH:
        return numbers, standing(table[:, column], np.empty((len(numbers), 0))), None
    steps = rungs(snapshot, pruner)
    ladder = Ladder.of(snapshot, steps)
    size = min(len(ladder), snapshot.size)
    fine = snapshot.state[:size] != State.FAILED
    counts = [int((fine & (ladder.heights[:size] > rung)).sum()) for rung in range(len(steps))]
    rung = next((r for r in reversed(range(len(steps))) if counts[r] >= _ENOUGH), 0)
    there = np.flatnonzero(fine & (ladder.heights[:size] > rung))
    merit = standing(ladder.losses[there, rung][:, column], ladder.slacks(rung)[:size][there])
    known = np.isfinite(merit)
    told = None if rung == len(steps) - 1 else fidelity.told(steps[rung])
    return there[known], merit[known], told


def figure(data: Importance, title: str = "Importance") -> Figure:
    if not data.names:
        return blank(title, f"at least {_LEAST} trials are needed to tell; there are {data.among}")
    names = [label(name) for name in data.names[:24]][::-1]
    share, chance = data.share[:24][::-1], data.chance[:24][::-1]
    sure = (share > chance).tolist()
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": list(range(len(names))),
        "x": six(share),
        "marker": {
            "color": [GOOD if one else PALE for one in sure],
            "pattern": {"shape": ["" if one else "/" for one in sure]},
        },
        "customdata": six(chance),
        "text": [f"{one:.0%}" for one in share],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:.1%}, by chance up to %{customdata:.1%}<extra></extra>",
        "name": "importance",
    }
    marks = {
        "type": "scatter", "mode": "markers", "x": six(chance), "y": list(range(len(names))), "hoverinfo": "skip",
        "marker": {"symbol": "line-ns-open", "size": 14, "color": "#d55e00", "line": {"width": 2}}, "name": "may be chance up to here",
    }  # fmt: skip
    at = "" if data.told is None else f" at {label(data.told)}"
    said = f"the best {data.best} of {data.among} trials{at}"
    form = layout(title, 150 + 30 * len(names))
    form["xaxis"] = {"title": {"text": said}, "tickformat": ".0%", "rangemode": "tozero"}
    form["yaxis"] = {
        "tickvals": list(range(len(names))),
        "ticktext": names,
        "automargin": True,
        "range": [-0.6, len(names) - 0.4],
    }
    return {"data": [bars, marks], "layout": form}
