"""The other processes in `taut doctor`'s checks of a file system; `filesystem.py` runs this file as a script.

    probes.py race file|link FOLDER ME COUNT SECONDS    who gets which of COUNT names?
    probes.py append FILE COUNT GAP                     one line every GAP seconds

It says that it is ready, and begins when its standard input ends, so that many begin at the same moment.
Standard library only, and little of it, so that it starts quickly.
"""

from __future__ import annotations

import json
import os
import sys
import time

__all__ = ["append", "race"]


def race(kind: str, folder: str, me: str, count: int, seconds: float) -> dict[str, object]:
    """Create as many of the names 0 to `count` - 1 as others leave, for `seconds` at most.

    kind: ``file`` creates files with O_EXCL, ``link`` symbolic links to `me`.
    """
    won: list[int] = []
    error = None
    end = time.monotonic() + seconds
    tried = 0
    while tried < count and time.monotonic() < end:
        path = os.path.join(folder, str(tried))
        try:
            if kind == "file":
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            else:
                os.symlink(me, path)
            won.append(tried)
            time.sleep(0.0005)  # so that the others catch up and the next name is raced for as well
        except FileExistsError:
            pass
        except OSError as problem:
            error = problem.strerror
            break
        tried += 1
    return {"tried": tried, "won": won, "error": error}


def append(path: str, count: int, gap: float) -> None:
    """Append `count` lines, each the time on the clock that all processes of a machine share."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    for _ in range(count):
        os.write(fd, f"{time.monotonic():.6f}\n".encode())
        time.sleep(gap)
    os.close(fd)


def _main(job: str, *words: str) -> None:
    print("ready", flush=True)
    sys.stdin.buffer.read()
    if job == "race":
        kind, folder, me, count, seconds = words
        print(json.dumps(race(kind, folder, me, int(count), float(seconds))))
    else:
        path, lines, gap = words
        append(path, int(lines), float(gap))


if __name__ == "__main__":
    _main(*sys.argv[1:])
