"""How much of the space of objectives a front dominates: one number for how good it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taut.standing import non_dominated

__all__ = ["affordable", "hypervolume"]

Floats = NDArray[np.float64]

_IN_A_SECOND = {3: 2000, 4: 1000, 5: 250, 6: 80, 7: 40}  # points of a random front, by objectives


def hypervolume(loss: Floats, reference: Floats) -> float:
    """The volume between the front of `loss` (k, m), less is better, and the point `reference` (m,). Exact.

    It grows with each point that no other dominates, and with nothing else; a point that is not better than the reference in every
    objective adds nothing. Two volumes can be compared if they have the same reference.

    Two objectives take a sort. With more, each point adds what the points before it do not share with it (While, Bradstreet and
    Barone, IEEE Trans. Evol. Comput. 16, 2012: "WFG"): points are taken by what they gain in the last objective, the largest first, so
    that what two share is a box as high as the later one and their volume one of a dimension less (section III-C).
    """
    gains = reference - loss
    gains = gains[(gains > 0.0).all(axis=1)]
    return _volume(gains[non_dominated(-gains)]) if len(gains) else 0.0


def affordable(points: int, objectives: int) -> bool:
    """Whether `hypervolume` takes a second or two at most: with many objectives the time explodes."""
    return objectives <= 2 or points <= _IN_A_SECOND.get(objectives, 20)


def _volume(gains: Floats) -> float:
    """Of the union of boxes (k, m), each from 0 to its row."""
    if not len(gains):
        return 0.0
    if gains.shape[1] == 1:
        return float(gains.max())
    if gains.shape[1] == 2:
        gains = gains[np.argsort(-gains[:, 0], kind="stable")]
        widths = gains[:, 0] - np.append(gains[1:, 0], 0.0)
        return float(widths @ np.maximum.accumulate(gains[:, 1]))
    gains = gains[np.argsort(-gains[:, -1], kind="stable")]
    bases, total = gains[:, :-1], 0.0
    for i, (base, height) in enumerate(zip(bases, gains[:, -1].tolist(), strict=True)):
        shared = np.minimum(bases[:i], base)
        if shared.shape[1] > 2:
            shared = shared[non_dominated(-shared)]
        total += height * max(float(base.prod()) - _volume(shared), 0.0)
    return total
