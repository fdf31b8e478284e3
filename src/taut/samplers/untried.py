"""Points of a discrete space that nobody has tried."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Set
from typing import Any, ClassVar

import numpy as np

from taut.samplers.base import Codes, Numbers
from taut.samplers.geometry import Geometry
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.prior import Bools

__all__ = ["Tried", "part"]

_LISTED = 2**16  # a space of at most so many points can be listed
_DRAWS = 256
_TAG = 0x0E  # so that no sampler's own numbers are these


class Tried:
    """The points that are taken: those of `codes`, and what is added later."""

    def __init__(self, space: Space, codes: Codes) -> None:
        self._space = space
        self._known: Set[Any] = frozenset(_keys(codes))
        self._added: set[Any] = set()
        self._rest: Codes | None = None

    @staticmethod
    def of(snapshot: Snapshot) -> Tried:
        """Beside the trials of a snapshot. Costs little however often it is asked: each trial is looked at once."""
        tried = Tried(snapshot.space, np.empty((0, len(snapshot.space))))
        tried._known = _Points.of(snapshot)
        return tried

    def add(self, row: Codes) -> None:
        self._added.update(_keys(row[None]))

    def fresh(self, codes: Codes) -> Bools:
        """(n,) which points are not taken."""
        known, added = self._known, self._added
        return np.array([key not in known and key not in added for key in _keys(codes)], bool)

    def instead(self, row: Codes, rng: np.random.Generator) -> Codes:
        """`row`, or another point of the space if that is taken and there is one."""
        if self.fresh(row[None])[0]:
            return row
        others = self.others(rng)
        return others[0] if len(others) else row

    def others(self, rng: np.random.Generator) -> Codes:
        """Some points that are not taken: of a small space any, of a large one draws from the prior.

        None are found only where the space has no more, or hardly any among very many.
        """
        if not _listable(Geometry.of(self._space)):
            draws = self._space.quantile(rng.random((_DRAWS, len(self._space))))
            return draws[self.fresh(draws)]
        rest = _listed(self._space) if self._rest is None else self._rest
        self._rest = rest = rest[self.fresh(rest)]
        return rest[rng.permutation(len(rest))[:_DRAWS]]


class _Points:
    """The points of one snapshot's trials; kept, since a trial hardly ever moves."""

    _kept: ClassVar[weakref.WeakKeyDictionary[Snapshot, _Points]] = weakref.WeakKeyDictionary()

    def __init__(self, space: Space, settled: int) -> None:
        self.space = space
        self.settled = settled
        self.keys: set[Any] = set()
        self._there: Bools = np.zeros(0, bool)

    @classmethod
    def of(cls, snapshot: Snapshot) -> set[Any]:
        points = cls._kept.get(snapshot)
        settled = len(snapshot.settled)  # trials that have moved after all
        if points is None or points.space is not snapshot.space or points.settled != settled:
            points = cls._kept[snapshot] = cls(snapshot.space, settled)
        chosen = snapshot.chosen
        fresh = chosen.copy()
        fresh[: len(points._there)] &= ~points._there
        points._there = chosen.copy()
        points.keys.update(_keys(snapshot.codes[fresh]))
        return points.keys


def _keys(codes: Codes) -> list[Any]:
    """Something to compare for each row; inactive parameters are equal."""
    rows = np.ascontiguousarray(np.where(np.isnan(codes), np.inf, codes + 0.0))  # -0.0 becomes 0.0
    keys: list[Any] = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel().tolist()
    return keys


def _listable(geometry: Geometry) -> bool:
    return geometry.size <= _LISTED and len(geometry.middles) == len(geometry.free)


@functools.lru_cache(maxsize=4)
def _listed(space: Space) -> Codes:
    """Every point of a space, some more than once if it has conditions."""
    geometry = Geometry.of(space)
    axes = [geometry.middles.get(j, np.array([0.5])) for j in range(geometry.d)]
    codes = geometry.codes(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, geometry.d))
    codes.flags.writeable = False
    return codes


def part(space: Space, seed: int, numbers: Numbers, codes: Codes, snapshot: Snapshot) -> None:
    """Put other points in place of those in `codes` that were tried before, or that stand there twice; trial 0 stays."""
    if not Geometry.of(space).repeats:
        return
    tried = Tried.of(snapshot)
    for i, number in enumerate(numbers.tolist()):
        if number:
            codes[i] = tried.instead(codes[i], np.random.default_rng([seed, number, _TAG]))
        tried.add(codes[i])
