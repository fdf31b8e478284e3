"""What the rules have in common that stop a trial for good, at any step."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np

from taut.definition import Definition
from taut.errors import InputError
from taut.pruners.base import Judgement, Pruner
from taut.pruners.tracks import Tracks
from taut.snapshot import Snapshot

__all__ = ["StoppingPruner", "check_chance", "check_number"]


class StoppingPruner(Pruner):
    """Judges a trial whenever it has come to a further step, from `begins` on. One whose latest value is no number is stopped."""

    def judge(self, snapshot: Snapshot, number: int, since: float = -np.inf) -> Judgement:
        tracks = Tracks.of(snapshot)
        step = tracks.reached(number)
        if step <= since or step < self.begins(snapshot.definition):
            return Judgement.GO
        lost = tracks.loss[0, tracks.rows(number).stop - 1] == math.inf
        return Judgement.STOP if lost or self.stops(snapshot, tracks, number, since) else Judgement.GO

    def begins(self, definition: Definition) -> float:
        """The first step at which trials are judged."""
        return -math.inf

    @abstractmethod
    def stops(self, snapshot: Snapshot, tracks: Tracks, number: int, since: float) -> bool:
        """Whether trial `number`, which has at least one row and was judged at `since`, is to stop."""


def check_number(
    name: str, value: object, least: float, most: float, what: str, whole: bool = False, open_: bool = False
) -> None:
    """Raise `InputError` unless option `name` is finite and lies between `least` and `most`. open_: without these two themselves."""
    kinds = int if whole else (int, float)
    good = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if good and (least < value < most if open_ else least <= value <= most):  # type: ignore[operator]
        return
    kind = "a whole number" if whole else "a number"
    if most == math.inf:
        span = f"{'above' if open_ else 'of at least'} {least:g}"
    else:
        span = f"{'between' if open_ else 'from'} {least:g} {'and' if open_ else 'to'} {most:g}"
    raise InputError(f"{name} = {value!r} must be {kind} {span}: {what}", ("pruner", name))


def check_chance(value: object) -> None:
    """Raise `InputError` unless the option `confidence` is one."""
    check_number("confidence", value, 0.5, 1.0, "how sure one must be that a trial is worse", open_=True)
