"""Trials as runs of Weights & Biases, offline: written here, and sent by ``wandb sync`` from where there is a network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import wandb

from taut.errors import InputError
from taut.integrations.tracking.runs import Run, Tracker

__all__ = ["WandB"]


class WandB(Tracker):
    """A directory of offline runs, in a project named like the study. Trials come there when they have ended.

    An offline run can only be written once, so one that is there is left alone; it takes its place by a rename when it is whole.
    """

    def __init__(self, place: str | None, study: str) -> None:
        super().__init__(place, study)
        self._root = Path(place or f"{study}.wandb").absolute()
        if self._root.exists() and not self._root.is_dir():
            raise InputError(f"{self._root} is a file; give a directory for offline runs")

    def write(self, run: Run) -> bool:
        if not run.ended or any(self._root.glob(f"offline-run-*-{run.key}")):
            return False
        draft = self._root / ".draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        self._record(run, draft)
        (whole,) = (draft / "wandb").glob(f"offline-run-*-{run.key}")
        os.replace(whole, self._root / whole.name)
        shutil.rmtree(draft, ignore_errors=True)
        return True

    def _record(self, run: Run, draft: Path) -> None:
        with wandb.init(
            mode="offline",
            dir=str(draft),
            project=self.study,
            group=run.study,
            id=run.key,
            name=run.name,
            config=run.params,
            tags=[run.trial.state],
            notes=(run.trial.error or "")[:5000] or None,
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
            ),
        ) as made:
            made.define_metric("*", step_metric="step")
            for point in run.points:
                made.log({"step": point.place, "_timestamp": point.time, **point.values})
            made.summary.update(run.metrics)
            made.summary["seconds"] = run.trial.spent
