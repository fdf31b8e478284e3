"""What a sampler of Optuna is shown of a study of taut: codes as values of distributions, trials as `FrozenTrial`.

Choices go by their positions, and levels in an order are whole numbers, so that a sampler can use the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from taut.slack import slacks
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
from taut.space.prior import Floats
from taut.trial import State

__all__ = ["code", "distribution", "trials", "values"]

_STATES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


def distribution(parameter: Searched) -> Any:
    """What a sampler is to choose from."""
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


def code(parameter: Searched, value: Any) -> float:
    """The code of what it has chosen."""
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


def values(space: Space, row: Floats) -> dict[str, Any]:
    """The parameters of a trial with the codes `row` (d,), by the names that it has."""
    columns = zip(space.searched, space.columns, row.tolist(), strict=True)
    return {name: _value(parameter, c) for name, parameter, c in columns if c == c}


def trials(snapshot: Snapshot, distributions: Mapping[str, Any]) -> dict[int, FrozenTrial]:
    """The trials by number, those that have ended first, in the order in which they did."""
    objectives = [one.metric for one in snapshot.definition.objectives]
    numbers = np.flatnonzero(snapshot.chosen)
    finished = np.nan_to_num(snapshot.finished[numbers], nan=np.inf)
    numbers = numbers[np.lexsort((numbers, finished))]
    table = np.stack([snapshot.values(name) for name in objectives], axis=1)
    slack = slacks(snapshot.definition.subject_to, snapshot.values, snapshot.size)
    codes, found = snapshot.codes, {}
    for n in numbers.tolist():
        state = _STATES.get(State(snapshot.state[n]), TrialState.RUNNING)
        had = values(snapshot.space, codes[n])
        attributes = dict(snapshot.notes.get(n, {}))
        if slack.shape[1] and state in (TrialState.COMPLETE, TrialState.PRUNED):
            attributes["constraints"] = np.nan_to_num(slack[n], nan=1.0).tolist()
        trial = create_trial(
            state=state,
            values=table[n].tolist() if state == TrialState.COMPLETE else None,
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
        found[n] = trial
    return found
