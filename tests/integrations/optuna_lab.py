"""Studies of Optuna and of taut that have a bit of everything, and what is the same in two trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

import taut
from taut.events import Finished, Released

SPACE = taut.Space(
    {
        "model.lr": taut.loguniform(1e-5, 1e-1, start=1e-3),
        "width": taut.ordinal([32, 64, 128]),
        "kind": taut.choice(["sgd", "adam", None, True, 1]),
        "momentum": taut.uniform(0.0, 1.0, when="kind == 'sgd'"),
        "decay": taut.normal(3.0, 1.0),
        "layers": taut.uniform_int(1, 9, step=2),
        "batch": taut.loguniform_int(1, 64),
        "dropout": taut.uniform(0.0, 0.5, step=0.1),
        "shape": taut.choice([[1], [2, 3]]),
        "twice": taut.expr("2 * layers"),
    }
)


def evaluated(study: taut.Study, count: int = 12) -> taut.Study:
    """`study` with complete, pruned and failed trials, and at its end one that runs, reported, and one that waits."""
    for trial in study.ask(count):
        loss = trial.params["layers"] + trial.params["dropout"]
        for step in range(3):
            trial.report(step=step, loss=loss + 3 - step)
        if trial.number % 5 == 3:
            study.fail(trial, "no memory is left")
        elif trial.number % 5 == 4:
            now = study.store.clock.now()
            study.store.write([Finished(n=trial.number, a=0, state="pruned", y={"loss": loss}, t=now)])
        else:
            trial.tell(loss=loss, memory=trial.params["width"] / 2)
    running, waiting = study.ask(2)
    running.report(step=1, loss=4.0)
    now = study.store.clock.now()
    study.store.write([Released(n=waiting.number, a=0, why="its node went away", blame=True, t=now)])
    return study


def opened(path: Path) -> BaseStorage:
    """The storage in a file, as Optuna opens it."""
    if path.suffix == ".db":
        return RDBStorage(f"sqlite:///{path}")
    return JournalStorage(JournalFileBackend(str(path)))


def loaded(path: Path) -> optuna.Study:
    """The only study in a file."""
    storage = opened(path)
    return optuna.load_study(study_name=storage.get_all_studies()[0].study_name, storage=storage)


def facts(trial: FrozenTrial) -> dict[str, Any]:
    """What makes two trials the same, whatever their storage calls them. No number equals itself."""
    found = {name: value for name, value in vars(trial).items() if name != "_trial_id"}
    return {**found, "intermediate_values": {k: str(v) for k, v in trial.intermediate_values.items()}}
