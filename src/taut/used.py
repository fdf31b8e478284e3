"""What meters have read of trials, as a column for each reading: of one attempt as it was told, of several together.

As in `outcomes.py`, what is told is moved into columns only when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from taut.outcomes import Outcomes
from taut.readings import Readings

__all__ = ["Used"]


class Used:
    """together: what the attempts of a trial come to that has several, or {}; asked again for those that are `stale`."""

    def __init__(self, together: Callable[[int], Readings]) -> None:
        self._together = together
        self._plain = Outcomes()  # of the attempt that a trial ended with
        self._total = Outcomes()  # of trials that had others before
        self._several: set[int] = set()  # those trials; what is missing of them together, they do not have
        self._stale: set[int] = set()

    def tell(self, n: int, readings: dict[str, float]) -> None:
        """What was read of the attempt that trial `n` ended with; nothing takes back what was read before."""
        self._plain.fresh[n] = readings  # type: ignore[assignment]  # a number where others have a number or None

    def stale(self, n: int) -> None:
        """Something is new about the attempts of trial `n`."""
        self._stale.add(n)

    def told(self, n: int) -> Readings:
        """What was read of the attempt that trial `n` ended with."""
        return self._plain.all_of(n)

    @property
    def names(self) -> set[str]:
        self._settle()
        return {*self._plain.names, *self._total.names}

    def column(self, name: str, size: int, plain: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """(size,) a reading of each trial; NaN where it has none. plain: of the attempts that trials ended with, where nobody told it."""
        self._settle()
        own = self._plain.column(name, size) if plain is None else plain
        if self._several:
            rows = np.fromiter(self._several, np.int64, len(self._several))
            own = own.copy()
            own[rows] = self._total.column(name, size)[rows]
        return own

    def of(self, n: int, name: str, plain: float | None = None) -> float:
        """A reading of one trial; NaN where it has none."""
        self._settle()
        if n in self._several:
            return self._total.of(n, name)
        return self._plain.of(n, name) if plain is None else plain

    def _settle(self) -> None:
        if self._stale:
            for n in self._stale:
                found = self._together(n)
                self._total.fresh[n] = {**found}
                if found:
                    self._several.add(n)
                else:
                    self._several.discard(n)
            self._stale.clear()
