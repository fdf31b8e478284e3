"""Logs written by hand, as workers elsewhere, in the past or with bad luck would have left them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from taut.events import Event, Finished, Opened, Released, Started, encode
from taut.liveness import LEASE, introduce

PARAMS = {"x": 0.5}


def hello(**fields: Any) -> Opened:
    """A writer like this process, but for `fields`."""
    return msgspec.structs.replace(introduce(1.0), **fields)


def gone() -> Opened:
    """A writer on this machine whose process has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return hello(pid=child.pid, born="1")


def elsewhere() -> Opened:
    """A writer on another machine."""
    return hello(host="elsewhere", boot="another", pid=1)


def started(n: int, a: int = 0, c: int | None = None) -> Started:
    return Started(n=n, a=a, x=PARAMS, r=0, c=n + 1 if c is None else c, t=2.0)


def finished(n: int, a: int = 0, loss: float = 1.0) -> Finished:
    return Finished(n=n, a=a, state="complete", y={"loss": loss}, t=3.0)


def released(n: int, a: int = 0, blame: bool = False) -> Released:
    return Released(n=n, a=a, why="gone", blame=blame, t=3.0)


def write(study: Path, writer: int, events: Sequence[Event]) -> Path:
    """Append `events` to the log of `writer`."""
    path = study / "log" / f"{writer:04d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        file.write(b"".join(map(encode, events)))
    return path


def claim(study: Path, first: int | str, writer: int, size: int = 1) -> None:
    (study / "claims").mkdir(exist_ok=True)
    os.symlink(f"{writer}+{size}", study / "claims" / str(first))


def silence(log: Path, seconds: float = LEASE + 60) -> None:
    """Nobody has touched it for so long."""
    then = time.time() - seconds
    os.utime(log, (then, then))
