"""The figures of a report, each with its title and what it shows."""

from __future__ import annotations

from typing import NamedTuple

from taut.pruners.base import Pruner
from taut.reports import contours, front, history, importance, learning, parallel, slices
from taut.reports.style import Figure
from taut.snapshot import Snapshot

__all__ = ["Drawing", "drawings"]


class Drawing(NamedTuple):
    """A figure of the page. said: what it shows, in a sentence. wide: whether a narrow screen has to scroll it."""

    key: str
    title: str
    said: str
    figure: Figure
    wide: bool = False


def drawings(snapshot: Snapshot, pruner: Pruner | None) -> list[Drawing]:
    several = len(snapshot.definition.objectives) > 1
    drawn = []
    for i, objective in enumerate(snapshot.definition.objectives):
        said = "Each trial's value when it ended, and the best so far among those that keep the constraints."
        of = f" of {objective.metric}" if several else ""
        data = history.history(snapshot, objective.metric)
        drawn.append(Drawing(f"history{i}", f"History{of}", said, history.figure(data, "")))
    found = front.pareto(snapshot)
    if len(found.axes) > 1:
        said = f"{len(found.number)} trials that no other beats in every objective."
        drawn.append(Drawing("pareto", "Pareto front", said, front.figure(found, ""), len(found.axes) > 2))
    if snapshot.curves.trials():
        curves = learning.learning(snapshot, pruner=pruner)
        said = "What trials reported on their way." + (
            " Dotted lines: where they were compared." if curves.rungs else ""
        )
        drawn.append(Drawing("curves", "Learning curves", said, learning.figure(curves, "")))
    weighed = importance.importance(snapshot, pruner=pruner)
    said = (
        "How much a parameter tells the best tenth of the trials from all (PED-ANOVA). "
        "Orange marks: as much may come about by chance; hatched bars do not exceed it."
    )
    drawn.append(Drawing("importance", "Importance of parameters", said, importance.figure(weighed, "")))
    lines = parallel.parallel(snapshot)
    said = "A line for each complete trial, the best in orange. Drag along an axis to choose a range."
    drawn.append(Drawing("parallel", "Parallel coordinates", said, parallel.figure(lines, ""), True))
    panels = slices.slices(snapshot, order=weighed.names)
    said = "Each parameter against the objective, the most important first; the best trial is a star."
    drawn.append(Drawing("slices", "Slices", said, slices.figure(panels, ""), True))
    for i, surface in enumerate(contours.contours(snapshot, weighed.names)):
        said = "The usual rank of complete trials near each point; dots are trials."
        title = f"Contour: {surface.x.name} and {surface.y.name}"
        drawn.append(Drawing(f"contour{i}", title, said, contours.figure(surface, " ")))
    return drawn
