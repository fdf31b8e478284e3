"""A sampler of Optuna in a study of taut: ``[sampler] method = "optuna:GPSampler"``."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import numpy as np

from taut.definition import Method
from taut.errors import InputError, nearest
from taut.events import Note
from taut.samplers.base import Codes, Numbers, Sampler
from taut.snapshot import Snapshot
from taut.space import (
    Searched,
    Space,
    choice,
    lognormal,
    loguniform,
    loguniform_int,
    normal,
    ordinal,
    uniform,
    uniform_int,
)
from taut.trial import State

__all__ = ["ForeignSampler", "make"]

_COUNTING = {
    "BruteForceSampler": "grid",
    "CmaEsSampler": "cma",
    "GridSampler": "grid",
    "QMCSampler": "quasirandom",
}
"""Samplers that do not work here, and what there is instead."""
_STATES = {State.COMPLETE: "COMPLETE", State.PRUNED: "PRUNED", State.FAILED: "FAIL"}


@dataclasses.dataclass(frozen=True)
class ForeignSampler(Sampler):
    """Asks a sampler of Optuna, or one that is written for Optuna, as ``optuna:package.module:Class``.

    Choose it to compare, or for a method that taut does not have. Each proposal shows all trials anew to a fresh sampler, whose seed
    follows from the study's and the trial's number: so it is a function of what is known, and can be verified, at a cost that grows with
    the trials (about 0.1 ms for each, besides what the sampler takes). What a sampler writes to its trial is kept in the log.
    Conditional parameters that do not exist are left out of what it is shown, and of what it proposes.

    kind: the sampler's class. options: its arguments, as a list of pairs; `seed` is given where it takes one.
    """

    uses_history: ClassVar[bool] = True
    kind: Any
    options: tuple[tuple[str, Any], ...] = ()

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        return self.propose_noted(space, seed, numbers, snapshot)[0]

    def propose_noted(
        self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None
    ) -> tuple[Codes, Sequence[Note | None]]:
        import optuna

        assert snapshot is not None
        distributions = {
            name: _distribution(name, p) for name, p in zip(space.searched, space.columns, strict=True)
        }
        codes = np.empty((len(numbers), len(space)))
        notes: list[Note | None] = []
        shown = _shown(snapshot, distributions)
        kinds = optuna.study.StudyDirection
        directions = [
            kinds.MINIMIZE if one.minimize else kinds.MAXIMIZE for one in snapshot.definition.objectives
        ]
        for i, number in enumerate(numbers.tolist()):
            before = optuna.logging.get_verbosity()
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    study = optuna.create_study(directions=directions, sampler=self._sampler(seed, number))
                    study.add_trials(shown)
                    trial = study.ask(distributions)
            finally:
                optuna.logging.set_verbosity(before)
            frozen = study._storage.get_trial(trial._trial_id)
            codes[i] = [
                _code(p, frozen.params[name]) for name, p in zip(space.searched, space.columns, strict=True)
            ]
            notes.append(dict(frozen.system_attrs) or None)
            shown.append(frozen)
        return space.condition(codes), notes

    def _sampler(self, seed: int, number: int) -> Any:
        own = {}
        if "seed" in inspect.signature(self.kind).parameters:
            own["seed"] = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        return self.kind(**{**own, **dict(self.options)})


def make(method: Method) -> Sampler:
    """The sampler that ``method = "optuna:..."`` names. Raises `InputError` if there is none, or it does not take its options."""
    name = method.method.partition(":")[2]
    place, _, attribute = name.rpartition(":")
    try:
        module = importlib.import_module(place or "optuna.samplers")
    except ImportError as error:
        advice = "pip install optuna" if (error.name or "").startswith("optuna") else "is it installed?"
        raise InputError(f"{method.method!r}: {error}; {advice}", ("sampler", "method")) from None
    kind = getattr(module, attribute, None)
    if not inspect.isclass(kind) or not hasattr(kind, "sample_relative"):
        known = [key for key, value in vars(module).items() if hasattr(value, "sample_relative")]
        raise InputError(
            f"{module.__name__} has no sampler {attribute!r}{nearest(attribute, known)}; it has {', '.join(known)}",
            ("sampler", "method"),
        )
    if attribute in _COUNTING:
        raise InputError(
            f"{attribute} keeps count in its study, which a sampler here cannot; use {_COUNTING[attribute]!r}",
            ("sampler", "method"),
        )
    sampler = ForeignSampler(kind, tuple(method.options.items()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler._sampler(0, 0)
    except (TypeError, ValueError, ImportError) as error:
        raise InputError(f"{method.method!r} cannot be made so: {error}", ("sampler",)) from None
    return sampler


def _distribution(name: str, parameter: Searched) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, choice):
        return CategoricalDistribution(tuple(range(parameter.cells)))
    if isinstance(parameter, ordinal):
        return IntDistribution(0, parameter.cells - 1)
    if isinstance(parameter, uniform):
        return FloatDistribution(*parameter.bounds, step=parameter.step)
    if isinstance(parameter, loguniform):
        return FloatDistribution(*parameter.bounds, log=True)
    if isinstance(parameter, uniform_int):
        return IntDistribution(*parameter.bounds, step=parameter.step)
    if isinstance(parameter, loguniform_int):
        return IntDistribution(*parameter.bounds, log=True)
    assert isinstance(parameter, normal | lognormal), "there are no other kinds"
    # What Optuna cannot say of a parameter: it gets the places in the prior, which are evenly spread.
    return FloatDistribution(0.0, 1.0)


def _code(parameter: Searched, value: Any) -> float:
    if isinstance(parameter, normal | lognormal):
        return float(parameter.quantile(np.array([value]))[0])
    return float(value)


def _value(parameter: Searched, code: float) -> Any:
    """What Optuna knows a code by."""
    if isinstance(parameter, normal | lognormal):
        lo, hi = 0.0, 1.0  # the place in the prior, by bisection: a prior has no inverse here
        for _ in range(50):
            middle = (lo + hi) / 2
            lo, hi = (middle, hi) if parameter.quantile(np.array([middle]))[0] < code else (lo, middle)
        return (lo + hi) / 2
    return code if isinstance(parameter, uniform | loguniform) else int(code)


def _shown(snapshot: Snapshot, distributions: Mapping[str, Any]) -> list[Any]:
    """The trials as Optuna has them, those that have ended first, in the order in which they did."""
    from optuna.trial import TrialState, create_trial

    from taut.slack import slacks

    space, objectives = snapshot.space, [one.metric for one in snapshot.definition.objectives]
    numbers = np.flatnonzero(snapshot.chosen)
    finished = np.nan_to_num(snapshot.finished[numbers], nan=np.inf)
    numbers = numbers[np.lexsort((numbers, finished))]
    table = np.stack([snapshot.values(name) for name in objectives], axis=1)
    slack = slacks(snapshot.definition.subject_to, snapshot.values, snapshot.size)
    codes, found = snapshot.codes, []
    for n in numbers.tolist():
        state = _STATES.get(State(snapshot.state[n]), "RUNNING")
        had = {
            name: _value(p, codes[n, j])
            for j, (name, p) in enumerate(zip(space.searched, space.columns, strict=True))
            if codes[n, j] == codes[n, j]
        }
        attributes = dict(snapshot.notes.get(n, {}))
        if slack.shape[1] and state in ("COMPLETE", "PRUNED"):
            attributes["constraints"] = np.nan_to_num(slack[n], nan=1.0).tolist()
        trial = create_trial(
            state=TrialState[state],
            values=table[n].tolist() if state == "COMPLETE" else None,
            params=had,
            distributions={name: distributions[name] for name in had},
            system_attrs=attributes,
            intermediate_values={
                int(event.s): value
                for event in snapshot.curves.of(n)
                if (value := event.y.get(objectives[0])) is not None
            },
        )
        trial.datetime_start = datetime.fromtimestamp(float(np.nan_to_num(snapshot.started[n])))
        found.append(trial)
    return found
