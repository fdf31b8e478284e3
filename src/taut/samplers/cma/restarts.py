"""When a run of CMA-ES has come to an end, and what the next one is: BIPOP and IPOP.

Auger & Hansen, CEC 2005 (IPOP); Hansen, GECCO workshop on BBOB 2009 (BIPOP).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from taut.samplers.cma.gaussian import Gaussian

__all__ = ["Run", "over"]

_CLOSE = 1e-6  # deviation, as a share of the range, at which no loss of a training run changes any more
_FLAT = 1e-12  # range of losses, as a share of the largest one
_THIN = 1e7  # ratio of the longest axis to the shortest; its square is the condition number


@dataclasses.dataclass(frozen=True)
class Run:
    """One run, from a start to convergence.

    population: trials in a generation. index: from 0. narrow: its first deviation, as a share of the one that was asked for. doublings: how
    often the large population was doubled. small: whether it is one of BIPOP's small ones. used: trials told. large, little:
    trials told to earlier runs of large and of small populations.
    """

    population: int
    index: int = 0
    narrow: float = 1.0
    doublings: int = 0
    small: bool = False
    used: int = 0
    large: int = 0
    little: int = 0

    def told(self) -> Run:
        return dataclasses.replace(self, used=self.used + self.population)

    def next(self, kind: str, first: int, rng: np.random.Generator) -> Run:
        """The run after this one. first: the population of the first run."""
        large, little = self.large, self.little
        if self.small:
            little += self.used
        elif self.index:  # the first run counts for neither
            large += self.used
        index, doublings = self.index + 1, self.doublings
        if kind == "bipop" and little < large:
            share = 0.5 * 2**doublings
            population = int(first * share ** (rng.random() ** 2))
            narrow = 10.0 ** (-2.0 * rng.random())
            return Run(population, index, narrow, doublings, True, 0, large, little)
        doublings += 1
        return Run(first * 2**doublings, index, 1.0, doublings, False, 0, large, little)


def over(gaussian: Gaussian, population: int, bests: tuple[float, ...], worst: float) -> bool:
    """Whether there is nothing left to find for this run. bests: least loss of its generations; worst: greatest of the last one."""
    n = len(gaussian.mean)
    if n and (gaussian.deviation.max() < _CLOSE or gaussian.ratio > _THIN):
        return True
    last = memory(n, population)
    if len(bests) < last:
        return False
    low, high = min(bests[-last:]), max(*bests[-last:], worst)
    return high < math.inf and high / 2 - low / 2 <= _FLAT * max(abs(low), abs(high))


def memory(n: int, population: int) -> int:
    """Generations over which losses must not have changed."""
    return 10 + math.ceil(30 * n / population)
