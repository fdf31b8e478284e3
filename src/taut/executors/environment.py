"""What a command finds in its environment."""

from __future__ import annotations

import json
import os
from pathlib import Path

from taut import checkpoints
from taut.executors.arguments import step_text
from taut.executors.attempt import Attempt
from taut.executors.places import Place
from taut.executors.threads import thread_limit
from taut.trial import trial_seed

__all__ = ["environment"]


def environment(attempt: Attempt, directory: Path, base: Path, slots: int, place: Place) -> dict[str, str]:
    """The variables for one attempt, in the trial's `directory`; `base` goes first in PYTHONPATH."""
    task = attempt.task
    path = os.environ.get("PYTHONPATH")
    resumed_from = checkpoints.latest(directory, task.attempt, task.origin)
    given: dict[str, str | None] = {
        "PYTHONUNBUFFERED": "1",  # else printed numbers come only at the end
        **thread_limit(slots, place),
        **os.environ,
        **place.environment,
        "PYTHONPATH": f"{base}{os.pathsep}{path}" if path else str(base),
        "TAUT_TRIAL": str(task.number),
        "TAUT_ATTEMPT": str(task.attempt),
        "TAUT_PARAMS": json.dumps(task.params),
        "TAUT_SEED": str(trial_seed(task.study_seed, task.number)),
        "TAUT_TRIAL_DIR": str(directory),
        "TAUT_REPORT": str(attempt.report),
        "TAUT_CHECKPOINT_DIR": str(attempt.checkpoint),
        "TAUT_FIDELITY": None if task.goal is None else step_text(task.goal),
        "TAUT_RESUMED_FROM": None if resumed_from is None else str(resumed_from),
        "TAUT_RESUMED_STEP": None if resumed_from is None or task.step is None else step_text(task.step),
    }
    # taut itself may run in a trial: what that one has and this one lacks is taken out.
    return {name: value for name, value in given.items() if value is not None}
