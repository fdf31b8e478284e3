"""Where a trial's Trainer saves, and from where a later attempt goes on."""

from __future__ import annotations

import json
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from taut.integrations.commanded import CommandedTrial
from taut.trial import Trial

__all__ = ["newest", "resume_from"]


def resume_from(trial: Trial | None = None) -> str | None:
    """What to give as ``trainer.train(resume_from_checkpoint=...)``; None at a trial's beginning.

    trial: the one that is trained; left out, the one for which `taut run` has started this program, if it has.
    """
    trial = trial or CommandedTrial.here()
    place = None if trial is None else trial.resumed_from
    found = None if place is None else newest(place)
    return None if found is None else str(found)


def newest(place: Path) -> Path | None:
    """The Trainer's last checkpoint in `place` that was saved to its end.

    The Trainer writes its state last. So one that was killed while it saved has none, or half of one.
    """
    found = sorted(
        (int(number), path)
        for path in place.glob(f"{PREFIX_CHECKPOINT_DIR}-*")
        if (number := path.name.rpartition("-")[2]).isdigit()
    )
    for _, path in reversed(found):
        try:
            json.loads((path / TRAINER_STATE_NAME).read_text())
        except (OSError, ValueError):
            continue
        return path
    return None
