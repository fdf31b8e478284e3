"""What a study has submitted to HyperQueue, in the study's own directory.

    hyperqueue/0000/task.sh          what every task of round 0 runs
    hyperqueue/0000/submitted.json   which tasks these are, on which server
    hyperqueue/0000/3.1.log          what task 3 said when it was started for the second time

The record is written once the server has the tasks. Should a crash come between, the next `taut run` submits more
workers than were asked for: they share the study, and end when it is finished.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from taut.errors import StudyError

__all__ = ["RECORD", "SCRIPT", "Rounds", "Submitted"]

RECORD = "submitted.json"
SCRIPT = "task.sh"


class Submitted(msgspec.Struct, frozen=True):
    """Tasks that were submitted together.

    server: the identity of the server, another one for each start of it. directory: where that was found. job: their
    job's number there. kind: ``worker`` or ``trial``. tasks: how many. t: when, in seconds since the epoch.
    """

    round: int
    server: str
    directory: str
    job: int
    kind: str
    tasks: int
    t: float


class Rounds:
    """The records in `folder` (<study>/hyperqueue)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, number: int) -> Path:
        return self.folder / f"{number:04d}"

    def all(self) -> list[Submitted]:
        """Every record, in the order of submission."""
        found = [_read(path) for path in self.folder.glob(f"[0-9]*/{RECORD}")]
        return sorted(found, key=lambda one: one.round)

    def begin(self) -> int:
        """The number of a new round, whose directory is then there."""
        number = 1 + max((int(path.name) for path in self.folder.glob("[0-9]*")), default=-1)
        while True:
            try:
                self.place(number).mkdir(parents=True)
                return number
            except FileExistsError:
                number += 1

    def write(self, submitted: Submitted) -> None:
        path = self.place(submitted.round) / RECORD
        draft = path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(submitted)) + b"\n")
        os.replace(draft, path)

    def begun(self, number: int) -> set[int]:
        """The tasks of a round whose logs are there: HyperQueue makes one when a task starts."""
        names = (path.name.partition(".")[0] for path in self.place(number).glob("*.log"))
        return {int(name) for name in names if name.isdigit()}


def _read(path: Path) -> Submitted:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Submitted)
    except (OSError, msgspec.DecodeError) as error:
        raise StudyError(
            f"{path} cannot be read: {error}; it says which tasks were submitted: restore it from a copy, or remove it "
            "once they are gone (hq job list)"
        ) from None
