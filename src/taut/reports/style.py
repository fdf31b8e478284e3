"""How figures look: colours that colour-blind readers can tell apart and that stand out on light and dark pages, and plain labels.

Figures are Plotly's JSON form, made without Plotly: `study.plot` turns it into Plotly's objects, a page hands it to Plotly's script.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from taut.definition import Objective
from taut.reports.points import Axis, Floats

__all__ = [
    "BEST",
    "GOOD",
    "PALE",
    "PRUNED",
    "SCALE",
    "SURFACE",
    "Figure",
    "axis_form",
    "blank",
    "label",
    "layout",
    "level_names",
    "ranks",
    "reach",
    "six",
    "upright",
]

Figure = dict[str, Any]

GOOD, PRUNED, BEST, PALE = "#2f8ac9", "#8f9aa8", "#d55e00", "#8a94a3"
SCALE = (
    (0.0, "#d55e00"),
    (0.12, "#d98a45"),
    (0.35, "#a5a3a0"),
    (1.0, "#6f8fb0"),
)  # of trials, the best first
SURFACE = [[0.0, "#d55e00"], [0.5, "#cfcbc6"], [1.0, "#4f7fb0"]]  # of areas
_LONGEST = 40  # letters of a label
_FAR = 3.0  # heights of the middle nine tenths; what lies farther away is not looked at by default


def label(text: object) -> str:
    """Text of a user's as it stands, in a label, which Plotly reads tags and entities in. Cut where it is long."""
    return html.escape(_short(text), quote=False)


def _short(text: object) -> str:
    plain = " ".join(str(text).split())
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def level_names(labels: Sequence[str]) -> list[str]:
    """The names of levels, cut where they are long, and told apart all the same; not escaped."""
    short = [_short(each) for each in labels]
    if len(set(short)) == len(short):
        return short
    return [f"{each} ({i})" if short.count(each) > 1 else each for i, each in enumerate(short)]


def six(values: Floats | Sequence[float]) -> list[float | None]:
    """Six digits of each, which a screen does not exceed; None where there is none."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in np.asarray(values).tolist()]


def layout(title: str, height: int = 420, **more: Any) -> dict[str, Any]:
    """What all figures share. Colours of paper, text and lines are left to where it is shown."""
    below = 88 if more.get("showlegend", True) else 52
    shared: dict[str, Any] = {
        "title": {"text": title, "x": 0.0, "xref": "paper", "font": {"size": 15}},
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 56 if title else 34, "b": below},
        "hovermode": "closest",
        "legend": {"orientation": "h", "yref": "container", "y": 0.01, "yanchor": "bottom", "x": 0.0},
    }
    return {**shared, **more}


def axis_form(axis: Axis, **more: Any) -> dict[str, Any]:
    """A parameter as an axis of a figure: logarithmic where it is one, with its levels by name."""
    form: dict[str, Any] = {"title": {"text": label(axis.name)}, **more}
    if axis.labels is not None:
        count = len(axis.labels)
        every = max(1, -(-count // 12))
        form |= {
            "tickvals": list(range(0, count, every)),
            "ticktext": [label(each) for each in level_names(axis.labels)[::every]],
        }
        return {**form, "range": [-0.5, count - 0.5]}
    if axis.whole and not axis.log:
        form |= {"tick0": axis.low, "dtick": max(1, round((axis.high - axis.low) / 6))}
    if axis.log:
        low, high = math.log10(axis.low), math.log10(axis.high)
        pad = 0.03 * (high - low)
        return {
            **form,
            "type": "log",
            "exponentformat": "e",
            "range": [low - pad, high + pad],
            "dtick": max(1, round((high - low) / 5)),
        }
    pad = 0.03 * (axis.high - axis.low)
    return {**form, "range": [axis.low - pad, axis.high + pad]}


def reach(loss: Floats) -> tuple[float, float] | None:
    """From where to where losses are worth looking at: without the few that lie so far off that the rest could not be told apart.

    None where all can be shown.
    """
    known = loss[np.isfinite(loss)]
    if len(known) < 5:
        return None
    low, middle, high = np.min(known), np.quantile(known, 0.5), np.quantile(known, 0.9)
    limit = middle + _FAR * max(high - middle, middle - low)
    if np.max(known) <= limit or limit == low:
        return None
    return float(low), float(np.max(known[known <= limit]))


def upright(loss: Floats, objective: Objective) -> dict[str, Any]:
    """The axis of an objective's values, without those that lie far off; it says how many those are."""
    metric, found = label(objective.metric), reach(loss)
    if found is None:
        return {"title": {"text": metric}}
    low, high = found
    pad = 0.05 * (high - low)
    ends = [low - pad, high + pad]
    beyond = int((loss > ends[1]).sum())
    side = "above" if objective.minimize else "below"
    text = f"{metric} ({beyond} lie{'s' if beyond == 1 else ''} {side})" if beyond else metric
    return {"title": {"text": text}, "range": ends if objective.minimize else [-ends[1], -ends[0]]}


def ranks(loss: Floats) -> Floats:
    """Where each stands among all, from 0 for the best to 1 for the worst; equal ones alike."""
    if len(loss) < 2:
        return np.zeros(len(loss))
    place = np.unique(loss, return_inverse=True)[1]
    counts = np.bincount(place)
    before = np.cumsum(counts) - counts
    found: Floats = before[place] / max(len(loss) - 1, 1)
    return found


def blank(title: str, reason: str) -> Figure:
    """A figure that says why there is nothing to see yet."""
    said = {"text": reason, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
    hidden = {"visible": False}
    return {"data": [], "layout": layout(title, 180, annotations=[said], xaxis=hidden, yaxis=hidden)}
