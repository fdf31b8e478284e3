"""PB2: what a copy tries is chosen by a model of how much members got better, which changes with time."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.ladder import Ladder
from taut.pruners.populationtraining.members import Members
from taut.pruners.populationtraining.perturb import completed, differing, known, perturbed
from taut.pruners.populationtraining.pruner import PopulationPruner
from taut.snapshot import Snapshot
from taut.space import Space, choice
from taut.space.prior import Floats
from taut.trial import State

__all__ = ["Pb2Pruner"]

_LEAST = 6  # intervals from which one can learn something
_MOST = 200  # the latest intervals, at most
_SCALES = (0.1, 0.2, 0.4, 0.8, 1.6)  # of the unit cube
_FORGETTING = (0.0, 0.03, 0.1, 0.25, 0.5)  # the authors' epsilon, per interval
_NOISES = (0.03, 0.1, 0.3, 1.0)  # variance, in units of the function's own
_C1, _C2 = 0.2, 0.4  # of beta, as in the authors' program
_DRAWN, _NEAR = 512, 128  # candidates


@dataclasses.dataclass(frozen=True)
class Pb2Pruner(PopulationPruner):
    """Population-based bandits: as `pbt`, but numbers of a copy are chosen by a Gaussian process of what parameters gained, and when.

    Choose it over `pbt` for few members (4 to 12) and few parameters, where moving by chance would take too many generations. It needs
    objectives that resume.

    population: members, each about the cost of a whole run. From 2, 12 by default; there may be fewer workers.
    interval: steps between two comparisons, each of which costs a save and a load. Above 0; a tenth of the fidelity's max by default.
    quantile: of the members compared, the part that is replaced, and the part they go on from. Above 0, at most 0.5; 0.25 by default.
    resample: how likely a choice of a copy is drawn again; until there is enough to learn from, of every parameter. From 0 to 1, 0.25 by
        default.
    explore: the parameters that may change in a copy; all of them by default.

    Source: Parker-Holder, Nguyen & Roberts, "Provably efficient online hyperparameter optimization with population-based bandits", NeurIPS
    2020, arXiv:2002.02518: kernel of section 4 (squared exponential times (1 - epsilon)^(|t - t'| / 2)), upper confidence bound with
    beta = 0.2 log(0.4 n), members that run added without a value. Departures: what was gained is standardised among the members of the same interval,
    since all gain less in the end; the kernel's parameters come from a grid; the bound is maximised over a sample.
    """

    def explored_from(
        self,
        snapshot: Snapshot,
        parent: int,
        step: float,
        names: Sequence[str],
        others: Floats,
        rng: np.random.Generator,
    ) -> Floats:
        space, codes = snapshot.space, snapshot.codes[parent]
        kinds = dict(zip(space.searched, space.columns, strict=True))
        numbers = [name for name in names if not isinstance(kinds[name], choice)]
        columns = np.array([space.searched.index(name) for name in numbers], np.int64)
        members = self.members(snapshot)
        gains = _gains(snapshot, members, self.rungs(snapshot.definition))
        if not len(columns) or len(gains.y) < _LEAST:
            return differing(space, others, names, self.resample, rng)
        choices = [name for name in names if name not in numbers]
        start = perturbed(space, codes, choices, self.resample, rng)
        candidates = _candidates(space, start, numbers, columns, self.resample, rng)
        table = np.repeat(start[None], len(candidates), axis=0)
        table[:, columns] = space.decode(candidates, conditions=False)[:, columns]
        drawn = space.quantile(rng.random((1, len(space))), conditions=False)[0]
        table = completed(space, table, drawn)
        fresh = ~known(table, others)
        if not fresh.any():  # the numbers have no other values: perhaps the choices have
            return differing(space, others, names, self.resample, rng)
        rung = members.rung(step)
        level = gains.level(members, parent, rung)
        here = _Points(np.full(len(candidates), rung + 1.0), np.full(len(candidates), level), candidates)
        model = _Model.fitted(gains.done.at(columns), gains.y)
        bound = model.bound(gains.runs.at(columns), here.at(columns))
        found: Floats = table[int(np.argmax(np.where(fresh, bound, -np.inf)))]
        return found

    def account(self, snapshot: Snapshot) -> str | None:
        told = super().account(snapshot)
        if told is None or not snapshot.descents:
            return told
        gains = _gains(snapshot, self.members(snapshot), self.rungs(snapshot.definition))
        known = len(gains.y)
        return f"{told}, {f'by what {known} intervals gained' if known >= _LEAST else 'by chance, as too few gains are known'}"


class _Points(NamedTuple):
    """Intervals that members ran, or are to run: (n,) their number, (n,) how good the member was before, from 0 to 1; (n, d) its parameters."""

    time: Floats
    level: Floats
    unit: Floats

    def at(self, columns: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(n,) times, and (n, 1 + k) what else the model is told."""
        return self.time, np.column_stack((self.level, self.unit[:, columns]))


class _Gains(NamedTuple):
    """done: intervals that have ended; y: (n,) what was gained in them. runs: intervals that are under way."""

    done: _Points
    y: Floats
    runs: _Points

    @staticmethod
    def level(members: Members, n: int, rung: int) -> float:
        """Where member `n` stood on a rung among those there: 0 the best, 1 the worst."""
        better, count = members.ahead_of(n, rung) if rung >= 0 else (0, 0)
        return better / (count - 1) if count > 1 else 0.5


def _gains(snapshot: Snapshot, members: Members, steps: Sequence[float]) -> _Gains:
    ladder, descents = Ladder.of(snapshot, steps), snapshot.descents
    losses = ladder.losses
    unit = snapshot.space.encode(snapshot.codes)
    done: list[tuple[int, float, int]] = []  # interval, level before, member
    found: list[Floats] = []
    for rung in range(1, len(steps)):
        rows: list[tuple[int, float, int]] = []
        gained: list[Floats] = []
        for n in sorted(members.arrived(rung)):
            before = _before(members, snapshot, n, rung)
            if before is None or n >= snapshot.size:
                continue
            rows.append((rung, _Gains.level(members, before, rung - 1), n))
            with np.errstate(invalid="ignore"):  # both infinite: that is no gain
                gained.append(losses[before, rung - 1] - losses[n, rung])
        table = np.array(gained).reshape(len(rows), losses.shape[2])
        # An objective that nobody tells before the end says nothing here, as where members are compared.
        told = np.isfinite(table).any(axis=0)
        whole = np.isfinite(table[:, told]).all(axis=1) & told.any()
        if whole.sum() > 1:
            rows, table = [rows[i] for i in np.flatnonzero(whole).tolist()], table[np.ix_(whole, told)]
            spread = table.std(axis=0)
            table = (table - table.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
            done += rows
            found.append(np.clip(table, -2.0, 2.0).mean(axis=1))
    running: list[tuple[int, float, int]] = []
    for n in snapshot.where(State.RUNNING).tolist():
        descent, rung = descents.get(n), members.place(n)
        own = descent is None or descent.parent is None or rung > members.rung(descent.step)
        running.append((rung + 1, _Gains.level(members, n if own else descent.parent, rung), n))  # type: ignore[union-attr, arg-type]
    y = np.concatenate(found) if found else np.empty(0)
    return _Gains(_points(done[-_MOST:], unit), y[-_MOST:], _points(running, unit))


def _before(members: Members, snapshot: Snapshot, n: int, rung: int) -> int | None:
    """Who was on the rung below where member `n` began the interval up to `rung`: itself, or its parent; None if nobody."""
    descent = snapshot.descents.get(n)
    begun = -1 if descent is None else members.rung(descent.step)
    if begun < rung - 1:
        return n
    return descent.parent if begun == rung - 1 and descent is not None else None


def _points(rows: Sequence[tuple[int, float, int]], unit: Floats) -> _Points:
    numbers = np.array([n for _, _, n in rows], np.int64)
    time, level = np.array([float(t) for t, _, _ in rows]), np.array([level for _, level, _ in rows])
    return _Points(time, level, unit[numbers])


def _candidates(
    space: Space,
    start: Floats,
    names: Sequence[str],
    columns: NDArray[np.int64],
    resample: float,
    rng: np.random.Generator,
) -> Floats:
    """(k, d) points of the unit cube: anywhere, and near the parent."""
    unit = np.repeat(space.encode(start[None]), _DRAWN + _NEAR, axis=0)
    drawn = space.encode(space.quantile(rng.random((_DRAWN, len(space))), conditions=False))
    unit[:_DRAWN, columns] = drawn[:, columns]
    near = np.array([perturbed(space, start, names, resample / 2, rng) for _ in range(_NEAR)])
    unit[_DRAWN:, columns] = space.encode(near)[:, columns]
    return unit


class _Model(NamedTuple):
    """A Gaussian process of gains, of variance 1 before anything is known but for `variance`."""

    time: Floats
    x: Floats
    y: Floats
    scale: float
    forgetting: float
    noise: float
    variance: float

    @staticmethod
    def fitted(points: tuple[Floats, Floats], y: Floats) -> _Model:
        """The kernel's parameters of highest likelihood on a grid, the variance in closed form."""
        time, x = points
        best, found = -np.inf, (_SCALES[2], _FORGETTING[2], _NOISES[2], 1.0)
        squares, gaps = _squares(x, x), np.abs(time[:, None] - time[None])
        for scale, forgetting in itertools.product(_SCALES, _FORGETTING):
            correlation = _kernel(squares, gaps, scale, forgetting)
            for noise in _NOISES:
                factor = np.linalg.cholesky(correlation + noise * np.eye(len(y)))
                white = np.linalg.solve(factor, y)
                variance = max(float(white @ white) / len(y), 1e-6)
                likelihood = -np.log(np.diag(factor)).sum() - 0.5 * len(y) * math.log(variance)
                if likelihood > best:
                    best, found = likelihood, (scale, forgetting, noise, variance)
        return _Model(time, x, y, *found)

    def bound(self, runs: tuple[Floats, Floats], here: tuple[Floats, Floats]) -> Floats:
        """(k,) the upper confidence bound `here`; what `runs` narrows it and moves nothing (Desautels et al., JMLR 15, 2014)."""
        mean, _ = self._predicted(self.time, self.x, self.y, here)
        time, x = np.concatenate((self.time, runs[0])), np.concatenate((self.x, runs[1]))
        _, spread = self._predicted(time, x, np.zeros(len(time)), here)
        beta = max(_C1 * math.log(_C2 * len(self.y)), 0.0)
        return mean + math.sqrt(beta) * spread

    def _predicted(
        self, time: Floats, x: Floats, y: Floats, here: tuple[Floats, Floats]
    ) -> tuple[Floats, Floats]:
        gaps = np.abs(time[:, None] - time[None])
        among = _kernel(_squares(x, x), gaps, self.scale, self.forgetting) + self.noise * np.eye(len(y))
        cross = _kernel(_squares(x, here[1]), np.abs(time[:, None] - here[0]), self.scale, self.forgetting)
        factor = np.linalg.cholesky(among)
        white = np.linalg.solve(factor, cross)
        mean = white.T @ np.linalg.solve(factor, y)
        left = np.maximum(1.0 - (white**2).sum(axis=0), 0.0)
        return mean, np.sqrt(self.variance * left)


def _squares(a: Floats, b: Floats) -> Floats:
    found: Floats = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    return found


def _kernel(squares: Floats, gaps: Floats, scale: float, forgetting: float) -> Floats:
    found: Floats = np.exp(-0.5 * squares / scale**2) * (1.0 - forgetting) ** (gaps / 2)
    return found
