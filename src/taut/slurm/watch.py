"""What becomes of a study's jobs: one shared poll, however many workers want to know."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import msgspec

from taut.slurm.background import Call
from taut.slurm.calls import available, cluster_name, myself
from taut.slurm.jobs import SACCT, SQUEUE, Ending, Job, parse_sacct, parse_squeue
from taut.slurm.known import EVERY, Identity, Known
from taut.slurm.turns import Turns

__all__ = ["Identity", "Watch"]

_FRESH = 1.0  # seconds between two looks at the file
_RECENT = 150.0  # seconds for which the word of a good call stands: two of the longest pauses and a slow call
_AGAIN = 60.0  # seconds between two attempts to learn the cluster's name


class _Asked(NamedTuple):
    """A call under way: which turn it is, what it is about (sacct) or whose jobs it shows (squeue)."""

    turn: int
    then: float
    call: Call
    about: list[Identity]
    users: list[str]


class Watch:
    """The jobs of a study, whose folder for its dealings with Slurm is `folder`.

    All processes that share the folder call Slurm together at most once in ten seconds, and once a minute while
    nothing changes: one of them calls, and the others read the answer. Without `look` nothing is called or
    written. Only jobs of `cluster` are judged: by default the one whose commands work here.
    """

    def __init__(self, folder: Path, cluster: str | None = None) -> None:
        self._base = folder
        self._cluster = cluster or os.environ.get("SLURM_CLUSTER_NAME")
        self._turns: Turns | None = None
        self._call: _Asked | None = None
        self._known: Known | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._read_at = self._named_at = float("-inf")
        self._since: dict[Identity, float] = {}  # since when we know that these lives have begun
        self._users: set[str] = set()

    # Asking

    def look(self, wanted: Collection[Identity], user_names: Collection[str], hurry: bool = False) -> None:
        """Call Slurm if it is time and our turn, or pick up what it answered. Returns at once, raises nothing.

        wanted: lives that are known to have begun, whose fate will be asked. user_names: whose jobs these are.
        hurry: do not let the pauses grow.
        """
        if not user_names or self._name() is None:
            return
        now = time.time()
        self._since = {who: self._since.get(who, now) for who in wanted}
        self._users = set(user_names)
        with contextlib.suppress(OSError):  # nothing can be written: the rest of the workers may do better
            if self._call is not None:
                self._pick_up(self._call)
            else:
                self._ask(hurry)

    def _ask(self, hurry: bool) -> None:
        known = self._read(now=True)
        if self._turns is None:
            self._turns = Turns(self._folder)
        open_ones = self._open(known)
        pause = EVERY
        if known.error or not (hurry or open_ones or not self._users.issubset(known.users)):
            pause = known.pause
        turn = self._turns.take(pause)
        if turn is None:
            return
        known = self._read(now=True)
        unexplained = [who for who in self._since if known.unexplained(who, *self._sight(who, known))]
        users = sorted({*known.users, *self._users, myself()})
        words: tuple[str, ...]
        if unexplained:
            words = *SACCT, "-j", ",".join(sorted({str(who.id) for who in unexplained}))
        else:
            words = *SQUEUE, "-u", ",".join(users)
        self._call = _Asked(*turn, Call(words), unexplained, users)

    def _open(self, known: Known) -> bool:
        """Whether there is something that the next call should tell soon."""
        for who in self._since:
            began, shown = self._sight(who, known)
            if known.unexplained(who, began, shown) or (not began and known.told(who, True, shown)):
                return True
        return False

    def _pick_up(self, asked: _Asked) -> None:
        answer = asked.call.answer()
        if answer is None:
            return
        self._call = None
        known = self._read(now=True)
        if known.turn >= asked.turn:
            return  # we were slow, and the next one was not
        if asked.about:
            if answer.error is None:
                known = known.with_lives(asked.turn, asked.about, parse_sacct(answer.said))
            else:
                known = known.without_lives(asked.turn, asked.about, answer.error)
        elif answer.error is None:
            unheard = set(re.findall(r"Invalid user: (\S+)", answer.complaints))
            users = set(asked.users) - unheard
            known = known.with_jobs(asked.turn, asked.then, myself(), users, parse_squeue(answer.said))
        else:
            known = known.failed(asked.turn, answer.error)
        self._write(known)

    @property
    def asking(self) -> bool:
        """Whether a call of ours is under way; `look` picks its answer up."""
        return self._call is not None

    def close(self) -> None:
        """Give up a call that is under way."""
        if self._call is not None:
            self._call.call.end()
            self._call = None

    # Answers

    def able(self, who: Identity) -> bool:
        """Whether the commands of Slurm that work here know about this job's cluster."""
        return self._name() == who.cluster

    def fate(self, who: Identity) -> Ending | None:
        """Why this life of a job is over; None while it is not, or nobody can tell yet."""
        known = self._read()
        return known.fate(who, *self._sight(who, known))

    def unexplained(self, who: Identity) -> bool:
        """Whether this life is known to be over, and `fate` is going to say why within some calls."""
        known = self._read()
        return known.unexplained(who, *self._sight(who, known))

    def alive(self, who: Identity) -> bool:
        """Whether Slurm has said lately that this very life goes on."""
        age = self.age()
        return age is not None and age < _RECENT and self._read().alive(who)

    def asked_since(self, moment: float) -> bool:
        """Whether a good squeue has begun after `moment`, seconds since the epoch on this machine's clock."""
        asked = self._asked(self._read())
        return asked is not None and asked >= moment

    def job(self, who: Identity) -> Job | None:
        """The job as squeue showed it last, if it was in this very life."""
        return self._read().job(who)

    def jobs(self) -> list[Job]:
        """All jobs, of this study or not, that the last good squeue showed."""
        return self._read().jobs

    def age(self) -> float | None:
        """Seconds since the last good squeue; None before the first."""
        asked = self._asked(self._read())
        return None if asked is None else max(time.time() - asked, 0.0)

    def error(self) -> str | None:
        """What the last call complained; None if it was answered."""
        return self._read().error

    def _asked(self, known: Known) -> float | None:
        skew = 0.0 if self._turns is None else self._turns.skew
        return None if known.asked is None else known.asked + skew

    def _sight(self, who: Identity, known: Known) -> tuple[bool, bool]:
        """Whether the last good squeue came after this life had begun, and would show its job.

        A site may hide the jobs of other users: that one of those is not shown says nothing.
        """
        asked, since = self._asked(known), self._since.get(who)
        began = asked is not None and since is not None and asked >= since + 1.0  # file times may be coarse
        shown = self._users.issubset(known.users) and (known.by == "root" or self._users == {known.by})
        return began, shown

    # The file

    @property
    def _folder(self) -> Path:
        """Where the answers of our cluster are; where it is not known, those that there are."""
        if self._cluster is None:
            return next(iter(sorted(self._base.glob("poll-*"))), self._base / "poll-")
        return self._base / f"poll-{re.sub(r'[^A-Za-z0-9_.-]', '_', self._cluster)}"

    def _name(self) -> str | None:
        """The cluster whose commands work here."""
        if not available():
            return None
        if self._cluster is None and time.monotonic() - self._named_at > _AGAIN:
            self._named_at = time.monotonic()
            self._cluster = cluster_name()
        return self._cluster

    def _read(self, now: bool = False) -> Known:
        if now or self._known is None or time.monotonic() - self._read_at > _FRESH:
            self._read_at = time.monotonic()
            path = self._folder / "jobs.json"
            with contextlib.suppress(OSError, msgspec.MsgspecError):  # not there, or torn by a power cut
                there = path.stat()
                stamp = there.st_ino, there.st_size, there.st_mtime_ns
                if stamp != self._stamp:
                    known = msgspec.json.decode(path.read_bytes(), type=Known)
                    self._stamp = stamp
                    if self._known is None or known.turn >= self._known.turn:
                        self._known = known
        return self._known or Known(self._cluster or "")

    def _write(self, known: Known) -> None:
        draft = self._folder / f".jobs-{known.turn}"  # nobody else has this turn
        try:
            draft.write_bytes(msgspec.json.encode(known))
            draft.replace(self._folder / "jobs.json")
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        self._known = known
