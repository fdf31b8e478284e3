"""The jobs of a round, in the order of submission: their records, scripts and words for sbatch. Nothing is run or written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from taut.slurm import script
from taut.slurm.rounds import Rounds, Submission
from taut.slurm.settings import Settings
from taut.slurm.site import Site

__all__ = ["Step", "steps", "words"]

_MARGIN = 5.0  # seconds of the time that Slurm gives between SIGTERM and SIGKILL that are left unused


class Step(NamedTuple):
    """One job to submit: its record, its script, and the words of sbatch but for the dependency."""

    record: Submission
    script: str
    dependent: bool


def steps(
    first: Submission,
    batches: int,
    settings: Settings,
    follower: Settings,
    folder: Path,
    rounds: Rounds,
    site: Site,
    begin: int | None,
) -> list[Step]:
    """The arrays, each waiting for the one before, and the successor. begin: trials that each job begins at most."""
    found: list[Step] = []
    for number in range(first.round, first.round + batches):
        record = msgspec.structs.replace(first, round=number, name=f"{first.name}{number}")
        found.append(
            Step(record, _worker_script(settings, record, folder, site, begin), number > first.round)
        )
    after = msgspec.structs.replace(
        record,
        kind="next",
        name=f"{record.name}.{rounds.successor(record.round)}",
        tasks=None,
        at_once=1,
        gpus=follower.gpus,
        cpus=follower.cpus or 1,
        minutes=follower.time,
        slots=1,
    )
    return [*found, Step(after, _next_script(follower, after, folder), True)]


def _worker_script(
    settings: Settings, record: Submission, folder: Path, site: Site, begin: int | None
) -> str:
    more = ["--notice", f"{settings.notice}s"]
    more += [] if begin is None else ["--begin", str(begin)]
    if site.config is not None and site.config.kill_wait is not None:
        more += ["--grace", f"{max(site.config.kill_wait - _MARGIN, 1.0):g}s"]
    if settings.mode == "batch":
        more += ["--batch", str((record.tasks or 1) * settings.slots), "--once"]
    place = folder / "slurm" / f"{record.round:04d}"
    return script.job_script(
        settings,
        name=record.name,
        log=script.log_pattern(place, "%a.log"),
        remarks=[f"A worker of the study in {folder}, round {record.round}. Made by taut run --on slurm."],
        command=script.worker_words(settings, folder, *more),
    )


def _next_script(settings: Settings, record: Submission, folder: Path) -> str:
    return script.job_script(
        settings,
        name=record.name,
        log=script.log_pattern(folder / "slurm" / f"{record.round:04d}", "next.log"),
        remarks=[
            f"Starts when the jobs before have ended, and submits what is left of the study in {folder}."
        ],
        command=[sys.executable, "-m", "taut", "run", str(folder), "--on", "slurm"],
    )


def words(step: Step, place: Path, before: int | str | None) -> list[str]:
    """The words that submit a step. before: the job that it waits for."""
    return script.submit_words(
        place / f"{step.record.kind}.sh",
        tasks=step.record.tasks,
        at_once=step.record.at_once,
        dependency=f"afterany:{before}" if step.dependent else None,
    )
