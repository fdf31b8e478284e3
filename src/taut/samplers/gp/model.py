"""What Gaussian processes know of a study: its objectives, what is allowed, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from taut.past import Past
from taut.samplers.beliefs import Beliefs
from taut.samplers.geometry import Geometry
from taut.samplers.gp.acquisition import log_feasible, log_improvement
from taut.samplers.gp.cost import Price, Purse
from taut.samplers.gp.hypervolume import Front
from taut.samplers.gp.kernel import Features, Hyper, distances
from taut.samplers.gp.learn import Learned, learn
from taut.samplers.gp.posterior import Posterior, Root
from taut.samplers.gp.transfer import Source, weigh
from taut.samplers.history import History
from taut.space.prior import Bools, Floats
from taut.standing import non_dominated, standing

__all__ = ["Model", "skill"]

_PROBABLY = math.log(0.5)
_WALL = 10.0
_SURE = 1e-6  # noise variance of a pending trial

_NOISY = 0.05  # noise variance above which the best observation was probably lucky
_PENDING = 128  # pending trials that are conditioned on
_TOGETHER = 0.01  # points that are nearer to a pending one than this would be one experiment made twice
_CRASHES = 3  # failed trials from which on failing is learned, rather than taken for a bad value only
_LABELLED = 200  # trials of each sort that failing is learned from
_SHARP = 0.25  # lengthscale of failing, for one parameter
_BELIEF = 10.0  # trials whose evidence weighs as much as a belief (piBO's beta)
_CUSTOM = 5.0  # the same, of the belief that optima lie inside of the ranges that people write
_INSIDE = 0.35  # standard deviation of where, in ranges
_SEEN = 0.9  # quantile of an objective up to which hypervolume goes at least
_BEYOND = 0.1  # of the width of the front that it goes beyond the front's end
_PREDICTS = 0.5  # skill from which on that belief is not needed


class Model:
    """Posteriors of a study's objectives, and the score of points that were not tried.

    extra: (m, d) points of the cube that are pending besides the study's own. price: what trials cost, and what that means for the
    next one; None if that does not matter. number: of the trial that is to be chosen.
    """

    def __init__(self, history: History, extra: Floats, price: Price | None = None, number: int = 0) -> None:
        space = history.space
        self._geometry, self._features = Geometry.of(space), Features.of(space, history.graded)
        self._conditional = bool(len(self._geometry.conditional))
        self._beliefs = Beliefs.of(space)
        self._count = len(history)
        done, failed, pruned = map(history.unit, (history.done, history.failed, history.pruned))
        pending = np.concatenate((history.unit(history.pending), extra))
        self.taken: Floats = np.concatenate((done, failed, pruned, pending))
        x, crashes, stopped, self._waiting = map(self._rows, (done, failed, pruned, pending))
        crashes, stopped, waiting = crashes[-_LABELLED:], stopped[-_LABELLED:], self._waiting[-_PENDING:]

        steps = history.steps
        every = self._features.rows(done[steps.who], self._active(done[steps.who]), steps.grade)
        self.learned = [
            learn(self._features, every, column, among=steps.loss)
            for column in np.ascontiguousarray(steps.loss.T)
        ]
        self._losses = [_with_others(learned, crashes, stopped, waiting) for learned in self.learned]
        rows = self.learned[0].rows  # the same of each
        last = steps.last[rows]
        which = steps.who[rows][last]
        tried = done[which]
        self._sources = self._trusted(history.snapshot.past, done[steps.who][rows], len(steps.loss))
        seen = np.stack([loss.fitted[: len(rows)] for loss in self._losses], axis=1)[last]
        outputs = np.stack([learned.outputs for learned in self.learned], axis=1)[last]
        allowed = history.good[which]
        self._purse = None if price is None else Purse(price, self._features, x)
        if price is not None:
            allowed &= ~(price.logs[which] > price.within)  # what is not known may be
        self.best_first: Floats = tried[np.lexsort((standing(seen, np.empty((len(seen), 0))), ~allowed))]
        """Tried points, the most promising first."""
        self._limits = [
            _posterior(learn(self._features, x, column, "slack")) for column in _known(history.slack)
        ]
        if len(crashes) >= _CRASHES:
            self._limits.append(self._failing(x, crashes))
        self._gain: Callable[[Floats, Floats], Floats] | None = None
        reached = allowed & history.whole[which]  # what others would come to is a guess
        allowed = reached if reached.any() else allowed
        if allowed.any():
            noisy = [loss.root.noise > _NOISY for loss in self._losses]
            levels = self._mixed(np.where(noisy, seen, outputs), tried, self._active(tried))[allowed]
            # What is expected of pending trials is reached already, as far as they will probably be allowed.
            hoped = np.stack([loss.mean(waiting) for loss in self._losses], axis=1)
            hoped = self._mixed(hoped, pending[-_PENDING:], self._active(pending[-_PENDING:]))
            likely = self._log_allowed(waiting) > _PROBABLY
            if self._purse is not None:
                likely &= self._purse.affords(waiting)
            self._gain = _gain(np.concatenate((levels, hoped[likely])), outputs, number)

    @property
    def skill(self) -> float:
        """How much of the variance of losses it predicts that it was not shown: 1 everything, 0 or less nothing; on average."""
        return float(np.mean([learned.skill for learned in self.learned]))

    def predict(self, unit: Floats, active: Bools | None, objective: int = 0) -> tuple[Floats, Floats]:
        """Means and variances (m,) of the transformed losses of one objective."""
        mean, variance = self._predicted(self._features.rows(unit, active), unit, active)
        return mean[:, objective], variance[:, objective]

    @property
    def partial(self) -> bool:
        """Whether scores speak of more than the improvement that is expected: of cost, or of beliefs."""
        return self._purse is not None or self._beliefs.stated or self._unsure > 0.0

    @property
    def _unsure(self) -> float:
        return min(max(1.0 - self.skill / _PREDICTS, 0.0), 1.0)

    @property
    def trust(self) -> float:
        """The weight of earlier studies in what is expected, from 0 to 1."""
        return sum(weight for weight, _ in self._sources)

    def score(self, unit: Floats, active: Bools | None) -> Floats:
        """(m,) log expected improvement, with what is believed, allowed and paid."""
        x = self._features.rows(unit, active)
        total = self._hope(x, unit, active)
        if self._purse is not None:
            total += self._purse.log_worth(x)
        # piBO (Hvarfner et al., ICLR 2022, equation 6): what is believed fades with evidence.
        if self._beliefs.stated:
            total += _BELIEF / self._count * self._beliefs.log(unit, active)
        if self._unsure:
            total += _CUSTOM / self._count * self._unsure * self._inside(unit, active)
        if len(self._waiting):
            total[distances(x, self._waiting).min(axis=1) < _TOGETHER**2] = -np.inf
        return total

    def hope(self, unit: Floats, active: Bools | None) -> Floats:
        """(m,) log expected improvement where it is allowed, without what is believed and paid."""
        return self._hope(self._features.rows(unit, active), unit, active)

    def _hope(self, x: Floats, unit: Floats, active: Bools | None) -> Floats:
        total = self._log_allowed(x)
        return total if self._gain is None else total + self._gain(*self._predicted(x, unit, active))

    def ignorance(self, unit: Floats, active: Bools | None) -> Floats:
        """(m,) how little is known of points that are allowed: the logarithm of the standard deviation there."""
        x = self._features.rows(unit, active)
        variance = self._predicted(x, unit, active)[1]
        return np.asarray(0.5 * np.log(variance).sum(axis=1) + self._log_allowed(x))

    def _predicted(self, x: Floats, unit: Floats, active: Bools | None) -> tuple[Floats, Floats]:
        """Means and variances (m, objectives)."""
        each = [loss.predict(x) for loss in self._losses]
        mean, variance = (np.stack(column, axis=1) for column in zip(*each, strict=True))
        return self._mixed(mean, unit, active), variance

    def _inside(self, unit: Floats, active: Bools | None) -> Floats:
        """(m,) log density of where optima lie in the ranges that people write: rather inside than in a corner."""
        o = self._geometry.ordered
        z = (unit[:, o] - 0.5) / _INSIDE
        if active is not None:
            z = np.where(active[:, o], z, 0.0)
        return np.asarray(-0.5 * np.einsum("ij,ij->i", z, z))

    def _rows(self, unit: Floats) -> Floats:
        return self._features.rows(unit, self._active(unit))

    def _active(self, unit: Floats) -> Bools | None:
        return ~np.isnan(self._geometry.codes(unit)) if self._conditional else None

    def _trusted(self, past: tuple[Past, ...], tried: Floats, seed: int) -> list[tuple[float, Source]]:
        """Models of earlier studies that say something of this one, with their weights."""
        found = (Source.of(earlier, self._geometry.space) for earlier in past)
        sources = [source for source in found if source is not None]
        if not sources:
            return []
        root, outputs = self.learned[0].root, self.learned[0].outputs
        mean, variance = root.left_out(outputs)
        weights = weigh(
            [source.predict(tried, self._active(tried)) for source in sources],
            (mean, np.maximum(variance - root.noise, _SURE)),  # of the function, as theirs are
            outputs,
            np.random.default_rng(seed),
        )
        return [(w, source) for w, source in zip(weights.tolist(), sources, strict=True) if w]

    def _mixed(self, mean: Floats, unit: Floats, active: Bools | None) -> Floats:
        """Our own means (m, objectives), those of the first mixed with those of the earlier studies that are trusted."""
        if self._sources:
            mean[:, 0] *= 1.0 - self.trust
            for weight, source in self._sources:
                mean[:, 0] += weight * source.mean(unit, active)
        return mean

    def _log_allowed(self, x: Floats) -> Floats:
        """(m,) log probability of keeping every constraint and of not failing."""
        total = np.zeros(len(x))
        for limit in self._limits:
            total += log_feasible(*limit.predict(x))
        # Where it will rather not be allowed, no improvement is large enough.
        return np.asarray(np.where(total < _PROBABLY, _WALL * total, total))

    def _failing(self, x: Floats, crashes: Floats) -> Posterior:
        """A slack of trials that failed (1) and of those that ended well (-1), which is what is expected elsewhere, too."""
        x, count = x[-_LABELLED:], self._features.count
        hyper = Hyper(np.full(count, 1.0 / (_SHARP**2 * count)), 1.0, 0.01)
        labels = np.repeat([0.0, 2.0], [len(x), len(crashes)])
        return Posterior(Root(np.concatenate((x, crashes)), hyper, self._features.group), labels, level=-1.0)


def skill(history: History) -> float:
    """That of a model of the losses, without making one of all the rest."""
    features, rows = Features.of(history.space), history.done
    active = history.active(rows) if len(Geometry.of(history.space).conditional) else None
    x = features.rows(history.unit(rows), active)
    columns = np.ascontiguousarray(history.loss.T)
    return float(np.mean([learn(features, x, column, among=history.loss).skill for column in columns]))


def _with_others(learned: Learned, crashes: Floats, stopped: Floats, waiting: Floats) -> Posterior:
    """That of what was learned and of what is guessed of trials without a result."""
    root, outputs = learned.root, learned.outputs
    # A failed trial is as bad as the worst that ended, a pruned one is worse than most.
    imputed = np.repeat([outputs.max(), np.quantile(outputs, 0.75)], [len(crashes), len(stopped)])
    root = root.extended(np.concatenate((crashes, stopped)))
    # What a pending trial will bring is taken for known, or it would be proposed once more.
    return Posterior(root.extended(waiting, _SURE), np.concatenate((outputs, imputed)))


def _gain(levels: Floats, outputs: Floats, number: int) -> Callable[[Floats, Floats], Floats]:
    """Log of what points with means and variances (n, objectives) are expected to improve on levels (k, objectives)."""
    if levels.shape[1] == 1:
        best = float(levels.min())
        return lambda mean, variance: log_improvement(mean[:, 0], variance[:, 0], best)
    front = levels[non_dominated(levels)]
    worst = front.max(axis=0)
    reference = np.maximum(worst + _BEYOND * (worst - front.min(axis=0)), np.quantile(outputs, _SEEN, axis=0))
    return Front(front, reference, np.random.default_rng(number)).log_gain


def _posterior(learned: Learned) -> Posterior:
    return Posterior(learned.root, learned.outputs)


def _known(slack: Floats) -> Sequence[Floats]:
    """The columns of constraints; where one is not known, as if it were just broken."""
    return [np.where(np.isnan(column), math.ulp(0.0), column) for column in slack.T]
