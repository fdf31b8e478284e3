"""Random search: independent draws from the priors."""

from __future__ import annotations

import dataclasses

import numpy as np

from taut.samplers.base import Codes, Numbers, Sampler, draw
from taut.snapshot import Snapshot
from taut.space import Space

__all__ = ["RandomSampler"]

_BLOCK = 256


@dataclasses.dataclass(frozen=True)
class RandomSampler(Sampler):
    """Independent draws from each parameter's prior (Bergstra & Bengio, JMLR 13, 2012).

    Choose it as the baseline, for very many cheap trials, and for plain job arrays, since trial i needs
    to know nothing but i. Better than a grid whenever some parameters matter more than others.
    """

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        # Numbers are drawn in blocks, since starting a generator costs as much as 1,000 numbers.
        blocks, rows = np.divmod(numbers, _BLOCK)
        unit = np.empty((len(numbers), len(space)))
        for block in np.unique(blocks):
            mine = blocks == block
            points = np.random.default_rng([seed, int(block)]).random((_BLOCK, len(space)))
            unit[mine] = points[rows[mine]]
        return draw(space, unit, numbers)
