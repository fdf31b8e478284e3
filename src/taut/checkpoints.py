"""Where a trial's attempts keep their checkpoints, and which one to go on from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["attempt_of", "latest", "place", "whole"]


def place(trial: Path, attempt: int) -> Path:
    """The checkpoint directory of an attempt, below the trial's own directory."""
    return trial / (f"checkpoint.{attempt}" if attempt else "checkpoint")


def attempt_of(place: Path) -> int:
    """The attempt whose checkpoint directory this is."""
    return int(place.suffix[1:] or 0)


def whole(folder: Path) -> Iterator[Path]:
    """What a checkpoint directory holds, without what was still being written when its attempt was killed.

    Those are names that begin with a dot or end in ``.tmp``: to be renamed when all is written.
    """
    try:
        for path in folder.iterdir():
            if not path.name.startswith(".") and path.suffix != ".tmp":
                yield path
    except (FileNotFoundError, NotADirectoryError):
        return


def latest(trial: Path, attempt: int, origin: str | None = None) -> Path | None:
    """The checkpoint directory of the last attempt before `attempt` that left something whole in it; else `origin`, if that has something.

    origin: the checkpoint directory of the trial that this one descends from.
    """
    folders = [place(trial, before) for before in reversed(range(attempt))]
    folders += [] if origin is None else [Path(origin)]
    return next((folder for folder in folders if any(whole(folder))), None)
