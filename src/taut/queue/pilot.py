"""The first jobs of a study of which nothing is known: a few trials, so that the rest can be planned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from taut.definition import Definition
from taut.queue.work import ended, ended_in_job
from taut.slurm.rounds import Submission
from taut.slurm.settings import Settings
from taut.snapshot import Snapshot

__all__ = ["Pilot", "is_first", "pilot"]

_TRIALS = 3
_MINUTES = 120  # of a job at most, at first
_LONGER = 4  # times as long, where that was too short


class Pilot(NamedTuple):
    """trials: to begin. jobs: at the same time. each: trials that one of them begins at most. minutes: of a job, at most; None: as the study says. again: whether those before
    were too short. least: minutes of these; a job that is shorter teaches nothing. 0 if there were none."""

    trials: int
    jobs: int
    each: int
    minutes: int | None
    again: bool = False
    least: int = 0

    def of(self, jobs: int) -> Pilot:
        """The same trials in so many jobs."""
        return self._replace(jobs=jobs, each=math.ceil(self.trials / jobs))

    def within(self, usual: float, longest: float) -> float:
        """Minutes of a job where a partition gives `usual` ones by itself."""
        most = math.inf if self.minutes is None else self.minutes
        return min(most, longest if self.again else usual)

    @property
    def words(self) -> str:
        return (
            f"how long trials take in a job is not known yet: {self.trials} begin{'s' * (self.trials == 1)} in {self.jobs} job{'s' * (self.jobs > 1)}, "
            "and what follows is planned from them"
        )


def is_first(definition: Definition, snapshot: Snapshot, rounds: Sequence[Submission] = ()) -> bool:
    """Whether a round would be the first of a study that can be planned once a trial has shown how long one takes in a job."""
    budget = definition.budget
    bound = budget.trials, budget.gpu_hours, budget.hours
    return (
        any(each is not None for each in bound)
        and not ended_in_job(snapshot)
        and not _hidden(snapshot, rounds)
    )


def _hidden(snapshot: Snapshot, rounds: Sequence[Submission]) -> bool:
    """Whether trials have ended since jobs were submitted, and no worker has known of a job: in containers without Slurm's variables."""
    since = any(one.kind == "job" and snapshot.n_finished > one.finished for one in rounds)
    return since and not snapshot.in_jobs and ended(snapshot)


def pilot(
    definition: Definition, snapshot: Snapshot, settings: Settings, rounds: Sequence[Submission]
) -> Pilot | None:
    """None where something is known, or nothing is left to the plan: a study that names its jobs' time has no pilot, unless it asks for ``workers = "auto"``.

    rounds: what was submitted so far. Jobs are short; where those before were too short for a trial, four times as long as these.
    """
    auto = definition.on.get("slurm", {}).get("workers") == "auto"
    if (
        settings.mode == "batch"
        or not (settings.time is None or auto)
        or not is_first(definition, snapshot, rounds)
    ):
        return None
    budget = definition.budget.trials
    trials = _TRIALS if budget is None else max(min(_TRIALS, budget - snapshot.n_finished), 1)
    most = 1 if settings.mode == "sequential" else settings.workers or trials
    jobs = min(math.ceil(trials / settings.slots), most)
    before = [one.minutes for one in rounds if one.kind == "job" and one.minutes is not None]
    again = bool(before) and snapshot.releases.cut(snapshot.in_jobs or snapshot.writers) > 0
    least = before[-1] if again else 0
    minutes = None if settings.time is not None else least * _LONGER if again else _MINUTES
    return Pilot(trials, jobs, math.ceil(trials / jobs), minutes, again, least)
