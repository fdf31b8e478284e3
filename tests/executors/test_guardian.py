"""The guardian alone: what it kills, what it leaves, and that it survives being killed itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from taut.executors.guardian import Guardian

SOURCE = str(Path(__file__).parents[2] / "src")


def sleeper(guardian: Guardian | None = None) -> subprocess.Popen[bytes]:
    extra = guardian.environment if guardian else {}
    return subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        env={**os.environ, **extra},
        start_new_session=True,
    )


def helper_of(guardian: Guardian) -> subprocess.Popen[bytes]:
    helper = guardian._helper
    assert helper is not None
    return helper


def test_close_kills_what_is_watched_and_leaves_what_is_forgotten() -> None:
    guardian = Guardian()
    watched, forgotten = sleeper(), sleeper()
    try:
        guardian.watch(watched.pid)
        guardian.watch(forgotten.pid)
        guardian.forget(forgotten.pid)
        guardian.close()
        assert watched.wait(2) == -signal.SIGTERM
        assert forgotten.poll() is None
    finally:
        for process in (watched, forgotten):
            process.kill()
            process.wait()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_close_with_nothing_watched_ends_what_left_its_group() -> None:
    guardian = Guardian()
    marked = sleeper(guardian)  # never watched: as a daemon that a trial left behind
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    helper = helper_of(guardian)
    guardian.close()
    guardian.close()
    try:
        assert helper.returncode == 0
        assert marked.wait(5.0) == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    with pytest.raises(RuntimeError, match="the guardian is closed"):
        guardian.watch(1 << 30)


def test_the_helper_ignores_what_a_terminal_or_scheduler_sends() -> None:
    guardian = Guardian()
    helper = helper_of(guardian)
    time.sleep(0.5)  # until its handlers are in place
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        helper.send_signal(number)
    time.sleep(0.1)
    assert helper.poll() is None
    assert os.getsid(helper.pid) == helper.pid
    guardian.close()


def test_a_killed_helper_is_replaced() -> None:
    guardian = Guardian()
    first, second = sleeper(), sleeper()
    try:
        guardian.watch(first.pid)
        helper = helper_of(guardian)
        helper.kill()
        helper.wait()
        guardian.watch(second.pid)
        assert helper_of(guardian).pid != helper.pid
        guardian.close()
        assert first.wait(2) == second.wait(2) == -signal.SIGTERM
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


FORKED = """
import os, sys, time
from taut.executors.guardian import Guardian
guardian = Guardian()
child = os.fork()
if child == 0:
    os.setsid()
    time.sleep(60)      # holds no end of the pipe
guardian.watch(child)
print(child, flush=True)
time.sleep(60)
"""


def test_a_forked_child_does_not_hide_the_death_of_its_parent() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", FORKED],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )
    assert worker.stdout is not None
    child = int(worker.stdout.readline())
    worker.kill()
    worker.wait()
    worker.stdout.close()
    end = time.monotonic() + 2.5
    while Path(f"/proc/{child}/stat").exists() and " Z " not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


COMMAND = """
import subprocess, sys, time
code = "import time; time.sleep(60)"
child = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""

LEAVER = f"""
import os, subprocess, sys, time
from taut.executors.guardian import Guardian
guardian = Guardian()
environment = {{**os.environ, **guardian.environment}}
process = subprocess.Popen([sys.executable, "-c", {COMMAND!r}], env=environment, start_new_session=True)
guardian.watch(process.pid)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_grandchild_that_left_its_group_dies_too() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", LEAVER],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )
    assert worker.stdout is not None
    grandchild = int(worker.stdout.readline())
    worker.kill()
    worker.wait()
    worker.stdout.close()
    end = time.monotonic() + 2.5
    while (
        Path(f"/proc/{grandchild}/stat").exists()
        and " Z " not in Path(f"/proc/{grandchild}/stat").read_text()
    ):
        assert time.monotonic() < end
        time.sleep(0.02)
