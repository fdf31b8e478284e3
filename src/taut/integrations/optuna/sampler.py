"""A sampler of taut in a study of Optuna."""

from __future__ import annotations

import contextlib
import threading
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.samplers._base import _process_constraints_after_trial
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from taut.definition import Method
from taut.errors import InputError
from taut.integrations.optuna.mirror import NOTE, Mirror
from taut.samplers import registry
from taut.space import Space

__all__ = ["TautSampler"]


class TautSampler(BaseSampler):
    """One of taut's samplers, in any study of Optuna: any storage, ``n_jobs``, several objectives, constraints.

    Choose it where an objective and its study are Optuna's and are to stay so. What a trial asks for is known once a trial has asked for
    it: the first trial, and the first in each branch, draw from the prior. What only some trials ask for becomes a conditional parameter as
    soon as the value of another explains it.

    method: a name that ``[sampler] method`` of a study.toml may have. options: its options there.
    seed: proposals follow from it, from a trial's number and from what is known; None draws one.
    search_space: distributions by name, where they are known beforehand; the first trial is then the method's own. "grid" needs it.
    constraints_func: as in Optuna's samplers: from a trial to numbers, each kept where it is at most 0.

    Raises `taut.InputError` for an unknown method or option.
    """

    def __init__(
        self,
        method: str = "auto",
        *,
        seed: int | None = None,
        search_space: Mapping[str, BaseDistribution] | None = None,
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
        **options: Any,
    ) -> None:
        self._method = Method(method, options)
        self._sampler = registry.make(self._method)
        self._seed = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1)
        self._space = dict(search_space or {})
        self._constraints_func = constraints_func
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._mirrors: weakref.WeakKeyDictionary[Any, dict[Any, Mirror]] = weakref.WeakKeyDictionary()
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        kept = ("_method", "_sampler", "_seed", "_space", "_constraints_func")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def __str__(self) -> str:
        return f"TautSampler({self._method.method!r})"

    def reseed_rng(self) -> None:
        """Nothing to do: proposals follow from the numbers of trials, which differ."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        with self._lock:
            mirror = self._mirror(study)
            mirror.follow(study.get_trials(deepcopy=False), self._space)
            self._local.followed = mirror, trial.number
            return dict(mirror.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        with self._lock:
            mirror = self._mirror(study)
            # Trials are not read twice for one suggestion; a caller of our own may leave out the first step.
            if getattr(self._local, "followed", None) != (mirror, trial.number):
                mirror.follow(study.get_trials(deepcopy=False), {**self._space, **search_space})
            self._local.followed = None
            params, note = mirror.propose(self._sampler, trial)
        if note is not None:
            study._storage.set_trial_system_attr(trial._trial_id, NOTE, note)
        return {name: value for name, value in params.items() if name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        mixed = np.random.SeedSequence([self._seed, trial.number, zlib.crc32(param_name.encode())])
        draw = RandomSampler(int(mixed.generate_state(1)[0]))
        return draw.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        if self._constraints_func is not None:
            _process_constraints_after_trial(self._constraints_func, study, trial, state)
        with self._lock:
            limit = self._sampler.limit(self._mirror(study).snapshot.space) if self._space else None
        if limit is not None and trial.number + 1 >= limit:
            with contextlib.suppress(RuntimeError):  # it is not in `optimize`, which alone can be stopped
                study.stop()

    def _mirror(self, study: Study) -> Mirror:
        """Of this study, or of the part of it that a pruner with brackets shows."""
        mirrors = self._mirrors.setdefault(study._storage, {})
        key = study._study_id, getattr(study, "_bracket_id", None)
        if key not in mirrors:
            mirror = mirrors[key] = Mirror(study.directions, self._seed)
            mirror.follow((), self._space)
            if not self._space and self._numbers(mirror.snapshot.space):
                raise InputError(
                    f"{self._method.method} numbers the points of its space, and has to know it; give search_space, "
                    'for instance {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}',
                    ("search_space",),
                )
        return mirrors[key]

    def _numbers(self, space: Space) -> bool:
        """Whether the method has a trial for each point of a space, which it may be unable to count before it knows it."""
        try:
            return self._sampler.limit(space) is not None
        except InputError:
            return True
