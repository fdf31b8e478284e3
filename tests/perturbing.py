"""A sampler that looks at everything: what is best, what failed, what runs. For the tests of replaying."""

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
class Perturb(Sampler):
    """Steps from the best trial so far, the smaller the more trials are under way or failed."""

    uses_history: ClassVar[bool] = True
    scale: float = 0.5

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        assert snapshot is not None
        rows = [self._one(space, seed, int(number), snapshot) for number in numbers]
        return np.concatenate(rows)

    def _one(self, space: Space, seed: int, number: int, snapshot: Snapshot) -> Codes:
        rng = np.random.default_rng([seed, number])
        complete = np.flatnonzero(snapshot.state == State.COMPLETE)
        if not complete.size:
            return draw(space, rng.random((1, len(space))), np.array([number]))
        best = complete[np.argmin(snapshot.values("loss")[complete])]
        pending = int((snapshot.state == State.RUNNING).sum())
        failed = int((snapshot.state == State.FAILED).sum())
        step = self.scale * rng.standard_normal((1, len(space))) / (1 + pending + failed / 7)
        return space.decode(np.clip(space.encode(snapshot.codes[best : best + 1]) + step, 0.0, 1.0))


TARGET = {"perturb": "perturbing:Perturb"}


def register() -> None:
    """Make the sampler known in this process."""
    registry._BUILT_IN.update(TARGET)
