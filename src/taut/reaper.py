"""What the dead leave: found, and given back to the queue."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from taut.events import Event, Released
from taut.scheduler import Loss
from taut.store import Store
from taut.trial import State

__all__ = ["LINGER", "Reaper"]

LINGER = 15.0
"""Seconds for which a job stays when nothing is left to start: a trial may come back."""

_EVERY = 2.0  # seconds between two looks
_ANSWER = 3.0  # seconds to wait for the queue's answer where somebody asks once
_PATIENCE = 6.0  # seconds after which a claim that a living worker does not use is taken from it


class Reaper:
    """Looks after a store's study on behalf of all its workers; each of them has one.

    It finds running trials of workers that died, numbers that they claimed and never used, attempts that they
    claimed and never began; and claims that a living worker holds for too long.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._idle: dict[int, tuple[int | None, float]] = {}  # claimed and unused: by whom, since when
        self._looked = -math.inf
        self._waiting = math.inf  # since when there is nothing to wait for but what others have

    def look(self) -> None:
        """Reap, if the last time was a while ago; learn what the queue says of this very process."""
        if time.monotonic() - self._looked <= _EVERY:
            return
        self.reap()
        walltime, journal = self._store.walltime, self._store.journal
        if (ends := journal.job_ends()) is not None:  # it may have been changed since
            walltime.until(ends)
        if why := journal.dismissed():
            walltime.ask(f"{why}, so what is told here may no longer count")
        self._looked = time.monotonic()

    def reap(self) -> int:
        """Give back what is found; how many trials that were."""
        with self._store.lock:
            return self._reap()

    def _reap(self) -> int:
        store = self._store
        store.refresh()
        suspects = self._suspects()
        writers = store.snapshot.writers
        store.journal.ask_about([writers[writer] for writer in suspects if writer in writers])
        self._read(suspects)  # claims are seen at once, and may be made by a worker that began just now
        dead = {writer: loss for writer in suspects if (loss := self._lost(writer))}
        if dead:
            self._read(dead)  # their last words; nothing can follow
        found = [*self._running(dead), *self._attempts(dead), *self._numbers(dead)]
        if found:
            store.write(found)
        return len(found)

    def gone(self) -> list[str]:
        """Why workers with something open are dead, as far as can be told from here. May wait for the queue."""
        writers = self._store.snapshot.writers
        self._store.journal.ask_about([writers[w] for w in self._suspects() if w in writers], wait=_ANSWER)
        return [loss.why for writer in sorted(self._suspects()) if (loss := self._lost(writer))]

    def in_vain(self, waiting: bool, linger: float) -> bool:
        """Whether we have waited `linger` seconds for nothing but trials that others have, all of whom live.

        waiting: whether there is nothing else to wait for now. To be called again and again, and `busy` in between.
        """
        self._waiting = min(self._waiting, time.time()) if waiting else math.inf
        return time.time() - self._waiting > linger and self._all_live(self._waiting)

    def busy(self) -> None:
        """There is something to do: forget since when we waited."""
        self._waiting = math.inf

    def _all_live(self, since: float) -> bool:
        """Whether every worker with something open is known to have lived after `since` (seconds since the epoch)."""
        journal, writers = self._store.journal, self._store.snapshot.writers
        return all(journal.lives(writer, writers.get(writer), since) for writer in self._suspects())

    def _running(self, dead: dict[int, Loss]) -> list[Event]:
        snapshot, now = self._store.snapshot, self._store.clock.now()
        running = snapshot.where(State.RUNNING)
        return [
            Released(n=n, a=int(snapshot.attempt[n]), why=dead[writer].why, blame=dead[writer].blame, t=now)
            for n, writer in zip(running.tolist(), snapshot.writer[running].tolist(), strict=True)
            if writer in dead
        ]

    def _attempts(self, dead: dict[int, Loss]) -> list[Event]:
        found: list[Event] = []
        for (n, attempt), (writer, since) in list(self._store.taken.items()):
            if self._store.snapshot.next_attempt(n) > attempt:
                del self._store.taken[n, attempt]
            elif writer in dead or time.monotonic() - since > _PATIENCE:
                why = f"worker {writer} did not begin it"
                found.append(Released(n=n, a=attempt, why=why, blame=False, t=self._store.clock.now()))
        return found

    def _numbers(self, dead: dict[int, Loss]) -> list[Event]:
        found: list[Event] = []
        for n, (writer, since) in self._unused().items():
            if writer is None or writer in dead or time.monotonic() - since > _PATIENCE:
                why = f"worker {writer} did not begin it" if writer is not None else "nobody holds it"
                found.append(Released(n=n, a=0, why=why, blame=False, t=self._store.clock.now()))
        return found

    def _suspects(self) -> set[int]:
        """Workers that have something open: asking about them is worth its cost."""
        snapshot = self._store.snapshot
        suspects: set[int] = set(snapshot.writer[snapshot.where(State.RUNNING)].tolist())
        suspects.update(writer for writer, _ in self._store.taken.values())
        suspects.update(writer for writer, _ in self._unused().values() if writer is not None)
        return suspects - {self._store.journal.writer}

    def _unused(self) -> dict[int, tuple[int | None, float]]:
        """Numbers that others claimed and did not use yet: who has them, and since when we know."""
        snapshot, journal = self._store.snapshot, self._store.journal
        mine, now = set(self._store.held), time.monotonic()
        numbers = snapshot.where(State.RESERVED).tolist()
        numbers += range(snapshot.size, journal.frontier)
        self._idle = {n: self._idle.get(n) or (journal.holder(n), now) for n in numbers if n not in mine}
        return self._idle

    def _read(self, writers: Iterable[int]) -> None:
        """Read all that these writers have written, also where a network file system shows it late."""
        for writer in writers:
            self._store.journal.look(writer)
        self._store.refresh()

    def _lost(self, writer: int) -> Loss | None:
        if writer in self._store.snapshot.closed:
            return Loss(f"worker {writer} ended without telling how it went")
        return self._store.journal.lost(writer, self._store.snapshot.writers.get(writer))
