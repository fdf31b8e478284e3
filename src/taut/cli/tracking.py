"""`taut export --to mlflow | wandb | tensorboard`: the trials as runs, once or as they come."""

from __future__ import annotations

import time

import click

from taut.integrations.tracking import mirror, open_tracker
from taut.study import Study

__all__ = ["track"]

_PAUSE = 5.0  # seconds between two looks


def track(study: Study, kind: str, place: str | None, follow: bool) -> None:
    """Write the trials of `study` to a tracker; follow: until the study is done."""
    tracker = open_tracker(kind, place, study.definition.name)
    while True:
        done = study.store.done or not follow  # looked at before the last writing, not after
        snapshot = study.snapshot
        new = mirror(snapshot, tracker)
        if new or done:
            click.echo(f"{new} of {len(snapshot.known)} trials had something new for {kind}")
        if done:
            return
        time.sleep(_PAUSE)
