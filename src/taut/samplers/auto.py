"""The sampler that chooses the sampler."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from taut.samplers.base import Codes, Note, Numbers, Sampler
from taut.samplers.cma import CMASampler
from taut.samplers.geometry import Geometry
from taut.samplers.gp import GPSampler
from taut.samplers.gp.model import skill
from taut.samplers.gp.sampler import exhausted
from taut.samplers.history import History
from taut.samplers.nsga2 import NSGA2Sampler
from taut.samplers.nsga3 import NSGA3Sampler
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
_MANY_SMOOTH = 250  # the same over continuous parameters, where a distribution that adapts goes on better
_QUICK, _MANY_QUICK = 0.1, 100  # seconds: where trials take less, suggestions are a good part of the time
_WIDE = 60  # free parameters from which on it has too little to go by


class _Plan(NamedTuple):
    """gp: share of the trials that the Gaussian process chooses. other: who chooses the others. why: in words."""

    gp: float
    other: Sampler
    why: str


@dataclasses.dataclass(frozen=True)
class AutoSampler(Sampler):
    """Chooses among methods by what the study is and by how well a model predicts it. The default.

    A Gaussian process (`gp`) begins, with one objective or several. From 20 trials on it is judged by what it would have predicted
    of each trial from the others: where it explains half of the variance or more, it goes on; where it explains less, as on rugged
    or very noisy losses, `tpe` chooses the more of the trials the less it explains. A method for many trials follows: over continuous
    parameters `cma` after 250 trials, in other spaces `tpe` after 500, with several objectives `nsga2`, with four or more
    `nsga3` after 500; each of them after 100 where trials take less than a tenth of a second. (With a fidelity always after 500.) `tpe`
    also has the trials with more than 60 parameters, where all that was tried has failed, and every second one while the Gaussian
    process expects no improvement from any point.

    cost: as in `gp`.
    """

    uses_history: ClassVar[bool] = True
    uses_past: ClassVar[bool] = True
    cost: str | None = None

    def __post_init__(self) -> None:
        GPSampler(cost=self.cost)  # which knows what is allowed

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        return self.propose_noted(space, seed, numbers, snapshot)[0]

    def propose_noted(
        self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None
    ) -> tuple[Codes, Sequence[Note | None]]:
        assert snapshot is not None
        plan = self._plan(snapshot)
        mine = np.array(
            [np.random.default_rng([seed, n, _TAG]).random() < plan.gp for n in numbers.tolist()], bool
        )
        codes = np.empty((len(numbers), len(space)))
        notes: list[Note | None] = [None] * len(numbers)
        if mine.any():
            codes[mine], worth = GPSampler(cost=self.cost).choose(space, seed, numbers[mine], snapshot, False)
            mine[mine] = ~exhausted(worth, numbers[mine])
        if not mine.all():
            codes[~mine], others = plan.other.propose_noted(space, seed, numbers[~mine], snapshot)
            for i, note in zip(np.flatnonzero(~mine).tolist(), others, strict=True):
                notes[i] = note
            if mine.any():  # neither knows the other's points
                part(space, seed, numbers, codes, snapshot)
        return codes, notes

    def account(self, snapshot: Snapshot) -> str:
        plan = self._plan(snapshot)
        ignored = [
            *(["cost"] if self.cost is not None and plan.gp < 1.0 else []),
            *(["earlier studies"] if snapshot.definition.warm_start and plan.gp < 1.0 else []),
        ]
        other = _NAMES[type(plan.other)]
        unseen = f"; {other} does not look at {' and '.join(ignored)}" if ignored else ""
        costs = GPSampler(cost=self.cost).account(snapshot)
        return plan.why + unseen + (f"; {costs}" if costs else "")

    def _plan(self, snapshot: Snapshot) -> _Plan:
        history = History.of(snapshot)
        free, trials = len(Geometry.of(snapshot.space).free), len(history)
        tpe = TPESampler()
        # Trials of a study with a fidelity are short for another reason, and of each a Gaussian process learns from every rung.
        quick = trials > _MANY_QUICK and not history.graded and bool(np.median(history.seconds) < _QUICK)
        successor = _successor(history)
        if trials > (_MANY_QUICK if quick else successor.after):
            short = f" that take less than {_QUICK:g} s" if quick and trials <= successor.after else ""
            return _Plan(0.0, successor.sampler, f"{successor.why} ({trials} trials now{short})")
        if free > _WIDE:
            return _Plan(0.0, tpe, f"tpe, for {free} parameters")
        if not free:
            return _Plan(1.0, tpe, "gp, though every parameter has one value and there is nothing to choose")
        if trials < 2 and len(history.failed) > 2 * GPSampler.startup:
            return _Plan(
                0.0,
                tpe,
                f"tpe, since {len(history.failed)} trials have failed and a model has nothing to learn from",
            )
        objectives = history.loss.shape[1]
        what = (
            "a Gaussian process"
            if objectives == 1
            else f"a Gaussian process for each of {objectives} objectives"
        )
        if trials < _FAIR:
            return _Plan(1.0, tpe, f"gp, {what}, for the first {_FAIR} trials")
        explained = skill(history)
        told = f"it explains {max(explained, 0.0):.0%} of the variance of losses that it was not shown"
        share = float(np.clip(explained / _ENOUGH, _LEAST, 1.0))
        if share == 1.0 or self.cost is not None:
            return _Plan(1.0, tpe, f"gp, {what}: {told}")
        return _Plan(
            share,
            tpe,
            f"gp for {share:.0%} of the trials and tpe for the others: a Gaussian process is no sure guide here, {told}",
        )


_NAMES = {CMASampler: "cma", NSGA2Sampler: "nsga2", NSGA3Sampler: "nsga3", TPESampler: "tpe"}


class _Successor(NamedTuple):
    """Who goes on after so many trials, and why."""

    sampler: Sampler
    after: int
    why: str


def _successor(history: History) -> _Successor:
    geometry, objectives = Geometry.of(history.space), history.loss.shape[1]
    if objectives > 3:
        return _Successor(NSGA3Sampler(), _MANY, f"nsga3, for many trials with {objectives} objectives")
    if objectives > 1:
        return _Successor(NSGA2Sampler(), _MANY, f"nsga2, for many trials with {objectives} objectives")
    if len(geometry.discrete) or len(geometry.conditional) or not len(geometry.free):
        return _Successor(
            TPESampler(), _MANY, "tpe, for many trials in a space with choices, steps or conditions"
        )
    after = _MANY if history.graded else _MANY_SMOOTH
    return _Successor(CMASampler(), after, "cma, for many trials over continuous parameters")
