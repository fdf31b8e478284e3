"""Trials of a millisecond: how many a second, by who starts them.

    python benchmarks/tiny.py            # --warm 4000 --cold 24 --rounds 3 --kinds nothing numpy torch

It needs root for HyperQueue, whose server gets a network of its own (tests/hq/hq_lab.py); torch; for a row more, Slurm.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import common
import tiny_task
from slurm_lab import JOB, Lab, events, temporary
from slurm_lab import missing as no_slurm

import taut
from taut.events import Finished

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1] / "tests" / "hq")]
from hq_lab import Cluster  # noqa: E402
from hq_lab import missing as no_hyperqueue  # noqa: E402

AT_ONCE = 2
NEAR, MORE = 0.8, 10.0  # goals: of the plain loop's rate, and of HyperQueue's with a task for each
LOOP, EACH = "plain loop (multiprocessing)", "HyperQueue, a task for each"
LOCAL, UNDER = "taut, local workers", "taut, workers in HyperQueue"
TASK = str(Path(tiny_task.__file__).resolve())
SUBMIT = """\
import sys
from hyperqueue import Client, Job

server, python, task, kind, count, results = sys.argv[1:]
job = Job(max_fails=None)
for index in range(int(count)):
    job.program([python, task, kind, str(index / int(count)), results], stdout=None, stderr=None)
Client(server).submit(job)
"""


class Pace(NamedTuple):
    """Trials a second between the first result and the last, and seconds to the first."""

    rate: float
    first: float


def pace(begin: float, ended: Sequence[float], count: int) -> Pace:
    if len(ended) != count:
        raise SystemExit(f"{len(ended)} of {count} trials ended well")
    return Pace((count - 1) / (max(ended) - min(ended)), min(ended) - begin)


def written(results: Path, count: int, begin: float) -> Pace:
    """Wait for the lines of programs that were started one by one."""
    until = time.time() + 60 + 10 * count
    while not results.exists() or results.read_bytes().count(b"\n") < count:
        if time.time() > until:
            break
        time.sleep(0.02)
    return pace(begin, [json.loads(line)["t"] for line in results.read_text().splitlines()], count)


class Bench:
    """The contestants; each call works in a new folder."""

    def __init__(self, folder: Path, warm: int, cold: int, cluster: Cluster | None, lab: Lab | None) -> None:
        self.folder, self.warm, self.cold, self.cluster, self.lab = folder, warm, cold, cluster, lab
        self._numbers = itertools.count()

    def place(self) -> Path:
        place = self.folder / str(next(self._numbers))
        place.mkdir()
        return place

    def loop(self, kind: str) -> Pace:
        """What one writes oneself: a pool, and a line for each result."""
        begin, ended = time.time(), []
        numbers = [index / self.warm for index in range(self.warm)]
        with (
            multiprocessing.get_context("spawn").Pool(AT_ONCE) as pool,
            open(self.place() / "results", "w") as file,
        ):
            for loss in pool.imap_unordered(partial(tiny_task.evaluate, kind), numbers):
                file.write(json.dumps({"loss": loss}) + "\n")
                file.flush()
                ended.append(time.time())
        return pace(begin, ended, self.warm)

    def xargs(self, kind: str) -> Pace:
        results, begin = self.place() / "results", time.time()
        lines = "".join(f"{kind} {index / self.cold} {results}\n" for index in range(self.cold))
        words = ["xargs", "-P", str(AT_ONCE), "-L", "1", sys.executable, TASK]
        subprocess.run(words, input=lines, text=True, check=True)
        return written(results, self.cold, begin)

    def array(self, kind: str) -> Pace:
        assert self.lab is not None
        place = self.lab.place()
        results = place / "results"
        words = [sys.executable, TASK, kind, "0.5", str(results)]
        (place / "job.sh").write_text(JOB.format(memory=900, folder=place, command=shlex.join(words)))
        begin = time.time()
        self.lab.run("sbatch", f"--array=0-{self.cold - 1}%{AT_ONCE}", "job.sh", cwd=place)
        return written(results, self.cold, begin)

    def each(self, kind: str) -> Pace:
        results, begin = self.place() / "results", time.time()
        server = str(self.hyperqueue.directory)
        words = [
            sys.executable,
            "-c",
            SUBMIT,
            server,
            sys.executable,
            TASK,
            kind,
            str(self.cold),
            str(results),
        ]
        subprocess.run([*self.hyperqueue.enter, *words], check=True)
        return written(results, self.cold, begin)

    def local(self, kind: str) -> Pace:
        place, begin = self.place(), time.time()
        with taut.Study(
            place / "study", taut.Space(x=taut.uniform(0, 1)), minimize="loss", sampler="random"
        ) as study:
            study.run(getattr(tiny_task, kind), trials=self.warm, workers=AT_ONCE)
        return self.told(place, begin, self.warm)

    def under(self, kind: str, tasks: str = "worker") -> Pace:
        place, count = self.place(), self.warm if tasks == "worker" else self.cold
        table = f"workers = {AT_ONCE}" if tasks == "worker" else 'tasks = "trial"'
        (place / "study.toml").write_text(
            f'function = "tiny_task:{kind}"\nminimize = "loss"\n[space]\nx = {{ uniform = [0, 1] }}\n'
            f'[budget]\ntrials = {count}\n[sampler]\nmethod = "random"\n'
            f'[on.hyperqueue]\nserver_dir = "{self.hyperqueue.directory}"\n{table}\n'
        )
        (place / "tiny_task.py").symlink_to(TASK)
        begin = time.time()
        words = [sys.executable, "-m", "taut", "run", "study.toml", "--on", "hyperqueue", "--dir", "study"]
        subprocess.run(
            [*self.hyperqueue.enter, *words],
            cwd=place,
            env=self.hyperqueue.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return self.told(place, begin, count)

    def told(self, place: Path, begin: float, count: int) -> Pace:
        """What the study's log says, once it is complete."""
        until, ended = time.time() + 60 + 10 * self.cold, list[float]()
        while len(ended) < count and time.time() < until:
            time.sleep(0.3)
            ended = [one.t for one in events(place) if isinstance(one, Finished) and one.state == "complete"]
        return pace(begin, ended, count)

    @property
    def hyperqueue(self) -> Cluster:
        assert self.cluster is not None
        return self.cluster

    def ways(self) -> dict[str, Callable[[str], Pace]]:
        ways: dict[str, Callable[[str], Pace]] = {LOOP: self.loop, f"xargs -P {AT_ONCE}": self.xargs}
        if self.lab is not None:
            ways["Slurm, a task of an array for each"] = self.array
        if self.cluster is not None:
            ways[EACH] = self.each
        ways[LOCAL] = self.local
        if self.cluster is not None:
            ways[UNDER] = self.under
            ways['taut, tasks = "trial"'] = partial(self.under, tasks="trial")
        return ways


def rows(kind: str, found: dict[str, list[Pace]]) -> list[tuple[object, ...]]:
    rate = {name: statistics.median(one.rate for one in each) for name, each in found.items()}
    shown: list[tuple[object, ...]] = []
    for name, each in found.items():
        near, more = rate[name] / rate[LOOP], rate[name] / rate[EACH] if EACH in rate else None
        goals: list[tuple[str, str]] = []
        if name in (LOCAL, UNDER):
            goals.append((f">= {NEAR:g} loop", common.met(near, NEAR)))
            if kind != "nothing" and more is not None:
                goals.append((f">= {MORE:g}x tasks", common.met(more, MORE)))
        first = statistics.median(one.first for one in each)
        times = "" if more is None else f"{more:.1f}x"
        goal, reached = ", ".join(goal for goal, _ in goals), ", ".join(word for _, word in goals)
        shown.append((name, kind, f"{rate[name]:.1f}", f"{near:.2f}", times, f"{first:.2f}", goal, reached))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--warm", type=int, default=4000, help="trials of those that stay warm")
    parser.add_argument("--cold", type=int, default=24, help="trials of those that start a process for each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=tiny_task.KINDS, default=tiny_task.KINDS)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = lab = None
        if reason := no_hyperqueue():
            print(f"without HyperQueue: {reason}")
        else:
            stack.callback((cluster := Cluster(folder / "hq", AT_ONCE)).close)
        if reason := no_slurm():
            print(f"without Slurm: {reason}")
        else:
            (folder / "slurm").mkdir()
            lab = Lab(stack.enter_context(temporary()), folder / "slurm")
        bench = Bench(folder, given.warm, given.cold, cluster, lab)
        print(common.header(f"Trials of a millisecond, {AT_ONCE} at a time"))
        shown: list[tuple[object, ...]] = []
        for kind in given.kinds:
            ways = {name: partial(way, kind) for name, way in bench.ways().items()}
            shown += rows(kind, common.rounds(ways, given.rounds, warm_up=0))
        columns = ["", "objective", "trials/s", "/ loop", "/ tasks", "first after, s", "goal", "met"]
        print(common.table(columns, shown))


if __name__ == "__main__":
    main()
