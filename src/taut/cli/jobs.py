"""What `taut status` says of a study's jobs: how many, what they wait for, what they cost."""

from __future__ import annotations

import collections
import math
import shlex
import time
from pathlib import Path

import numpy as np

from taut.duration import in_words
from taut.events import Allocation
from taut.jobplan import entries
from taut.liveness import user
from taut.slurm import accounts, ledger
from taut.slurm.jobs import FINAL, Job, Life
from taut.slurm.reasons import never, plain
from taut.slurm.rounds import Rounds
from taut.slurm.watch import Watch
from taut.study import Study
from taut.trial import State

__all__ = ["gpu_hours", "lines", "table"]

_PATIENCE = 3.0  # seconds to wait for Slurm's answer


class _View:
    """The study's jobs as the last calls showed them."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.rounds = Rounds(folder / "slurm")
        self.records = self.rounds.all()
        numbers = [one.job for one in self.records if one.job is not None]
        watch = Watch(folder / "slurm")
        until = time.monotonic() + _PATIENCE
        watch.look((), {user()})
        while watch.asking and time.monotonic() < until:
            time.sleep(0.02)
            watch.look((), {user()})
        watch.close()
        prefix = self.rounds.prefix(study.definition.name)
        self.age, self.error = watch.age(), watch.error()
        self.jobs = [job for job in watch.jobs() if job.name.startswith(prefix)]
        self.known = accounts.lives(folder / "slurm", numbers)
        self.lives = accounts.with_jobs(self.known or (), self.jobs)


def lines(study: Study, folder: Path) -> list[str]:
    """What there is to say of the jobs of the study in `folder`; nothing if it never had any."""
    if not (folder / "slurm").is_dir():
        return []
    view = _View(study, folder)
    if not view.records:
        return []
    said = [_jobs(view), *_waiting(view.jobs), *_hours(study, view)]
    if not study.store.done and view.age is not None and all(job.state in FINAL for job in view.jobs):
        logs = view.rounds.place(view.records[-1].round)
        said.append(
            f"no job is left, and the study is not finished: see why in {logs}/*.log, then go on with "
            f"{shlex.join(['taut', 'run', str(folder), '--on', 'slurm'])}"
        )
    if view.error:
        said.append(f"Slurm complained when it was last asked: {view.error}")
    return said


def _jobs(view: _View) -> str:
    if view.age is None:
        return f"jobs: {', '.join(str(one.job) for one in view.records)} were submitted; Slurm has not answered yet"
    counts = collections.Counter(job.state.lower() for job in view.jobs)
    order = ["running", "pending"]
    told = [f"{counts[state]} {state}" for state in order if counts[state]]
    told += [f"{count} {state}" for state, count in sorted(counts.items()) if state not in order]
    return f"jobs: {', '.join(told) or 'none on the queue'} (asked {in_words(view.age)} ago)"


def _waiting(jobs: list[Job]) -> list[str]:
    """Why jobs wait; the successor does, by its nature, for the others."""
    waiting = [job for job in jobs if job.state == "PENDING" and not job.name.endswith(".next")]
    reasons = collections.Counter(job.reason for job in waiting if job.reason)
    return [
        f"  {count} {'can never start as asked' if never(reason) else 'waiting'}: {plain(reason)}"
        for reason, count in reasons.most_common()
    ]


def _hours(study: Study, view: _View) -> list[str]:
    booked = entries(view.rounds)
    used, reserved = ledger.used(view.lives, booked), ledger.reserved(booked, view.lives)
    gpus = any(one.gpus for one in view.records)
    kind, spent, most = ("GPU", used.gpu, reserved.gpu) if gpus else ("CPU", used.cpu, reserved.cpu)
    budget = study.definition.budget.gpu_hours
    of = f" of {budget:g}" if gpus and budget is not None else ""
    text = f"{kind}-hours: {spent:.2f} used{of}"
    if most - spent > 0.005 and any(job.state not in FINAL for job in view.jobs):
        text += f", at most {most - spent:.2f} more by the jobs that run and wait"
    busy, held = _busy(study), _held(view)
    if held > 0:
        text += f"; {max(0.0, 1 - busy / held):.0%} of it was not spent in trials that count"
    missing = "" if view.known is not None else " (without accounting: only jobs that Slurm still remembers)"
    return [text + missing]


def _busy(study: Study) -> float:
    """Seconds of trials, in their last attempts, whose workers ran in jobs."""
    return float(sum(_seconds(study).values()))


def _seconds(study: Study) -> dict[int, float]:
    """How long each trial took whose worker ran in a job, in its last attempt; so far, if it still runs."""
    snapshot, now = study.snapshot, study.store.clock.now()
    in_job = [writer for writer, who in snapshot.writers.items() if isinstance(who.job, Allocation)]
    end = np.where(snapshot.state == State.RUNNING, now, snapshot.finished)
    took = np.where(np.isin(snapshot.writer, in_job), end - snapshot.started, np.nan)
    return {int(n): float(took[n]) for n in np.flatnonzero(took == took)}


def gpu_hours(study: Study, folder: Path) -> dict[int, float]:
    """GPU-hours of each trial that ran in a job with GPUs: its time, times its share of the job's GPUs."""
    slots = {one.job: one.slots for one in Rounds(folder / "slurm").all()}
    snapshot, found = study.snapshot, {}
    for n, seconds in _seconds(study).items():
        job = snapshot.writers[int(snapshot.writer[n])].job
        if isinstance(job, Allocation) and job.gpus:
            array = int(job.label.partition("_")[0])
            found[n] = seconds / 3600 * job.gpus / slots.get(array, 1)
    return found


def _held(view: _View) -> float:
    """Seconds of slots that the jobs held."""
    slots = {one.job: one.slots for one in view.records if one.kind == "job"}
    return math.fsum(life.elapsed * slots.get(_round(life), 0) for life in view.lives)


def _round(life: Life) -> int:
    return life.id if life.array is None else life.array


def table(study: Study, folder: Path) -> list[str]:
    """One line for each life of each job: state, node, time, hours."""
    view = _View(study, folder)
    booked = {entry.job: entry for entry in entries(view.rounds)}
    rows = [("job", "life", "state", "node", "took", "of", "GPU-h", "CPU-h", "MaxRSS")]
    for life in sorted(view.lives, key=lambda life: (life.start or math.inf, life.id, life.life)):
        hours = ledger.used([life], booked.values())
        rss = "" if life.max_rss is None else f"{life.max_rss / 2**20:.0f} MiB"
        limit = "" if life.minutes is None else f"{life.minutes} min"
        rows.append(
            (
                life.label,
                str(life.life),
                life.state.lower(),
                life.nodes,
                in_words(life.elapsed),
                limit,
                f"{hours.gpu:.2f}",
                f"{hours.cpu:.2f}",
                rss,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
