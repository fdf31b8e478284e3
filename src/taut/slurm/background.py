"""Calling Slurm's commands without waiting for them: a controller under load may take its time."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from typing import IO, NamedTuple

from taut.slurm.calls import complaint, environment

__all__ = ["Answer", "Call"]

_TIMEOUT = 30.0  # seconds that a call may take


class Answer(NamedTuple):
    """What a command printed, and what it complained, perhaps without failing. error: why it failed, if it did."""

    said: str
    complaints: str
    error: str | None


class Call:
    """A command that runs beside us. Its output goes to files, since a full pipe would hold it up.

    Raises `OSError` where it cannot be started.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        self._program = words[0]
        self._until = time.monotonic() + _TIMEOUT
        with contextlib.ExitStack() as files:
            self._said = files.enter_context(tempfile.TemporaryFile())
            self._complaints = files.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._complaints, env=environment()
            )
            self._files = files.pop_all()

    def answer(self) -> Answer | None:
        """What came of it, to be asked until there is something; None while it runs and has time left."""
        code = self._process.poll()
        if code is None and time.monotonic() < self._until:
            return None
        if code is None:
            self.end()
            return Answer("", "", f"{self._program} did not answer within {_TIMEOUT:g} s")
        said, complaints = _text(self._said), _text(self._complaints)
        self._files.close()
        return Answer(said, complaints, complaint(self._program, complaints, code) if code else None)

    def end(self) -> None:
        """End it without an answer."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self._files.close()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
