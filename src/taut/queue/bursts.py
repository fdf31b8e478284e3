"""Jobs that were submitted together, and how much they wait alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taut.queue.records import Codes, Jobs
from taut.space.prior import Floats

__all__ = ["TOGETHER", "bursts", "correlation"]

TOGETHER = 600.0
"""Seconds between two submissions of the same kind that still belong together."""


def bursts(jobs: Jobs) -> Codes:
    """(n,) which burst each job belongs to: the same user, shape and partition, each within ten minutes of the last."""
    shape = (jobs.partition, jobs.user, jobs.unit, jobs.size, jobs.walltime)
    order = np.lexsort((jobs.submit, *shape))
    new = np.diff(jobs.submit[order], prepend=-np.inf) > TOGETHER
    for column in shape:
        sorted_column = column[order]
        new[1:] |= ~((sorted_column[1:] == sorted_column[:-1]) | _both_unknown(sorted_column))
    found = np.empty(len(jobs), dtype=np.int32)
    found[order] = np.cumsum(new) - 1
    return found


def _both_unknown(column: NDArray[np.generic]) -> NDArray[np.bool_]:
    unknown = np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), dtype=bool)
    return np.asarray(unknown[1:] & unknown[:-1])


def correlation(scores: Floats, burst: Codes, believed: float, worth: float) -> float:
    """Intraclass correlation of `scores` within bursts, from 0 to 0.99: one-way analysis of variance with unequal sizes.

    scores: (n,) roughly standard normal. believed: what is taken before anything is known, as if from `worth` bursts
    of several jobs. Source: Donner, International Statistical Review 54 (1986), equation 2.1.
    """
    groups, place, sizes = np.unique(burst, return_inverse=True, return_counts=True)
    several = int((sizes > 1).sum())
    if several < 2:
        return believed
    means = np.bincount(place, scores) / sizes
    n, k = len(scores), len(groups)
    between = float((sizes * (means - scores.mean()) ** 2).sum()) / (k - 1)
    within = float(((scores - means[place]) ** 2).sum()) / max(n - k, 1)
    usual = (n - float((sizes.astype(np.float64) ** 2).sum()) / n) / (k - 1)
    measured = (between - within) / max(between + (usual - 1) * within, 1e-12)
    return float(np.clip((several * measured + worth * believed) / (several + worth), 0.0, 0.99))
