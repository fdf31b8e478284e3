"""Files of a study that never change, each created whole; and what was read of earlier studies, by its content.

A definition names what it was informed by as digests. The content stands beside it in the study's directory, so that
decisions depend on nothing outside, and a study can be moved and replayed when the earlier ones are gone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from taut.errors import LogError, StudyError
from taut.log import sync_folder

__all__ = ["Archive", "create"]


class Archive:
    """What was read of earlier studies.

    folder: where it is kept, as ``past-DIGEST.json``; None keeps it in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[str, bytes] = {}

    def hold(self, data: bytes) -> str:
        """Have `data` ready under its digest, which is returned; `write` brings it to the disk."""
        digest = _digest(data)
        self._held[digest] = data
        return digest

    def write(self, digests: Iterable[str]) -> None:
        """Bring to the disk what is held of these. Raises `OSError` if that fails."""
        for digest in digests:
            if self._folder is not None and digest in self._held:
                with contextlib.suppress(FileExistsError):  # what is there under this name is the same
                    create(self._path(self._folder, digest), self._held[digest])
                del self._held[digest]

    def read(self, digest: str) -> bytes:
        """The data of this digest. Raises `StudyError` if it is missing or damaged."""
        if digest in self._held or self._folder is None:
            return self._held[digest]
        path = self._path(self._folder, digest)
        advice = "it holds what this study knows of an earlier one; restore it from a copy of the study"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise StudyError(f"{path} is missing; {advice}") from None
        except OSError as error:
            raise LogError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
        if _digest(data) != digest:
            raise StudyError(f"{path} is damaged; {advice}")
        return data

    @staticmethod
    def _path(folder: Path, digest: str) -> Path:
        return folder / f"past-{digest}.json"


def create(path: Path, data: bytes) -> None:
    """Make a file that has all of its content as soon as it has its name. Raises `FileExistsError`."""
    # Process numbers alone are not unique: containers have their own, and share a file system.
    draft = path.parent / f".draft-{path.stem}-{os.getpid()}-{os.urandom(8).hex()}"
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _digest(data: bytes) -> str:
    import hashlib  # only studies with a warm start need it

    return hashlib.sha256(data).hexdigest()[:32]
