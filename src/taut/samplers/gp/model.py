"""What the Gaussian process knows of a study: losses, what is allowed, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from taut.samplers.beliefs import Beliefs
from taut.samplers.geometry import Geometry
from taut.samplers.gp.acquisition import log_feasible, log_improvement
from taut.samplers.gp.kernel import Features, Hyper
from taut.samplers.gp.learn import Learned, learn
from taut.samplers.gp.posterior import Posterior, Root
from taut.samplers.history import History
from taut.space.prior import Bools, Floats

__all__ = ["Model"]

_NOISY = 0.05  # noise variance above which the best observation was probably lucky
_PENDING = 64  # pending trials that are conditioned on
_CRASHES = 3  # failed trials from which on failing is learned, rather than taken for a bad value
_LABELLED = 400  # trials that failing is learned from
_BELIEF = 10.0  # trials whose evidence weighs as much as a belief (piBO's beta)
_CENTRED = 0.35  # standard deviation, in ranges, of where optima lie in the ranges that people write


class Model:
    """Posteriors of a study's trials, and the score of points that were not tried.

    loss: (k,) one loss for each complete trial. extra: (m, d) points of the cube that are pending besides the study's own.
    cost: (k,) what each trial cost, above 0, and thrift: the power of cost that improvement is divided by.
    """

    def __init__(
        self, history: History, loss: Floats, extra: Floats, cost: Floats | None = None, thrift: float = 0.0
    ) -> None:
        space = history.space
        self._geometry, self._features = Geometry.of(space), Features.of(space)
        self._conditional = bool(len(self._geometry.conditional))
        self._beliefs = Beliefs.of(space)
        self._count = len(loss)
        done, failed = history.unit(history.done), history.unit(history.failed)
        pending = np.concatenate((history.unit(history.pending), extra))
        self.taken: Floats = np.concatenate((done, failed, pending))
        x, crashes, waiting = (self._rows(unit) for unit in (done, failed, pending[-_PENDING:]))

        self.learned = learned = learn(self._features, x, loss)
        root, outputs = learned.root, learned.outputs
        if 0 < len(crashes) < _CRASHES:
            root = root.extended(crashes)
            outputs = np.concatenate((outputs, np.full(len(crashes), outputs.max())))
        self._loss = Posterior(root.extended(waiting), outputs)
        seen = self._loss.fitted[: len(learned.rows)]
        allowed = history.good[learned.rows]
        self.best_first: Floats = done[learned.rows[np.lexsort((seen, ~allowed))]]
        """Tried points, the most promising first."""
        level = seen if root.hyper.noise > _NOISY else learned.outputs
        self._best: float | None = float(level[allowed].min()) if allowed.any() else None
        self._limits = [
            _posterior(learn(self._features, x, column, around_zero=True)) for column in _known(history.slack)
        ]
        if len(crashes) >= _CRASHES:
            self._limits.append(self._failing(x, crashes))
        self._cost = None if cost is None else _posterior(learn(self._features, x, np.log(cost)))
        self._thrift = thrift

    @property
    def skill(self) -> float:
        """How much of the variance of losses it predicts that it was not shown: 1 everything, 0 or less nothing."""
        return self.learned.skill

    def predict(self, unit: Floats, active: Bools | None) -> tuple[Floats, Floats]:
        """Means and variances (m,) of the transformed loss."""
        return self._loss.predict(self._features.rows(unit, active))

    def score(self, unit: Floats, active: Bools | None) -> Floats:
        """(m,) log expected improvement, with what is believed, allowed and paid."""
        x = self._features.rows(unit, active)
        total = np.zeros(len(x))
        if self._best is not None:
            total = log_improvement(*self._loss.predict(x), self._best)
        for limit in self._limits:
            total += log_feasible(*limit.predict(x))
        if self._cost is not None and self._thrift:
            total -= self._thrift * self._cost.mean(x)
        # piBO (Hvarfner et al., ICLR 2022, equation 6): what is believed fades with evidence.
        faith = _BELIEF / self._count
        if self._beliefs.stated:
            total += faith * self._beliefs.log(unit, active)
        unknown = min(max(1.0 - self.skill, 0.0), 1.0) ** 2
        total += faith * unknown * self._centred(unit, active)
        return total

    def _centred(self, unit: Floats, active: Bools | None) -> Floats:
        """(m,) log density of where optima lie in ranges that people write: rather inside than in a corner."""
        o = self._geometry.ordered
        z = (unit[:, o] - 0.5) / _CENTRED
        if active is not None:
            z = np.where(active[:, o], z, 0.0)
        return np.asarray(-0.5 * np.einsum("ij,ij->i", z, z))

    def _rows(self, unit: Floats) -> Floats:
        active = ~np.isnan(self._geometry.codes(unit)) if self._conditional else None
        return self._features.rows(unit, active)

    def _failing(self, x: Floats, crashes: Floats) -> Posterior:
        """A model of labels, -1 for trials that ended well and 1 for those that failed."""
        x, crashes = x[-_LABELLED:], crashes[-_LABELLED:]
        hyper = Hyper.fixed(self._features.count)._replace(noise=0.1)
        labels = np.repeat([-1.0, 1.0], [len(x), len(crashes)])
        return Posterior(Root(np.concatenate((x, crashes)), hyper, self._features.group), labels)


def _posterior(learned: Learned) -> Posterior:
    return Posterior(learned.root, learned.outputs)


def _known(slack: Floats) -> Sequence[Floats]:
    """The columns of constraints; where one is not known, as if it were just broken."""
    return [np.where(np.isnan(column), math.ulp(0.0), column) for column in slack.T]
