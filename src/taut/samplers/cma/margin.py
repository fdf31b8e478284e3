"""CMA-ES with margin: no discrete parameter gets stuck in a cell.

A normal distribution that has become narrower than a cell draws one value for ever. So after each update its mean and its stretch
are corrected where the probability of leaving the cell would be less than the margin. Hamano, Saito, Nomura & Shirakawa, GECCO 2022,
arXiv:2205.13482, section 4.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import ndtr, ndtri

from taut.samplers.cma.gaussian import Gaussian
from taut.samplers.geometry import Geometry
from taut.space.prior import Floats

__all__ = ["corrected"]

_SURE = 1e-10  # least probability that is solved for
_LEAST = 1e-100  # deviation


def corrected(gaussian: Gaussian, geometry: Geometry, population: int) -> Gaussian:
    """Likely enough to leave the cell in which its mean is, in each discrete parameter. Its columns are those of `geometry.ordered`."""
    columns = geometry.ordered.tolist()
    which = [i for i, j in enumerate(columns) if j in geometry.middles]
    if not which:
        return gaussian
    margin = 1.0 / (len(columns) * population)
    mean, stretch = gaussian.mean.copy(), gaussian.stretch.copy()
    m, a, s = mean[which], stretch[which], np.maximum(gaussian.deviation[which], _LEAST)
    low, high = np.array([_edges(geometry.middles[columns[i]], mean[i]) for i in which]).T

    # In the first and the last cell there is one edge; the mean is so near to it that the margin is kept (eq. 11).
    first, last = np.isinf(low), np.isinf(high)
    ends = first | last
    edge, side = np.where(first, high, low), np.where(first, -1.0, 1.0)
    m[ends] = (edge + side * np.minimum(np.abs(m - edge), -ndtri(margin) * s * a))[ends]

    # Between two edges the probabilities of both sides are raised, and what they stand for is solved for (eq. 12 to 18).
    below, above = ndtr((low - m) / (s * a)), ndtr((m - high) / (s * a))
    inside = 1.0 - below - above
    short = ~ends & (np.minimum(below, above) < margin / 2)
    if short.any():
        below, above = np.maximum(below, margin / 2), np.maximum(above, margin / 2)
        over = (1.0 - below - above - inside) / (below + above + inside - 1.5 * margin)
        below, above = (p + over * (p - margin / 2) for p in (below, above))
        down, up = (-ndtri(np.clip(p, _SURE, 0.5 - _SURE))[short] for p in (below, above))
        a[short] = (high[short] - low[short]) / ((down + up) * s[short])
        m[short] = (low[short] * up + high[short] * down) / (down + up)
    mean[which], stretch[which] = m, a
    return dataclasses.replace(gaussian, mean=mean, stretch=stretch)


def _edges(middles: Floats, u: float) -> tuple[float, float]:
    """Of the cell that `u` is in; infinite at the ends."""
    edges = (middles[1:] + middles[:-1]) / 2
    i = int(np.searchsorted(edges, u, side="right"))
    return edges[i - 1] if i else -np.inf, edges[i] if i < len(edges) else np.inf
