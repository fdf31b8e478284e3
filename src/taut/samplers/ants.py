"""Ant colony for numbers and choices: each ant goes near one of the best trials, as far from it as the others are."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from taut.errors import InputError
from taut.samplers.base import Note
from taut.samplers.geometry import Geometry
from taut.samplers.population.base import PopulationSampler
from taut.samplers.population.ended import Ended
from taut.snapshot import Snapshot
from taut.space.prior import Floats

__all__ = ["AntsSampler"]

_STRAY = 0.1  # of choices are drawn anew
_LEAST = 0.25  # standard deviation along a discrete axis, in cells: so that one in twenty ants still leaves a cell on which all agree
_SPENT = 1e-9  # an archive that is less wide than this, along every continuous axis, has nothing left to find


@dataclasses.dataclass(frozen=True)
class AntsSampler(PopulationSampler[Ended | None]):
    """Ant colony optimisation for mixed spaces: ACO_R for numbers, and in the manner of ACO_MV for ordinals and choices.

    Choose it for cheap trials, hundreds to some ten thousands, in spaces of numbers, ordinals and choices together. It follows the best trials
    closely, so it is early good where parameters matter one by one; along a narrow valley askew to the axes `cma` and `swarm` are better.

    archive: the best trials that ants go near, the pheromone. More are slower and see more basins. 2 to 1,000, 20 by default.
    locality: q, which of them: the standard deviation of the rank, in sizes of the archive. Near 0 all go near the best, above 1 near any.
        Above 0, at most 100, 0.05 by default.
    spread: xi, how far: times the mean distance to the others. Less converges sooner. Above 0, at most 10, 0.85 by default.
    startup: trials drawn from the priors, before the first ant. 2 to 10,000, 10 by default.

    The state is the archive. An ant needs nothing else, so it makes no difference how many are under way. Failed trials do not get into the
    archive, and those that break a constraint stand last there (feasibility rules).

    Sources: ACO_R: K. Socha & M. Dorigo, European Journal of Operational Research 185, 2008, 1155-1173. ACO_MV: T. Liao, K. Socha, M. A. Montes de Oca, T. Stützle
    & M. Dorigo, IEEE Transactions on Evolutionary Computation 18, 2014, 503-518. Departures: an archive of 20, not 50 or 90, and ants before it is full,
    since a tuner has few trials; a least step along discrete axes; back inside at bounds; a choice takes the value of a trial of the archive, drawn by weight
    as for numbers, where ACO_MV divides a value's weight by how many have it, which draws nearly any value once all agree; a colony that has
    converged begins anew, where ACO_MV waits for 650 iterations without a better trial and keeps the best one.
    """

    partial: ClassVar[bool] = True
    archive: int = 20
    locality: float = 0.05
    spread: float = 0.85
    startup: int = 10

    def __post_init__(self) -> None:
        for name, least, most in (("archive", 2, 1000), ("startup", 2, 10_000)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise self._refused(name, f"a whole number from {least} to {most}")
        for name, most in (("locality", 100), ("spread", 10)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                raise self._refused(name, f"a number above 0, at most {most}")

    def _refused(self, name: str, allowed: str) -> InputError:
        value, default = getattr(self, name), getattr(type(self), name)
        return InputError(
            f"{name} = {value!r} must be {allowed}; leave it out for {default}", ("sampler", name)
        )

    def size(self, geometry: Geometry) -> int:
        return self.startup

    def begun(self, geometry: Geometry, snapshot: Snapshot) -> None:
        return None

    def ready(self, state: Ended | None) -> bool:
        return state is not None and len(state) >= min(self.startup, self.archive)

    def grown(
        self, geometry: Geometry, state: Ended | None, ended: Ended, snapshot: Snapshot
    ) -> Ended | None:
        """The archive, best first."""
        for row in np.flatnonzero(np.isfinite(ended.loss).all(axis=1)).tolist():
            new = ended.rows(slice(row, row + 1))
            if state is None:
                state = new
                continue
            state = state.and_(new)
            first = np.argsort(state.standing(), kind="stable")[: self.archive]
            state = state.rows(first)
            if len(state) == self.archive and _spent(geometry, state):
                state = None
        return state

    def child(
        self,
        geometry: Geometry,
        state: Ended | None,
        number: int,
        snapshot: Snapshot,
        rng: np.random.Generator,
    ) -> tuple[Floats, Note | None]:
        assert state is not None
        weights = _weights(len(state), self.locality)
        chosen = _drawn(weights, rng)
        at = state.unit[chosen]
        if not state.active[chosen].all():
            at = np.where(state.active[chosen], at, geometry.drawn(rng))
        unit, axes = np.full(geometry.d, 0.5), geometry.ordered

        # ACO_R: sigma_i = xi sum_e |s_ei - s_li| / (k - 1), over those that have the parameter.
        has = state.active[:, axes]
        apart = np.where(has, np.abs(state.unit[:, axes] - at[axes]), 0.0).sum(axis=0)
        sigma = self.spread * apart / np.maximum(has.sum(axis=0) - has[chosen], 1)
        cells = geometry.cells[axes]
        sigma = np.maximum(sigma, np.where(cells > 0, _LEAST / np.maximum(cells, 1), 0.0))
        step = sigma * rng.standard_normal(
            len(axes)
        )  # a parameter that the chosen one lacks has no place to step from
        there = at[axes] + np.where(has[chosen], step, 0.0)
        unit[axes] = 1.0 - np.abs(
            there % 2.0 - 1.0
        )  # back in where it went out: at the bound itself there would be many

        for j in geometry.choices.tolist():
            known = weights * state.active[:, j]
            strays = rng.random() < _STRAY or not known.any()
            unit[j] = rng.random() if strays else state.unit[_drawn(known, rng), j]
        return unit, None


def _weights(k: int, q: float) -> Floats:
    """(k,) of each rank, not normalised. ACO_R: omega_l ~ exp(-(l - 1)^2 / (2 q^2 k^2))."""
    return np.asarray(np.exp(-0.5 * (np.arange(k) / (q * k)) ** 2))


def _drawn(weights: Floats, rng: np.random.Generator) -> int:
    """A row, by weight."""
    total = np.cumsum(weights)
    return int(np.searchsorted(total[:-1], rng.random() * total[-1], side="right"))


def _spent(geometry: Geometry, state: Ended) -> bool:
    axes = geometry.ordered[geometry.cells[geometry.ordered] == 0]
    return bool(len(axes) and np.ptp(state.unit[:, axes], axis=0).max() < _SPENT)
