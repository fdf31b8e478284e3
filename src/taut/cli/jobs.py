"""What `taut status` says of a study's jobs: how many, what they wait for, what they cost."""

from __future__ import annotations

import collections
import math
import shlex
import time
from pathlib import Path

import numpy as np

from taut import submission
from taut.duration import in_words
from taut.events import Allocation
from taut.forecast import upper
from taut.jobplan import entries
from taut.slurm import accounts, ledger
from taut.slurm.calls import myself
from taut.slurm.jobs import FINAL, Job
from taut.slurm.reasons import never, plain
from taut.slurm.rounds import Rounds, follows
from taut.slurm.watch import Watch
from taut.spells import spells
from taut.study import Study
from taut.trial import State

__all__ = ["gpu_hours", "gpu_shares", "lines", "table"]

_PATIENCE = 3.0  # seconds to wait for Slurm's answer

Said = tuple[str, str]
"""A line, and what of it is news if it changes: the age of an answer and hours that run on are not."""


class _View:
    """The study's jobs as the last calls showed them."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.rounds = Rounds(folder / "slurm")
        self.records = self.rounds.all()
        numbers = [one.job for one in self.records if one.job is not None]
        watch = Watch(folder / "slurm")
        until = time.monotonic() + _PATIENCE
        watch.look((), {myself()})
        while watch.asking and time.monotonic() < until:
            time.sleep(0.02)
            watch.look((), {myself()})
        watch.close()
        prefix = self.rounds.prefix(study.definition.name)
        self.age, self.error = watch.age(), watch.error()
        self.jobs = [job for job in watch.jobs() if job.name.startswith(prefix)]
        self.known = accounts.lives(folder / "slurm", numbers)
        self.lives = accounts.with_jobs(self.known or (), self.jobs)


def lines(study: Study, folder: Path) -> list[Said]:
    """What there is to say of the jobs of the study in `folder`; nothing if it never had any."""
    if not (folder / "slurm").is_dir():
        return []
    view = _View(study, folder)
    if not view.records:
        return []
    more: list[str] = []
    if not study.store.done and view.age is not None and all(job.state in FINAL for job in view.jobs):
        logs = view.rounds.place(view.records[-1].round)
        more += _too_short(study, view)
        successors = [one for one in view.records if one.kind == "next"]
        more.append(
            submission.fruitless(successors, view.rounds, study.snapshot)
            or f"no job is left, and the study is not finished: see why in {logs}/*.log, then go on with "
            f"{shlex.join(['taut', 'run', str(folder), '--on', 'slurm'])}"
        )
    if view.error:
        more.append(f"Slurm complained when it was last asked: {view.error}")
    waiting = [(line, line) for line in _waiting(view.jobs)]
    hours = (_hours(study, view), "")
    return [_jobs(view), *waiting, hours, *_planned(study, view), *((line, line) for line in more)]


def _planned(study: Study, view: _View) -> list[Said]:
    """What was expected when jobs were last submitted, against how things stand."""
    if not study.snapshot.planned:
        return []
    from taut.queue.checked import standing  # much to load, for what most studies do not have
    from taut.queue.promise import kept

    found = kept(study.snapshot, view.records, view.lives, study.store.over)
    return [standing(found[-1], time.time())]


def _jobs(view: _View) -> Said:
    if view.age is None:
        submitted = ", ".join(str(one.job) for one in view.records)
        text = f"jobs: {submitted} were submitted; Slurm has not answered yet"
        return text, text
    counts = collections.Counter(job.state.lower() for job in view.jobs)
    order = ["running", "pending"]
    told = [f"{counts[state]} {state}" for state in order if counts[state]]
    told += [f"{count} {state}" for state, count in sorted(counts.items()) if state not in order]
    text = f"jobs: {', '.join(told) or 'none on the queue'}"
    return f"{text} (asked {in_words(view.age)} ago)", text


def _waiting(jobs: list[Job]) -> list[str]:
    """Why jobs wait; the successor does, by its nature, for the others."""
    waiting = [job for job in jobs if job.state == "PENDING" and not follows(job.name)]
    reasons = collections.Counter(job.reason for job in waiting if job.reason)
    return [
        f"  {count} {'can never start as asked' if never(reason) else 'waiting'}: {plain(reason)}"
        for reason, count in reasons.most_common()
    ]


def _too_short(study: Study, view: _View) -> list[str]:
    """What of the trials' length explains that the jobs ended without them."""
    minutes = next((one.minutes for one in reversed(view.records) if one.kind == "job"), None)
    if minutes is None:
        return []
    snapshot, job = study.snapshot, f"a job lasts {in_words(60.0 * minutes)}"
    way = "raise time in [on.slurm], or have trials checkpoint"
    short = max(
        (snapshot.releases.fell_short(n) for n in snapshot.where(State.WAITING).tolist()), default=0.0
    )
    if short:
        return [f"trials were not finished after {in_words(short)}, and {job}: {way}"]
    took = snapshot.durations
    bound = None if snapshot.releases.saves else upper(took)
    if bound is None or bound <= 60.0 * minutes:
        return []
    usual = in_words(float(np.median(took)))
    return [f"trials take {usual}, 95 % of them less than {in_words(bound)}, and {job}: {way}"]


def _hours(study: Study, view: _View) -> str:
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
    return text + missing


def _busy(study: Study) -> float:
    """Seconds that trials ran in jobs and that count: their last attempts, and those that saved what they reached."""
    ran = spells(study.snapshot, study.store.clock.now())
    in_job = np.isin(ran.writer, list(_allocations(study)))
    return float(ran.seconds[in_job & ~ran.lost].sum())


def _allocations(study: Study) -> dict[int, Allocation]:
    """The jobs of the workers that ran in one, by worker."""
    writers = study.snapshot.writers.items()
    return {writer: who.job for writer, who in writers if isinstance(who.job, Allocation)}


def gpu_shares(study: Study, folder: Path) -> dict[int, float]:
    """For each worker that ran in a job with GPUs, how many of them a trial of its had."""
    slots = {one.job: one.slots for one in Rounds(folder / "slurm").all()}
    return {
        writer: job.gpus / slots.get(int(job.label.partition("_")[0]), 1)
        for writer, job in _allocations(study).items()
        if job.gpus
    }


def gpu_hours(study: Study, folder: Path) -> dict[int, float]:
    """GPU-hours of each trial that ran in jobs with GPUs: the time of all its attempts, times its share of the GPUs."""
    share = gpu_shares(study, folder)
    ran, found = spells(study.snapshot, study.store.clock.now()), dict[int, float]()
    for n, writer, seconds in zip(
        ran.number.tolist(), ran.writer.tolist(), ran.seconds.tolist(), strict=True
    ):
        if writer in share:
            found[n] = found.get(n, 0.0) + seconds / 3600 * share[writer]
    return found


def _held(view: _View) -> float:
    """Seconds of slots that the jobs held."""
    slots = {one.job: one.slots for one in view.records if one.kind == "job"}
    return math.fsum(life.elapsed * slots.get(life.submitted, 0) for life in view.lives)


def table(study: Study, folder: Path) -> list[Said]:
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
    texts = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return [(text, " ".join(row[:4])) for text, row in zip(texts, rows, strict=True)]
