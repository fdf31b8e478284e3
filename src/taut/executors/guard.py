"""The helper program behind `guardian.py`: kills process groups when the worker is gone.

It runs with ``python -I -S`` and the standard library alone, and lives as long as its standard input
is held open by the worker. Lines say what to watch: ``+123`` a process group, ``-123`` no longer,
``quit`` to end without killing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable

_GRACE = 1.0  # seconds between SIGTERM and SIGKILL


def main(mark: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    rest = b""
    while data := os.read(0, 65536):
        *lines, rest = (rest + data).split(b"\n")
        if b"quit" in lines:  # every group has ended; what left its group may still be there
            groups.clear()
            break
        for line in lines:
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    groups |= marked(mark)
    send(groups, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline and any(alive(group) for group in groups):
        time.sleep(0.02)
    send(groups | marked(mark), signal.SIGKILL)


def marked(mark: str) -> set[int]:
    """Groups of the processes whose environment holds `mark`.

    They are the ones that the worker had begun but not told us of when it died, and those that left
    their group. A child keeps the worker's end of our input open until it runs its program; so once
    the input has ended, each child has its own environment and is seen. Without /proc: nothing.
    """
    entry, own, found = mark.encode(), os.getpgid(0), set()
    try:
        names = os.listdir("/proc")
    except OSError:
        return set()
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if entry in file.read().split(b"\0"):
                        found.add(os.getpgid(int(name)))
            except OSError:  # another user's, or just gone
                continue
    return found - {own, 0, 1}


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def send(groups: Iterable[int], number: signal.Signals) -> None:
    for group in groups:
        try:
            os.killpg(group, number)
        except OSError:  # gone already
            continue


if __name__ == "__main__":
    main(sys.argv[1])
