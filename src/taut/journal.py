"""Where a study's events are kept: a directory that many processes share, or this process's memory.

Both offer the same few things, so that nothing above needs to know which one it is: `append` and `poll`
events, claim numbers and attempts, tell dead writers from living ones, read and add revisions of the
definition.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from taut import allocation
from taut.archive import Archive, create
from taut.claims import Claims
from taut.clock import Clock
from taut.definition import Definition
from taut.errors import InputError, LogError, StudyError
from taut.events import Event, Opened
from taut.liveness import LEASE, TRUSTED, gone, introduce, local, lost
from taut.log import Batch, LogReader, LogWriter, Problem
from taut.scheduler import Loss, Scheduler

__all__ = ["FileJournal", "Journal", "MemoryJournal"]

_HEARTBEAT = 20.0  # seconds between signs of life
_BEHIND = 0.005  # seconds by which a flush in the background may come late
_REMOTE = 30.0  # seconds, on average, between two looks at a worker on another machine


class Journal(Protocol):
    """What a study needs of the place where its events are kept.

    writer: the number under which this process writes. frontier: every trial number below it is claimed.
    problems: damaged lines found so far. archive: what was read of earlier studies.
    """

    archive: Archive

    @property
    def directory(self) -> Path | None: ...
    @property
    def problems(self) -> list[Problem]: ...
    @property
    def writer(self) -> int: ...
    @property
    def frontier(self) -> int: ...
    def open(self) -> Opened | None:
        """Begin to write, if not begun; the first event, or None if it was begun before."""

    def append(self, events: Iterable[Event], durable: bool) -> None: ...
    def flush(self) -> None:
        """Bring all that was appended to the disk."""

    def flush_soon(self) -> None:
        """The same, within some milliseconds, in another thread."""

    def poll(self, thorough: bool) -> list[Batch]: ...
    def advance(self, frontier: int) -> None: ...
    def claim(self, count: int, limit: float) -> range | None: ...
    def claim_attempt(self, number: int, attempt: int) -> int: ...
    def contested(self, number: int, attempt: int) -> bool:
        """Whether somebody has claimed a later attempt."""

    def holder(self, number: int) -> int | None: ...
    def look(self, writer: int) -> None: ...
    def ask_about(self, writers: Iterable[Opened], wait: float = 0.0) -> None:
        """Have the queue asked about these writers and ourselves, if they run in its jobs.

        wait: seconds to wait for its answer at most, if it is our turn to ask.
        """

    def lost(self, writer: int, who: Opened | None) -> Loss | None: ...
    def lives(self, writer: int, who: Opened | None, since: float) -> bool:
        """Whether a writer is known to have lived after `since`, seconds since the epoch on this machine's clock."""

    def dismissed(self) -> str | None:
        """Why this very process counts as dead for the others: its job is over, although it lives on."""

    def job_ends(self) -> float | None:
        """When the job ends that this process runs in; None if it runs in none, or nobody knows yet."""

    def revisions(self, known: int) -> list[Definition]: ...
    def revise(self, number: int, definition: Definition) -> bool: ...
    def close(self) -> None: ...


class MemoryJournal:
    """Keeps nothing: the snapshot is all there is. For studies without a path, and for rehearsals."""

    directory: Path | None = None
    writer = 0

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.frontier = 0
        self.archive = Archive(None)

    def open(self) -> Opened | None:
        return None

    def append(self, events: Iterable[Event], durable: bool) -> None:
        pass

    def flush(self) -> None:
        pass

    def flush_soon(self) -> None:
        pass

    def poll(self, thorough: bool) -> list[Batch]:
        return []

    def advance(self, frontier: int) -> None:
        self.frontier = max(self.frontier, frontier)

    def claim(self, count: int, limit: float) -> range | None:
        first = self.frontier
        self.frontier = int(min(first + count, limit))
        return range(first, self.frontier) if self.frontier > first else None

    def claim_attempt(self, number: int, attempt: int) -> int:
        return self.writer

    def contested(self, number: int, attempt: int) -> bool:
        return False

    def holder(self, number: int) -> int | None:
        return self.writer

    def look(self, writer: int) -> None:
        pass

    def ask_about(self, writers: Iterable[Opened], wait: float = 0.0) -> None:
        pass

    def lost(self, writer: int, who: Opened | None) -> Loss | None:
        return None

    def lives(self, writer: int, who: Opened | None, since: float) -> bool:
        return True

    def dismissed(self) -> str | None:
        return None

    def job_ends(self) -> float | None:
        return None

    def revisions(self, known: int) -> list[Definition]:
        return []

    def revise(self, number: int, definition: Definition) -> bool:
        return True

    def close(self) -> None:
        pass


class FileJournal:
    """A study directory. Reading leaves no trace; the first append opens a log file of our own."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory.absolute()
        self.archive = Archive(self.directory / "definition")
        self._clock = clock
        self._writer: LogWriter | None = None
        self._claims = Claims(self.directory / "claims", -1)
        self._reader = LogReader(self.directory / "log")
        self._pid = os.getpid()
        self._ended, self._dirty = threading.Event(), threading.Event()
        self._hello: Opened | None = None
        self._scheduler = Scheduler(self.directory / "slurm")
        self._ask_again: dict[int, float] = {}  # when to look again at workers on other machines

    @property
    def problems(self) -> list[Problem]:
        return self._reader.problems

    @property
    def writer(self) -> int:
        return -1 if self._writer is None else self._writer.number

    @property
    def frontier(self) -> int:
        return self._claims.frontier

    def open(self) -> Opened | None:
        if self._writer is not None:
            if self._pid != os.getpid():
                raise StudyError(
                    "this study was opened by another process, before a fork; open it here again: Study(path)"
                )
            return None
        writer = LogWriter(self.directory / "log")
        hello = introduce(self._clock.now())
        try:
            writer.append([hello], durable=False)
        except LogError:
            writer.close(self._clock.now())
            raise
        # Only now: a writer that has not said who it is counts as dead.
        self._writer, self._pid, self._hello = writer, os.getpid(), hello
        self._claims.writer = self._reader.skip = writer.number
        threading.Thread(
            target=_attend, args=(writer, self._ended, self._dirty), name="taut-log", daemon=True
        ).start()
        return hello

    def append(self, events: Iterable[Event], durable: bool) -> None:
        assert self._writer is not None, "open() comes before append()"
        self._writer.append(events, durable)

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def flush_soon(self) -> None:
        if not self._dirty.is_set():
            self._dirty.set()

    def poll(self, thorough: bool) -> list[Batch]:
        return self._reader.poll(thorough)

    def torn(self) -> list[Problem]:
        """Last lines that are not whole, by file: traces of crashes or of writes under way."""
        return self._reader.torn()

    def advance(self, frontier: int) -> None:
        self._claims.frontier = max(self._claims.frontier, frontier)

    def claim(self, count: int, limit: float) -> range | None:
        return self._claims.numbers(count, limit)

    def claim_attempt(self, number: int, attempt: int) -> int:
        return self._claims.attempt(number, attempt)

    def contested(self, number: int, attempt: int) -> bool:
        return os.path.lexists(self.directory / "claims" / f"{number}.{attempt + 1}")

    def holder(self, number: int) -> int | None:
        return self._claims.holder(number)

    def look(self, writer: int) -> None:
        """Have the next poll see what this writer has written, whatever a network file system remembers."""
        self._reader.look(writer)

    def ask_about(self, writers: Iterable[Opened], wait: float = 0.0) -> None:
        self._scheduler.look([*writers, *([] if self._hello is None else [self._hello])], wait)

    def lost(self, writer: int, who: Opened | None) -> Loss | None:
        if writer == self.writer:
            return None
        in_job = who is not None and who.job is not msgspec.UNSET
        if who is not None and in_job:
            if loss := self._scheduler.lost(who):
                return loss
            if gone(who) and self._scheduler.may_explain(who):
                return None
        if not local(who):
            # The lease is long, and many workers looking often at each other's files is a burden.
            if time.monotonic() < self._ask_again.get(writer, 0.0):
                return None
            self._ask_again[writer] = time.monotonic() + _REMOTE * random.uniform(0.5, 1.5)
        own = self._writer
        now = None if own is None else own.server_time  # our own log serves as the probe of the clock
        lease = TRUSTED if who is not None and in_job and self._scheduler.alive(who) else LEASE
        why = lost(who, self.directory / "log" / f"{writer:04d}.jsonl", now, lease)
        return None if why is None else Loss(why)

    def lives(self, writer: int, who: Opened | None, since: float) -> bool:
        if who is not None and self._scheduler.judges(who):
            return self._scheduler.alive(who, since)
        own, log = self._writer, self.directory / "log" / f"{writer:04d}.jsonl"
        try:
            skew = 0.0 if own is None else own.server_time() - time.time()
            return log.stat().st_mtime >= since + skew  # its signs of life come every 20 s
        except OSError:
            return False

    def dismissed(self) -> str | None:
        loss = None if self._hello is None else self._scheduler.lost(self._hello)
        return None if loss is None else loss.why

    def job_ends(self) -> float | None:
        job = allocation.here()
        return None if job is None else self._scheduler.ends(job)

    # Revisions are immutable files, each created whole and exclusively by linking.

    def revisions(self, known: int) -> list[Definition]:
        """The definitions from number `known` on."""
        found: list[Definition] = []
        while True:
            path = self.directory / "definition" / f"{known + len(found):04d}.json"
            try:
                found.append(Definition.from_json(path.read_bytes()))
            except FileNotFoundError:
                return found
            except NotADirectoryError as error:
                raise InputError(
                    f"{self.directory}: a part of this path is a file, not a directory", ("path",)
                ) from error
            except OSError as error:
                raise LogError(
                    f"{self.directory}: the study cannot be read: {error.strerror}; check the path and its permissions"
                ) from error
            except msgspec.DecodeError as error:
                raise StudyError(
                    f"{path}: the definition cannot be read: {error}; restore it from a copy of the study"
                ) from error

    def revise(self, number: int, definition: Definition) -> bool:
        """Add revision `number`; False if somebody else has added one of that number."""
        folder = self.directory / "definition"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.archive.write(each.digest for each in definition.warm_start)
            create(folder / f"{number:04d}.json", definition.to_json())
        except FileExistsError:
            return False
        except OSError as error:
            raise LogError(
                f"{self.directory}: the study cannot be written here: {error.strerror}; "
                "choose another directory (--dir)"
            ) from error
        return True

    def close(self) -> None:
        self._ended.set()
        self._dirty.set()  # wakes the thread, which ends
        if self._writer is not None and self._pid == os.getpid():
            self._writer.close(self._clock.now())
        self._reader.close()
        self._scheduler.close()


def _attend(writer: LogWriter, ended: threading.Event, dirty: threading.Event) -> None:
    """Flush what was appended in haste, and give signs of life while the process is busy for hours."""
    beat = time.monotonic()
    while not ended.is_set():
        if dirty.wait(_HEARTBEAT):
            ended.wait(_BEHIND)  # more comes meanwhile, and takes part
            dirty.clear()
            with contextlib.suppress(LogError):  # the next append or flush says so
                writer.flush()
        if time.monotonic() - beat >= _HEARTBEAT:
            beat = time.monotonic()
            with contextlib.suppress(OSError):
                writer.touch()
