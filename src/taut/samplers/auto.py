"""The sampler that chooses the sampler."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np

from taut.samplers.base import Codes, Numbers, Sampler
from taut.samplers.geometry import Geometry
from taut.samplers.gp import GPSampler
from taut.samplers.gp.model import skill
from taut.samplers.gp.sampler import exhausted
from taut.samplers.history import History
from taut.samplers.tpe import TPESampler
from taut.samplers.untried import part
from taut.snapshot import Snapshot
from taut.space import Space

__all__ = ["AutoSampler"]

_TAG = 0xA0  # so that no other sampler's numbers are these
_FAIR = 20  # trials before a model is judged by what it predicts
_ENOUGH = 0.5  # share of the variance that a model must predict to be followed always
_LEAST = 0.2  # of the trials are the model's all the same: it may learn
_MANY = 500  # trials from which on a Gaussian process sees a part of them only
_WIDE = 60  # free parameters from which on it has too little to go by


class _Plan(NamedTuple):
    """gp: share of the trials that the Gaussian process chooses, the others are TPE's. why: in words."""

    gp: float
    why: str


@dataclasses.dataclass(frozen=True)
class AutoSampler(Sampler):
    """Chooses among methods by what the study is and by how well a model predicts it. The default.

    A Gaussian process (`gp`) begins. From 20 trials on it is judged by what it would have predicted of each trial from the
    others: where it explains half of the variance or more, it goes on; where it explains less, as on rugged or very noisy
    losses, `tpe` chooses the more of the trials the less it explains. `tpe` also takes over with several objectives, from 500
    trials on, with more than 60 parameters, and where all that was tried has failed; and it has every second trial while the
    Gaussian process expects no improvement from any point.

    cost: as in `gp`.
    """

    uses_history: ClassVar[bool] = True
    uses_past: ClassVar[bool] = True
    cost: str | None = None

    def __post_init__(self) -> None:
        GPSampler(cost=self.cost)  # which knows what is allowed

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        assert snapshot is not None
        share = self._plan(snapshot).gp
        mine = np.array(
            [np.random.default_rng([seed, n, _TAG]).random() < share for n in numbers.tolist()], bool
        )
        codes = np.empty((len(numbers), len(space)))
        if mine.any():
            codes[mine], worth = GPSampler(cost=self.cost).choose(space, seed, numbers[mine], snapshot, False)
            mine[mine] = ~exhausted(worth, numbers[mine])
        if not mine.all():
            codes[~mine] = TPESampler().propose(space, seed, numbers[~mine], snapshot)
            if mine.any():  # neither knows the other's points
                part(space, seed, numbers, codes, snapshot)
        return codes

    def account(self, snapshot: Snapshot) -> str:
        plan = self._plan(snapshot)
        ignored = [
            *(["cost"] if self.cost is not None and plan.gp < 1.0 else []),
            *(["earlier studies"] if snapshot.definition.warm_start and plan.gp < 1.0 else []),
        ]
        unseen = f"; tpe does not look at {' and '.join(ignored)}" if ignored else ""
        costs = GPSampler(cost=self.cost).account(snapshot)
        return plan.why + unseen + (f"; {costs}" if costs else "")

    def _plan(self, snapshot: Snapshot) -> _Plan:
        history = History.of(snapshot)
        free, trials = len(Geometry.of(snapshot.space).free), len(history)
        if history.loss.shape[1] > 1:
            return _Plan(0.0, f"tpe, for {history.loss.shape[1]} objectives")
        if trials > _MANY:
            return _Plan(0.0, f"tpe, which takes a millisecond a trial however many there are ({trials} now)")
        if free > _WIDE:
            return _Plan(0.0, f"tpe, for {free} parameters")
        if not free:
            return _Plan(1.0, "gp, though every parameter has one value and there is nothing to choose")
        if trials < 2 and len(history.failed) > 2 * GPSampler.startup:
            return _Plan(
                0.0,
                f"tpe, since {len(history.failed)} trials have failed and a model has nothing to learn from",
            )
        if trials < _FAIR:
            return _Plan(1.0, f"gp, a Gaussian process, for the first {_FAIR} trials")
        explained = skill(history)
        told = f"it explains {max(explained, 0.0):.0%} of the variance of losses that it was not shown"
        share = float(np.clip(explained / _ENOUGH, _LEAST, 1.0))
        if share == 1.0 or self.cost is not None:
            return _Plan(1.0, f"gp, a Gaussian process: {told}")
        return _Plan(
            share,
            f"gp for {share:.0%} of the trials and tpe for the others: a Gaussian process is no sure guide here, {told}",
        )
