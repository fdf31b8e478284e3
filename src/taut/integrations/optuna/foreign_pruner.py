"""A pruner of Optuna in a study of taut: ``[pruner] method = "optuna:WilcoxonPruner"``."""

from __future__ import annotations

import dataclasses
import math
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from taut.definition import Definition, Method
from taut.errors import InputError
from taut.integrations.optuna.frozen import directions
from taut.integrations.optuna.installed import found, quiet, tried
from taut.pruners.base import Judgement, Pruner
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["ForeignPruner", "make"]

_OURS = {"HyperbandPruner": "hyperband", "SuccessiveHalvingPruner": "asha"}
"""Pruners that do not work here, as they keep notes in their trials, and what there is instead."""
_STATES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


@dataclasses.dataclass(frozen=True)
class ForeignPruner(Pruner):
    """Asks a pruner of Optuna, or one that is written for Optuna, whether a trial is to stop. Trials stop for good.

    Choose it for a rule that taut does not have, such as `WilcoxonPruner`. It is shown what all trials have reported of the objective at whole
    steps, anew for each question (about 10 us a trial), so a judgement is a function of what is known.

    kind: the pruner's class. options: its arguments, as a list of pairs.
    """

    kind: Any
    options: tuple[tuple[str, Any], ...] = ()

    def made(self) -> Any:
        """The pruner."""
        return self.kind(**dict(self.options))

    def settled(self, definition: Definition) -> ForeignPruner:
        if len(definition.objectives) > 1:
            raise InputError(
                f"{self.kind.__name__} knows one objective, and there are {len(definition.objectives)}; use median, or another pruner of taut",
                ("pruner", "method"),
            )
        return self

    def judge(self, snapshot: Snapshot, number: int, since: float = -np.inf) -> Judgement:
        shown = {n: _shown(snapshot, n) for n in sorted({*snapshot.curves.trials(), number})}
        if not shown[number].intermediate_values:
            return Judgement.GO
        with quiet():
            study = optuna.create_study(directions=directions(snapshot))
            study.add_trials([trial for n, trial in shown.items() if n != number])
            stops = self.made().prune(study, shown[number])
        return Judgement.STOP if stops else Judgement.GO


def _shown(snapshot: Snapshot, n: int) -> FrozenTrial:
    """What a pruner is to know of a trial: what it has reported, and how it ended."""
    metric = snapshot.definition.objectives[0].metric
    reports = {
        int(event.s): math.nan if (value := event.y[metric]) is None else value
        for event in snapshot.curves.of(n)
        if metric in event.y and event.s.is_integer()
    }
    state = _STATES.get(State(snapshot.state[n]), TrialState.RUNNING)
    value = float(snapshot.values(metric)[n]) if state == TrialState.COMPLETE else None
    begun = datetime.fromtimestamp(float(np.nan_to_num(snapshot.started[n])))
    ended = begun if state.is_finished() else None
    return FrozenTrial(n, state, value, begun, ended, {}, {}, {}, {}, reports, n)


def make(method: Method) -> Pruner:
    """The pruner that ``method = "optuna:..."`` names. Raises `InputError` if there is none, or it does not take its options."""
    kind = found(method.method, "pruner", "prune")
    if instead := _OURS.get(kind.__name__):
        raise InputError(
            f"{kind.__name__} keeps notes in its trials, which a pruner here cannot; use {instead!r}",
            ("pruner", "method"),
        )
    pruner = ForeignPruner(kind, tuple(method.options.items()))
    tried(method, "pruner", pruner.made)
    return pruner
