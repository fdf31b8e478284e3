"""How much each parameter matters for being among the best: PED-ANOVA, in closed form and linear in the number of trials.

S. Watanabe, A. Bansal and F. Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces",
IJCAI 2023 (arXiv 2304.10255), Algorithm 1: a parameter matters as far as the density of its values among the best trials differs from
that among all trials, measured by the Pearson divergence. Parameters that not every trial has: K. Baba, Y. Ozaki and S. Watanabe,
"Conditional PED-ANOVA", 2026 (arXiv 2601.20800), Theorem 4.2.

Departures: densities are mixed with a uniform one of the weight of one trial, where the paper uses a wide normal one; and how
large an importance comes about by itself is worked out beside it. Where a sampler learns, good trials come late, and late trials lie
near each other in every parameter, also in one without effect; so chance is judged by random trials of the same age as the best ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pedanova"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_BINS = 50  # of a parameter without levels
_NARROWEST = 0.5 / 1.64  # bandwidth in bins: 90 % of a kernel lie in its own bin
_DRAWS = 100  # random sets of "best" trials, by which chance is judged
_CHANCE = 0.95


def pedanova(
    units: Floats,
    cells: NDArray[np.int64],
    ordered: Bools,
    top: Bools,
    strata: NDArray[np.int64],
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """(d,) the importance of each parameter, and (d,) below what it may well be chance: of 20 random sets of as many trials 19 give less.

    units: (n, d) places of all trials in [0, 1], NaN where a trial does not have a parameter. cells: (d,) how many levels each has, 0 for a continuous
    one. ordered: (d,) whether neighbouring values are alike. top: (n,) which trials are the best ones. strata: (n,) trials of
    about the same age have the same number. seed: of the random sets.
    """
    sets = _sets(top, strata, seed)
    found = np.zeros((len(sets), units.shape[1]))
    for j in range(units.shape[1]):
        there = ~np.isnan(units[:, j])
        if there.sum() < 2:
            continue
        bins = int(cells[j]) if 0 < cells[j] <= _BINS or (cells[j] and not ordered[j]) else _BINS
        place = np.full(len(units), bins)  # those that do not have it lie in a bin of their own
        place[there] = np.minimum((units[there, j] * bins).astype(np.int64), bins - 1)
        counts = np.stack([np.bincount(place[rows], minlength=bins + 1) for rows in sets])[:, :bins].astype(
            float
        )
        everybody = _density(
            np.bincount(place, minlength=bins + 1)[None, :bins].astype(float), bool(ordered[j])
        )
        best = _density(counts, bool(ordered[j]))
        divergence = (everybody * (best / everybody - 1.0) ** 2).sum(axis=1)
        # Theorem 4.2: within the trials that have it, weighted by how often the best and how often all have it.
        alpha, beta = counts.sum(axis=1) / sets.shape[1], there.mean()
        found[:, j] = alpha**2 / beta * divergence
    return found[0], np.quantile(found[1:], _CHANCE, axis=0)


def _sets(top: Bools, strata: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """(1 + draws, best) the rows of the best trials, and random sets with as many from each stratum."""
    generator = np.random.default_rng([seed, len(top)])
    parts = [
        (np.flatnonzero(top & (strata == each)), np.flatnonzero(strata == each)) for each in np.unique(strata)
    ]
    best = np.concatenate([chosen for chosen, _ in parts])
    drawn = [
        np.concatenate([generator.choice(all_, len(chosen), replace=False) for chosen, all_ in parts])
        for _ in range(_DRAWS)
    ]
    return np.stack([best, *drawn])


def _density(counts: Floats, ordered: bool) -> Floats:
    """(k, bins) probabilities from counts, smoothed along the axis if neighbours are alike, and mixed with one trial spread evenly."""
    bins = counts.shape[1]
    total = counts.sum(axis=1, keepdims=True)
    if ordered and bins > 2:
        counts = np.stack([_smooth(row) for row in counts])
    mixed: Floats = (counts + 1.0 / bins) / (total + 1.0)
    return mixed


def _smooth(counts: Floats) -> Floats:
    """Counts spread by a normal kernel of the width of Scott's rule, which keeps within the axis."""
    total, bins = counts.sum(), len(counts)
    if total < 2:
        return counts
    at = np.arange(bins)
    mean = (at @ counts) / total
    deviation = np.sqrt(((at - mean) ** 2 @ counts) / (total - 1))
    cumulated = np.cumsum(counts) / total
    quartiles = np.searchsorted(cumulated, (0.25, 0.75))
    spread = (
        min(deviation, (quartiles[1] - quartiles[0]) / 1.34) if quartiles[1] > quartiles[0] else deviation
    )
    width = max(1.059 * spread * total**-0.2, _NARROWEST)
    kernel = np.exp(-0.5 * ((at[:, None] - at[None, :]) / width) ** 2)
    spread_out: Floats = (kernel / kernel.sum(axis=0)) @ counts
    return spread_out
