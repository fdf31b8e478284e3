"""What earlier studies lead to expect of this one, and how far to trust them.

A model of each earlier study predicts the order of this study's trials, and so does this study's own model of trials that were
left out. How often a draw from one of them has the fewest pairs in the wrong order is its weight (the ranking-weighted ensemble
of Feurer, Letham, Hutter & Bakshy, arXiv:1802.02219). Only orders are compared, so the values of different tasks never mix.
Unlike there, the variance stays that of this study's own model: what another task knows makes nothing sure here.
"""

from __future__ import annotations

import functools

import numpy as np

from taut.past import Past
from taut.samplers.geometry import Geometry
from taut.samplers.gp.kernel import Features
from taut.samplers.gp.learn import learn
from taut.samplers.gp.posterior import Posterior
from taut.space import Space
from taut.space.prior import Bools, Floats

__all__ = ["Source", "portfolio", "weigh"]

_LEAST = 5  # trials of an earlier study that are worth a model
_DRAWS = 64
_JUDGED = 50  # latest trials that orders are compared on
_DILUTING = 0.95  # an earlier study is dropped if its median loss is above this quantile of our own
_APART = 0.1  # how far good points of earlier studies differ in some coordinate to be tried both


class Source:
    """A model of an earlier study on the parameters that this one shares. `Source.of` gives None if it teaches nothing."""

    def __init__(self, past: Past, space: Space) -> None:
        recoded = past.recoded(space)
        self._features = Features.of(space)
        self._new = ~recoded.shared
        rows = np.flatnonzero(recoded.usable & ~past.failed & np.isfinite(past.loss))
        codes = recoded.codes[rows]
        x = self._rows(space.encode(codes), ~np.isnan(codes))
        learned = learn(self._features, x, past.loss[rows])
        self._posterior = Posterior(learned.root, learned.outputs)

    @staticmethod
    @functools.lru_cache(maxsize=16)
    def of(past: Past, space: Space) -> Source | None:
        usable = past.recoded(space).usable & ~past.failed & np.isfinite(past.loss)
        return Source(past, space) if int(usable.sum()) >= _LEAST else None

    def predict(self, unit: Floats, active: Bools | None) -> tuple[Floats, Floats]:
        """Means and variances (m,) of the loss there, standardised as it was there."""
        return self._posterior.predict(self._rows(unit, active))

    def mean(self, unit: Floats, active: Bools | None) -> Floats:
        return self._posterior.mean(self._rows(unit, active))

    def _rows(self, unit: Floats, active: Bools | None) -> Floats:
        """Features in which the parameters that the earlier study did not have are the same everywhere."""
        return self._features.rows(
            np.where(self._new, 0.5, unit),
            np.ones(unit.shape, bool) if active is None else active | self._new,
        )


def weigh(
    sources: list[tuple[Floats, Floats]],
    own: tuple[Floats, Floats],
    outputs: Floats,
    rng: np.random.Generator,
) -> Floats:
    """(s,) weights of s earlier studies; what is left to 1 is our own model's.

    sources: for each, means and variances (n,) at our trials. own: the same of our model, each trial left out. outputs: (n,).
    """
    y = outputs[-_JUDGED:]
    worse = y[:, None] > y
    losses = []
    for mean, variance in [*sources, own]:
        draws = mean[-_JUDGED:] + np.sqrt(variance[-_JUDGED:]) * rng.standard_normal((_DRAWS, len(y)))
        losses.append(((draws[:, :, None] > draws[:, None, :]) != worse).sum(axis=(1, 2)))
    table = np.array(losses, float)
    diluting = np.median(table[:-1], axis=1) > np.quantile(table[-1], _DILUTING)
    table[:-1][diluting] = np.inf
    best = table == table.min(axis=0)
    return np.asarray((best / best.sum(axis=0)).mean(axis=1)[:-1])


def portfolio(past: tuple[Past, ...], space: Space) -> Floats:
    """(k, d) codes of good points of earlier studies, best first, in turn from each; NaN for parameters they did not have."""
    each = [_good(earlier, space) for earlier in past]
    longest = max((len(codes) for codes in each), default=0)
    rows = [codes[i] for i in range(longest) for codes in each if i < len(codes)]
    return np.array(rows).reshape(-1, len(space))


@functools.lru_cache(maxsize=16)
def _good(past: Past, space: Space) -> Floats:
    recoded = past.recoded(space)
    rows = np.flatnonzero(recoded.usable & past.good)
    rows = rows[np.argsort(past.loss[rows], kind="stable")]
    unit, kept = space.encode(recoded.codes), list[int]()
    free = Geometry.of(space).free
    for i in rows.tolist():
        if all(np.abs(unit[i, free] - unit[k, free]).max(initial=0.0) > _APART for k in kept):
            kept.append(i)
        if len(kept) == _LEAST:
            break
    return recoded.codes[kept]
