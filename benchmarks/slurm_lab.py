"""What the parts of slurm.py share: a cluster that counts the calls it gets, and studies on it."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import taut
from taut.events import Event, decode

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "slurm"))
from cluster import Cluster, missing, temporary  # noqa: E402

__all__ = ["JOB", "MEMORY", "Call", "Lab", "events", "missing", "samples", "study", "temporary"]

COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "sacctmgr", "sinfo", "scancel")
# Stands in PATH before the real command: says when that one begins and ends.
WRAPPER = """\
#!/bin/bash
say() {{ echo "${{EPOCHREALTIME/,/.}} {name} $1" >>{log}; }}
say begin
{real} "$@"
code=$?
say end
exit $code
"""
JOB = """\
#!/bin/bash
#SBATCH --mem={memory}M
#SBATCH --time=10
#SBATCH --output={folder}/%a.log
{command}
"""
MEMORY = 900  # MiB of a job


class Call(NamedTuple):
    """A command of Slurm begins or ends, at `t` seconds since the epoch."""

    t: float
    name: str
    what: str


class Lab:
    """A cluster, a folder to work in, and what has been called."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self._log = folder / "calls"
        self._log.touch()
        self._numbers = itertools.count()
        wrappers = folder / "bin"
        wrappers.mkdir()
        for name in COMMANDS:
            text = WRAPPER.format(name=name, real=shutil.which(name), log=self._log)
            (wrappers / name).write_text(text)
            (wrappers / name).chmod(0o755)
        paths = {
            "PATH": os.pathsep.join([str(wrappers), os.environ["PATH"]]),
            "PYTHONPATH": str(Path(taut.__file__).parents[1]),
        }
        self._environment = {**os.environ, **cluster.environment, **paths}

    def place(self) -> Path:
        """A new folder, with the program to evaluate in it."""
        place = self.folder / str(next(self._numbers))
        place.mkdir()
        shutil.copy(HERE / "slurm_task.py", place)
        return place

    def run(self, *words: str, cwd: Path) -> str:
        """What a command of the user's prints."""
        done = subprocess.run(words, cwd=cwd, env=self._environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{shlex.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def calls(self, since: float) -> list[Call]:
        """The calls from that moment on, in order."""
        lines = (line.split() for line in self._log.read_text().splitlines())
        calls = [Call(float(t), name, what) for t, name, what in lines]
        return [call for call in calls if call.t >= since]

    def wait(self, timeout: float) -> None:
        """Wait until there are no jobs, without being much of a burden."""
        deadline = time.monotonic() + timeout
        while self.cluster.run("squeue", "-h"):
            if time.monotonic() > deadline:
                raise SystemExit(f"after {timeout:g} s there are still jobs:\n{self.cluster.run('squeue')}")
            time.sleep(1.0)


def study(place: Path, trials: int, evaluation: str, jobs: str) -> list[str]:
    """Write a study.toml; the words that submit it."""
    place.joinpath("study.toml").write_text(
        f"""\
{evaluation}
minimize = "loss"
[space]
rate = {{ loguniform = [1e-3, 1e-1] }}
momentum = {{ uniform = [0.0, 0.9] }}
[sampler]
method = "random"
[budget]
trials = {trials}
[on.slurm]
cpus = 1
memory = "{MEMORY}M"
{jobs}
"""
    )
    return [sys.executable, "-m", "taut", "run", "study.toml", "--on", "slurm", "--dir", "study"]


def samples(count: int) -> list[str]:
    """The arguments of the first trials of such a study, which `taut sample` gives, too."""
    space = taut.Space(rate=taut.loguniform(1e-3, 1e-1), momentum=taut.uniform(0.0, 0.9))
    trials = taut.Study(None, space, minimize="loss", sampler="random").ask(count)
    return [f"--rate {trial.params['rate']} --momentum {trial.params['momentum']}" for trial in trials]


def events(place: Path) -> list[Event]:
    """All that has happened in the study there, in order."""
    logs = place.glob("study/log/*.jsonl")
    return sorted(
        (decode(line) for log in logs for line in log.read_bytes().splitlines()), key=lambda event: event.t
    )
