"""A task of the array in plain Optuna: one trial of the study that all tasks share."""

import optuna
from objective import RUNS, objective
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

study = optuna.create_study(
    study_name="stories",
    storage=JournalStorage(JournalFileBackend(str(RUNS / "optuna.log"))),
    direction="minimize",
    pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    load_if_exists=True,
)
study.optimize(objective, n_trials=1)
