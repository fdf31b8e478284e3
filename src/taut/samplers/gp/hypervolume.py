"""What a trial is expected to add to the hypervolume of several objectives: the part of their space that some trial dominates.

With P_k(a) the chance that a point's k-th objective is below a,

    EHVI = integral of P_1(a_1) ... P_m(a_m) da   over all a below the reference that no trial of the front dominates,

since a belongs to what is added just where all objectives are below it (Emmerich, Deutz & Klinkenberg, CEC 2011). For two
objectives this is a sum over strips. For more it is integrated along rays from the reference, as hypervolumes are in Zhang &
Golovin (arXiv:2006.04655, lemma 5), which needs no decomposition of space and costs the same whatever the front looks like.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from taut.space.prior import Floats
from taut.standing import non_dominated

__all__ = ["Front"]

_ROOT = 1.0 / math.sqrt(2.0 * math.pi)
_TINY = 1e-300
_RAYS = 32
_ALONG = np.concatenate(([0.0], np.geomspace(0.02, 4.0, 7)))  # from the front on, in standard deviations
_BLOCK = 2**18  # places on rays that are looked at together


class Front:
    """What trials have come to together. Objectives are on scales of their own, where their standard deviations are about 1.

    levels: (f, m) losses of trials, m of 2 or more. reference: (m,) what is no better than this adds nothing.
    rng: for the rays, which are other ones each time; not used with two objectives.
    """

    def __init__(self, levels: Floats, reference: Floats, rng: np.random.Generator) -> None:
        levels = levels[(levels < reference).all(axis=1)]
        levels = levels[non_dominated(levels)]
        if len(reference) == 2:
            levels = levels[np.argsort(levels[:, 0], kind="stable")]
            # Left of the first and up to the reference, between neighbours up to the left one, from the last on up to that.
            self._ends = np.append(levels[:, 0], reference[0])
            self._tops = np.append(reference[1], levels[:, 1])
            return
        rays = np.abs(rng.standard_normal((_RAYS, len(reference))))
        self._rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        within = (reference - levels) / self._rays[:, None, :]
        front = within.min(axis=2).max(axis=1, initial=0.0)  # (rays,) how far from the reference it lies
        radius = front[:, None] + _ALONG
        self._places = reference - radius[:, :, None] * self._rays[:, None, :]  # (rays, places on each, m)
        steps = np.gradient(_ALONG)
        steps[[0, -1]] /= 2.0  # trapezium rule
        self._weights = steps * radius ** (len(reference) - 1) / _RAYS

    def log_gain(self, mean: Floats, variance: Floats) -> Floats:
        """(n,) log of the volume that points are expected to add; with three objectives or more up to a constant.

        mean, variance: (n, m) of the points' objectives, which are taken to be independent.
        """
        deviation = np.sqrt(variance)
        if mean.shape[1] == 2:
            left = _below(self._ends, mean[:, :1], deviation[:, :1])
            left[:, 1:] -= left[:, :-1].copy()
            gain = np.einsum("ij,ij->i", left, _below(self._tops, mean[:, 1:], deviation[:, 1:]))
        else:
            size = max(_BLOCK // self._weights.size, 1)
            gain = np.concatenate(
                [self._along(mean[i : i + size], deviation[i : i + size]) for i in range(0, len(mean), size)]
            )
        return np.asarray(np.log(np.maximum(gain, _TINY)))

    def _along(self, mean: Floats, deviation: Floats) -> Floats:
        chance = np.broadcast_to(self._weights, (len(mean), *self._weights.shape)).copy()
        for k in range(mean.shape[1]):
            chance *= ndtr((self._places[:, :, k] - mean[:, k, None, None]) / deviation[:, k, None, None])
        return np.asarray(chance.sum(axis=(1, 2)))


def _below(level: Floats, mean: Floats, deviation: Floats) -> Floats:
    """(n, f) integrals of a normal distribution function up to levels (f,), which are expected improvements on them."""
    z = (level - mean) / deviation
    return np.asarray(deviation * (z * ndtr(z) + _ROOT * np.exp(-0.5 * z * z)))
