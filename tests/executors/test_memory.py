"""Trials that take more memory than there is: told by the kernel's own count, in a real control group."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import begin, output, script
from taut import machine
from taut.executors.memory import Memory

ROOT = Path("/sys/fs/cgroup/memory")  # version 1: the one that the tests' Slurm uses, too
LIMIT = 120 << 20
RAN_OUT = r"ran out of memory \(limit 120 MiB; the largest process held (\d+) MiB\)"
needs_a_group = pytest.mark.skipif(
    not ((ROOT / "release_agent").exists() and os.access(ROOT, os.W_OK)),
    reason="no control groups of version 1 that may be written",
)

# Runs commands or warm processes in the control group that it is given; prints what became of each trial.
RUN = """
    import json, sys, time
    from pathlib import Path

    Path(sys.argv[1], "cgroup.procs").write_text("0")
    from taut.definition import Evaluation
    from taut.executors.base import Died, Outcome, Task
    from taut.executors.command import CommandExecutor
    from taut.executors.pool import PoolExecutor

    base, kind, tasks = Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
    if kind != "pool":
        below = ["bash", "-c", f"{sys.executable} {base}/train.py; exit $?"]
        evaluation = Evaluation(command=below if kind == "shell" else [sys.executable, "train.py"])
        executor = CommandExecutor(evaluation, base=base, slots=2, objectives=["loss"])
    else:
        executor = PoolExecutor("train:train", slots=2, names=["how"], main=["loss"], base=str(base))
    found = []
    try:
        for number, how in enumerate(tasks):
            executor.start(Task(number, 0, {"how": how}, str(base / "trials" / str(number))))
            if "together" not in sys.argv:
                while len(found) <= number:
                    found += executor.poll(0.2)
        while len(found) < len(tasks):
            found += executor.poll(0.2)
    finally:
        executor.stop(kill=True)
        executor.close()
    ends = sorted(found, key=lambda end: end.number)
    print(json.dumps([end.why if isinstance(end, Died) else end.error for end in ends]))
"""

TRAIN = """
    import json, os, subprocess, sys, time

    def train(how):
        if how == "takes much":
            much = b"x" * (200 << 20)
        elif how == "its child does":
            subprocess.run([sys.executable, "-c", "b'x' * (200 << 20)"])
            raise SystemExit("the loader is gone")
        elif how == "is killed":
            time.sleep(1.0)
            os.kill(os.getpid(), 9)
        return 1.0

    if __name__ == "__main__":
        how = json.loads(os.environ["TAUT_PARAMS"])["how"]
        open(os.environ["TAUT_REPORT"], "a").write(json.dumps({"loss": train(how)}) + "\\n")
"""


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    group = ROOT / f"taut-{tmp_path.name}-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(LIMIT))
        (group / "memory.swappiness").write_text("0")  # else memory is swapped out instead of running out
        yield group
    finally:
        group.rmdir()


def run(group: Path, place: Path, kind: str, *tasks: str, more: tuple[str, ...] = ()) -> list[str | None]:
    """What is said of the end of each trial; None if it went well."""
    script(place, TRAIN, "train.py")
    process = begin(script(place, RUN, "run.py"), group, place, kind, json.dumps(tasks), *more)
    found: list[str | None] = json.loads(output(process, 60.0))
    return found


@needs_a_group
@pytest.mark.parametrize("kind", ["command", "shell", "pool"])
def test_out_of_memory_and_killed_are_told_apart(kind: str, group: Path, tmp_path: Path) -> None:
    tasks = ("is killed", "takes much", "is killed", "goes well", "takes much")
    first, much, second, well, again = run(group, tmp_path, kind, *tasks)
    killed = {"shell": "exit code 137 (killed by SIGKILL; out of memory?)", "command": "killed by SIGKILL"}
    for text in (first, second):
        assert (text or "").partition("\n")[0] == killed.get(kind, "its process was killed by SIGKILL")
    assert well is None
    for text in (much, again):
        begun = "its process " + RAN_OUT if kind == "pool" else RAN_OUT
        found = re.match(begun, text or "")
        assert found is not None and 60 < int(found[1]) <= 121, text


@needs_a_group
def test_a_process_below_the_command(group: Path, tmp_path: Path) -> None:
    (text,) = run(group, tmp_path, "command", "its child does")
    begun = r"exit code 1; memory ran out meanwhile \(limit 120 MiB; the largest process held \d+ MiB\)\n"
    assert re.match(begun + "the loader is gone$", text or ""), text


@needs_a_group
@pytest.mark.parametrize("kind", ["command", "pool"])
def test_its_neighbour_goes_on(kind: str, group: Path, tmp_path: Path) -> None:
    much, well = run(group, tmp_path, kind, "takes much", "goes well", more=("together",))
    assert re.search(RAN_OUT, much or "") and well is None


def test_the_count_of_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "self"
    monkeypatch.setattr(machine, "_GROUPS", root)
    monkeypatch.setattr(machine, "_SELF", own)
    task = root / "system.slice" / "job_7" / "step_batch" / "task_0"
    task.mkdir(parents=True)

    def kills() -> int | None:
        machine._counters.cache_clear()
        return machine.kills()

    try:
        own.write_text("0::/system.slice/job_7/step_batch/task_0\n")
        assert kills() is None
        # Version 2: the job's count has that of a step beside ours; that of the whole machine is not looked at.
        events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\noom_group_kill 0\n"
        (root / "system.slice" / "memory.events").write_text(events.format(100))
        (root / "system.slice" / "job_7" / "memory.events").write_text(events.format(2))
        (task / "memory.events").write_text(events.format(1))
        assert kills() == 3
        own.write_text("0::/system.slice\n")
        assert kills() == 100
        # Version 1, in a job, and before Linux 4.13, which does not count.
        own.write_text("4:memory:/slurm/job_7\n0::/\n")
        job = root / "memory" / "slurm" / "job_7"
        job.mkdir(parents=True)
        (job / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
        assert kills() == 5
        (job / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\n")
        assert kills() is None
    finally:
        machine._counters.cache_clear()


def test_waiting_is_what_popen_would_do() -> None:
    for code in ("raise SystemExit(7)", "import os; os.kill(os.getpid(), 15)", ""):
        process: subprocess.Popen[Any] = subprocess.Popen([sys.executable, "-c", code])
        memory = Memory()
        ended = memory.wait(process)
        assert ended == process.returncode == process.wait() == memory.wait(process)
        assert ended == {"raise SystemExit(7)": 7, "": 0}.get(code, -15)
        held = re.search(r"the largest process held (\d+) MiB", memory.amounts)
        assert held is not None and 1 < int(held[1]) < 2000


def test_a_process_that_somebody_else_has_waited_for() -> None:
    process: subprocess.Popen[Any] = subprocess.Popen([sys.executable, "-c", ""])
    os.waitpid(process.pid, 0)
    memory = Memory()
    assert memory.wait(process) == 0 and "held" not in memory.amounts
