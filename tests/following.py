"""A sampler that follows earlier studies, and what it has seen itself. For the tests of warm starts."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from taut.samplers import registry
from taut.samplers.base import Codes, Numbers, Sampler, draw
from taut.snapshot import Snapshot
from taut.space import Space
from taut.trial import State


@dataclasses.dataclass(frozen=True)
class Follow(Sampler):
    """The best earlier point of each earlier study in turn, moved the less the more trials are complete."""

    uses_history: ClassVar[bool] = True
    uses_past: ClassVar[bool] = True

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        assert snapshot is not None
        return np.concatenate([self._one(space, seed, int(number), snapshot) for number in numbers])

    def _one(self, space: Space, seed: int, number: int, snapshot: Snapshot) -> Codes:
        rng = np.random.default_rng([seed, number])
        free = draw(space, rng.random((1, len(space))), np.array([number]))
        if not snapshot.past:
            return free
        past = snapshot.past[number % len(snapshot.past)]
        there = past.recoded(space)
        rows = np.flatnonzero(there.usable & past.good)
        if not rows.size:
            return free
        best = there.codes[rows[np.argmin(past.loss[rows])]]
        centre = np.where(np.isnan(best), free[0], best)
        step = 0.1 * rng.standard_normal((1, len(space))) / (1 + snapshot.counts[State.COMPLETE])
        return space.decode(np.clip(space.encode(space.condition(centre[None])) + step, 0.0, 1.0))


TARGET = {"follow": "following:Follow"}


def register() -> None:
    """Make the sampler known in this process."""
    registry._BUILT_IN.update(TARGET)
