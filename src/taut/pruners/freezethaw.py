"""Freeze-thaw: every run pauses at small steps, and the one goes on that will most likely become the best."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.definition import Definition
from taut.errors import InputError
from taut.fidelity import Fidelity
from taut.pruners.base import Judgement, Pruner
from taut.pruners.freezethaw_outlook import Outlook, chances
from taut.pruners.promoted import in_vain
from taut.pruners.stopping import check_chance, check_number
from taut.snapshot import Snapshot
from taut.space.prior import Floats
from taut.standing import non_dominated
from taut.trial import State

__all__ = ["FreezeThawPruner"]

_TAG = 0xF7EE2E
_FURTHER = 1.2  # from one pause to the next, by default
_MOST = 1000  # pauses of a whole trial, at most
_STARTUP = 4  # trials that have come to their first pause before any goes on, as long as there are new ones
_MARGIN = (-4.0, -1.0)  # decimal exponents between which the margin is drawn


@dataclasses.dataclass(frozen=True)
class FreezeThawPruner(Pruner):
    """Freeze-thaw: runs pause every few steps, their curves are continued, and a worker takes up the most promising one, or begins a new one.

    Choose it for few workers and curves that say early where they lead, with checkpoints that cost little against the steps between two
    pauses. It needs objectives that resume. `asha` asks less of curves, and as a rule is as good.

    every: at multiples of so many steps runs pause, up to the fidelity's max. By default each pause is a fifth further than the one before, at
        least one step where steps are whole.
    confidence: once all trials of the budget have begun, a run is given up that will not become the best with so much certainty. Between 0.5
        and 1, 0.95 by default.

    Source: Swersky, Snoek & Adams, "Freeze-thaw Bayesian optimization", arXiv:1406.3896; the choice is MFPI-random of Rakotoarison et al.,
    "In-context freeze-thaw Bayesian optimization for hyperparameter optimization", ICML 2024, arXiv:2404.16795. Departures: curves are
    continued one by one and by what other trials came to from there (`taut.pruners.freezethaw_outlook`), not by one model of curves and
    configurations; a new trial is not judged by its parameters, which are the sampler's matter: it is a draw from what trials have
    come to so far, and of as many as there are and one more it is the best with equal chance. The margin is in units of how far the
    trials are apart that are expected in the end, where the paper has the distance to a perfect score.
    """

    needs_fidelity: ClassVar[bool] = True

    every: float | None = None
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.every is not None:
            check_number(
                "every", self.every, 0.0, math.inf, "at multiples of so many steps runs pause", open_=True
            )
        check_chance(self.confidence)

    def settled(self, definition: Definition) -> Pruner:
        fidelity = definition.fidelity
        if fidelity is None:
            return self
        if not fidelity.resume:
            raise InputError(
                "freeze-thaw pauses every run many times, so runs have to go on from their checkpoints: save into trial.checkpoint_dir and say "
                'resume = true, or choose a pruner that need not resume: method = "asha" with variant = "stopping"',
                ("pruner", "fidelity", "resume"),
            )
        if self.every is not None and not fidelity.max / _MOST <= self.every <= fidelity.max:
            raise InputError(
                f"every = {self.every:g} does not fit a whole trial of {fidelity.max:g}: it must be from "
                f"{fidelity.max / _MOST:g} to {fidelity.max:g}; leave it out, and each pause is a fifth further than the one before",
                ("pruner", "every"),
            )
        if len(_steps(fidelity, self.every)) < 2:
            raise InputError(
                f"between {fidelity.min:g} and {fidelity.max:g} there is no room for a pause; let min be less",
                ("pruner", "fidelity", "min"),
            )
        return self

    @property
    def pauses(self) -> bool:
        return True

    def judge(self, snapshot: Snapshot, number: int, since: float = -np.inf) -> Judgement:
        steps, last = self._steps(snapshot), snapshot.curves.last(number)
        if last is None or last.s < steps[0] or since >= steps[bisect.bisect_right(steps, last.s) - 1]:
            return Judgement.GO  # between two pauses: said at once, since most questions end here
        outlook = Outlook(snapshot, steps)
        top = int(outlook.top[number]) if number < len(outlook.top) else -1
        if top < 0 or top == len(steps) - 1 or since >= steps[top]:
            return Judgement.GO  # nothing new, or nothing above
        if steps[top] < snapshot.goals.get(number, (0, -np.inf))[1]:
            return Judgement.GO  # it begins again from its start, on its way to where it was to go
        if np.isinf(outlook.latest[number]).any():
            return Judgement.STOP  # it would wait for ever
        paused = np.array([*sorted(snapshot.waiting), number], np.int64)
        first = self._order(snapshot, outlook, paused[paused < len(outlook.top)], _closing(snapshot))[:1]
        return Judgement.GO if first == [number] else Judgement.PAUSE

    def promotable(self, snapshot: Snapshot, closing: bool = False) -> Sequence[int]:
        if not snapshot.waiting or (closing and in_vain(snapshot)):
            return ()
        outlook = Outlook(snapshot, self._steps(snapshot))
        waiting = np.array(sorted(snapshot.waiting), np.int64)
        return self._order(snapshot, outlook, waiting[waiting < len(outlook.top)], closing)

    def goal(self, snapshot: Snapshot, number: int) -> float | None:
        fidelity = snapshot.definition.fidelity
        if fidelity is None:
            return None
        steps, at = self._steps(snapshot), snapshot.waiting.get(number)
        if at is not None:
            return steps[min(bisect.bisect_right(steps, at), len(steps) - 1)]
        if number in snapshot.goals:  # an attempt that died on its way there was not given more
            return snapshot.goals[number][1]
        return steps[0]

    def account(self, snapshot: Snapshot) -> str | None:
        fidelity = snapshot.definition.fidelity
        if fidelity is None:
            return None
        steps = self._steps(snapshot)
        return (
            f"runs pause at {len(steps) - 1} steps from {fidelity.name} {steps[0]:g} to {steps[-2]:g}; the most promising one goes on, "
            "or a new one begins; the others wait"
        )

    # ------------------------------------------------------------------ the choice

    def _order(
        self, snapshot: Snapshot, outlook: Outlook, numbers: NDArray[np.int64], closing: bool
    ) -> list[int]:
        """Those of the paused trials `numbers` that are to go on, the first one first."""
        begun = outlook.top >= 0
        if not closing and int(begun.sum()) < _STARTUP:
            return []
        score, fresh = _scores(snapshot, outlook)
        score = np.where(np.isnan(score), fresh, score)  # nothing is known of it, as of a new one
        finite = ~np.isinf(outlook.latest[numbers]).any(axis=1)
        if closing:
            wanted = finite & self._promising(outlook)[numbers]
            if not (wanted.any() or snapshot.counts[State.COMPLETE] or snapshot.counts[State.RUNNING]):
                return self._last_one(snapshot, outlook, numbers[finite])
        else:
            wanted = finite & (score[numbers] > fresh)
        chosen = numbers[wanted]
        # Of equal ones the one that stands better, then the one that has come further, then the lower number.
        order = np.lexsort((chosen, -outlook.top[chosen], outlook.merit[chosen], -score[chosen]))
        return [int(n) for n in chosen[order]]

    def _promising(self, outlook: Outlook) -> NDArray[np.bool_]:
        """(n,) which trials may still become the best of the whole ones; or, as long as there is none, of what is expected of all."""
        end = np.full(len(outlook.top), len(outlook.steps) - 1)
        mean, spread = outlook.at(end)
        done = outlook.whole & outlook.kept
        rivals = mean[done if done.any() else outlook.alive & outlook.kept]
        chance = _kept(chances(mean, spread, _front(rivals)), outlook)
        return np.asarray(np.isnan(chance) | (chance >= 1.0 - self.confidence))

    def _last_one(self, snapshot: Snapshot, outlook: Outlook, numbers: NDArray[np.int64]) -> list[int]:
        """None promises anything, and none is whole: the one that stands best is taken on."""
        if not len(numbers):
            return []
        best = numbers[np.lexsort((numbers, -outlook.top[numbers], outlook.merit[numbers]))[0]]
        return [int(best)]

    def _steps(self, snapshot: Snapshot) -> list[float]:
        fidelity = snapshot.definition.fidelity
        assert fidelity is not None, "a study with this pruner has a fidelity"
        return _steps(fidelity, self.every)


def _scores(snapshot: Snapshot, outlook: Outlook) -> tuple[Floats, float]:
    """(n,) how likely each trial gets ahead of the best within a horizon, and how likely a new one would.

    MFPI-random: the horizon is 1 to R pauses, and the margin 10^U(-4, -1) of how far trials are apart; both are drawn again for each decision.
    """
    count, high = len(outlook.top), len(outlook.steps)
    decisions = int(outlook.top.sum()) + count + int(snapshot.attempt.sum()) + snapshot.size
    rng = np.random.default_rng([snapshot.definition.seed, decisions, _TAG])
    horizon, margin = int(rng.integers(1, high + 1)), 10.0 ** rng.uniform(*_MARGIN)
    rivals = _front(outlook.latest[outlook.alive & outlook.kept])
    ends, _ = outlook.at(np.full(count, high - 1))
    known = ends[outlook.alive]
    if len(rivals) and len(known):
        rivals = rivals - margin * np.abs(np.median(known, axis=0) - rivals.min(axis=0))
    score = _kept(chances(*outlook.at(np.minimum(outlook.top + horizon, high - 1)), rivals), outlook)
    reached = _kept(chances(*outlook.at(np.full(count, horizon - 1)), rivals), outlook)
    draws = np.where(outlook.alive, reached, 0.0)[outlook.top >= 0]
    # Of draws alike, one more is the best of all with this chance, however short the horizon.
    fresh = 1.0 / (len(draws) + 1.0)
    return score, max(float(draws.mean()), fresh) if len(draws) else fresh


def _kept(chance: Floats, outlook: Outlook) -> Floats:
    """The chances (n,) of trials that are alive, NaN for the others; none for those that break a constraint."""
    return np.where(outlook.alive, np.where(outlook.kept, chance, 0.0), np.nan)


def _front(losses: Floats) -> Floats:
    """(k, m) of losses (n, m) those that no other one is ahead of."""
    if not len(losses) or losses.shape[1] == 1:
        return losses.min(axis=0, keepdims=True) if losses.size else losses[:0]
    return losses[non_dominated(losses)]


def _closing(snapshot: Snapshot) -> bool:
    """Whether all trials of the budget have begun."""
    trials = snapshot.definition.budget.trials
    return trials is not None and snapshot.size >= trials and not snapshot.counts[State.RESERVED]


def _steps(fidelity: Fidelity, every: float | None) -> list[float]:
    return _pauses(fidelity.min, fidelity.max, tuple(fidelity.levels), every)


@functools.lru_cache(maxsize=64)
def _pauses(low: float, high: float, levels: tuple[float, ...], every: float | None) -> list[float]:
    fidelity = Fidelity("step", high, low, levels=list(levels))
    if every is not None:
        between = [k * every for k in range(1, math.ceil(high / every)) if k * every > low]
    else:
        between, unit = [low], 1.0 if float(low).is_integer() and float(high).is_integer() else 0.0
        while (further := max(between[-1] * _FURTHER, between[-1] + unit)) * _FURTHER**0.5 < high:
            between.append(further)
    return sorted({fidelity.settle(step) for step in [low, *between, high]})
