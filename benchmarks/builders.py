"""Studies of a given size on disk, made fast: what the storage and opening benchmarks start from.

Both are made by their own library's ordinary code, so that they hold exactly what real use leaves.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

import taut

__all__ = ["build_optuna", "build_taut"]

_CHUNK = 1000


class _Recorder(BaseJournalBackend):
    """A journal in memory: Optuna works on it at full speed, and the file is written at once afterwards."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return iter(self.logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.logs += logs


def build_optuna(path: Path, trials: int, reports: int = 0) -> None:
    """A journal file with a study named "study": finished trials of two floats, with `reports` each.

    The storage is called as a study calls it; the study itself would look through all trials each time.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    recorder = _Recorder()
    storage = JournalStorage(recorder)
    study = storage.create_new_study([StudyDirection.MINIMIZE], "study")
    unit, generator = FloatDistribution(0.0, 1.0), random.Random(0)
    for _ in range(trials):
        x, y = generator.random(), generator.random()
        trial = storage.create_new_trial(study)
        storage.set_trial_param(trial, "x", x, unit)
        storage.set_trial_param(trial, "y", y, unit)
        for step in range(reports):
            storage.set_trial_intermediate_value(trial, step, x**2 + y)
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [x**2 + y])
    JournalFileBackend(str(path)).append_logs(recorder.logs)


def build_taut(path: Path, trials: int, reports: int = 0) -> None:
    """A study directory of the same kind."""
    space = taut.Space(x=taut.uniform(0.0, 1.0), y=taut.uniform(0.0, 1.0))
    with taut.Study(path, space, minimize="loss", sampler="random", trials=10**9) as study:
        for begin in range(0, trials, _CHUNK):
            asked = study.ask(min(_CHUNK, trials - begin))
            losses = [trial.params["x"] ** 2 + trial.params["y"] for trial in asked]
            for trial, loss in zip(asked, losses, strict=True):
                for step in range(reports):
                    trial.report(step, loss=loss)
            study.tell(asked, loss=losses)
