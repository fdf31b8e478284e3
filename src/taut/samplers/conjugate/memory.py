"""The regression over a growing study: what was learned stays, new trials are added, and the answer is always the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taut.samplers.conjugate.features import Features
from taut.samplers.conjugate.regression import NormalInverseGamma, grown, inverse
from taut.samplers.conjugate.targets import Rows, Scaling
from taut.space.prior import Bools, Floats

__all__ = ["Memory"]

_BLOCK = 64
_KEPT = 4  # blocks that may be taken back when trials turn out to have ended in another order
_GROWTH = 1.125

Place = Callable[[slice], tuple[Floats, Bools | None]]


@dataclass(frozen=True, eq=False)
class _Stage:
    """After `count` trials, a multiple of the block's size: Phi'Phi for each lengthscale."""

    count: int
    gram: tuple[Floats, ...]
    ridge: float

    @cached_property
    def inverses(self) -> list[tuple[Floats, float]]:
        return [inverse(gram + self.ridge * np.eye(len(gram))) for gram in self.gram]


@dataclass(frozen=True, eq=False)
class _Tail:
    """The trials after a stage, one at a time: covariance and ln |Lambda| for each lengthscale, and the features."""

    stage: _Stage
    states: list[tuple[Floats, float]]
    phi: list[list[Floats]]  # by lengthscale, then by trial

    @property
    def count(self) -> int:
        return self.stage.count + len(self.phi[0])


@dataclass(frozen=True, eq=False)
class _Moments:
    """Phi'Y and the sums of Y^2 over the first `count` trials, as scaled by the first `version`."""

    version: int
    count: int
    phi_y: list[Floats]
    squares: Floats


class Memory:
    """Posteriors of a growing table of trials, one for each lengthscale.

    Every 64 trials the covariance is worked out by a Cholesky decomposition, within a block by rank-one updates: the same steps
    in the same order whether trials came one by one or all at once, so rounding makes no difference either. The scaling of
    outcomes is renewed with each of the first 64 trials, then at ends of blocks, when there are an eighth more.
    """

    def __init__(
        self, features: Features, lengthscales: tuple[float, ...], prior: NormalInverseGamma, reach: float
    ) -> None:
        self.features, self.lengthscales, self._prior, self._reach = features, lengthscales, prior, reach
        m = features.count
        first = _Stage(0, tuple(np.zeros((m, m)) for _ in lengthscales), prior.ridge)
        self._first = first
        self._forget()

    def _forget(self) -> None:
        self._rows: Rows | None = None
        self._stages = [self._first]
        self._tail: _Tail | None = None
        self._moments: _Moments | None = None

    def posteriors(self, rows: Rows, place: Place) -> tuple[list[NormalInverseGamma], Scaling]:
        """What the trials `rows` say, whose places in the unit cube `place` tells."""
        self._keep(0 if self._rows is None else rows.same(self._rows))
        n = len(rows)
        stage = self._advance(n, place)
        tail = self._follow(stage, n, place)
        version = _version(n)
        scaling = Scaling.of(rows, version, self._reach)
        targets = scaling.targets(rows)
        moments = self._sums(version, stage.count, targets, place)
        self._rows, self._tail, self._moments = rows, tail, moments
        last = targets[stage.count :]
        squares = moments.squares + (last * last).sum(axis=0)
        found = []
        for i, (covariance, log_det) in enumerate(tail.states):
            phi_y = moments.phi_y[i]
            if len(last):
                phi_y = phi_y + np.stack(tail.phi[i]).T @ last
            found.append(
                dataclasses.replace(
                    self._prior,
                    covariance=covariance,
                    log_det=log_det,
                    moments=phi_y,
                    squares=squares,
                    count=n,
                )
            )
        return found, scaling

    def _keep(self, same: int) -> None:
        """Forget what rests on rows after the first `same`."""
        self._stages = [stage for stage in self._stages if stage.count <= same] or [self._first]
        if self._tail is not None and self._tail.count > same:
            self._tail = None
        if self._moments is not None and max(self._moments.count, self._moments.version) > same:
            self._moments = None

    def _advance(self, n: int, place: Place) -> _Stage:
        stage = self._stages[-1]
        while stage.count + _BLOCK <= n:
            rows = slice(stage.count, stage.count + _BLOCK)
            gram = tuple(
                old + phi.T @ phi for old, phi in zip(stage.gram, self._phi(place, rows), strict=True)
            )
            stage = _Stage(rows.stop, gram, stage.ridge)
            self._stages = [*self._stages[-_KEPT:], stage]
        return stage

    def _follow(self, stage: _Stage, n: int, place: Place) -> _Tail:
        tail = self._tail
        if tail is None or tail.stage is not stage:
            tail = _Tail(stage, stage.inverses, [[] for _ in self.lengthscales])
        for row in range(tail.count, n):
            phi = [one[0] for one in self._phi(place, slice(row, row + 1))]
            states = [grown(*state, one) for state, one in zip(tail.states, phi, strict=True)]
            tail = _Tail(stage, states, [[*old, one] for old, one in zip(tail.phi, phi, strict=True)])
        return tail

    def _sums(self, version: int, count: int, targets: Floats, place: Place) -> _Moments:
        known = self._moments
        if known is None or known.version != version:
            zero = np.zeros((self.features.count, targets.shape[1]))
            known = _Moments(version, 0, [zero for _ in self.lengthscales], np.zeros(targets.shape[1]))
        phi_y, squares = known.phi_y, known.squares
        for start in range(known.count, count, _BLOCK):
            rows = slice(start, start + _BLOCK)
            y = targets[rows]
            phi_y = [old + phi.T @ y for old, phi in zip(phi_y, self._phi(place, rows), strict=True)]
            squares = squares + (y * y).sum(axis=0)
        return _Moments(version, count, phi_y, squares)

    def _phi(self, place: Place, rows: slice) -> list[Floats]:
        angles = self.features.angles(*place(rows))
        return [self.features.cosines(angles, scale) for scale in self.lengthscales]


def _version(n: int) -> int:
    """How many of the first trials decide how outcomes are scaled when there are n."""
    version = min(n, _BLOCK)
    while version >= _BLOCK:
        more = _BLOCK * int(np.ceil(version * _GROWTH / _BLOCK))
        if more > n:
            break
        version = more
    return version
