"""Studies on Slurm: what a warm worker saves, how soon the first trial starts, how often the queue is asked.

    python benchmarks/slurm.py

It starts a Slurm of its own on this machine (tests/slurm/cluster.py), and ends it. It needs torch.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import shlex
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import common
from slurm_lab import JOB, MEMORY, Lab, events, missing, samples, study, temporary

from taut.events import Finished, Opened, Started

WARM = 20.0  # times faster than the tasks of an array
LATER = 2.0  # seconds
GAP = 10.0  # seconds
PLAIN, WARMED = "array of plain tasks", "taut workers, warm"
PARTS = ("evaluations", "latency", "polls")


class Evaluated(NamedTuple):
    """Some evaluations: seconds from submission to the last result, seconds of computing, losses in order."""

    wall: float
    computing: float
    losses: list[float]


# --- a hundred evaluations


def as_array(lab: Lab, count: int, at_once: int, sampled: bool) -> Evaluated:
    """One task each, which samples its own parameters or reads its line of a file."""
    place = lab.place()
    python = shlex.quote(sys.executable)
    if sampled:
        study(place, count, 'function = "slurm_task:evaluate"', "")
        given = f"$({python} -m taut sample study.toml --index $SLURM_ARRAY_TASK_ID --format args)"
    else:
        (place / "parameters").write_text("\n".join(samples(count)) + "\n")
        given = "$(sed -n $((SLURM_ARRAY_TASK_ID + 1))p parameters)"
    command = f'export TAUT_REPORT=$SLURM_ARRAY_TASK_ID.json\neval "{python} slurm_task.py {given}"'
    (place / "job.sh").write_text(JOB.format(memory=MEMORY, folder=place, command=command))
    begin = time.time()
    lab.run("sbatch", f"--array=0-{count - 1}%{at_once}", "job.sh", cwd=place)
    lab.wait(60 + 30 * count)
    found = [json.loads((place / f"{index}.json").read_text()) for index in range(count)]
    wall = max(one["end"] for one in found) - begin
    return Evaluated(wall, sum(one["computing"] for one in found), [one["loss"] for one in found])


def as_study(lab: Lab, count: int, at_once: int, evaluation: str) -> Evaluated:
    """Workers that take one evaluation after the other."""
    place = lab.place()
    words = study(place, count, evaluation, f"workers = {at_once}")
    begin = time.time()
    lab.run(*words, cwd=place)
    lab.wait(60 + 30 * count)
    found = sorted((e for e in events(place) if isinstance(e, Finished)), key=lambda end: end.n)
    if [end.n for end in found if end.state == "complete"] != list(range(count)):
        raise SystemExit(f"{place}: {len(found)} of {count} evaluations ended, or some failed: {found[:1]}")
    values = [{name: value or 0.0 for name, value in end.y.items()} for end in found]
    wall = max(end.t for end in found) - begin
    return Evaluated(wall, sum(one["computing"] for one in values), [one["loss"] for one in values])


def evaluations(lab: Lab, count: int, at_once: int, repeats: int) -> None:
    arguments = lab, count, at_once
    command = f"command = {json.dumps([sys.executable, 'slurm_task.py', '{args}'])}"
    ways: dict[str, Callable[[], Evaluated]] = {
        PLAIN: partial(as_array, *arguments, False),
        "array, `taut sample` in each task": partial(as_array, *arguments, True),
        "taut workers, a process each": partial(as_study, *arguments, command),
        WARMED: partial(as_study, *arguments, 'function = "slurm_task:evaluate"'),
    }
    task = [sys.executable, "slurm_task.py", *samples(1)[0].split()]
    alone = []
    for _ in range(3):  # the first one fills the page cache
        place, begin = lab.place(), time.time()
        lab.run("env", "TAUT_REPORT=alone", *task, cwd=place)
        alone.append((time.time() - begin, json.loads((place / "alone").read_text())["computing"]))
    found = common.rounds(ways, repeats, warm_up=0)
    if len({tuple(one.losses) for each in found.values() for one in each}) != 1:
        raise SystemExit("the same parameters gave other losses")
    rows: list[tuple[object, ...]] = []
    walls = {name: statistics.median(one.wall for one in each) for name, each in found.items()}
    for name, wall in walls.items():
        spent = statistics.median(one.computing for one in found[name])
        ratio = walls[PLAIN] / wall
        goal = (f">= {WARM:g}x", common.met(ratio, WARM)) if name == WARMED else ("", "")
        share = f"{1 - spent / (wall * at_once):.1%}"
        rows.append((name, f"{wall:.1f}", f"{wall / count:.3f}", share, f"{ratio:.1f}x", *goal))
    columns = (f"{count} evaluations, {at_once} at a time", "wall, s", "s each", "overhead", "ratio")
    print(common.table((*columns, "goal", "met"), rows))
    whole, computing = min(alone)
    print(
        f"\nThe same losses in each. A process alone takes {whole:.2f} s and computes for {computing:.3f} s.\n"
    )


# --- the first trial

STEPS = ("until Slurm is asked", "limits and plan", "sbatch", "in the queue", "worker", "first trial")


def bare(lab: Lab) -> tuple[float, ...]:
    """Seconds until the script of a plain job starts."""
    place = lab.place()
    (place / "job.sh").write_text(
        JOB.format(memory=MEMORY, folder=place, command=f"date +%s.%N >{place}/began\ntrue")
    )
    begin = time.time()
    lab.run("sbatch", "job.sh", cwd=place)
    lab.wait(60)
    asked, submitted = (call.t for call in lab.calls(begin))
    return _between(begin, asked, asked, submitted, float((place / "began").read_text()))


def first_trial(lab: Lab) -> tuple[float, ...]:
    """Seconds until the first trial of a study starts."""
    place = lab.place()
    began = f"setup = 'date +%s.%N >{place}/began'"
    words = study(place, 1, 'command = ["sh", "trial.sh", "{args}"]', f"workers = 1\n{began}")
    (place / "trial.sh").write_text("echo '{\"loss\": 1}' >>$TAUT_REPORT\n")
    begin = time.time()
    lab.run(*words, cwd=place)
    lab.wait(60)
    calls = lab.calls(begin)
    asked, submitted = (
        next(c.t for c in calls if (c.name, c.what) == ("sbatch", w)) for w in ("begin", "end")
    )
    script = float((place / "began").read_text())
    opened = next(event.t for event in events(place) if isinstance(event, Opened))
    started = next(event.t for event in events(place) if isinstance(event, Started))
    return _between(begin, calls[0].t, asked, submitted, script, opened, started)


def _between(*moments: float) -> tuple[float, ...]:
    return tuple(b - a for a, b in itertools.pairwise(moments))


def latency(lab: Lab, rounds: int) -> None:
    found = common.rounds({"bare": partial(bare, lab), "taut": partial(first_trial, lab)}, rounds)
    rows: list[tuple[object, ...]] = []
    totals: dict[str, float] = {}
    names = {"bare": "sbatch of `true`", "taut": "taut run, first trial"}
    for key, each in found.items():
        totals[key] = statistics.median(map(sum, each))
        steps = [f"{statistics.median(step):.2f}" for step in zip(*each, strict=True)]
        steps += [""] * (len(STEPS) - len(steps))
        more = totals[key] - totals["bare"]
        goal = (f"<= {LATER:g}", common.met(more, LATER, at_most=True)) if key == "taut" else ("", "")
        rows.append((names[key], *steps, f"{totals[key]:.2f}", f"{more:+.2f}", *goal))
    print(common.table(("seconds", *STEPS, "in all", "more", "goal", "met"), rows))
    print(f"\nMedians of {rounds}, alternating.\n")


# --- polls


def polls(lab: Lab, jobs: int, seconds: float) -> None:
    """A study with as many workers as it has jobs, one of which is killed, so that the others ask what became of it."""
    place = lab.place()
    words = study(place, jobs, 'command = ["sh", "trial.sh", "{args}"]', f"workers = {jobs}")
    (place / "trial.sh").write_text("sleep 8\necho '{\"loss\": 1}' >>$TAUT_REPORT\n")
    lab.run(*words, cwd=place)
    submitted = time.time()
    time.sleep(seconds / 3)
    os.kill(next(event.pid for event in events(place) if isinstance(event, Opened)), signal.SIGKILL)
    time.sleep(seconds - seconds / 3)
    calls = [call for call in lab.calls(submitted) if call.what == "begin"]
    array = json.loads((place / "study/slurm/0000/job.json").read_text())["job"]
    answer = json.loads(next(place.glob("study/slurm/poll-*/jobs.json")).read_text())
    shown = sum(job.get("array") == array for job in answer["jobs"])
    lab.cluster.run("scancel", "--user=root")
    lab.wait(60)
    workers = sum(isinstance(event, Opened) for event in events(place))
    counts = Counter(call.name for call in calls)
    others = len(calls) - counts["squeue"] - counts["sacct"]
    gap = min((b.t - a.t for a, b in itertools.pairwise(calls)), default=float("inf"))
    columns = ("", "workers that ran", "jobs in one answer", "squeue", "sacct", "others", "smallest gap, s")
    row = (f"{jobs} jobs for {seconds:g} s", workers, shown, counts["squeue"], counts["sacct"], others)
    reached = (f"{gap:.1f}", f">= {GAP:g}", common.met(gap, GAP))
    print(common.table((*columns, "goal", "met"), [(*row, *reached)]))
    moments = ", ".join(f"{call.name} {call.t - submitted:.0f}" for call in calls)
    print(f"\nSeconds after the submission: {moments}; a worker was killed after {seconds / 3:.0f}.")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=2, help="tasks at the same time (default: 2)")
    parser.add_argument("--repeats", type=int, default=1, help="of the evaluations")
    parser.add_argument("--rounds", type=int, default=5, help="of the latency")
    parser.add_argument("--jobs", type=int, default=200, help="in the queue, for the polls")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which polls are counted")
    options = parser.parse_args(words)
    if reason := missing():
        raise SystemExit(reason)
    if "evaluations" in options.only and importlib.util.find_spec("torch") is None:
        raise SystemExit("the evaluations need torch: pip install torch==2.13.0")
    for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SQUEUE", "SACCT"))]:
        del os.environ[name]
    with temporary() as cluster, tempfile.TemporaryDirectory(prefix="taut-benchmark-") as folder:
        lab = Lab(cluster, Path(folder))
        print(common.header(f"Studies on {cluster.run('sbatch', '--version')}, four nodes on this machine"))
        if "evaluations" in options.only:
            evaluations(lab, options.evaluations, options.at_once, options.repeats)
        if "latency" in options.only:
            latency(lab, options.rounds)
        if "polls" in options.only:
            polls(lab, options.jobs, options.seconds)


if __name__ == "__main__":
    main()
