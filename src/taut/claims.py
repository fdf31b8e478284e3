"""Claims: who may use which trial number, and who may begin which attempt.

A claim is one exclusive creation, of a symbolic link: atomic with its content on POSIX, NFS and Lustre alike.
It says who holds what: `claims/96 -> 7+16` gives the numbers 96 to 111 to writer 7, `claims/12.1 -> 7+1` the
second attempt of trial 12. Blocks form a chain, each begins where the one before ended; that is how a worker
without the whole picture finds the next.
"""

from __future__ import annotations

import os
from pathlib import Path

from taut.errors import LogError

__all__ = ["Claims"]


class Claims:
    """Exclusive claims in `folder`, made in the name of `writer`."""

    def __init__(self, folder: Path, writer: int) -> None:
        self.folder = folder
        self.writer = writer
        self.frontier = 0  # every number below it is claimed by somebody
        self._found = (0, 0, -1)  # the block that was found last: first number, end, writer

    def numbers(self, count: int, limit: float) -> range | None:
        """Claim up to `count` numbers below `limit`, or None if all of those are taken."""
        while self.frontier < limit:
            first = self.frontier
            size = int(min(count, limit - first))
            holder, size = self._take(str(first), size)
            self.frontier = first + size
            if holder == self.writer:
                return range(first, first + size)
        return None

    def attempt(self, number: int, attempt: int) -> int:
        """Claim an attempt of a trial; returns the writer that holds it now."""
        return self._take(f"{number}.{attempt}", 1)[0]

    def holder(self, number: int) -> int | None:
        """The writer that claimed the block of `number`; None if nobody did."""
        first, end, writer = self._found
        if first <= number < end:  # claims never change, and are asked for in runs
            return writer
        for first in range(number, -1, -1):
            try:
                writer, size = _read_claim(f"{self.folder}/{first}")
            except FileNotFoundError:
                continue
            self._found = first, first + size, writer
            return writer if number < first + size else None
        return None

    def _take(self, name: str, size: int) -> tuple[int, int]:
        path = f"{self.folder}/{name}"
        try:
            # Often taken already, and looking is cheaper: a creation locks the directory even in vain.
            return _read_claim(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        try:
            os.symlink(f"{self.writer}+{size}", path)
            return self.writer, size
        except FileExistsError:
            # Perhaps our own: a network file system may answer a repeated request in this way.
            return _read_claim(path)
        except FileNotFoundError:
            self._make_folder()
            return self._take(name, size)
        except OSError as error:
            raise self._problem(error) from error

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._problem(error) from error

    def _problem(self, error: OSError) -> LogError:
        return LogError(
            f"{self.folder}: no claim can be made: {error.strerror}; `taut doctor` tells what this file system can do"
        )


def _read_claim(path: Path | str) -> tuple[int, int]:
    try:
        writer, _, size = os.readlink(path).partition("+")
        return int(writer), int(size)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError) as error:
        raise LogError(
            f"{path}: this is no claim; was the study copied without its links? Use `cp -a`, `rsync -a` or tar"
        ) from error
