"""The learned queue, kept for later: one small JSON file for each cluster, in the user's own cache directory.

    $XDG_CACHE_HOME/taut/queue-CLUSTER.json       ~/.cache/taut/... where that is not set

A history belongs to the cluster that its rows name; one that names none belongs to whom the user says, and to nobody else.

It holds numbers that were read from accounting, so only its owner may read it. Where it is missing, or of another release, the queue is assumed.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from taut.duration import in_words
from taut.errors import InputError
from taut.queue import reading, sacct
from taut.queue.records import Reading
from taut.queue.waits import Waits

__all__ = ["Learned", "assumed", "check", "known", "learn", "load", "place", "save"]

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")  # it is shown, and part of a file's name
_OLD = 3600.0  # seconds from which on the age is said


class Learned(NamedTuple):
    """A queue as it is known here. source: in words; t: when it was learned, seconds since the epoch; None if it is only assumed. cluster: whose it is, if that is known."""

    waits: Waits
    source: str
    t: float | None
    cluster: str | None = None

    def said(self, now: float) -> str:
        """Where it comes from, and how old that is."""
        if self.t is None:
            return "learn it: taut plan STUDY --from-sacct"
        age = now - self.t
        return self.source if age < _OLD else f"{self.source}, {in_words(age)} ago"


class _Kept(msgspec.Struct, frozen=True):
    source: str
    t: float
    waits: str
    v: int = 1


def learn(file: Path | None, now: float, user: str) -> tuple[Learned, Reading]:
    """The queue from its past jobs in a file, whose last moment is then its present, or (None) from accounting here; and what was read.

    user: whose own jobs count more. Raises `InputError` where there is no job, or jobs of several clusters, or of one with a name that none has; `SlurmError`
    where accounting does not answer.
    """
    found = sacct.live() if file is None else reading.read(file)
    jobs = found.jobs
    if not len(jobs):
        raise InputError(
            f"accounting shows no job of the last days ({found}); give a file of another time",
            ("--from-sacct",),
        )
    if file is not None:
        now = min(now, float(np.nanmax(np.concatenate((jobs.submit, jobs.start, jobs.end)))))
    for name in found.clusters:
        check(name, "--from-sacct")
    if len(found.clusters) > 1:
        raise InputError(
            f"the jobs are of several clusters ({', '.join(found.clusters)}), and each has a queue of its own; "
            f"write a file for each: sacct -M {found.clusters[0]} ...",
            ("--from-sacct",),
        )
    source = "from accounting" if file is None else f"from {file.name}"
    cluster = found.clusters[0] if found.clusters else None
    return Learned(Waits.learn(jobs, now, user), source, now, cluster), found


def check(cluster: str, option: str) -> None:
    """Raise `InputError` where that is no name of a cluster."""
    if not _NAME.fullmatch(cluster):
        raise InputError(
            f"{cluster[:100]!a} is no name of a cluster; letters, digits, and . _ - are allowed, 100 at most",
            (option,),
        )


def place(cluster: str) -> Path:
    """The file of a cluster."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", cluster)
    return _folder() / f"queue-{name}.json"


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "taut"


def known() -> list[str]:
    """The clusters whose queue was learned."""
    return sorted(path.stem.removeprefix("queue-") for path in _folder().glob("queue-*.json"))


def assumed() -> Learned:
    return Learned(Waits.assumed(), "", None)


def load(cluster: str | None) -> Learned:
    """What was learned of this cluster; else (or for None: no Slurm is here) what is assumed of any."""
    if cluster is None:
        return assumed()
    with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError, TypeError, KeyError):
        kept = msgspec.json.decode(place(cluster).read_bytes(), type=_Kept)
        if kept.v == 1:
            return Learned(Waits.from_json(kept.waits), kept.source, kept.t, cluster)
    return assumed()


def save(cluster: str, learned: Learned) -> Path:
    """Keep it, whole, readable by its owner alone; where it is then."""
    assert learned.t is not None, "what is assumed is not kept"
    path = place(cluster)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = _Kept(learned.source, learned.t, learned.waits.to_json())
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(kept))
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return path
