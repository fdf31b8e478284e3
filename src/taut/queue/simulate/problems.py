"""Functions to rehearse with where there is no finished study yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from taut.queue.simulate.plan import Objective
from taut.space import Space, uniform

__all__ = ["PROBLEMS", "Problem"]


class Problem(NamedTuple):
    """A function to minimise, as the metric `loss`. best: its least value."""

    space: Space
    objective: Objective
    best: float


def _branin(params: Mapping[str, Any], step: float | None) -> dict[str, float]:
    """Three equal minima (Branin 1972). On its way a trial is above its end, by the less the further it is."""
    x, y = params["x"], params["y"]
    value = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    value += 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10
    return {"loss": value if step is None else value + 10.0 / step}


_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_HEIGHT = np.array([1.0, 1.2, 3.0, 3.2])


def _hartmann(params: Mapping[str, Any], step: float | None) -> dict[str, float]:
    """Six numbers, six local minima (Hartmann 1973)."""
    point = np.array([params[f"x{j}"] for j in range(6)])
    value = -float(_HEIGHT @ np.exp(-(_A * (point - _P) ** 2).sum(axis=1)))
    return {"loss": value if step is None else value + 1.0 / step}


PROBLEMS = {
    "branin": Problem(Space(x=uniform(-5.0, 10.0), y=uniform(0.0, 15.0)), _branin, 0.39788735772973816),
    "hartmann": Problem(Space({f"x{j}": uniform(0.0, 1.0) for j in range(6)}), _hartmann, -3.322368011415515),
}
"""By name."""
