"""A user's directory on the cluster: study.toml, a training script, `taut` as a user has it, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from cluster import Cluster

import taut
from processes import patient

SOURCE = Path(taut.__file__).resolve().parents[1]
Found = TypeVar("Found")

# A script that does not know taut: it prints its result. The file `hold-TRIAL-ATTEMPT` beside it makes it hang, as a
# file system does, until the file is gone.
PLAIN = """\
import argparse, os, pathlib, time

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
mark = os.environ["TAUT_TRIAL"] + "-" + os.environ["TAUT_ATTEMPT"]
hold = pathlib.Path(__file__).with_name("hold-" + mark)
while hold.exists():
    time.sleep(0.05)
print("loss", (x - 0.3) ** 2, "attempt", mark.partition("-")[2])
"""

# One that saves itself when it is asked to, or told to end, and goes on from there: `steps` tenths of a second.
CAREFUL = """\
import os, pathlib, signal, sys, time

asked = []
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda number, frame: asked.append(number))
place, before = pathlib.Path(os.environ["TAUT_CHECKPOINT_DIR"]), os.environ.get("TAUT_RESUMED_FROM")
step = begun = int((pathlib.Path(before) / "step").read_text()) if before else 0
while step < STEPS:
    if asked:
        (place / "step").write_text(str(step))
        sys.exit(75)
    time.sleep(0.1)
    step += 1
print("loss", 0.5, "attempt", begun)
"""

STUDY = """\
name = "{name}"
command = "python train.py {{args}}"
minimize = "loss"
retries = {retries}

[results]
stdout = 'loss (?P<loss>\\S+) attempt (?P<attempt>\\S+)'

[space]
x = {{ uniform = [0, 1] }}

[budget]
trials = {trials}

[on.slurm]
cpus = 1
memory = "{memory}"
{slurm}
"""


class Told(NamedTuple):
    """An event as it stands in the log, read without taut. writer: whose log; job: label of the job that it ran in."""

    writer: int
    job: str | None
    kind: str
    n: int | None
    a: int | None
    t: float
    event: dict[str, Any]


class Workplace:
    """One study, called `name`, in a directory of its own, whose jobs run on `cluster`."""

    def __init__(self, cluster: Cluster, path: Path, name: str) -> None:
        self.cluster, self.path, self.name = cluster, path, name
        self.study = path / "runs" / name
        (path / "bin").mkdir(parents=True)
        program = path / "bin" / "taut"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m taut "$@"\n')
        program.chmod(0o755)

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.write_text(text, encoding="utf-8")
        return path

    def define(
        self, slurm: str, trials: int, train: str = PLAIN, retries: int = 3, memory: str = "200M"
    ) -> None:
        """Write study.toml, with these lines in [on.slurm], and train.py."""
        values = {"name": self.name, "slurm": slurm, "trials": trials, "retries": retries, "memory": memory}
        self.write("study.toml", STUDY.format(**values))
        self.write("train.py", train)

    def hold(self, *attempts: str) -> None:
        """Make these attempts hang ("3-0": the first of trial 3)."""
        for attempt in attempts:
            (self.path / f"hold-{attempt}").touch()

    def let_go(self, attempt: str) -> None:
        (self.path / f"hold-{attempt}").unlink()

    # --- commands

    @property
    def environment(self) -> dict[str, str]:
        unwanted = ("TAUT_", "SLURM", "SBATCH", "SQUEUE", "SACCT", "SCONTROL", "SCANCEL", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        path = os.pathsep.join((str(self.path / "bin"), os.path.dirname(sys.executable), kept["PATH"]))
        return {**kept, **self.cluster.environment, "PYTHONPATH": str(SOURCE), "PATH": path, "COLUMNS": "200"}

    def run(self, *words: str, code: int = 0, timeout: float = 60.0) -> str:
        """What a command says, run as a user would; it must end with `code`."""
        done = subprocess.run(
            words,
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == code, f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def taut(self, *words: str, code: int = 0, timeout: float = 60.0) -> str:
        return self.run("taut", *words, code=code, timeout=timeout)

    def submit(self, *words: str) -> str:
        return self.taut("run", "study.toml", "--on", "slurm", *words)

    # --- what came of it

    def trials(self) -> list[dict[str, Any]]:
        """What `taut trials --json` says."""
        found: list[dict[str, Any]] = json.loads(self.taut("trials", str(self.study), "--json"))
        return found

    def log(self) -> list[Told]:
        """Every event, in the order of time; each line must be whole JSON."""
        told = []
        for path in sorted(self.study.glob("log/*.jsonl")):
            job: str | None = None
            for line in path.read_text().splitlines(keepends=True):
                if not line.endswith("\n"):
                    continue  # being written
                event = json.loads(line)
                job = event.get("job", {}).get("label", job)
                values = event["e"], event.get("n"), event.get("a"), event["t"], event
                told.append(Told(int(path.stem), job, *values))
        return sorted(told, key=lambda one: one.t)

    def find(self, kind: str, attempt: str) -> Told | None:
        """The event of this kind about an attempt ("3-0"), if it is in the log."""
        return next((one for one in self.log() if one.kind == kind and f"{one.n}-{one.a}" == attempt), None)

    def counted(self) -> dict[int, list[Told]]:
        """By trial: the results of the highest attempt that was started."""
        log = self.log()
        last = {
            n: max(one.a or 0 for one in log if one.n == n)
            for n in {one.n for one in log if one.n is not None}
        }
        ends = [one for one in log if one.kind == "finished" and one.n is not None]
        return {n: [one for one in ends if (one.n, one.a) == (n, a)] for n, a in last.items()}

    def finished(self) -> int:
        """How many trials have a result that counts."""
        return sum(bool(ends) for ends in self.counted().values())

    def jobs(self, *fields: str) -> list[list[str]]:
        """The study's jobs that wait or run: these fields of squeue -O."""
        words = ("squeue", "-h", "-r", "-O", ",".join(f"{field}:|" for field in ("Name", *fields)))
        rows = [line.split("|") for line in self.cluster.run(*words).splitlines()]
        return [row[1:-1] for row in rows if row[0].startswith(f"taut-{self.name}-")]

    def node(self, label: str) -> str:
        """Where a running job is."""
        return self.cluster.run("squeue", "-h", "-j", label, "-o", "%N")

    def scripts(self) -> dict[str, dict[str, Any]]:
        """The records of what was submitted, by kind and round: "job0", "next0"."""
        paths = sorted(self.study.glob("slurm/[0-9]*/*.json"))
        return {f"{path.stem}{int(path.parent.name)}": json.loads(path.read_text()) for path in paths}

    def until(self, condition: Callable[[], Found | None], seconds: float, what: str) -> Found:
        """Wait for something to become true; if it does not, say how the study stands."""
        deadline = time.monotonic() + patient(seconds)
        while not (found := condition()):
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s\n{self.account()}"
            time.sleep(0.2)
        return found

    def until_over(self, seconds: float) -> None:
        """Wait until no job of the study waits or runs."""
        self.until(lambda: not self.jobs(), seconds, f"the end of {self.name}'s jobs")

    def account(self) -> str:
        """How the study stands, for whoever has to find out why a test failed."""
        queue = self.cluster.run("squeue", "-r", "-o", "%i %j %T %r %N %M")
        logs = [
            f"--- {path}\n{path.read_text()[-1500:]}" for path in sorted(self.study.glob("slurm/*/*.log"))
        ]
        said = [self.taut("trials", str(self.study)), self.taut("status", str(self.study))]
        history = self.cluster.run("sacct", "-X", "-o", "JobID%12,JobName%40,State%20,ExitCode,Start,End")
        daemon = "\n".join(self.cluster.log("slurmctld").splitlines()[-60:])
        return "\n".join([queue, *said, *logs[-6:], history, daemon])


Scenario = Callable[[Workplace], None]


def selected(request: pytest.FixtureRequest, scenarios: Iterable[Scenario]) -> list[Scenario]:
    """Those whose tests are to be run: `pytest -k preemption` needs no others."""
    wanted = [
        item.callspec.params.get("scenario") for item in request.session.items if hasattr(item, "callspec")
    ]
    return [one for one in scenarios if one in wanted]


@contextmanager
def together(
    cluster: Cluster, path: Path, scenarios: Iterable[Scenario]
) -> Iterator[dict[Scenario, Future[None]]]:
    """Run scenarios, each in a workplace of its own, at the same time, since most of their time they wait for Slurm."""
    chosen = list(scenarios)
    with ThreadPoolExecutor(len(chosen)) as threads:
        yield {
            one: threads.submit(one, Workplace(cluster, path / one.__name__, one.__name__.replace("_", "-")))
            for one in chosen
        }
