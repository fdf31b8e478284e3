"""A pruner of taut in a study of Optuna."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial

from taut.definition import Definition, Objective
from taut.errors import InputError
from taut.integrations.optuna.mirror import Mirror
from taut.pruners import registry
from taut.pruners.base import Judgement, Pruner
from taut.studyfile.pruner import pruning
from taut.studyfile.table import Table

__all__ = ["TautPruner"]


class TautPruner(BasePruner):
    """One of taut's pruners that stop trials for good: asha, curve, median, patient, percentile, racing, threshold.

    Those that let trials wait and promote them later (halving, hyperband, freeze-thaw), and populations, need what Optuna does not have.

    method: a name that ``[pruner] method`` of a study.toml may have. options: its options there.
    fidelity: what the steps of `report` mean, such as ``{"min": 1, "max": 27}``; `max` is the last step that a trial reports. asha needs it.

    Raises `taut.InputError` for an unknown method or option, and for one that does not work in Optuna.
    """

    def __init__(
        self, method: str = "asha", *, fidelity: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        steps = {} if fidelity is None else {"fidelity": {"name": "step", **fidelity}}
        self._method, self._fidelity = pruning(Table({"method": method, **options, **steps}, ("pruner",)))
        self._pruner = self._settled()
        self._begin()

    def _settled(self) -> Pruner:
        assert self._method is not None, "it was given"
        name = self._method.method
        definition = Definition("optuna", {}, [Objective("f0")], fidelity=self._fidelity, pruner=self._method)
        if self._fidelity is not None:
            definition.fidelity.check()  # type: ignore[union-attr]
        pruner = registry.make(self._method)
        if pruner.needs_fidelity and self._fidelity is None:
            raise InputError(
                f'{name} compares trials at steps that it has to know; add, for instance, fidelity={{"min": 1, "max": 27}}',
                ("fidelity",),
            )
        pruner = pruner.settled(definition)
        if pruner.pauses or pruner.founders:
            raise InputError(
                f"{name} has trials wait and go on later, which Optuna does not know; "
                'use asha (which then stops them for good: variant="stopping"), or run the objective in taut',
                ("pruner", "method"),
            )
        return pruner

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._mirrors: weakref.WeakKeyDictionary[Any, dict[int, _View]] = weakref.WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("_method", "_fidelity", "_pruner")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        if not trial.intermediate_values:
            return False
        with self._lock:
            views = self._mirrors.setdefault(study._storage, {})
            view = views.get(study._study_id)
            if view is None:
                mirror = Mirror(study.directions, 0, self._method, self._fidelity)
                view = views[study._study_id] = _View(mirror, {})
            return view.judge(self._pruner, study.get_trials(deepcopy=False), trial)


class _View(NamedTuple):
    """mirror: what is known of a study. asked: of each trial the step at which it was judged last, and the one before."""

    mirror: Mirror
    asked: dict[int, tuple[float, float]]

    def judge(self, pruner: Pruner, trials: Sequence[FrozenTrial], trial: FrozenTrial) -> bool:
        self.mirror.follow(trials)
        last = float(max(trial.intermediate_values))
        step, before = self.asked.get(trial.number, (-np.inf, -np.inf))
        if step != last:  # asked twice about the same reports, it answers the same
            before = step
            self.asked[trial.number] = last, before
        return pruner.judge(self.mirror.snapshot, trial.number, before) is not Judgement.GO
