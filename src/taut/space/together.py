"""A map of all columns at once. Those with the same formula are one call: a call for each would take most of the time of a suggestion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from taut.space.prior import Axis, Floats, Linear, Logarithmic

__all__ = ["Together"]


class Together:
    """(n, d) in, (n, d) out; each column is what its own map makes of it.

    alone: (d,) the map of each column. axes: (d,) the axis that it goes along (`at`, or `of` for the inverse); None if it is no such map.
    """

    def __init__(
        self, alone: Sequence[Callable[[Floats], Floats]], axes: Sequence[Axis | None], inverse: bool = False
    ) -> None:
        self._parts: list[tuple[Any, Callable[[Floats], Floats]]] = [
            (j, alone[j]) for j, axis in enumerate(axes) if axis is None
        ]
        for kind in (Linear, Logarithmic):
            alike = [(j, axis) for j, axis in enumerate(axes) if isinstance(axis, kind)]
            if alike:
                stacked = kind(*(np.array(field) for field in zip(*(axis for _, axis in alike), strict=True)))
                where = slice(None) if len(alike) == len(axes) else np.array([j for j, _ in alike])
                self._parts.append((where, stacked.of if inverse else stacked.at))

    def __call__(self, x: Floats) -> Floats:
        result = np.empty(x.shape)
        for where, part in self._parts:
            result[:, where] = part(x[:, where])
        return result
