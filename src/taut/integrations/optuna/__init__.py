"""taut and Optuna: samplers and pruners of taut in studies of Optuna, and studies of either in the other.

import optuna
from taut.integrations.optuna import TautPruner, TautSampler, TautStorage, import_study

study = optuna.create_study(sampler=TautSampler("gp"), pruner=TautPruner("median"))
study.optimize(objective, n_trials=100)

optuna.visualization.plot_slice(optuna.load_study(study_name=None, storage=TautStorage("runs/lora")))
import_study("sqlite:///lora.db", "runs/lora-2")
"""

from __future__ import annotations

from taut.integrations.optuna.importing import import_study
from taut.integrations.optuna.pruner import TautPruner
from taut.integrations.optuna.sampler import TautSampler
from taut.integrations.optuna.storage import TautStorage
from taut.integrations.optuna.writing import export_study

__all__ = ["TautPruner", "TautSampler", "TautStorage", "export_study", "import_study"]
