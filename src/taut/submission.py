"""Submitting a study's jobs, finding them again, and cancelling those that are not needed any more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from taut import allocation
from taut.errors import InputError, StudyError
from taut.jobplan import Planned, Step, words
from taut.slurm import script
from taut.slurm.calls import NoAnswer, SlurmError, call, myself
from taut.slurm.jobs import FINAL, SQUEUE, Job, parse_squeue
from taut.slurm.rounds import Rounds, Submission
from taut.snapshot import Snapshot

__all__ = ["active", "check", "follow", "fruitless", "stalled", "submit", "takes_successor", "wind_down"]

_CHANCES = 2  # submissions in succession that may bring nothing: one bad node must not end a weekend
_PATIENT = 20  # rounds in which trials may save themselves and none finishes

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
    mine, submitting = allocation.here(), rounds.open
    jobs = _on_queue(rounds, study)
    numbers = {job.name: job.array or job.id for job in jobs}
    for one in rounds.all():
        if one.job is None and one.name in numbers:
            rounds.write(msgspec.structs.replace(one, job=numbers[one.name]))
    rounds.check_free()
    if submitting:  # it has come to an end meanwhile, so perhaps the queue was asked too early
        jobs = _on_queue(rounds, study)
    return [job for job in jobs if job.state not in FINAL and (mine is None or job.id != mine.id)]


def _on_queue(rounds: Rounds, study: str) -> list[Job]:
    prefix = rounds.prefix(study)
    return [job for job in parse_squeue(call(*SQUEUE, "-u", myself())) if job.name.startswith(prefix)]


def check(planned: Planned) -> None:
    """Have sbatch look at the workers' script, so that what it would refuse is refused before anything is written.

    Raises `InputError` with what it says.
    """
    if complaint := _complaint(planned, planned.steps[0]):
        raise InputError(
            f"sbatch refuses the job: {complaint}; mend what it names (scontrol show partition, sinfo -o '%f' and "
            "sbatch --help say what there is)",
            ("on", "slurm"),
        )


def takes_successor(planned: Planned) -> bool:
    """Whether sbatch would take the last step."""
    return _complaint(planned, planned.steps[-1]) is None


def _complaint(planned: Planned, step: Step) -> str | None:
    environment = script.submit_environment(planned.settings, os.environ)
    try:
        call("sbatch", "--test-only", env=environment, text=step.script)
    except NoAnswer:
        raise
    except SlurmError as error:
        if not any(text in str(error) for text in _TRANSIENT):
            return str(error).removeprefix("sbatch: ")
    return None


def submit(planned: Planned, rounds: Rounds, now: float) -> list[Submission]:
    """Submit what was planned; the records with their jobs' numbers.

    Raises `StudyError` with what sbatch said; what was submitted before stands in the records.
    """
    done: list[Submission] = []
    chained = _in_successor(rounds)
    for step in planned.steps:
        record = msgspec.structs.replace(step.record, t=now + len(done) * 1e-3, chained=chained)
        if record.kind == "job":
            rounds.begin(record.round)
        before = [done[-1].job or 0] if done else []
        try:
            done.append(_submit(step._replace(record=record), planned, rounds, before))
        except SlurmError as error:
            if not done:
                raise
            jobs = ", ".join(str(one.job) for one in done)
            raise StudyError(
                f"job {jobs} is on the queue, and the one that is to follow was not taken: {error}; "
                "type the same taut run again, at the latest when they have ended"
            ) from error
    return done


def follow(planned: Planned, rounds: Rounds, jobs: Sequence[Job], now: float) -> Submission:
    """Submit a successor behind jobs that have none. planned: for the round that they belong to."""
    last = planned.steps[-1]
    record = msgspec.structs.replace(last.record, t=now)
    numbers = sorted({job.array or job.id for job in jobs})
    return _submit(last._replace(record=record), planned, rounds, numbers)


def _submit(step: Step, planned: Planned, rounds: Rounds, before: Sequence[int]) -> Submission:
    """Submit one job; its record with its number. before: the jobs that it waits for."""
    record, place = step.record, rounds.place(step.record.round)
    (place / f"{record.kind}.sh").write_text(step.script, encoding="utf-8")
    rounds.write(record)
    environment = script.submit_environment(planned.settings, os.environ)
    try:
        said = call(*words(step, place, ":".join(map(str, before))), env=environment)
    except NoAnswer:  # it may have been taken: the next run looks for its name
        raise
    except SlurmError:
        rounds.withdraw(record)
        raise
    record = msgspec.structs.replace(record, job=_number(said))
    rounds.write(record)
    return record


def _number(said: str) -> int:
    """The job's number in what sbatch printed; a site may have wrapped it in something that says more."""
    for line in reversed(said.splitlines()):
        if (word := line.partition(";")[0].strip()).isdigit():
            return int(word)
    raise StudyError(f"sbatch took the job and did not tell its number, but: {said.strip()!r}")


def stalled(rounds: Rounds, snapshot: Snapshot) -> str | None:
    """Why a successor should not submit more: the last rounds have brought nothing. None if it should."""
    last = [one for one in rounds.all() if one.kind == "next"]
    return fruitless(last, rounds, snapshot) if _in_successor(rounds) else None


def _in_successor(rounds: Rounds) -> bool:
    """Whether this process is one of the study's successors."""
    mine = allocation.here()
    return mine is not None and mine.id in {one.job for one in rounds.all() if one.kind == "next"}


def fruitless(last: Sequence[Submission], rounds: Rounds, snapshot: Snapshot) -> str | None:
    """Why more of the same jobs would probably bring nothing; None if they may. last: the successors so far."""
    if not last:
        return None
    place = f"look at {rounds.place(last[-1].round)} for what its jobs said, then go on with taut run"
    by_hand = max((i for i, one in enumerate(last) if not one.chained), default=0)
    if len(last) - by_hand >= _CHANCES and snapshot.progress <= last[-_CHANCES].progress:
        first = last[-_CHANCES - 1].round + 1 if len(last) > _CHANCES else 0
        return f"rounds {first} to {last[-1].round} have brought no result, so nothing more is submitted by itself; {place}"
    if len(last) >= _PATIENT and snapshot.n_finished <= last[-_PATIENT].finished:
        return f"{_PATIENT} rounds have finished no trial, so nothing more is submitted by itself; {place}"
    return None


def wind_down(folder: Path, done: bool) -> None:
    """Called by a worker at its end, when there is nothing left to start: cancel what waits in vain.

    done: the study is finished, so the successor is not needed either. Does nothing outside of a round's job.
    """
    mine, rounds = allocation.here(), Rounds(folder / "slurm")
    if mine is None:
        return
    records = rounds.all()
    own = next((one for one in records if one.kind == "job" and mine.label.startswith(f"{one.job}_")), None)
    what = "done" if done else "nothing-to-start"
    if own is None or not rounds.first(own.round, what):
        return
    waiting = [one for one in records if one.round >= own.round] if done else [own]
    numbers = [str(one.job) for one in waiting if one.job is not None]
    try:
        call("scancel", "--quiet", "--state=PENDING", *numbers)
    except SlurmError:  # the next worker that ends tries again
        rounds.again(own.round, what)
