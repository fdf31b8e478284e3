"""The space that the trials of a study of Optuna have asked for, as one of taut."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from taut.errors import InputError
from taut.integrations.optuna.distributions import held
from taut.integrations.optuna.spaces import hull
from taut.space import Space
from taut.space.branches import branches
from taut.wishes import Form, number_form, parsed

__all__ = ["Discovered", "discovered", "identifiers"]

_WHOLE = TrialState.COMPLETE, TrialState.PRUNED  # a trial that failed may have had more to ask for


class Discovered(NamedTuple):
    """space: in taut. names: what Optuna's parameters are called there. said: what is otherwise there, one sentence each."""

    space: Space
    names: Mapping[str, str]
    said: Sequence[str]


def discovered(trials: Sequence[FrozenTrial]) -> Discovered:
    """A parameter that every whole trial had, with one range, belongs to all; others are `asked` for, under the conditions that trials show.

    Raises `InputError` for a parameter that cannot be one of taut's.
    """
    asked_for: dict[str, BaseDistribution] = {}
    changed: dict[str, None] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            before = asked_for.setdefault(name, distribution)
            if before != distribution:
                _check_kind(name, before, distribution)
                asked_for[name] = hull(before, distribution)
                changed[name] = None
    whole = [trial for trial in trials if trial.state in _WHOLE] or [t for t in trials if t.params]
    names = identifiers(asked_for, _name)
    said = [f"{name!r} is called {new} here" for name, new in names.items() if new != name]
    forms: dict[str, Form] = {}
    for name, distribution in asked_for.items():
        common = name not in changed and all(name in trial.params for trial in whole)
        form, lost = _form(names[name], distribution)
        forms[names[name]] = form if common else {**form, "asked": True}
        said += lost
        if name in changed:
            said.append(
                f"{names[name]}: its range changed on the way; here it has the widest, {_range(distribution)}"
            )
    space = Space.from_json(forms) if forms else Space.unknown()
    rows = space.codes([{names[k]: held(v) for k, v in trial.params.items()} for trial in whole], known=True)
    columns = dict(zip(space.searched, space.columns, strict=True))
    found = branches(columns, rows) if forms and len(rows) else {}
    for name in space.asked & found.keys():
        forms[name]["when"] = found[name]
    return Discovered(Space.from_json(forms) if forms else space, names, said)


def identifiers(names: Collection[str], rule: Any) -> dict[str, str]:
    """A different name for each, by `rule`; a number is added where that gives the same for two."""
    kept = {name for name in names if rule(name) == name}
    found: dict[str, str] = {}
    for name in names:
        new, count = rule(name), 1
        while new in (*found.values(), *(kept - {name})):
            count += 1
            new = f"{rule(name)}_{count}"
        found[name] = new
    return found


def _name(name: str) -> str:
    """`name`, or what is nearest to it among the names that a parameter may have."""
    try:
        parts = Space.from_json({name: {"choice": [0]}}).names
    except InputError:
        return re.sub(r"^(?![A-Za-z_])", "p_", re.sub(r"[^A-Za-z0-9_-]", "_", name)[:190])
    return parts[0]


def _check_kind(name: str, one: BaseDistribution, other: BaseDistribution) -> None:
    logs = [getattr(each, "log", None) for each in (one, other)]
    if type(one) is not type(other) or logs[0] != logs[1]:
        raise InputError(
            f"{name!r} is {one} in one trial and {other} in another, and a parameter has one kind; "
            "copy the trials of one kind into a study of their own (study.add_trials), and import that"
        )


def _form(name: str, distribution: BaseDistribution) -> tuple[Form, list[str]]:
    """The parameter as study.toml has it, and what it cannot hold."""
    if isinstance(distribution, CategoricalDistribution):
        values = [held(each) for each in distribution.choices]
        spelled = [
            v
            for v, each in zip(values, distribution.choices, strict=True)
            if isinstance(v, str) and v != each
        ]
        lost = [f"{name}: its values {', '.join(spelled)} are texts here"] if spelled else []
        return {"choice": list({json.dumps(v): v for v in values}.values())}, lost
    assert isinstance(distribution, FloatDistribution | IntDistribution), "Optuna has no others"
    low, high, step, log = distribution.low, distribution.high, distribution.step, distribution.log
    whole = isinstance(distribution, IntDistribution)
    form = number_form(low, high, None if log else step, log, whole)
    try:
        parsed(name, form)
    except InputError:
        if whole or step is None:
            raise
        form = number_form(low, high, None, log, whole)
        return form, [f"{name}: its steps of {step} are too fine for taut, which has none here"]
    return form, []


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return f"{len(distribution.choices)} choices"
    return f"{distribution.low} to {distribution.high}"  # type: ignore[attr-defined]
