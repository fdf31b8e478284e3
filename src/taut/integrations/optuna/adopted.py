"""From the trials of a study of Optuna to the events of one of taut: what `taut import` writes. Nothing here reads or writes a file."""

from __future__ import annotations

import contextlib
import json
import keyword
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from optuna.distributions import distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from taut.definition import Definition, Evaluation, Method, Objective
from taut.errors import InputError
from taut.events import Event, Finished, Origin, Released, Reported, Started
from taut.integrations.optuna.discovered import discovered, identifiers
from taut.integrations.optuna.distributions import Shown, held, shown
from taut.integrations.optuna.frozen import OWN
from taut.integrations.optuna.installed import program
from taut.integrations.optuna.reading import Found
from taut.integrations.optuna.storage import DEFINITION, METRICS
from taut.space import Searched, Space
from taut.verdict import Verdict, verdict, writable

__all__ = ["Adopted", "adopt"]

_LARGEST = 1e300  # stands for an infinite constraint
_LARGEST_FLOAT = sys.float_info.max


class Adopted(NamedTuple):
    """definition: of the new study. events: of all its trials. numbers: how many there are. said: what taut cannot hold, one sentence each."""

    definition: Definition
    events: list[Event]
    numbers: int
    said: list[str]


class _Reading(NamedTuple):
    """How a study of Optuna is read.

    names: of parameters, from Optuna's to taut's; constraints: the same of constraints. own: whether it is taut's own definition.
    """

    definition: Definition
    space: Space
    names: Mapping[str, str]
    constraints: Mapping[str, str]
    own: bool

    def inside(self, name: str, value: Any) -> Any:
        """What taut calls a value of Optuna's parameter `name`."""
        return self.shown(name).inside(value) if self.own else held(value)

    def shown(self, name: str) -> Shown:
        """What Optuna would see of the parameter."""
        parameter = self.space.parameters[self.names[name]]
        assert isinstance(parameter, Searched), "no other has a name in Optuna"
        return shown(parameter)


def adopt(found: Found) -> Adopted:
    """The study of taut that has the same trials. Raises `InputError` for what cannot be one."""
    said: list[str] = []
    reading = _own(found, said) or _foreign(found, said)
    space = reading.space
    codes = space.codes([_params(trial, reading) for trial in found.trials], known=True)
    rows = space.params(codes)
    there = ~np.isnan(codes)
    needed = space.conditions.activity(codes) & np.array([not p.asked for p in space.columns], bool)
    complete = (there | ~needed).all(axis=1)
    last = max((_seconds(t.datetime_complete or t.datetime_start) for t in found.trials), default=0.0)
    events: list[Event] = []
    lost = {"values": 0, "free": 0, "again": 0, "reports": 0}
    for trial, row, whole in zip(found.trials, rows, complete.tolist(), strict=True):
        open_ = not trial.state.is_finished()
        if open_ and not (whole and row):
            why = f"in Optuna it was {trial.state.name.lower()} and had no parameters"
            events.append(Released(n=trial.number, a=0, why=why, blame=False, t=last))
            lost["free"] += 1
            continue
        began = last if trial.datetime_start is None else _seconds(trial.datetime_start)
        origin = _origin(trial, reading)
        events.append(Started(trial.number, 0, row, 0, len(found.trials), began, i=origin))
        events += _reports(trial, reading.definition, began)
        lost["reports"] += sum(math.isinf(value) for value in trial.intermediate_values.values())
        if open_:
            events.append(_waiting(trial, reading, last))
            lost["again"] += 1
        else:
            end = _end(trial, reading)
            lost["values"] += trial.state == TrialState.COMPLETE and end.state == "failed"
            events.append(end)
    return Adopted(reading.definition, events, len(found.trials), said + _told(found, reading, lost))


# ---------------------------------------------------------------------- what was asked


def _own(found: Found, said: list[str]) -> _Reading | None:
    """The definition that taut wrote, if the trials fit it. It may come from anywhere: it says nothing of what is run."""
    text = found.study.system_attrs.get(DEFINITION)
    if not isinstance(text, str):
        return None
    try:
        definition = Definition.from_json(text.encode())
        definition.check()
        space = definition.parsed_space()
    except (msgspec.DecodeError, InputError) as error:
        said.append(f"its definition by taut cannot be read ({error}): the space is read off the trials")
        return None
    aims = [one.minimize for one in definition.objectives]
    if aims != [each != StudyDirection.MAXIMIZE for each in found.study.directions] or not _fits(
        space, found.trials
    ):
        said.append("its definition by taut does not fit its trials any more: the space is read off them")
        return None
    definition = msgspec.structs.replace(definition, evaluation=Evaluation(), on={}, warm_start=[])
    if its := program(definition.sampler):
        said.append(f"its sampler names a program, {its!r}, which is yours to name: it has auto instead")
        definition = msgspec.structs.replace(definition, sampler=Method("auto"))
    if definition.pruner is not None and (its := program(definition.pruner)):
        said.append(f"its pruner names a program, {its!r}, which is yours to name: it has none")
        definition = msgspec.structs.replace(definition, pruner=None)
    return _Reading(definition, space, {name: name for name in space.searched}, {}, True)


def _fits(space: Any, trials: Sequence[FrozenTrial]) -> bool:
    columns = dict(zip(space.searched, space.columns, strict=True))
    try:
        for trial in trials:
            for name, value in trial.params.items():
                columns[name].code(shown(columns[name]).inside(value))
    except (KeyError, TypeError, ValueError):  # `InputError` is one
        return False
    return True


def _foreign(found: Found, said: list[str]) -> _Reading:
    seen = discovered(found.trials)
    said += seen.said
    many = len(found.study.directions)
    told = found.study.system_attrs.get(METRICS)
    given = told if isinstance(told, list) and len(told) == many else ["value"] * many
    unique = [f"{name}_{i}" if given.count(name) > 1 else str(name) for i, name in enumerate(given)]
    metrics = identifiers(unique, _metric)
    called = zip(given, metrics.values(), strict=True) if given is told else ()
    said += [f"the objective {name!r} is called {new} here" for name, new in called if new != name]
    aims = zip(metrics.values(), found.study.directions, strict=True)
    objectives = [Objective(name, aim != StudyDirection.MAXIMIZE) for name, aim in aims]
    keys = dict.fromkeys(key for trial in found.trials for key in trial.constraints)
    named = identifiers([*metrics.values(), *keys], _constraint)  # none of them is called as an objective is
    constraints = {key: named[key] for key in keys}
    definition = Definition(
        found.study.study_name,
        seen.space.to_json(),
        objectives,
        subject_to=[f"{name} <= 0" for name in constraints.values()],
    )
    definition.check()
    return _Reading(definition, seen.space, seen.names, constraints, False)


def _metric(name: str) -> str:
    """`name`, or what is nearest to it among the names that a metric may have."""
    plain = re.sub(r"\W", "_", str(name), flags=re.ASCII)
    plain = re.sub(r"^(?=\d|$)", "value_", plain)
    return f"{plain}_value" if plain == "step" or keyword.iskeyword(plain) else plain


def _constraint(name: str) -> str:
    return f"constraint_{name}" if name.isdigit() else _metric(name)


# ---------------------------------------------------------------------- one trial


def _params(trial: FrozenTrial, reading: _Reading) -> dict[str, Any]:
    """What it had, and what it is to have where it was enqueued, in taut's words."""
    found = {reading.names[name]: reading.inside(name, value) for name, value in trial.params.items()}
    fixed = trial.system_attrs.get("fixed_params") if trial.state == TrialState.WAITING else None
    columns = dict(zip(reading.space.searched, reading.space.columns, strict=True))
    for name, value in fixed.items() if isinstance(fixed, dict) else ():
        with contextlib.suppress(KeyError, TypeError, ValueError):  # it is not asked for, or not allowed
            wanted = reading.inside(name, value)
            columns[reading.names[name]].code(wanted)
            found.setdefault(reading.names[name], wanted)
    return found


def _origin(trial: FrozenTrial, reading: _Reading) -> Origin:
    """All that it had there and that an export is to give back."""
    ranges = {
        reading.names[name]: distribution_to_json(distribution)
        for name, distribution in trial.distributions.items()
        if distribution != reading.shown(name).distribution
    }
    return Origin("optuna", *map(json.dumps, (trial.user_attrs, trial.system_attrs, ranges)))


def _reports(trial: FrozenTrial, definition: Definition, began: float) -> list[Reported]:
    """Optuna does not know when a trial reported: evenly between its start and its end."""
    end = began if trial.datetime_complete is None else _seconds(trial.datetime_complete)
    metric, many = definition.objectives[0].metric, len(trial.intermediate_values)
    steps = sorted(trial.intermediate_values.items())
    return [
        Reported(trial.number, 0, float(step), {metric: _finite(value)}, began + (end - began) * i / many)
        for i, (step, value) in enumerate(steps, start=1)
    ]


def _waiting(trial: FrozenTrial, reading: _Reading, last: float) -> Released:
    why = f"in Optuna it was {trial.state.name.lower()}"
    at = trial.user_attrs.get(f"{OWN}waits_at")
    step = (
        float(at) if reading.definition.pruner is not None and isinstance(at, int | float) else msgspec.UNSET
    )
    return Released(n=trial.number, a=0, why=why, blame=False, t=last, at=step)


def _end(trial: FrozenTrial, reading: _Reading) -> Finished:
    names = [one.metric for one in reading.definition.objectives]
    values: dict[str, float] = dict(zip(names, trial.values or (), strict=False))
    values |= {name: v for name, v in _numbers(trial, reading).items() if name not in values}
    error = None
    if trial.state == TrialState.FAIL:
        told = trial.user_attrs.get(f"{OWN}error") or trial.system_attrs.get("fail_reason")
        error = str(told or "it failed in Optuna, which does not know why")
    found: Verdict = verdict(names, values, error, trial.state == TrialState.PRUNED)
    return Finished(
        n=trial.number,
        a=0,
        state=found.state,
        y=found.values,
        t=_seconds(trial.datetime_complete),
        error=msgspec.UNSET if found.error is None else writable(found.error),
    )


def _numbers(trial: FrozenTrial, reading: _Reading) -> dict[str, float]:
    """What it noted in numbers: its attributes and constraints, as metrics."""
    known = reading.definition.space
    noted = {
        writable(key): float(value)
        for key, value in trial.user_attrs.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_FLOAT
        if not key.startswith(OWN) and key not in known
    }
    kept = {
        reading.constraints[k]: max(-_LARGEST, min(v, _LARGEST))
        for k, v in trial.constraints.items()
        if not reading.own and v == v
    }
    return {**noted, **kept}


def _seconds(time: Any) -> float:
    return 0.0 if time is None else float(time.timestamp())


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# ---------------------------------------------------------------------- what is lost


def _told(found: Found, reading: _Reading, lost: Mapping[str, int]) -> list[str]:
    said = []
    if lost["values"]:
        said.append(
            f"trials that were complete with an infinite value ({lost['values']}) count as failed here"
        )
    if lost["reports"]:
        said.append(f"intermediate values that were infinite ({lost['reports']}) are kept as no number")
    if lost["again"]:
        said.append(
            f"trials that ran or waited in Optuna ({lost['again']}) wait here, to be run from their start"
        )
    if lost["free"]:
        said.append(
            f"trials that ran or waited in Optuna and had no parameters yet ({lost['free']}) are new trials here"
        )
    if reading.constraints:
        lacking = sum(
            t.state == TrialState.COMPLETE
            and not reading.constraints.keys() <= {k for k, v in t.constraints.items() if v == v}
            for t in found.trials
        )
        if lacking:
            said.append(f"complete trials without all constraints ({lacking}) do not fulfil them here")
    left = sorted({*found.study.user_attrs, *(found.study.system_attrs.keys() - {METRICS, DEFINITION})})
    if left:
        said.append(f"attributes of the study itself are left behind: {', '.join(left[:10])}")
    return said
