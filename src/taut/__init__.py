"""taut: hyperparameter tuning for people whose compute sits behind a batch queue, and on a laptop.

    import taut

    space = taut.Space(lr=taut.loguniform(1e-5, 1e-1), layers=taut.uniform_int(1, 8))
    study = taut.Study("runs/first", space, minimize="loss")
    study.run(train, trials=100, workers=8)
    print(study.best.params)

Names are loaded when first used, so `import taut` costs a training script next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taut.errors import InputError, LogError, StudyError, TautError
    from taut.reporting import report, should_checkpoint
    from taut.space import (
        Space,
        choice,
        expr,
        lognormal,
        loguniform,
        loguniform_int,
        normal,
        ordinal,
        uniform,
        uniform_int,
    )
    from taut.study import Study
    from taut.trial import Trial, TrialPaused, TrialPruned, TrialRecord

__version__ = "0.1.0"

_HOME = {
    "InputError": "taut.errors",
    "LogError": "taut.errors",
    "Space": "taut.space",
    "Study": "taut.study",
    "StudyError": "taut.errors",
    "TautError": "taut.errors",
    "Trial": "taut.trial",
    "TrialPaused": "taut.trial",
    "TrialPruned": "taut.trial",
    "TrialRecord": "taut.trial",
    "choice": "taut.space",
    "expr": "taut.space",
    "lognormal": "taut.space",
    "loguniform": "taut.space",
    "loguniform_int": "taut.space",
    "normal": "taut.space",
    "ordinal": "taut.space",
    "report": "taut.reporting",
    "should_checkpoint": "taut.reporting",
    "uniform": "taut.space",
    "uniform_int": "taut.space",
}

__all__ = [
    "InputError",
    "LogError",
    "Space",
    "Study",
    "StudyError",
    "TautError",
    "Trial",
    "TrialPaused",
    "TrialPruned",
    "TrialRecord",
    "__version__",
    "choice",
    "expr",
    "lognormal",
    "loguniform",
    "loguniform_int",
    "normal",
    "ordinal",
    "report",
    "should_checkpoint",
    "uniform",
    "uniform_int",
]


def __getattr__(name: str) -> Any:
    if name == "metrics":  # a package, for what scripts use of it
        return importlib.import_module("taut.metrics")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'taut' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
