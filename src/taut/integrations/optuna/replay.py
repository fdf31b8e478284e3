"""A study of Optuna in memory that has gone the way of a study of taut, for samplers that keep count of it.

Some samplers remember what they did: in the study (`QMCSampler`), in its trials (`CmaEsSampler`) or in themselves (many that are written for
Optuna). To show them finished trials is not enough. So the whole course is gone through in order, each trial asked for when it began and told
when it ended; what it had in taut takes the place of what was suggested. The course follows from the snapshot, so a proposal is a function of it.

A worker that learns nothing that happened before its own last trial goes on from there. One that does begins again from the first trial,
which costs an ask for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from taut.integrations.optuna.coded import code, distribution, trials, values
from taut.integrations.optuna.frozen import directions
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.prior import Floats

__all__ = ["Course"]


class _Step(NamedTuple):
    """A trial is asked for, with the parameters that it had (None: nobody knows), or told, with how it ended."""

    number: int
    had: dict[str, Any] | None = None
    end: tuple[Any, ...] | None = None


class Course:
    """A study of Optuna and how far it has come. make: the sampler as it is at the beginning, by the study's seed."""

    def __init__(self, make: Callable[[int], BaseSampler]) -> None:
        self._make = make
        self._of: tuple[Space, int] | None = None
        self._steps: list[_Step] = []
        self._live: dict[int, optuna.Trial] = {}

    def propose(self, space: Space, seed: int, numbers: Sequence[int], snapshot: Snapshot) -> Floats:
        """(k, d) codes of what these trials are to try."""
        distributions = dict(zip(space.searched, map(distribution, space.columns), strict=True))
        steps, codes = (
            _course(snapshot, trials(snapshot, distributions)),
            np.empty((len(numbers), len(space))),
        )
        for row, number in zip(codes, numbers, strict=True):
            begun = {step.number for step in steps}
            steps += [_Step(n) for n in range(number) if n not in begun]
            self._follow(space, seed, steps, distributions, snapshot)
            params = self._ask(number, distributions).params
            parameters = zip(space.searched, space.columns, strict=True)
            row[:] = space.condition(np.array([[code(p, params[name]) for name, p in parameters]]))[0]
            steps.append(_Step(number, values(space, row)))
            self._settle(steps[-1], distributions)
            self._steps = list(steps)
        return codes

    def _follow(
        self, space: Space, seed: int, steps: list[_Step], distributions: dict[str, Any], snapshot: Snapshot
    ) -> None:
        """Come to where `steps` end: from where we are if that lies on the way, else from the beginning."""
        if self._of != (space, seed) or steps[: len(self._steps)] != self._steps:
            self._of, self._steps, self._live = (space, seed), [], {}
            self._study = optuna.create_study(directions=directions(snapshot), sampler=self._make(seed))
        for step in steps[len(self._steps) :]:
            if step.end is None:
                self._ask(step.number, distributions)
                self._settle(step, distributions)
            else:
                self._tell(step.number, *step.end)
        self._steps = list(steps)

    def _ask(self, number: int, distributions: dict[str, Any]) -> FrozenTrial:
        self._live[number] = self._study.ask(distributions)
        return self._frozen(number)

    def _frozen(self, number: int) -> FrozenTrial:
        """The trial itself: a storage in memory hands out no copies."""
        return self._study._storage.get_trial(self._live[number]._trial_id)

    def _settle(self, step: _Step, distributions: dict[str, Any]) -> None:
        """What it had takes the place of what was suggested."""
        if step.had is not None:
            frozen = self._frozen(step.number)
            frozen.params = dict(step.had)
            frozen.distributions = {name: distributions[name] for name in step.had}

    def _tell(self, number: int, state: TrialState, told: Any, reports: Any, constraints: Any) -> None:
        frozen = self._frozen(number)
        frozen.intermediate_values = dict(reports)
        if constraints is not None:
            frozen.system_attrs = {**frozen.system_attrs, "constraints": constraints}
        self._study.tell(self._live.pop(number), told, state)


def _course(snapshot: Snapshot, known: dict[int, FrozenTrial]) -> list[_Step]:
    """What happened, in order; at one moment, trial by trial."""
    happened: list[tuple[float, int, int, _Step]] = []
    for n, trial in known.items():
        happened.append((float(np.nan_to_num(snapshot.started[n])), n, 0, _Step(n, dict(trial.params))))
        if trial.state.is_finished():
            reports = tuple(sorted(trial.intermediate_values.items()))
            end = trial.state, trial.values, reports, trial.system_attrs.get("constraints")
            happened.append((float(snapshot.finished[n]), n, 1, _Step(n, end=end)))
    return [step for *_, step in sorted(happened, key=lambda each: each[:3])]
