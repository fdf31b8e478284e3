"""Plans against what came of them, on a real Slurm that others use, too.

    python benchmarks/planning.py            # --runs 10 --naive 3 --trials 40 --warm-up 300 --load 0.9

It starts a Slurm of its own on this machine (tests/slurm/cluster.py) and ends it. Somebody else's jobs come and go all the time and hold most of its
GPUs. First the queue is learned from their accounting, and four trials show how long one takes. Then, again and again, `taut run --on slurm` plans the
study, writes down what it expects, submits it, and runs it to its end. In between, the same trials run as people write them without a
plan: a job for each, in one array; and all in one job.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import common
from slurm_lab import Cluster, missing, temporary

import taut

MEAN, SPREAD = 3.0, 0.4  # seconds of a trial
PREPARES = 8  # seconds that each job's set-up takes
PILOT = 4  # trials
WITHIN, OF = 7, 10  # ends that must lie within the 80 % interval

TASK = """\
import json, math, os, random, sys, time


def evaluate(x):
    normal = random.Random(f"{{x}} {name}").gauss(0.0, 1.0)
    time.sleep({mean} * math.exp({sigma} * normal - {sigma}**2 / 2))
    return (x - 0.3) ** 2


if __name__ == "__main__":
    loss = evaluate(float(sys.argv[1]))
    with open(sys.argv[2], "w") as file:
        print(json.dumps({{"loss": loss, "end": time.time()}}), file=file)
"""
STUDY = """\
name = "planned"
function = "planning_task:evaluate"
minimize = "loss"
[space]
x = {{ uniform = [0.0, 1.0] }}
[sampler]
method = "random"
[budget]
trials = {trials}
[on.slurm]
gpus = 1
cpus = 1
memory = "300M"
setup = ["sleep {prepares}"]
"""
SINGLE = """\
#!/bin/bash
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=1
#SBATCH --mem=300M
#SBATCH --time=1
#SBATCH --output={folder}/%a.log
sleep {prepares}
exec {python} planning_task.py 0.$SLURM_ARRAY_TASK_ID {folder}/$SLURM_ARRAY_TASK_ID.json
"""


def write_task(place: Path) -> None:
    """The program there; the same parameters take another time in each place."""
    (place / "planning_task.py").write_text(TASK.format(mean=MEAN, sigma=SPREAD, name=place.name))


class Lab:
    """The cluster, and what users do on it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.environment = {
            **os.environ,
            **cluster.environment,
            "PYTHONPATH": str(Path(taut.__file__).parents[1]),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "COLUMNS": "200",
        }

    def run(self, *words: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            words, cwd=cwd or self.folder, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{shlex.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def taut(self, *words: str, cwd: Path) -> str:
        return self.run(sys.executable, "-m", "taut", *words, cwd=cwd)

    def place(self, name: str, trials: int) -> Path:
        place = self.folder / name
        place.mkdir()
        write_task(place)
        (place / "study.toml").write_text(STUDY.format(trials=trials, prepares=PREPARES))
        return place

    def wait(self, place: Path, trials: int, timeout: float = 900.0) -> None:
        """Until so many trials of the study there are finished, and its jobs are gone."""
        deadline = time.monotonic() + timeout
        while True:
            logs = place.glob("runs/planned/log/*.jsonl")
            finished = sum(log.read_bytes().count(b'{"e":"finished"') for log in logs)
            names = self.cluster.run("squeue", "-h", "-o", "%j")
            if finished >= trials and "taut-planned" not in names:
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"{place}: {finished} of {trials} trials after {timeout:g} s\n{names}")
            time.sleep(1.0)


@contextmanager
def others(lab: Lab, load: float, seed: int) -> Iterator[None]:
    """Somebody else's jobs: of one or two GPUs, for 15 to 75 s of one to three minutes, at a pace that keeps so much of the GPUs busy."""
    rng, over = random.Random(seed), threading.Event()
    gpus = 2 * len(lab.cluster.nodes)

    def submit() -> None:
        while not over.is_set():
            size, seconds = rng.choice((1, 1, 1, 2)), rng.uniform(15.0, 75.0)
            minutes = max(-(-int(seconds) // 60), rng.choice((1, 2, 3)))
            script = (
                "--output=/dev/null",
                "--job-name=other",
                "--cpus-per-task=1",
                "--mem=50M",
                f"--time={minutes}",
            )
            lab.run("sbatch", "--parsable", *script, f"--gres=gpu:{size}", f"--wrap=exec sleep {seconds:.1f}")
            over.wait(rng.expovariate(load * gpus / (1.25 * 45.0)))

    thread = threading.Thread(target=submit, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def pilot(lab: Lab) -> Path:
    """A study of which some trials have run in jobs, so that their time and the overhead are known."""
    place = lab.place("pilot", PILOT)
    lab.taut("run", "study.toml", "--on", "slurm", "--workers", "2", cwd=place)
    lab.wait(place, PILOT)
    return place


def planned(lab: Lab, known: Path, name: str, trials: int) -> dict[str, Any]:
    """The study from the pilot on, as the plan has it: what was expected, and what came."""
    place = lab.folder / name
    shutil.copytree(known, place, symlinks=True)
    write_task(place)
    (place / "study.toml").write_text(STUDY.format(trials=trials + PILOT, prepares=PREPARES))
    lab.taut("plan", "study.toml", "--from-sacct", "--json", cwd=place)
    said = lab.taut("run", "study.toml", "--on", "slurm", cwd=place)
    lab.wait(place, trials + PILOT)
    print(next(line for line in said.splitlines() if line.startswith("planned: ")))
    found: dict[str, Any] = json.loads(lab.taut("plan", "study.toml", "--check", "--json", cwd=place))[-1]
    low, half, high = found["expected"]["finish"]
    cheap, usual, dear = found["expected"]["cost"]
    print(f"  came after {found['came']['finish']:.0f} s; expected {half:.0f} ({low:.0f} to {high:.0f})")
    print(
        f"  cost {3600 * found['came']['cost']:.0f} GPU-s; expected {3600 * usual:.0f} ({3600 * cheap:.0f} to {3600 * dear:.0f})",
        flush=True,
    )
    return found


def single(lab: Lab, name: str, trials: int) -> float:
    """Seconds until the last result, with a plain job for each trial."""
    place = lab.place(name, trials)
    (place / "job.sh").write_text(
        SINGLE.format(folder=place, prepares=PREPARES, python=shlex.quote(sys.executable))
    )
    begin = time.time()
    lab.run("sbatch", f"--array=0-{trials - 1}", "--job-name=taut-planned-single", "job.sh", cwd=place)
    while len(list(place.glob("*.json"))) < trials:
        time.sleep(0.5)
        if time.time() - begin > 900:
            raise SystemExit(f"{place}: not all trials have ended")
    return max(json.loads(path.read_text())["end"] for path in place.glob("*.json")) - begin


def whole(lab: Lab, known: Path, name: str, trials: int) -> float:
    """Seconds until the last result, with one job for all."""
    place = lab.folder / name
    shutil.copytree(known, place, symlinks=True)
    write_task(place)
    minutes = -(-int(1.3 * (PREPARES + trials * MEAN)) // 60) + 1
    text = STUDY.format(trials=trials + PILOT, prepares=PREPARES)
    (place / "study.toml").write_text(f'{text}time = "{minutes}m"\nworkers = 1\n')
    lab.taut("run", "study.toml", "--on", "slurm", cwd=place)
    lab.wait(place, trials + PILOT)
    found = json.loads(lab.taut("plan", "study.toml", "--check", "--json", cwd=place))[-1]
    return float(found["came"]["finish"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--naive", type=int, default=3, help="of each shape without a plan")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument(
        "--warm-up", type=float, default=300.0, metavar="SECONDS", help="of others' jobs alone"
    )
    parser.add_argument("--load", type=float, default=0.9, help="the part of the GPUs that others want")
    asked = parser.parse_args()
    if reason := missing():
        raise SystemExit(reason)
    print(common.header("plans against what came of them"))
    with temporary() as cluster, tempfile.TemporaryDirectory(prefix="taut-planning-") as folder:
        lab = Lab(cluster, Path(folder))
        known = pilot(lab)
        with others(lab, asked.load, seed=1):
            time.sleep(asked.warm_up)
            found, plain, alone = [], [], []
            for turn in range(max(asked.runs, asked.naive)):
                if turn < asked.runs:
                    found.append(planned(lab, known, f"planned{turn}", asked.trials))
                if turn < asked.naive:
                    plain.append(single(lab, f"single{turn}", asked.trials))
                    alone.append(whole(lab, known, f"whole{turn}", asked.trials))
                    print(f"  a job for each: {plain[-1]:.0f} s; all in one: {alone[-1]:.0f} s", flush=True)
    within = sum(each["in_time"] for each in found)
    came = [float(each["came"]["finish"]) for each in found]
    rows = [["as planned", f"{statistics.median(came):.0f}", "1.0x"]]
    for name, times in (("a job for each trial", plain), ("all in one job", alone)):
        if times:  # the queue is never the same, so each is held against the plan of its own turn
            ratio = statistics.median(took / own for took, own in zip(times, came, strict=False))
            rows.append([name, f"{statistics.median(times):.0f}", f"{ratio:.1f}x"])
    print()
    print(common.table(["shape", "done after, s (median)", "of the plan's time"], rows))
    goal = WITHIN * len(found) / OF
    print(
        f"\n{within} of {len(found)} ends within the 80 % that were expected; at least {WITHIN} of {OF} wanted: {common.met(within, goal)}"
    )
    costs = sum(bool(each["in_budget"]) for each in found)
    print(f"{costs} of {len(found)} costs within the 80 % that were expected")


if __name__ == "__main__":
    main()
