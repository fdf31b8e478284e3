"""Which trials are best, under one objective or several, among those that fulfil the constraints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taut.snapshot import Snapshot
from taut.space.expression import Expression
from taut.trial import State

__all__ = ["best_first", "front", "losses", "non_dominated"]


def losses(snapshot: Snapshot) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of the complete trials that fulfil the constraints, and their (k, m) objectives as losses."""
    good = snapshot.state == State.COMPLETE
    for text in snapshot.definition.subject_to:
        condition = Expression.parse(text)
        good &= condition.holds({name: snapshot.values(name) for name in condition.names})
    numbers = np.flatnonzero(good)
    columns = [
        snapshot.values(objective.metric)[numbers] * (1.0 if objective.minimize else -1.0)
        for objective in snapshot.definition.objectives
    ]
    return numbers, np.stack(columns, axis=1)


def best_first(snapshot: Snapshot) -> list[int]:
    """Numbers of the good trials, best first objective first; the earlier trial where they are equal."""
    numbers, table = losses(snapshot)
    order: list[int] = numbers[np.lexsort((numbers, table[:, 0]))].tolist()
    return order


def front(snapshot: Snapshot) -> list[int]:
    """Numbers of the good trials that no other one dominates, by the first objective."""
    numbers, table = losses(snapshot)
    kept = non_dominated(table)
    numbers, table = numbers[kept], table[kept]
    order: list[int] = numbers[np.lexsort((numbers, table[:, 0]))].tolist()
    return order


def non_dominated(table: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(k,) which of k rows of losses no other row is at least as good as everywhere and better somewhere."""
    kept = np.ones(len(table), bool)
    for i in np.lexsort(table.T[::-1]):
        if kept[i]:
            beaten = (table[i] <= table).all(axis=1) & (table[i] < table).any(axis=1)
            kept &= ~beaten
    return kept
