"""What `taut doctor` runs on a node, as a job: it says that it is there, and meets its like on another node.

    python -m taut.doctor.visitor FOLDER ME

Two visitors, 0 and 1, throw each other lines of text and race for names in FOLDER once a file ``go`` is there.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import taut
from taut import filesystem, probes

__all__ = ["NAMES", "PATIENCE", "THROWS", "say", "throw"]

PATIENCE = 150.0  # seconds for which a visitor waits to be told to begin
THROWS = 5
NAMES = 100
_THROWING = 30.0  # seconds in all


def say(folder: Path, name: str, what: dict[str, Any]) -> None:
    """Write a file so that nobody sees half of it."""
    draft = folder / f"{name}.draft"
    draft.write_text(json.dumps(what), encoding="utf-8")
    draft.rename(folder / f"{name}.json")


def throw(folder: Path, me: int, count: int = THROWS, seconds: float = _THROWING) -> list[float]:
    """Append a line, wait for the answer in the other's file, and so on. Seconds that each took, there and back.

    The other's file is read as a worker reads logs: it stays open. Each visitor's file must exist.
    """
    end = time.monotonic() + seconds
    mine = os.open(folder / f"ball-{me}", os.O_WRONLY | os.O_APPEND)
    others = os.open(folder / f"ball-{1 - me}", os.O_RDONLY)
    took: list[float] = []
    try:
        for n in range(1, count + 1):
            begin = time.monotonic()
            if me == 0:
                os.write(mine, b".")
            while len(os.pread(others, count, 0)) < n:
                if time.monotonic() > end:
                    return took
                time.sleep(0.001)
            took.append(time.monotonic() - begin)
            if me == 1:
                os.write(mine, b".")
    finally:
        os.close(mine)
        os.close(others)
    return took


def _told(folder: Path, me: int) -> bool:
    """Whether ``go`` is there. Making a file first has a network file system look at the directory again."""
    probe = folder / f"look-{me}"
    probe.touch()
    probe.unlink()
    time.sleep(0.05)
    return (folder / "go").exists()


def _main(folder: Path, me: int) -> int:
    node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    hello = {"node": node, "taut": taut.__version__, "lead": filesystem.clock_lead(folder)}
    say(folder, f"hello-{me}", hello)
    end = time.monotonic() + PATIENCE
    while not _told(folder, me):
        if time.monotonic() > end:
            return 1
    if (folder / "go").read_text(encoding="utf-8") == "2":
        met: dict[str, Any] = {"throws": throw(folder, me)}
        for kind in ("file", "link"):
            met[kind] = probes.race(kind, str(folder / kind), str(me), NAMES, 5.0)
        say(folder, f"met-{me}", met)
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), int(sys.argv[2])))
