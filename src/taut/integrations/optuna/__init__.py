"""taut's samplers and pruners in studies of Optuna.

import optuna
from taut.integrations.optuna import TautPruner, TautSampler

study = optuna.create_study(sampler=TautSampler("gp"), pruner=TautPruner("median"))
study.optimize(objective, n_trials=100)
"""

from __future__ import annotations

from taut.integrations.optuna.pruner import TautPruner
from taut.integrations.optuna.sampler import TautSampler

__all__ = ["TautPruner", "TautSampler"]
