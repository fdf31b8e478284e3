"""The trial that this very program was started for, by `taut run` with a command."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from taut import reporting
from taut.trial import Trial

__all__ = ["CommandedTrial"]


class CommandedTrial(Trial):
    """What the environment says of a trial, in the form that a Python objective has.

    For code that serves both. `report` and `tell` are `taut.report`. `should_stop` says whether the trial has come to the
    step up to which it was to run: a command cannot ask its pruner, and is ended from outside. `pause` only notes it: who
    has saved something and ends is paused.
    """

    __slots__ = ("_step",)

    def __init__(self) -> None:
        given = os.environ
        goal, step = given.get("TAUT_FIDELITY"), given.get("TAUT_RESUMED_STEP")
        super().__init__(
            int(given["TAUT_TRIAL"]),
            int(given.get("TAUT_ATTEMPT", "0")),
            json.loads(given.get("TAUT_PARAMS", "{}")),
            _Channel(),
            directory=given.get("TAUT_TRIAL_DIR"),
            goal=None if goal is None else float(goal),
            resumed_step=None if step is None else float(step),
        )
        self._step = -float("inf")

    @classmethod
    def here(cls) -> CommandedTrial | None:
        """The trial of this program; None if taut has not started it."""
        return cls() if "TAUT_REPORT" in os.environ and "TAUT_TRIAL" in os.environ else None

    @property
    def seed(self) -> int:
        return int(os.environ["TAUT_SEED"])

    @property
    def resumed_from(self) -> Path | None:
        place = os.environ.get("TAUT_RESUMED_FROM")
        return Path(place) if place else None


class _Channel:
    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None:
        if values:
            reporting.report(step, **values)
        assert isinstance(trial, CommandedTrial)
        trial._step = max(trial._step, step)

    def should_stop(self, trial: Trial) -> bool:
        assert isinstance(trial, CommandedTrial)
        goal = trial.fidelity
        return goal is not None and trial._step >= goal

    def should_checkpoint(self, trial: Trial) -> bool:
        return reporting.should_checkpoint()

    def pause(self, trial: Trial) -> None:
        trial.paused = True

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None:
        reporting.report(**values)
        trial.told = True
