"""Submitting a study's jobs, finding them again, and cancelling those that are not needed any more."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from taut import allocation
from taut.errors import InputError
from taut.jobplan import Planned, progress, words
from taut.liveness import user
from taut.slurm import script
from taut.slurm.calls import NoAnswer, SlurmError, call
from taut.slurm.jobs import FINAL, SQUEUE, Job, parse_squeue
from taut.slurm.rounds import Rounds, Submission
from taut.snapshot import Snapshot

__all__ = ["active", "check", "stalled", "submit", "wind_down"]

# Complaints of `sbatch --test-only` about what can be had later: such a job is taken, and waits.
_TRANSIENT = (
    "down, drained or reserved",
    "not available",
    "temporarily",
    "Job violates accounting/QOS policy",
)


def active(rounds: Rounds, study: str) -> list[Job]:
    """The study's jobs that wait or run, but for the one that asks.

    A job whose submission was cut off before its number was written down is found again by its name.

    Raises `StudyError` if another process is submitting just now.
    """
    if rounds.latest < 0:
        return []
    mine, prefix = allocation.here(), rounds.prefix(study)
    jobs = [job for job in parse_squeue(call(*SQUEUE, "-u", user())) if job.name.startswith(prefix)]
    numbers = {job.name: job.array or job.id for job in jobs}
    for one in rounds.all():
        if one.job is None and one.name in numbers:
            rounds.write(msgspec.structs.replace(one, job=numbers[one.name]))
    rounds.check_free()
    return [job for job in jobs if job.state not in FINAL and (mine is None or job.id != mine.id)]


def check(planned: Planned) -> None:
    """Have sbatch look at the workers' script, so that what it would refuse is refused before anything is written.

    Raises `InputError` with what it says.
    """
    step = planned.steps[0]
    environment = script.submit_environment(planned.settings, os.environ)
    try:
        call("sbatch", "--test-only", env=environment, text=step.script)
    except NoAnswer:
        raise
    except SlurmError as error:
        if not any(text in str(error) for text in _TRANSIENT):
            raise InputError(
                f"sbatch refuses the job: {str(error).removeprefix('sbatch: ')}; mend what it names (scontrol show "
                "partition, sinfo -o '%f' and sbatch --help say what there is)",
                ("on", "slurm"),
            ) from None


def submit(planned: Planned, rounds: Rounds, now: float) -> list[Submission]:
    """Submit what was planned; the records with their jobs' numbers.

    Raises `StudyError` with what sbatch said; what was submitted before stands in the records.
    """
    done: list[Submission] = []
    environment = script.submit_environment(planned.settings, os.environ)
    for step in planned.steps:
        record = msgspec.structs.replace(step.record, t=now + len(done) * 1e-3)
        if record.kind == "job":
            rounds.begin(record.round)
        place = rounds.place(record.round)
        (place / f"{record.kind}.sh").write_text(step.script, encoding="utf-8")
        rounds.write(record)
        try:
            said = call(*words(step, place, done[-1].job if done else None), env=environment)
        except NoAnswer:
            raise
        except SlurmError:
            rounds.withdraw(record)
            raise
        record = msgspec.structs.replace(record, job=int(said.strip().partition(";")[0]))
        rounds.write(record)
        done.append(record)
    return done


def stalled(rounds: Rounds, snapshot: Snapshot) -> str | None:
    """Why a successor should not submit more: its round has brought nothing. None if it should."""
    records = [one for one in rounds.all() if one.kind == "job"]
    if allocation.here() is None or not records or progress(snapshot) > records[-1].progress:
        return None
    return (
        f"round {records[-1].round} has brought no result, so nothing more is submitted by itself; look at "
        f"{rounds.place(records[-1].round)} for what its jobs said, then go on with taut run"
    )


def wind_down(folder: Path, done: bool) -> None:
    """Called by a worker at its end, when there is nothing left to start: cancel what waits in vain.

    done: the study is finished, so the successor is not needed either. Does nothing outside of a round's job.
    """
    mine, rounds = allocation.here(), Rounds(folder / "slurm")
    if mine is None:
        return
    records = rounds.all()
    own = next((one for one in records if one.kind == "job" and mine.label.startswith(f"{one.job}_")), None)
    if own is None or not rounds.first(own.round, "done" if done else "nothing-to-start"):
        return
    waiting = [one for one in records if one.round >= own.round] if done else [own]
    numbers = [str(one.job) for one in waiting if one.job is not None]
    with contextlib.suppress(SlurmError):  # they may have left the queue
        call("scancel", "--quiet", "--state=PENDING", *numbers)
