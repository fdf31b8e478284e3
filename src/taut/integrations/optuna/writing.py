"""`taut export --to optuna`: a study as a file that Optuna opens and goes on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend

from taut.errors import InputError
from taut.export import place, whole
from taut.integrations.optuna.frozen import Trials, directions, lost_of_space
from taut.integrations.optuna.storage import study_attributes
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["JOURNAL", "SQLITE", "export_study"]

SQLITE = (".db", ".sqlite", ".sqlite3")
JOURNAL = (".journal", ".log", ".jsonl")
_URL = "sqlite:///"


def export_study(
    snapshot: Snapshot,
    path: str,
    *,
    overwrite: bool = False,
    gpu_seconds: Mapping[int, float] | None = None,
) -> tuple[Path, list[str]]:
    """Write the study to the file `path`; its path, and what Optuna cannot hold of it, one sentence each.

    path: ends in .db, .sqlite or .sqlite3, or is a URL such as ``sqlite:///lora.db``, for a database; in .journal, .log or .jsonl for a
    journal file. overwrite: whether a file that exists is replaced. gpu_seconds: by trial, where they are known.

    Raises `InputError` for another ending, or a path that cannot be; `StudyError` if it cannot be written. No half file is left behind.
    """
    target = Path(path.removeprefix(_URL))
    if target.suffix not in (*SQLITE, *JOURNAL):
        raise InputError(
            f"{path} does not say which of Optuna's storages it is to be; let it end in .db for SQLite, or in .journal for a journal file",
            ("path",),
        )
    place(target, overwrite)
    fill = _sqlite if target.suffix in SQLITE else _journal
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        whole(target, lambda draft: fill(draft, snapshot, gpu_seconds), overwrite)
    finally:
        optuna.logging.set_verbosity(before)
    return target, left_out(snapshot)


def left_out(snapshot: Snapshot) -> list[str]:
    """What Optuna cannot hold of a study."""
    said = [f"{name}: Optuna does not know {lost}" for name, lost in lost_of_space(snapshot).items()]
    names = [one.metric for one in snapshot.definition.objectives]
    heard = [event for n in snapshot.curves.trials() for event in snapshot.curves.of(n)]
    others = sorted({name for event in heard for name in event.y} - {names[0]})
    if len(names) > 1 and heard:
        said.append("Optuna has no intermediate values with several objectives: reports are left out")
    else:
        if others:
            said.append(
                f"Optuna has one intermediate value at a step: reports of {', '.join(others)} are left out"
            )
        if between := sum(not event.s.is_integer() for event in heard):
            said.append(f"Optuna's steps are whole numbers: {between} reports between them are left out")
    if running := snapshot.counts[State.RUNNING]:
        said.append(f"trials are running ({running}): in Optuna they stay so until somebody tells them")
    if several := int((snapshot.attempt > 0).sum()):
        said.append(f"some trials took several attempts ({several}): Optuna has the last one of each")
    return said


def _begin(storage: BaseStorage, snapshot: Snapshot) -> int:
    study = storage.create_new_study(directions(snapshot), snapshot.definition.name)
    for key, value in study_attributes(snapshot).items():
        storage.set_study_system_attr(study, key, value)
    return study


def _sqlite(draft: Path, snapshot: Snapshot, gpu_seconds: Mapping[int, float] | None) -> None:
    from taut.integrations.optuna.database import add_trials

    # Without locks: nobody else knows the draft, and on many a cluster's file system there are none.
    storage = RDBStorage(f"sqlite:///file:{quote(str(draft.absolute()))}?vfs=unix-none&uri=true")
    try:
        add_trials(storage, _begin(storage, snapshot), Trials(snapshot, gpu_seconds).all())
    finally:
        storage.remove_session()
        storage.engine.dispose()


class _Lines(BaseJournalBackend):
    """A journal in memory, until it is whole."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self.logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.logs += logs


def _journal(draft: Path, snapshot: Snapshot, gpu_seconds: Mapping[int, float] | None) -> None:
    lines = _Lines()
    storage = JournalStorage(lines)
    study = _begin(storage, snapshot)
    for trial in Trials(snapshot, gpu_seconds).all():
        storage.create_new_trial(study, trial)
    draft.write_text("".join(json.dumps(log, separators=(",", ":")) + "\n" for log in lines.logs))
