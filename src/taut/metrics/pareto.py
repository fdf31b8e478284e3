"""Which trials are best, under one objective or several, among those that fulfil the constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.definition import Objective
from taut.metrics.hypervolume import hypervolume
from taut.preferred import ranked
from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space.expression import Expression
from taut.standing import non_dominated, standing
from taut.trial import State

__all__ = ["Front", "best_first", "least_broken", "losses", "non_dominated", "reference_of", "volume"]


def losses(snapshot: Snapshot) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of the complete trials that fulfil the constraints, and their (k, m) objectives as losses."""
    good = snapshot.state == State.COMPLETE
    for text in snapshot.definition.subject_to:
        condition = Expression.parse(text)
        good &= condition.holds({name: snapshot.values(name) for name in condition.names})
    numbers = np.flatnonzero(good)
    return numbers, _losses(snapshot, numbers)


def _losses(snapshot: Snapshot, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    columns = [
        snapshot.values(objective.metric)[numbers] * (1.0 if objective.minimize else -1.0)
        for objective in snapshot.definition.objectives
    ]
    return np.stack(columns, axis=1)


def best_first(snapshot: Snapshot) -> list[int]:
    """Numbers of the good trials, best first: by what the study prefers, else by its first objective.

    The other objectives decide where that leaves trials equal; the earlier trial where all do.
    """
    definition, (numbers, table) = snapshot.definition, losses(snapshot)
    order = ranked(definition.prefer, [objective.metric for objective in definition.objectives], table)
    return [int(n) for n in numbers[order]]


class Front(NamedTuple):
    """The good trials that no other one dominates, by the first objective.

    axes: the objectives, and a cost if there is one. numbers: (k,) of trials. loss: (k, m) less is better, a column for each axis.
    among: how many good trials there are.
    """

    axes: list[Objective]
    numbers: NDArray[np.int64]
    loss: NDArray[np.float64]
    among: int

    @staticmethod
    def of(snapshot: Snapshot) -> Front:
        """With the cost of trials beside the objectives where the sampler looks for the best at every cost (`aim = "front"`)."""
        options = snapshot.definition.sampler.options
        cost = options.get("cost") if options.get("aim") == "front" else None
        axes, (numbers, table) = list(snapshot.definition.objectives), losses(snapshot)
        if cost is not None and cost not in {axis.metric for axis in axes}:
            axes.append(Objective(cost))
            table = np.column_stack((table, _costs(snapshot, numbers, cost)))
            known = np.isfinite(table[:, -1])
            numbers, table = numbers[known], table[known]
        kept = non_dominated(table)
        order = np.lexsort((numbers[kept], table[kept, 0]))
        return Front(axes, numbers[kept][order], table[kept][order], len(numbers))

    def values(self, row: int) -> dict[str, float]:
        """What a trial of the front has on each axis, as it was told."""
        signs = (1.0 if axis.minimize else -1.0 for axis in self.axes)
        values = self.loss[row].tolist()
        return {axis.metric: s * v for axis, s, v in zip(self.axes, signs, values, strict=True)}


def _costs(snapshot: Snapshot, numbers: NDArray[np.int64], cost: str) -> NDArray[np.float64]:
    if cost == "seconds":
        return np.array([snapshot.spent(n) for n in numbers.tolist()])
    return snapshot.values(cost)[numbers]


def reference_of(snapshot: Snapshot) -> dict[str, float]:
    """From where the hypervolume is measured: what the study states, else the worst of the good trials; empty without either."""
    objectives, stated = snapshot.definition.objectives, snapshot.definition.reference
    if stated:
        return {each.metric: stated[each.metric] for each in objectives}
    _, table = losses(snapshot)
    if not len(table):
        return {}
    worst = table.max(axis=0).tolist()
    return {
        each.metric: loss if each.minimize else -loss for each, loss in zip(objectives, worst, strict=True)
    }


def volume(snapshot: Snapshot, reference: Mapping[str, float] | None = None) -> float:
    """The hypervolume of the good trials' objectives. reference: as `reference_of` has it if left out."""
    point = reference or reference_of(snapshot)
    if not point:
        return 0.0
    signs = {each.metric: 1.0 if each.minimize else -1.0 for each in snapshot.definition.objectives}
    return hypervolume(losses(snapshot)[1], np.array([sign * point[name] for name, sign in signs.items()]))


def least_broken(snapshot: Snapshot) -> int | None:
    """The complete trial that breaks the constraints least, where none keeps them; None if there is no complete one.

    By the sum of what each is broken by, as a share of the most that it is (Deb, Comput. Methods Appl. Mech. Eng. 186, 2000).
    """
    numbers = snapshot.where(State.COMPLETE)
    if not len(numbers):
        return None
    slack = slacks(snapshot.definition.subject_to, snapshot.values, snapshot.size)[numbers]
    slack = np.where(np.isnan(slack), np.inf, slack)  # what cannot be worked out is not kept
    finite = np.where(np.isinf(slack), np.finfo(float).max, slack)
    return int(numbers[standing(_losses(snapshot, numbers), finite).argmin()])
