"""The log: durable append by one writer, incremental reading of all writers.

Each writer appends to a file of its own, `log/0007.jsonl`, created exclusively; nobody else writes to it.
There is no lock, so no dead process can hold one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from taut.errors import LogError
from taut.events import Closed, Event, NewerFormat, decode, decode_all, encode

__all__ = ["Batch", "LogReader", "LogWriter", "Problem", "sync_folder"]


_LOOK = (
    1.0  # seconds for which a log that was seen to be there counts as not deleted, where nothing is flushed
)


def _sync(fd: int) -> None:
    """Flush to the disk itself. macOS keeps what `fsync` wrote in the drive's memory, unless asked so."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


class Batch(NamedTuple):
    """New lines of one writer, one entry for each: its event, or None where it is damaged."""

    writer: int
    events: list[Event | None]


class Problem(NamedTuple):
    """A damaged line: where it stands and what is wrong. The rest of its file is read all the same."""

    file: str
    line: int
    what: str
    newer: bool = False  # not damaged, but of a later format: this taut must not go on writing

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
            sync_folder(folder)
        except OSError as error:
            raise LogError(
                f"{folder}: no log can be opened here: {error.strerror}; check its permissions and space"
            ) from error
        self.path = folder / f"{self.number:04d}.jsonl"
        self._failed = False
        self._looked = -math.inf  # when the file was last seen to be there
        self._unsure: OSError | None = None  # why a flush failed
        self._guard = threading.RLock()

    def _create(self) -> tuple[int, int]:
        number = max(_writers(self.folder), default=-1) + 1
        while True:
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                return number, os.open(self.folder / f"{number:04d}.jsonl", flags, 0o666)
            except FileExistsError:
                number += 1

    def append(self, events: Iterable[Event], durable: bool) -> None:
        """Append `events` with one write; if `durable`, return only once they are on the disk."""
        if self._fd < 0:
            why = "failed to be written before" if self._failed else "was closed"
            raise LogError(f"{self.path}: this log {why}; open the study again to go on: taut.Study(path)")
        data = b"".join([encode(event) for event in events])
        if time.monotonic() - self._looked >= _LOOK:
            self._check_there()
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except BaseException as error:  # an interruption can come between two writes, too
            self._cut()
            if not isinstance(error, OSError):
                raise
            raise LogError(
                f"{self.path}: {error.strerror}; what was just told is NOT recorded: "
                "make room (disk, quota, permissions), then tell it again or resume the study"
            ) from error
        if durable:
            self.flush()

    def _check_there(self) -> None:
        if not os.fstat(self._fd).st_nlink:
            self._looked = (
                -math.inf
            )  # whoever writes next is told as well: nobody hears a flush behind the worker
            raise LogError(
                f"{self.path}: this log was deleted; what was just told is NOT recorded: open the study again"
            )
        self._looked = time.monotonic()

    def _cut(self) -> None:
        """After a failed write, end the file behind its last whole line: others may have read that far."""
        try:
            with self.path.open("rb") as file:
                os.ftruncate(self._fd, _whole(file.fileno()))
        except OSError:
            self._abandon()  # a torn line may remain, and nothing may follow it

    def flush(self) -> None:
        """Bring what was written so far to the disk. Another thread may do so while this one appends."""
        with self._guard:
            try:
                if self._fd >= 0:
                    self._check_there()
                    _sync(self._fd)
            except OSError as error:
                self._abandon()
                self._unsure = error
            if self._unsure is not None:
                raise LogError(
                    f"{self.path}: {self._unsure.strerror}; what was just told may not have reached the disk: check the file system, then resume the study"
                ) from self._unsure

    def _abandon(self, failed: bool = True) -> None:
        with self._guard:  # a flush in another thread must not meet somebody else's file of this number
            self._failed = failed
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def touch(self) -> None:
        """Renew the file's time by the file server's clock: the sign of life for other hosts."""
        if self._fd >= 0:
            os.utime(self.path)

    def server_time(self) -> float:
        """The file server's clock, as our file shows it when it is touched."""
        self.touch()
        return self.path.stat().st_mtime

    def close(self, now: float) -> None:
        """End the file in good order. Safe to call twice."""
        if self._fd >= 0:
            with contextlib.suppress(LogError):  # nothing is lost: others look at the process, too
                self.append([Closed(t=now)], durable=False)
        if self._fd >= 0:
            self._abandon(failed=False)


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
            if _size(self.path) <= self.offset:
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


_CHUNK = 1 << 20  # stays in the processor's cache while it is decoded
_QUIET = 64
_HANDLES = 64  # files kept open at most: thousands of logs may have been left by killed workers


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
        batches: list[Batch] = []
        handles = 0
        try:
            if thorough:
                self._discover()
            for writer, tail in self._tails.items():
                if not tail.closed and writer != self.skip and (thorough or tail.quiet < _QUIET):
                    batches += [self._decode(writer, tail, data) for data in tail.rest()]
                    if tail.closed or tail.quiet >= _QUIET or handles >= _HANDLES:
                        tail.release()
                    handles += tail.fd >= 0
        except OSError as error:
            raise LogError(
                f"{error.filename or self.folder}: the log cannot be read: {error.strerror}; check its permissions"
            ) from error
        return batches

    def _discover(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for writer in sorted(_writers(self.folder)):
                if writer not in self._tails:
                    self._tails[writer] = _Tail(self.folder / f"{writer:04d}.jsonl")

    def look(self, writer: int) -> None:
        """Have the next poll open this writer's file anew.

        A network file system may keep a listing or the size of an open file for a minute; what it says
        of a file that is just being opened is fresh.
        """
        tail = self._tails.setdefault(writer, _Tail(self.folder / f"{writer:04d}.jsonl"))
        tail.release()

    def _decode(self, writer: int, tail: _Tail, data: bytes) -> Batch:
        events: list[Event | None] = decode_all(data) or self._decode_each(tail, data)
        tail.lines += len(events)
        tail.closed = bool(events) and isinstance(events[-1], Closed)
        return Batch(writer, events)

    def _decode_each(self, tail: _Tail, data: bytes) -> list[Event | None]:
        """Events of lines of which some are damaged; notes what is wrong with those."""
        events: list[Event | None] = []
        for position, line in enumerate(data.split(b"\n")[:-1], start=tail.lines + 1):
            try:
                events.append(decode(line))
            except ValueError as error:
                events.append(None)
                place, newer = f"{self.folder.name}/{tail.path.name}", isinstance(error, NewerFormat)
                self.problems.append(Problem(place, position, str(error), newer))
        return events

    def torn(self) -> list[Problem]:
        """Last lines that are not whole: the traces of crashes, or of writes still under way."""
        found = []
        for writer, tail in self._tails.items():
            rest = _size(tail.path) - tail.offset
            if rest > 0 and writer != self.skip:
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


def _whole(fd: int) -> int:
    """Where the last whole line ends."""
    end = os.fstat(fd).st_size
    while end > 0:
        begin = max(end - _CHUNK, 0)
        found = os.pread(fd, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _size(path: Path) -> int:
    """The file's size; 0 if somebody removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def sync_folder(folder: Path) -> None:
    """Make new entries of `folder` durable, where its file system knows how."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _writers(folder: Path) -> list[int]:
    return [int(name[:-6]) for name in os.listdir(folder) if name.endswith(".jsonl") and name[:-6].isdigit()]
