"""How long things take: a mean, and how far it is spread."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError

__all__ = ["NOTHING", "Lognormal"]


class Lognormal(NamedTuple):
    """Times of `mean` seconds whose logarithm is normal. spread: their standard deviation over their mean; 0: they are all the same."""

    mean: float
    spread: float = 0.0

    def check(self, *at: str) -> None:
        """Raise `InputError` where these are no times."""
        if not 0.0 <= self.mean < math.inf:
            raise InputError(f"{self.mean} s is no time; 0 or more is allowed", (*at, "mean"))
        if not 0.0 <= self.spread < math.inf:
            raise InputError(
                f"{self.spread} is no spread; 0 or more is allowed, such as 0.3", (*at, "spread")
            )

    def at(self, normal: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """The times at these values of a standard normal variable; 1.645 is the 95th percentile."""
        if not self.mean:
            return np.zeros_like(normal, np.float64)
        variance = math.log1p(self.spread**2)
        return np.asarray(
            np.exp(math.log(self.mean) - variance / 2 + math.sqrt(variance) * np.asarray(normal))
        )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return self.at(rng.standard_normal(shape))


NOTHING = Lognormal(0.0)
