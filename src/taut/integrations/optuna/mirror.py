"""An Optuna study as taut's samplers and pruners see one: a snapshot that follows its trials.

Only what is new is read: trials that have begun since, and those that were not finished. The space is what trials have asked for so far,
each name with the widest range of any; conditions are read off the trials (see `taut.space.branches`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from taut.definition import Definition, Method, Objective
from taut.events import Event, Finished, Note, Reported, Started
from taut.fidelity import Fidelity
from taut.integrations.optuna.spaces import hull, inside, outside, parameter
from taut.samplers.base import Sampler
from taut.snapshot import Snapshot
from taut.space import Space, uniform
from taut.space.branches import branches
from taut.trial import State

__all__ = ["NOTE", "Mirror"]

NOTE = "taut:note"
"""The system attribute in which a sampler keeps what it has to remember of a trial."""
_NOTHING = Space(nothing=uniform(0.0, 0.0))  # until a trial has asked for something
_AGAIN = (
    1.1  # conditions that do not explain the trials are sought again when there are so many times as many
)
_WHOLE = TrialState.COMPLETE, TrialState.PRUNED  # a trial that failed may have had more to ask for
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


class _Known(NamedTuple):
    """What is known of an unfinished trial. version: which attempt the snapshot takes it for, since parameters may come one by one."""

    version: int
    params: dict[str, Any]
    note: Note | None
    reports: int


class Mirror:
    """snapshot: the study. distributions: what trials have asked for, by name. Trials have their numbers; a parameter is called
    p0, p1, ... there, and an objective f0, f1, ..., since Optuna's names may be anything.

    pruner: who looks at what trials report, and the fidelity that goes with it. Without one, reports are read as soon as a trial is
    pruned, and a whole trial goes as far as complete ones have reported.
    """

    def __init__(
        self,
        directions: Sequence[StudyDirection],
        seed: int,
        pruner: Method | None = None,
        fidelity: Fidelity | None = None,
    ) -> None:
        self.distributions: dict[str, BaseDistribution] = {}
        self._columns: dict[str, str] = {}
        self._constraints: dict[str, str] = {}
        self._when: dict[str, str] = {}
        self._reads_reports = self._given = pruner is not None
        self._furthest = 0.0
        self._position = 0  # trials from here on have not been read
        self._unfinished: dict[int, None] = {}  # positions of those that were not finished
        self._known: dict[int, _Known] = {}
        self._sought = 0  # trials by which conditions were sought last
        objectives = [
            Objective(f"f{i}", direction != StudyDirection.MAXIMIZE) for i, direction in enumerate(directions)
        ]
        definition = Definition(
            "optuna", _NOTHING.to_json(), objectives, seed=seed, fidelity=fidelity, pruner=pruner
        )
        self.snapshot = Snapshot(definition, _NOTHING)

    # ------------------------------------------------------------------ following

    def follow(
        self, trials: Sequence[FrozenTrial], more: Mapping[str, BaseDistribution] | None = None
    ) -> None:
        """Take in what is new among the trials of the study. more: what else may be asked for."""
        positions = [*self._unfinished, *range(self._position, len(trials))]
        fresh = [trials[i] for i in positions]
        self._learn(fresh, more or {})
        if not self._reads_reports and any(
            trial.state == TrialState.PRUNED and trial.intermediate_values for trial in fresh
        ):
            self._reads_reports = True
            earlier = [trial for trial in trials[: self._position] if trial.state.is_finished()]
            for trial in earlier:
                self._reach(trial)
            self.snapshot.apply(0, [event for trial in earlier for event in self._reports(trial, 0, 0)])
        events = [event for trial in fresh for event in self._events(trial)]
        self.snapshot.apply(0, events)
        for i, trial in zip(positions, fresh, strict=True):
            if trial.state.is_finished():
                self._unfinished.pop(i, None)
            else:
                self._unfinished[i] = None
        self._position = len(trials)
        self._explain([trial.number for trial in fresh if trial.state in _WHOLE])
        self._measure()

    def _learn(self, trials: Sequence[FrozenTrial], more: Mapping[str, BaseDistribution]) -> None:
        """Names, ranges and constraints that were not known."""
        space, constraints = dict(self.distributions), len(self._constraints)
        for asked in (*(trial.distributions for trial in trials), more):
            for name, distribution in asked.items():
                before = space.get(name)
                if before is None and parameter(distribution) is not None:
                    space[name] = distribution
                    self._columns[name] = f"p{len(self._columns)}"
                elif before is not None and before is not distribution and before != distribution:
                    wider = hull(before, distribution)
                    space[name] = wider if parameter(wider) is not None else before
        for trial in trials:
            if trial.state.is_finished():
                for name in trial.constraints:
                    self._constraints.setdefault(name, f"c{len(self._constraints)}")
        if space != self.distributions or len(self._constraints) != constraints:
            self.distributions = space
            self._revise()

    def _revise(self) -> None:
        parameters = {
            column: parameter(self.distributions[name], self._when.get(column))
            for name, column in self._columns.items()
        }
        space = Space(
            {column: p for column, p in parameters.items() if p is not None} or {**_NOTHING.parameters}
        )
        now = self.snapshot.definition
        self.snapshot.revise(
            msgspec.structs.replace(
                now,
                space=space.to_json(),
                subject_to=[f"{metric} <= 0" for metric in self._constraints.values()],
            )
        )

    # ------------------------------------------------------------------ one trial

    def _events(self, trial: FrozenTrial) -> list[Event]:
        n, finished = trial.number, trial.state.is_finished()
        before = self._known.pop(n, None) or _Known(-1, {}, None, 0)
        version, params, note, reports = before
        had = {
            self._columns[name]: inside(self.distributions[name], value)
            for name, value in trial.params.items()
            if name in self._columns
        }
        # While it runs it tells its parameters one by one; what it was offered stands for those to come.
        now = had if finished else {**params, **had}
        told = self._reads_reports and bool(trial.intermediate_values)
        events: list[Event] = []
        begun = _seconds(trial.datetime_start)
        if now != params or (version < 0 and told):
            version += 1
            note = note or trial.system_attrs.get(NOTE)
            remembered = msgspec.UNSET if note is None else note
            events.append(Started(n, version, now, len(self.snapshot.revisions) - 1, 0, begun, m=remembered))
        if told:
            events += self._reports(trial, max(version, 0), reports)
        if not finished:
            self._known[n] = _Known(version, now, note, len(trial.intermediate_values) if told else 0)
            return events
        self._reach(trial)
        return [*events, self._end(trial, max(version, 0))]

    def _end(self, trial: FrozenTrial, version: int) -> Finished:
        values = dict(enumerate(trial.values or ()))
        state = _STATES[trial.state]
        if state == "complete" and not all(map(math.isfinite, values.values())):
            state = "failed"  # as in taut: a number that is none teaches where not to go
        metrics = {f"f{i}": _finite(value) for i, value in values.items()}
        metrics |= {self._constraints[name]: _finite(value) for name, value in trial.constraints.items()}
        ended = _seconds(trial.datetime_complete)
        return Finished(trial.number, version, state, metrics, ended)  # type: ignore[arg-type]

    def _reports(self, trial: FrozenTrial, version: int, known: int) -> list[Event]:
        begun = _seconds(trial.datetime_start)
        return [
            Reported(trial.number, version, float(step), {"f0": _finite(value)}, begun)
            for step, value in list(trial.intermediate_values.items())[known:]
        ]

    def _reach(self, trial: FrozenTrial) -> None:
        if trial.state == TrialState.COMPLETE and trial.intermediate_values:
            self._furthest = max(self._furthest, *trial.intermediate_values)

    # ------------------------------------------------------------------ conditions, steps

    def _explain(self, numbers: Sequence[int]) -> None:
        """Seek conditions anew where trials had other parameters than those that are known say."""
        snapshot = self.snapshot
        rows = [n for n in numbers if snapshot.chosen[n]]
        if not rows or not self._columns:
            return
        codes = snapshot.codes[rows]
        if (snapshot.space.conditions.activity(codes) == ~np.isnan(codes)).all():
            return
        done = snapshot.where(State.COMPLETE, State.PRUNED)
        done = done[snapshot.chosen[done]]
        if len(done) < _AGAIN * self._sought and len(done) > 32:
            return
        self._sought = len(done)
        when = branches(
            dict(zip(snapshot.space.searched, snapshot.space.columns, strict=True)), snapshot.codes[done]
        )
        if when != self._when:
            self._when = when
            self._revise()

    def _measure(self) -> None:
        """How far a whole trial goes, once trials are pruned and one has been whole."""
        definition = self.snapshot.definition
        if self._given or not self._reads_reports or self._furthest <= 1.0:
            return
        if definition.fidelity is None or definition.fidelity.max < self._furthest:
            fidelity = Fidelity("step", self._furthest)
            self.snapshot.revise(
                msgspec.structs.replace(definition, fidelity=fidelity, pruner=Method("median"))
            )

    # ------------------------------------------------------------------ proposing

    def propose(self, sampler: Sampler, trial: FrozenTrial) -> tuple[dict[str, Any], Note | None]:
        """What a trial is to try, by Optuna's names, and what to remember of it. It counts as pending from now on."""
        snapshot, number = self.snapshot, trial.number
        if not self._columns:
            return {}, None
        space, seed = snapshot.space, snapshot.definition.seed
        limit = sampler.limit(space)
        row = np.array([number if limit is None else number % limit])
        codes, notes = sampler.propose_noted(space, seed, row, snapshot if sampler.uses_history else None)
        params = space.params(codes)[0]
        before = self._known.get(number) or _Known(-1, {}, None, 0)
        known = _Known(before.version + 1, {**params, **before.params}, notes[0], before.reports)
        if not trial.state.is_finished():
            self._known[number] = known
        begun = _seconds(trial.datetime_start)
        remembered = msgspec.UNSET if notes[0] is None else notes[0]
        revision = len(snapshot.revisions) - 1
        snapshot.apply(0, [Started(number, known.version, known.params, revision, 0, begun, m=remembered)])
        found = {
            name: outside(self.distributions[name], params[column])
            for name, column in self._columns.items()
            if column in params
        }
        return found, notes[0]


def _seconds(time: Any) -> float:
    return 0.0 if time is None else float(time.timestamp())


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
