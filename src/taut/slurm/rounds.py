"""What a study has submitted: one record for each job, in the study's own directory.

    slurm/tag                what makes the study's job names its own
    slurm/0000/job.sh        the script of round 0; next.sh: that of the job behind it
    slurm/0000/job.json      what became of it: its name, number and size; next.json likewise

A record is written before its job is submitted, and again with the job's number. Where a crash came between the two,
the job is found again by its name, which is unique.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path

import msgspec

from taut.errors import StudyError

__all__ = ["Rounds", "Submission", "follows"]

_BUSY = 60.0  # seconds in which a round without a job may still be submitted by somebody


class Submission(msgspec.Struct, frozen=True):
    """A job, which is an array if `tasks` is not None.

    kind: ``job`` or ``next``. name: unique by study, round and attempt. job: its number, None until it is known.
    at_once: tasks that may run at the same time. gpus, cpus, minutes: of one task. slots: trials side by side in it.
    progress, finished: what the study had reached when it was submitted, pauses included or not. t: when, in seconds since the epoch.
    chained: whether a successor submitted it, and not somebody by hand.
    """

    kind: str
    round: int
    name: str
    tasks: int | None
    at_once: int
    gpus: int
    cpus: int
    minutes: int | None
    slots: int
    progress: int
    finished: int = 0
    t: float = 0.0
    job: int | None = None
    chained: bool = False


def follows(name: str) -> bool:
    """Whether a job of this name is a successor."""
    return re.search(r"\.next\d*$", name) is not None


class Rounds:
    """The records in `folder` (<study>/slurm)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tag = secrets.token_hex(3)  # until there is one

    def place(self, number: int) -> Path:
        return self.folder / f"{number:04d}"

    def prefix(self, study: str) -> str:
        """What the names of this study's jobs begin with, and no other's."""
        with contextlib.suppress(FileNotFoundError):
            self._tag = (self.folder / "tag").read_text(encoding="utf-8").strip()
        return f"taut-{study}-{self._tag}."

    def successor(self, number: int) -> str:
        """The end of the name of the job behind round `number`: next, or next2 where that one is gone."""
        before = [one for one in self.all() if (one.kind, one.round) == ("next", number)]
        if not before:
            return "next"
        return f"next{int(before[-1].name.rpartition('.next')[2] or 1) + 1}"

    def all(self) -> list[Submission]:
        """Every record, in the order of submission."""
        found = [_read(path) for path in self.folder.glob("[0-9]*/*.json")]
        return sorted((one for one in found if one is not None), key=lambda one: (one.round, one.t))

    @property
    def latest(self) -> int:
        """The number of the last round that was begun; -1 before the first."""
        numbers = [int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdigit()]
        return max(numbers, default=-1)

    def begin(self, number: int) -> None:
        """Claim round `number`. Raises `StudyError` if another process is submitting it just now."""
        tag = self._tag
        try:
            self.place(number).mkdir(parents=True)
            with (
                contextlib.suppress(FileExistsError),
                open(self.folder / "tag", "x", encoding="utf-8") as file,
            ):
                file.write(tag)
        except FileExistsError:
            raise self._busy(number) from None

    def check_free(self) -> None:
        """Raise `StudyError` if the latest round may still be submitted by another process.

        One that has not said for a minute what became of it has died on the way, and its round is left as it is.
        """
        latest = self.latest
        if self.open and time.time() - self.place(latest).stat().st_mtime < _BUSY:
            raise self._busy(latest)

    @property
    def open(self) -> bool:
        """Whether the latest round has jobs of which it is not written down that they were submitted."""
        latest = self.latest
        known = [one for one in self.all() if one.round == latest]
        return latest >= 0 and (
            "next" not in {one.kind for one in known} or any(one.job is None for one in known)
        )

    def _busy(self, number: int) -> StudyError:
        return StudyError(
            f"another taut run is submitting this study just now ({self.place(number)}); look at it with "
            "taut status, and try again in a minute if nothing came of it"
        )

    def write(self, submission: Submission) -> None:
        """Write or replace the record of a job, whole."""
        path = self.place(submission.round) / f"{submission.kind}.json"
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # others may write the same
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(submission)) + b"\n")
        os.replace(draft, path)

    def withdraw(self, submission: Submission) -> None:
        """Take back the record of a job that was refused, and its round if that has no other."""
        place = self.place(submission.round)
        for name in (f"{submission.kind}.json", f"{submission.kind}.sh"):
            (place / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            place.rmdir()

    def first(self, number: int, what: str) -> bool:
        """Whether we are the first to do `what` in a round."""
        try:
            with open(self.place(number) / what, "xb"):
                return True
        except FileExistsError:
            return False

    def again(self, number: int, what: str) -> None:
        """Let another process do `what`, since we could not."""
        (self.place(number) / what).unlink(missing_ok=True)


def _read(path: Path) -> Submission | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Submission)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise StudyError(
            f"{path} cannot be read: {error}; it says which job was submitted: restore it from a copy, or remove "
            "it once that job is gone (squeue)"
        ) from None
