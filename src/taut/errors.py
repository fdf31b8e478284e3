"""One tree of errors.

    TautError                 anything taut raises on purpose; `exit_code` is what the command line ends with
    |- InputError             wrong usage or input: nothing was written; exit 2
    |- StudyError             the study cannot go on as it stands; exit 1
       |- LogError            a log cannot be written or read
    Interrupted               no error: the program was asked to end, and ends with 128 + the signal's number

Every message names the value, where it stands, what is allowed and the next move.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["InputError", "Interrupted", "LogError", "StudyError", "TautError", "nearest"]


class TautError(Exception):
    """Base of every error that taut raises on purpose."""

    exit_code = 1


class InputError(TautError, ValueError):
    """Wrong usage or input. Nothing has been written when it is raised.

    `at` is the path of keys to the wrong value, outermost first, for instance
    ``("space", "learning_rate", "loguniform")``; whoever read the value from a file
    turns it into ``file:line``.
    """

    exit_code = 2

    def __init__(self, message: str, at: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.at = at

    def under(self, *keys: str) -> InputError:
        """The same error seen from further outside: `keys` come before `at`."""
        return InputError(self.message, (*keys, *self.at))

    def __str__(self) -> str:
        return f"{'.'.join(self.at)}: {self.message}" if self.at else self.message


class StudyError(TautError):
    """The study cannot go on as it stands; the message says what to do."""


class LogError(StudyError):
    """A log cannot be written or read."""


class Interrupted(SystemExit):
    """The program was asked to end, by SIGTERM say. Unlike the SystemExit of an objective it says nothing of the trial."""


def nearest(name: object, names: Iterable[object]) -> str:
    """`"; did you mean 'x'?"` for the allowed name closest to `name`, or an empty text."""
    close = difflib.get_close_matches(str(name), [str(n) for n in names], n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
