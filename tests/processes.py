"""Real processes for the tests: scripts that import taut from this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import taut
from taut.reaper import Reaper

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"


def unmetered(message: Any) -> Any:
    """What an executor has said, without what meters read: that is different each time."""
    return msgspec.structs.replace(message, used={}) if hasattr(message, "used") else message


def script(folder: Path, text: str, name: str = "script.py") -> Path:
    """Write a program into `folder`."""
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def begin(program: Path, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start a program in a process group of its own; its output is kept."""
    return subprocess.Popen(
        [sys.executable, str(program), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{TESTS}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def output(process: subprocess.Popen[str], timeout: float = 30.0) -> str:
    """What a program printed; it must end well, and in time."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it hangs:\n{out}\n{err}") from None
    assert process.returncode == 0, err
    return out


#: Times for which tests wait are those of a quiet machine; with others beside them these may take that much longer.
PATIENCE = 3
_ENOUGH = 150.0  # seconds; a longer wait has its own patience, and the test its limit of time


def patient(seconds: float) -> float:
    """For how long to wait for what takes so long on a quiet machine."""
    return max(seconds, min(PATIENCE * seconds, _ENOUGH))


def until(condition: Callable[[], Any], timeout: float = 10.0, account: Callable[[], str] = str) -> Any:
    """Wait for something to become true; if it does not, say what `account` tells."""
    deadline = time.monotonic() + patient(timeout)
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it does not happen\n{account()}"
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


_reapers: dict[int, tuple[taut.Study, Reaper]] = {}


def reap(study: taut.Study) -> int:
    """Look for what the dead left, as a worker of `study` would; it remembers between two looks."""
    return _reapers.setdefault(id(study), (study, Reaper(study.store)))[1].reap()
