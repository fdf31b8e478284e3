"""Quasi-random search: points that fill the space more evenly than independent draws."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from taut.samplers.base import Codes, Numbers, Sampler, draw
from taut.snapshot import Snapshot
from taut.space import Space

__all__ = ["QuasiRandomSampler", "halton"]

_PRECISION = 2.0**-48  # digits of a point finer than this are left out


@dataclasses.dataclass(frozen=True)
class QuasiRandomSampler(Sampler):
    """A scrambled Halton sequence, mapped through the priors.

    Choose it over random search whenever trials are few (10 to some 100) and nothing is known yet; also as
    the design before a model takes over. Trial i needs to know nothing but i. Discrete and conditional
    parameters take part through their quantiles.
    """

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        return draw(space, halton(numbers, len(space), seed), numbers)


def halton(numbers: Numbers, d: int, seed: int) -> NDArray[np.float64]:
    """(k, d) points `numbers` of the randomised Halton sequence in d dimensions.

    Coordinate j is the radical inverse in the j-th prime base, each of its digits put through a random
    permutation of its own (A. B. Owen, "A randomized Halton algorithm in R", arXiv:1706.02808): unlike the
    plain sequence it has no stripes between high dimensions, and each point is uniform on [0, 1).
    """
    points = np.zeros((len(numbers), d))
    for j in range(d):
        permutations = _permutations(seed, j)
        base = permutations.shape[1]
        rest, weight = numbers.copy(), 1.0
        for permutation in permutations:
            rest, digit = np.divmod(rest, base)
            weight /= base
            points[:, j] += permutation[digit] * weight
    return points


@functools.lru_cache(maxsize=4096)
def _permutations(seed: int, j: int) -> NDArray[np.int64]:
    """(digits, base) a permutation for each digit of coordinate j."""
    base = _prime(j)
    digits = int(np.ceil(-np.log(_PRECISION) / np.log(base)))
    generator = np.random.default_rng([seed, j])
    return generator.permuted(np.tile(np.arange(base), (digits, 1)), axis=1)


@functools.lru_cache(maxsize=4096)
def _prime(j: int) -> int:
    """The j-th prime, from 2 for j = 0."""
    candidate = 2 if j == 0 else _prime(j - 1) + 1
    while any(candidate % p == 0 for p in range(2, int(candidate**0.5) + 1)):
        candidate += 1
    return candidate
