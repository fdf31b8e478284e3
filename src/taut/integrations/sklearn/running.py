"""Running a search's trials, in this process or in several, until the study is done or the search turns out to be wrong; and what they came to."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from taut.errors import StudyError
from taut.executors.base import Executor
from taut.executors.inline import InlineExecutor
from taut.executors.places import of_job
from taut.executors.pool import PoolExecutor
from taut.integrations.sklearn.folds import CrossValidation, Unusable
from taut.interrupts import Interrupts
from taut.study import Study
from taut.trial import TrialRecord
from taut.worker import Worker

__all__ = ["evaluate", "told"]


def evaluate(study: Study, task: CrossValidation, trials: int | None, jobs: int) -> None:
    """Evaluate trials of `study` until it has `trials` that are finished.

    Raises what `task` ran into that is not to be counted with `error_score`: the same exception where it ran in this process.
    """
    study.budget(trials)
    jobs = min(jobs, study.definition.budget.trials or jobs)

    def heed(numbers: Sequence[int]) -> None:
        snapshot = study.store.snapshot
        for record in snapshot.records(list(numbers)):
            if record.error and f"{Unusable.__name__}: " in record.error and record.finished is not None:
                if task.raised is not None:
                    raise task.raised
                raise StudyError(f"trial {record.number} ended the search:\n{record.error}")

    with Interrupts(study.store.walltime):
        Worker(study.store, _executor(study, task, jobs), told=heed).run()


def told(study: Study) -> list[TrialRecord]:
    """The trials that have ended or wait, with all folds that they have told of; those that run elsewhere are left out."""
    snapshot, found = study.snapshot, []
    for record in snapshot.records(snapshot.known):
        last = snapshot.curves.last(record.number)
        if (
            record.state in ("failed", "paused") and last is not None
        ):  # these have no result, and what they reported
            values = {name: value for name, value in last.y.items() if value is not None}
            record = msgspec.structs.replace(record, values={**values, **record.values})
        if record.state not in ("running", "waiting"):
            found.append(record)
    return found


def _executor(study: Study, task: CrossValidation, jobs: int) -> Executor:
    main = [objective.metric for objective in study.definition.objectives]
    if jobs == 1:
        return InlineExecutor(task, True, main, study.store.report, study.store.referee.stops)
    return PoolExecutor(
        task,
        slots=jobs,
        names=study.space.names,
        optional=sorted(study.space.optional),
        main=main,
        places=of_job(jobs),
        prunes=study.definition.pruner is not None,
    )
