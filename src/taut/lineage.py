"""Where a trial comes from: the line of trials each of which went on from the checkpoint of the one before."""

from __future__ import annotations

from typing import Any, NamedTuple

from taut.snapshot import Snapshot

__all__ = ["Stretch", "alone", "lineage", "schedule"]


class Stretch(NamedTuple):
    """A part of a run with the same parameters: those of trial `number`.

    begin: the step after which it began, 0 for the first. end: the step at which the next one went on from it; None for the last.
    """

    number: int
    begin: float
    end: float | None
    params: dict[str, Any]


def lineage(snapshot: Snapshot, number: int) -> list[Stretch]:
    """The stretches of the run that ends with trial `number`, the first one first; one alone where it descends from nobody.

    A copy whose parent's checkpoint was gone began from its start: it is the first of its line.
    """
    found: list[Stretch] = []
    n: int | None = number
    end: float | None = None
    while n is not None:
        descent = None if alone(snapshot, n) else snapshot.descents.get(n)
        begin = 0.0 if descent is None else descent.step
        found.append(Stretch(n, begin, end, snapshot.params(n) or {}))
        n, end = (None, None) if descent is None else (descent.parent, begin)
    return found[::-1]


def alone(snapshot: Snapshot, n: int) -> bool:
    """Whether trial `n` was to go on from a checkpoint and began from its start instead: it reported steps that its parent had behind it."""
    descent, first = snapshot.descents.get(n), next(iter(snapshot.curves.of(n)), None)
    return (
        descent is not None and descent.parent is not None and first is not None and first.s <= descent.step
    )


def schedule(stretches: list[Stretch]) -> dict[str, list[Any]]:
    """The values that each parameter had one after the other, of those that changed; None where a stretch had none."""
    names = dict.fromkeys(name for stretch in stretches for name in stretch.params)
    values = {name: [stretch.params.get(name) for stretch in stretches] for name in names}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}
