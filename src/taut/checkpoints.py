"""Where a trial's attempts keep their checkpoints, and which one to go on from."""

from __future__ import annotations

from pathlib import Path

__all__ = ["latest", "place"]


def place(trial: Path, attempt: int) -> Path:
    """The checkpoint directory of an attempt, below the trial's own directory."""
    return trial / (f"checkpoint.{attempt}" if attempt else "checkpoint")


def latest(trial: Path, attempt: int) -> Path | None:
    """The checkpoint directory of the last attempt before `attempt` that left something in it."""
    for before in reversed(range(attempt)):
        found = place(trial, before)
        try:
            if any(found.iterdir()):
                return found
        except (FileNotFoundError, NotADirectoryError):
            continue
    return None
