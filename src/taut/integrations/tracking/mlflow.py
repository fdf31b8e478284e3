"""Trials as runs of an experiment in MLflow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from taut.errors import InputError
from taut.integrations.tracking.runs import Run, Tracker

__all__ = ["MLflow"]

_BATCH = 1000  # metrics in one call, the most that MLflow takes
_STATUS = {
    "running": "RUNNING",
    "paused": "SCHEDULED",
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
}


class MLflow(Tracker):
    """A tracking server or database, and in it an experiment named like the study.

    place: an address (``http://...``, ``sqlite:///...``), or the path of a database file, made if need be; None is ``MLFLOW_TRACKING_URI``
        of the environment, else a file named like the study.
    """

    def __init__(self, place: str | None, study: str) -> None:
        super().__init__(place, study)
        address = place or os.environ.get("MLFLOW_TRACKING_URI") or f"{study}.mlflow.db"
        if "://" not in address and not address.startswith(("databricks", "file:")):
            path = Path(address).absolute()
            address = f"file:{path}" if path.is_dir() else f"sqlite:///{path}"
        try:
            self._client = MlflowClient(tracking_uri=address)
            found = self._client.get_experiment_by_name(study)
            self._experiment = found.experiment_id if found else self._client.create_experiment(study)
            self._runs = {run.data.tags["taut.key"]: run for run in self._known()}
        except MlflowException as error:
            raise InputError(f"MLflow does not take {address}: {error.message}") from None

    def _known(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], "tags.`taut.key` != ''", page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def write(self, run: Run) -> bool:
        state = f"{run.trial.state} {run.trial.attempts}"
        known = self._runs.get(run.key)
        if known is not None and run.ended and known.data.tags.get("taut.state") == state:
            return False
        points = [(p.place, p.time, name, v) for p in run.points for name, v in p.values.items()]
        if (result := run.result) is not None:
            points += [(result.place, result.time, name, v) for name, v in result.values.items()]
        new = points
        if known is None:
            tags = {"taut.key": run.key, "taut.trial": str(run.trial.number)}
            known = self._client.create_run(
                self._experiment, start_time=_ms(run.trial.started), tags=tags, run_name=run.name
            )
            self._runs[run.key] = known
            params = [Param(name, str(value)) for name, value in run.params.items()]
            for part in _parts(params, 100):
                self._client.log_batch(known.info.run_id, params=part)
        else:
            there = self._there(known.info.run_id, {name for _, _, name, _ in points})
            new = [point for point in points if (point[2], point[0], point[3]) not in there]
        if not new and known.data.tags.get("taut.state") == state:
            return False
        metrics = [Metric(name, value, _ms(time), place) for place, time, name, value in new]
        for part in _parts(metrics, _BATCH):
            self._client.log_batch(known.info.run_id, metrics=part)
        self._conclude(known.info.run_id, run, state)
        return True

    def _there(self, run: str, names: set[str]) -> set[tuple[str, int, float]]:
        """What is written of a run: metric, step and value."""
        history = (point for name in names for point in self._client.get_metric_history(run, name))
        return {(point.key, point.step, point.value) for point in history}

    def _conclude(self, run_id: str, run: Run, state: str) -> None:
        tags = {"taut.state": state, **({"taut.error": run.trial.error[:5000]} if run.trial.error else {})}
        if run.ended:
            end = _ms(run.trial.finished or run.trial.started)
            self._client.set_terminated(run_id, _STATUS[run.trial.state], end)
        else:
            self._client.update_run(run_id, _STATUS[run.trial.state])
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        self._runs[run.key] = self._client.get_run(run_id)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _parts(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (rows[i : i + size] for i in range(0, len(rows), size))
