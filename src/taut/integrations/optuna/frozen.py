"""The trials of a study of taut as Optuna has them: `FrozenTrial` for each number, for files, dashboards and figures.

Optuna counts trials from 0 without gaps, so a number that is claimed and not begun is a trial that waits and has no parameters.
What has no place of its own there is an attribute: other metrics and computed parameters under their names, what taut knows of the
way a trial went under ``taut:...``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from taut.events import Allocation
from taut.integrations.optuna.distributions import Shown, outside, shown
from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space.prior import Floats
from taut.trial import State, TrialRecord

__all__ = ["OWN", "Trials", "directions", "lost_of_space"]

OWN = "taut:"
"""Begins the names of the attributes that say what taut knows of a trial or a study."""
_STATES = {
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


def directions(snapshot: Snapshot) -> list[StudyDirection]:
    """In the order of the study's objectives."""
    kinds = StudyDirection
    return [kinds.MINIMIZE if one.minimize else kinds.MAXIMIZE for one in snapshot.definition.objectives]


def lost_of_space(snapshot: Snapshot) -> dict[str, str]:
    """What Optuna does not know of a parameter, by its name, where there is such a thing."""
    columns = zip(snapshot.space.searched, snapshot.space.columns, strict=True)
    return {name: lost for name, parameter in columns if (lost := shown(parameter).lost) is not None}


class Trials:
    """The trials of `snapshot` by number. Trials that have not changed since the last call of `all` are kept.

    gpu_seconds: by trial, where they are known.
    """

    def __init__(self, snapshot: Snapshot, gpu_seconds: Mapping[int, float] | None = None) -> None:
        self._snapshot = snapshot
        self._gpu_seconds = gpu_seconds or {}
        self._kept: dict[int, tuple[Any, FrozenTrial]] = {}

    def all(self) -> list[FrozenTrial]:
        """Every trial up to the last that was begun. They are shared: whoever changes one copies it first."""
        snapshot, revision = self._snapshot, len(self._snapshot.revisions)
        known = snapshot.known
        size = int(known[-1]) + 1 if len(known) else 0
        times = np.nan_to_num(np.stack((snapshot.started, snapshot.finished)), nan=-1.0)
        columns = (column[:size].tolist() for column in (snapshot.state, snapshot.attempt, *times))
        keys = [
            (revision, len(snapshot.curves.of(n)), *row) for n, row in enumerate(zip(*columns, strict=True))
        ]
        changed = [n for n, key in enumerate(keys) if n not in self._kept or self._kept[n][0] != key]
        for n, trial in zip(changed, self._made(changed), strict=True):
            self._kept[n] = keys[n], trial
        return [self._kept[n][1] for n in range(size)]

    def _made(self, numbers: list[int]) -> list[FrozenTrial]:
        snapshot = self._snapshot
        space, known = snapshot.space, set(snapshot.known.tolist())
        shapes = {name: shown(p) for name, p in zip(space.searched, space.columns, strict=True)}
        conditions = snapshot.definition.subject_to
        slack = slacks(conditions, snapshot.values, snapshot.size) if conditions else None
        records = iter(snapshot.records([n for n in numbers if n in known]))
        return [
            self._trial(next(records), shapes, None if slack is None else slack[n])
            if n in known
            else _unbegun(n)
            for n in numbers
        ]

    def _trial(self, record: TrialRecord, shapes: Mapping[str, Shown], slack: Floats | None) -> FrozenTrial:
        n, snapshot = record.number, self._snapshot
        state = _STATES.get(State(snapshot.state[n]), TrialState.WAITING)
        names = [one.metric for one in snapshot.definition.objectives]
        told = state in (TrialState.COMPLETE, TrialState.PRUNED) and all(
            name in record.values for name in names
        )
        searched = [name for name in record.params if name in shapes]
        distributions: dict[str, BaseDistribution] = {name: shapes[name].distribution for name in searched}
        params = {name: shapes[name].outside(record.params[name]) for name in searched}
        user: dict[str, Any] = {}
        system: dict[str, Any] = {}
        origin = snapshot.origins.get(n)
        if origin is not None:
            user, system = json.loads(origin.user), json.loads(origin.system)
        if origin is not None and record.finished is not None and snapshot.attempt[n] == 0:  # it ended there
            for name, text in json.loads(origin.distributions).items():
                distributions[name] = json_to_distribution(text)
                params[name] = outside(distributions[name], record.params[name])
        else:
            user |= self._attributes(record, names if told else (), shapes)
            if slack is not None and state.is_finished() and state != TrialState.FAIL:
                system["constraints"] = np.nan_to_num(slack, nan=1.0).tolist()  # not told is not kept
            if snapshot.definition.sampler.method.startswith("optuna:"):
                system |= snapshot.notes.get(n, {})
        return FrozenTrial(
            number=n,
            trial_id=n,
            state=state,
            value=None,
            values=[record.values[name] for name in names] if told else None,
            datetime_start=_time(record.started),
            datetime_complete=_time(record.finished) if state.is_finished() else None,
            params=params,
            distributions=distributions,
            user_attrs=user,
            system_attrs=system,
            intermediate_values=self._intermediate(n, names),
        )

    def _attributes(
        self, record: TrialRecord, shown_as_values: list[str] | tuple[()], shapes: Mapping[str, Shown]
    ) -> dict[str, Any]:
        """What has no other place in a `FrozenTrial`."""
        n, snapshot = record.number, self._snapshot
        found: dict[str, Any] = {
            name: value for name, value in record.values.items() if name not in shown_as_values
        }
        found |= {name: value for name, value in record.params.items() if name not in shapes}
        who = snapshot.writers.get(record.worker)
        own = {
            "worker": record.worker,
            "job": who.job.label if who is not None and isinstance(who.job, Allocation) else None,
            "gpu_seconds": self._gpu_seconds.get(n),
            "attempts": record.attempts if record.attempts > 1 else None,
            "error": record.error,
            "interruptions": record.interruptions or None,
            "parent": record.parent,
            "waits_at": snapshot.waiting.get(n),
        }
        return found | {f"{OWN}{key}": value for key, value in own.items() if value is not None}

    def _intermediate(self, n: int, names: list[str]) -> dict[int, float]:
        """What was reported of the objective at whole steps; Optuna has no others, and none with several objectives."""
        if len(names) != 1:
            return {}
        return {
            int(event.s): math.nan if (value := event.y[names[0]]) is None else value
            for event in self._snapshot.curves.of(n)
            if event.s.is_integer() and names[0] in event.y
        }


def _time(seconds: float | None) -> datetime | None:
    """As Optuna has it: local, without a zone."""
    return None if seconds is None or math.isnan(seconds) else datetime.fromtimestamp(seconds)


def _unbegun(n: int) -> FrozenTrial:
    return FrozenTrial(n, TrialState.WAITING, None, None, None, {}, {}, {}, {}, {}, n)
