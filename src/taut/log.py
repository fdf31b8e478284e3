"""The log: durable append by one writer, incremental reading of all writers, exclusive claims.

Each writer appends to a file of its own, `log/0007.jsonl`, created exclusively; nobody else writes to it.
There is no lock, so no dead process can hold one. A claim is one exclusive creation, of a symbolic link:
atomic with its content on POSIX, NFS and Lustre alike. It says who holds what: `claims/96 -> 7+16` gives
the numbers 96 to 111 to writer 7, `claims/12.1 -> 7+1` the second attempt of trial 12. Blocks form a chain,
each begins where the one before ended; that is how a worker without the whole picture finds the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from taut.errors import LogError
from taut.events import Closed, Event, decode, encode

__all__ = ["Batch", "Claims", "LogReader", "LogWriter", "Problem"]

_sync = getattr(os, "fdatasync", os.fsync)


class Batch(NamedTuple):
    """New lines of one writer, one entry for each: its event, or None where it is damaged."""

    writer: int
    events: list[Event | None]


class Problem(NamedTuple):
    """A damaged line: where it stands and what is wrong. The rest of its file is read all the same."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


class LogWriter:
    """Appends to a new file of its own in `folder`.

    Raises `LogError` when the file cannot be created or a write fails; after a failed write the file
    ends again where it ended before, so that later events do not follow a torn line.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.number, self._fd = self._create()
            self._sync_folder()
        except OSError as error:
            raise LogError(
                f"{folder}: no log can be opened here: {error.strerror}; check its permissions and space"
            ) from error
        self.path = folder / f"{self.number:04d}.jsonl"
        self.lines = 0
        self._size = 0

    def _create(self) -> tuple[int, int]:
        number = max(_writers(self.folder), default=-1) + 1
        while True:
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                return number, os.open(self.folder / f"{number:04d}.jsonl", flags, 0o666)
            except FileExistsError:
                number += 1

    def _sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def append(self, events: Iterable[Event], durable: bool) -> None:
        """Append `events` with one write; if `durable`, return only once they are on the disk."""
        if self._fd < 0:
            raise LogError(f"{self.path}: this log was closed after a failure; resume the study to go on")
        lines = [encode(event) for event in events]
        data = b"".join(lines)
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError as error:
            self._cut(lines, done)
            raise LogError(
                f"{self.path}: {error.strerror}; what was just told is NOT recorded: "
                "make room (disk, quota, permissions), then tell it again or resume the study"
            ) from error
        self._size += len(data)
        self.lines += len(lines)
        if durable:
            self._flush()

    def _cut(self, lines: list[bytes], done: int) -> None:
        """After a failed write, end the file behind the last whole line: others may have read that far."""
        for line in lines:
            if done < len(line):
                break
            done -= len(line)
            self._size += len(line)
            self.lines += 1
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._abandon()  # a torn line may remain, and nothing may follow it

    def _flush(self) -> None:
        try:
            _sync(self._fd)
        except OSError as error:
            self._abandon()
            raise LogError(
                f"{self.path}: {error.strerror}; what was just told may not have reached the disk: check the file system, then resume the study"
            ) from error

    def _abandon(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def touch(self) -> None:
        """Renew the file's time by the file server's clock: the sign of life for other hosts."""
        os.utime(self._fd)

    def close(self, now: float) -> None:
        """End the file in good order. Safe to call twice."""
        if self._fd >= 0:
            try:
                self.append([Closed(t=now)], durable=False)
            finally:
                os.close(self._fd)
                self._fd = -1


class _Tail:
    """How far one writer's file has been read."""

    __slots__ = ("closed", "fd", "lines", "offset", "path", "quiet")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = -1
        self.offset = 0
        self.lines = 0
        self.closed = False
        self.quiet = 0  # polls in a row that found nothing new

    def rest(self) -> Iterator[bytes]:
        """The whole lines that are new, in chunks."""
        if self.fd < 0:
            if self.path.stat().st_size == self.offset:
                return
            self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        size = _CHUNK
        while True:
            data = os.pread(self.fd, size, self.offset)
            end = data.rfind(b"\n") + 1
            if end:
                self.quiet = 0
                self.offset += end
                yield data[:end]
            elif len(data) == size:
                size *= 2  # one line longer than the chunk
                continue
            if len(data) < size:
                self.quiet += not end
                return

    def release(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


_CHUNK = 1 << 24
_QUIET = 64


class LogReader:
    """Reads what is new in the files of all writers but `skip`.

    Costs little when nothing is new: ended files are never looked at again, and files without news for
    some time (their writer died, or is busy with a long trial) only in a thorough poll.
    """

    def __init__(self, folder: Path, skip: int = -1) -> None:
        self.folder = folder
        self.skip = skip
        self.problems: list[Problem] = []
        self._tails: dict[int, _Tail] = {}

    def poll(self, thorough: bool = True) -> list[Batch]:
        """New whole lines by writer. A torn last line stays unread until it is whole, or for ever."""
        if thorough:
            self._discover()
        batches = []
        for writer, tail in self._tails.items():
            if not tail.closed and writer != self.skip and (thorough or tail.quiet < _QUIET):
                batches += [self._decode(writer, tail, data) for data in tail.rest()]
                if tail.closed or tail.quiet >= _QUIET:
                    tail.release()
        return batches

    def _discover(self) -> None:
        try:
            for writer in sorted(_writers(self.folder)):
                if writer not in self._tails:
                    self._tails[writer] = _Tail(self.folder / f"{writer:04d}.jsonl")
        except FileNotFoundError:
            return

    def _decode(self, writer: int, tail: _Tail, data: bytes) -> Batch:
        lines = data.split(b"\n")
        lines.pop()
        events: list[Event | None] = []
        for position, line in enumerate(lines, start=tail.lines + 1):
            try:
                events.append(decode(line))
            except ValueError as error:
                events.append(None)
                self.problems.append(Problem(f"{self.folder.name}/{tail.path.name}", position, str(error)))
        tail.lines += len(lines)
        tail.closed = bool(events) and isinstance(events[-1], Closed)
        return Batch(writer, events)

    def torn(self) -> list[Problem]:
        """Last lines that are not whole: the traces of crashes, or of writes still under way."""
        found = []
        for writer, tail in self._tails.items():
            rest = tail.path.stat().st_size - tail.offset
            if rest and writer != self.skip:
                found.append(
                    Problem(
                        f"{self.folder.name}/{tail.path.name}",
                        tail.lines + 1,
                        f"{rest} bytes of a torn last line",
                    )
                )
        return found

    def close(self) -> None:
        for tail in self._tails.values():
            tail.release()


class Claims:
    """Exclusive claims in `folder`, made in the name of `writer`."""

    def __init__(self, folder: Path, writer: int) -> None:
        self.folder = folder
        self.writer = writer
        self.frontier = 0  # every number below it is claimed by somebody

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
        for first in range(number, -1, -1):
            try:
                writer, size = _parse(os.readlink(self.folder / str(first)))
            except FileNotFoundError:
                continue
            return writer if number < first + size else None
        return None

    def _take(self, name: str, size: int) -> tuple[int, int]:
        path = self.folder / name
        try:
            os.symlink(f"{self.writer}+{size}", path)
            return self.writer, size
        except FileExistsError:
            # Perhaps our own: a network file system may answer a repeated request in this way.
            return _parse(os.readlink(path))
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            return self._take(name, size)
        except OSError as error:
            raise LogError(
                f"{path}: no claim can be made: {error.strerror}; `taut doctor` tells what this file system can do"
            ) from error


def _parse(target: str) -> tuple[int, int]:
    writer, _, size = target.partition("+")
    return int(writer), int(size)


def _writers(folder: Path) -> list[int]:
    return [int(name[:-6]) for name in os.listdir(folder) if name.endswith(".jsonl") and name[:-6].isdigit()]
