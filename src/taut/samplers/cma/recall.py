"""What is remembered of a draw, and found again when its trial has ended.

The distribution learns from numbers as they were drawn, which trials do not always show: of a discrete parameter they have the cell, of a draw
from outside of the cube the border, and of a parameter that they do not have nothing. So those numbers are kept in the trial's
note; and the run, where it is not the first.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from taut.samplers.base import Note
from taut.samplers.cma.gaussian import Gaussian
from taut.samplers.geometry import Geometry
from taut.samplers.population.ended import Ended
from taut.snapshot import Snapshot
from taut.space.prior import Bools, Floats

__all__ = ["continuous", "note", "points", "run"]

_KEY = "cma"
_TAG = 0xC4  # so that no other sampler's numbers are these
_OUTSIDE = 0.9  # of a draw's distance from the border
_NEAR = 0.01  # the border that a draw from outside came to


class _Column(NamedTuple):
    """An ordered parameter. place: among the ordered ones. column: among all."""

    place: int
    column: int
    discrete: bool


def continuous(geometry: Geometry) -> Bools:
    """(n,) which of the ordered parameters are not in cells."""
    return np.asarray(geometry.cells[geometry.ordered] == 0)


def note(geometry: Geometry, drawn: Floats, run: int) -> Note | None:
    """Of a draw (n,) in the columns of `geometry.ordered`."""
    hidden = _hidden(geometry) | (drawn < 0.0) | (drawn > 1.0)
    names = geometry.space.searched
    kept = {names[geometry.ordered[i]]: float(drawn[i]) for i in np.flatnonzero(hidden)}
    content = ({"run": run} if run else {}) | ({"drawn": kept} if kept else {})
    return {_KEY: content} if content else None


def run(snapshot: Snapshot, number: int) -> int:
    """In which run a trial was drawn; 0 if it was not drawn here."""
    found = _content(snapshot, number).get("run", 0)
    return found if isinstance(found, int) else 0


def points(geometry: Geometry, gaussian: Gaussian, ended: Ended, snapshot: Snapshot) -> Floats:
    """(k, n) where trials lie, as they were drawn; a parameter that a trial does not have, and that nothing is known of, is drawn here.

    A draw from outside was evaluated at the border, and counts for where it was drawn. If it counted for the border, the distribution
    would become narrow on its way there; if draws were repeated until they lie inside, as in `cmaes`, corners would not be
    reached. It counts for a little less far, so that the distribution comes back when nothing speaks for the border.
    """
    found, missing = ended.unit[:, geometry.ordered], ~ended.active[:, geometry.ordered]
    known = _known(geometry)
    for row, number in enumerate(ended.numbers.tolist()):
        for name, value in _content(snapshot, number).get("drawn", {}).items():
            if name not in known:
                continue
            i, j, discrete = known[name]
            u = float(found[row, i])
            # Where a note does not fit, another point was taken instead, or the space was changed since.
            if missing[row, i]:
                found[row, i], missing[row, i] = value, False
            elif discrete and _same_cell(geometry, j, value, u):
                found[row, i] = value
            elif not discrete and abs(u - min(max(value, 0.0), 1.0)) < _NEAR:
                found[row, i] = u + _OUTSIDE * (value - u)
        if missing[row].any():
            rng = np.random.default_rng([snapshot.definition.seed, number, _TAG])
            found[row] = np.where(missing[row], gaussian.sample(rng), found[row])
    return found


def _content(snapshot: Snapshot, number: int) -> dict[str, Any]:
    content = (snapshot.notes.get(number) or {}).get(_KEY)
    return content if isinstance(content, dict) else {}


@functools.lru_cache(maxsize=64)
def _hidden(geometry: Geometry) -> Bools:
    """(n,) ordered parameters that trials never, or not always, show as they were drawn."""
    return ~continuous(geometry) | np.isin(geometry.ordered, geometry.conditional)


@functools.lru_cache(maxsize=64)
def _known(geometry: Geometry) -> dict[str, _Column]:
    names, discrete = geometry.space.searched, ~continuous(geometry)
    return {names[j]: _Column(i, j, bool(discrete[i])) for i, j in enumerate(geometry.ordered.tolist())}


def _same_cell(geometry: Geometry, j: int, drawn: float, u: float) -> bool:
    cells = geometry.nearest(j, np.array([drawn, u]))
    return bool(cells[0] == cells[1])
