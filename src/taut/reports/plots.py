"""The figures of a study from Python: `study.plot.history()` and its like, which show themselves in a notebook."""

from __future__ import annotations

import importlib
from typing import Any

from taut.errors import InputError
from taut.pruners.base import Pruner
from taut.reports import contours, front, history, importance, learning, parallel, slices
from taut.reports.actual import actual
from taut.reports.chart import Chart
from taut.reports.importance import Importance
from taut.reports.style import Figure
from taut.snapshot import Snapshot

__all__ = ["Plots", "plotly"]


def plotly() -> Any:
    """Plotly's graph objects. Raises `InputError` where it is not installed."""
    try:
        return importlib.import_module("plotly.graph_objects")
    except ModuleNotFoundError:
        raise InputError("figures need Plotly, which is not installed: pip install 'taut[report]'") from None


class Plots:
    """Use `study.plot`. Each method gives a Plotly figure of what was known when the property was asked for.

    metric, where it can be given, is one of the objectives; the first if left out.
    """

    def __init__(self, snapshot: Snapshot, now: float, pruner: Pruner | None) -> None:
        self._snapshot, self._now, self._pruner = snapshot, now, pruner

    def history(self, metric: str | None = None) -> Any:
        """The objective of each trial as they ended, and the best so far."""
        return _shown(history.figure(history.history(self._snapshot, metric)))

    def importance(self, metric: str | None = None) -> Any:
        """Which parameters matter for being among the best tenth; all objectives together if `metric` is left out."""
        return _shown(importance.figure(self._importance(metric)))

    def parallel(self, metric: str | None = None) -> Any:
        """All parameters side by side, a line for each complete trial."""
        return _shown(parallel.figure(parallel.parallel(self._snapshot, metric)))

    def slice(self, metric: str | None = None) -> Any:
        """The objective against each parameter, the most important ones first."""
        order = self._importance(metric).names
        return _shown(slices.figure(slices.slices(self._snapshot, metric, order)))

    def contour(self, x: str | None = None, y: str | None = None, metric: str | None = None) -> Any:
        """How two parameters act together; the two most important ones if left out."""
        if (x is None) != (y is None):
            raise InputError("give both x and y, or neither for the two most important parameters")
        if x is not None and y is not None:
            return _shown(contours.figure(contours.contour(self._snapshot, x, y, metric)))
        found = contours.contours(self._snapshot, self._importance(metric).names, metric, most=1)
        return _shown(contours.figure(found[0]) if found else contours.nothing())

    def curves(self, metric: str | None = None) -> Any:
        """What trials reported on their way, with the rungs at which they were compared."""
        return _shown(learning.figure(learning.learning(self._snapshot, metric, self._pruner)))

    def pareto(self) -> Any:
        """The front of several objectives among all complete trials."""
        return _shown(front.figure(front.pareto(self._snapshot)))

    def gantt(self) -> Chart:
        """What ran when on which slot; an SVG that needs no Plotly, and prints itself on a terminal."""
        return Chart(actual(self._snapshot, self._now), title=self._snapshot.definition.name)

    def _importance(self, metric: str | None) -> Importance:
        return importance.importance(self._snapshot, metric, self._pruner)


def _shown(figure: Figure) -> Any:
    found = plotly().Figure(figure)
    found.update_layout(template="plotly_white")
    return found
