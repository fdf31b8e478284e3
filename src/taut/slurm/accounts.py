"""What accounting says of a study's jobs, asked seldom and kept in the study's directory for everybody."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from taut.slurm.calls import SlurmError, call
from taut.slurm.jobs import SACCT, Job, Life, parse_sacct
from taut.slurm.turns import Turns

__all__ = ["ask", "lives", "with_jobs"]

_EVERY = 11.0  # seconds between two calls at least, over all processes


class _Kept(msgspec.Struct, frozen=True):
    lives: list[Life]


def ask(numbers: Collection[int]) -> list[Life] | None:
    """Every life of these jobs (arrays: of all their tasks), from accounting now; None where it does not answer."""
    if not numbers:
        return []
    try:
        return parse_sacct(call(*SACCT, "-j", ",".join(map(str, sorted(numbers)))))
    except SlurmError:
        return None


def lives(folder: Path, numbers: Collection[int]) -> list[Life] | None:
    """The same, as asked by this or another process a moment ago; None where nobody ever got an answer.

    folder: the study's folder for its dealings with Slurm. Where it cannot be written, what is there is read.
    """
    place = folder / "accounts"
    with contextlib.suppress(OSError):
        if Turns(place).take(_EVERY) is not None and (found := ask(numbers)) is not None:
            draft = place / f".lives-{os.getpid()}"
            draft.write_bytes(msgspec.json.encode(_Kept(found)))
            draft.replace(place / "lives.json")
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((place / "lives.json").read_bytes(), type=_Kept).lives
    return None


def with_jobs(lives: Iterable[Life], jobs: Iterable[Job]) -> list[Life]:
    """Accounting's word, and the controller's where that is newer: accounting lags behind."""
    found = {(life.id, life.life): life for life in lives}
    now = time.time()
    for job in jobs:
        known = found.get((job.id, job.life))
        if job.start is None or job.start > now or (known is not None and known.end is not None):
            continue
        elapsed = min(job.end or now, now) - job.start
        found[job.id, job.life] = Life(
            id=job.id,
            life=job.life,
            state=job.state,
            array=job.array,
            task=job.task,
            exit=job.exit,
            start=job.start,
            end=None if job.state == "RUNNING" else job.end,
            elapsed=max(int(elapsed), 0),
            minutes=job.minutes,
            gpus=job.gpus,
            cpus=job.cpus,
            nodes=job.nodes,
            name=job.name,
        )
    return list(found.values())
