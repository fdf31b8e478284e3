"""A study's trials as runs of MLflow, Weights & Biases or TensorBoard, from its log: whatever evaluates them need not know.

with open_tracker("tensorboard", "board", study.definition.name) as tracker:
    mirror(study.snapshot, tracker)             # again later: only what is new is written
"""

from __future__ import annotations

import importlib

from taut.errors import InputError
from taut.integrations.tracking.runs import Tracker, mirror

__all__ = ["TRACKERS", "Tracker", "mirror", "open_tracker"]

TRACKERS = {
    "mlflow": ("taut.integrations.tracking.mlflow", "MLflow"),
    "wandb": ("taut.integrations.tracking.wandb", "WandB"),
    "tensorboard": ("taut.integrations.tracking.tensorboard", "TensorBoard"),
}


def open_tracker(kind: str, place: str | None, study: str) -> Tracker:
    """A tracker that writes to `place`, a path or an address; None is the usual one of its kind.

    study: the study's name, under which its runs stand together.

    Raises `InputError` if its package is not installed, or cannot write there.
    """
    module, name = TRACKERS[kind]
    try:
        made: type[Tracker] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("taut"):
            raise
        raise InputError(
            f"{kind} needs {error.name}, which is not installed where taut is: pip install {kind}", ("to",)
        ) from None
    return made(place, study)
