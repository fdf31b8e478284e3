"""A study's trials as a table for other programs: CSV, Parquet or SQLite. (For Optuna: `taut.integrations.optuna`.)

    csv        for spreadsheets and everything else; one row for each trial
    parquet    the same columns with their types; needs pyarrow
    sqlite     tables trials, params, "values" and reports; keeps every value exactly, as JSON text

The file appears whole or not at all: it is written under another name and renamed.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from taut.curves import Reports
from taut.errors import InputError, StudyError, nearest
from taut.trial import TrialRecord

__all__ = ["FORMATS", "csv_text", "export", "place", "whole"]

FORMATS = ("csv", "parquet", "sqlite")

Columns = dict[str, list[Any]]


def export(
    records: Sequence[TrialRecord],
    to: str,
    path: Path,
    *,
    overwrite: bool = False,
    reports: Mapping[str, Reports] | None = None,
) -> Path:
    """Write `records` to the file `path`, and return its path.

    to: ``csv``, ``parquet`` or ``sqlite``. Columns of the first two: number, state, attempts, worker,
    started, finished (UTC), duration (seconds of the last attempt), spent (seconds of all attempts),
    ``params.<name>``, ``values.<metric>``, ``meters.<name>`` (what was measured), error. In SQLite what was measured is in "values", too,
    where a trial has not told it itself.
    overwrite: whether a file that exists is replaced.
    reports: intermediate values by metric; only SQLite has a table for them.

    Raises `InputError` for an unknown format, a missing pyarrow, or a `path` that cannot be (it exists, its
    folder does not); `StudyError` if it cannot be written. No half file is left behind.
    """
    path = Path(path)
    if to == "optuna":
        raise InputError(
            "a study for Optuna is more than its trials; write it with `taut export --to optuna`, or taut.integrations.optuna.export_study",
            ("to",),
        )
    if to not in FORMATS:
        allowed = f"use {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise InputError(f"{to!r} is not a format of export; {allowed}{nearest(to, FORMATS)}", ("to",))
    place(path, overwrite, f"trials.{to}")
    if to == "parquet":
        arrow, parquet = _pyarrow()

    def write(draft: Path) -> None:
        if to == "csv":
            draft.write_text(csv_text(records), encoding="utf-8", newline="")
        elif to == "parquet":
            parquet.write_table(_arrow_table(records, arrow), draft)
        else:
            _write_sqlite(records, draft, reports)

    whole(path, write, overwrite)
    return path


def place(path: Path, overwrite: bool, example: str = "study.db") -> None:
    """Raise `InputError` if no file can be written to `path`."""
    if path.is_dir():
        raise InputError(f"{path} is a directory; give the name of a file, such as {path / example}")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a directory; make it first, or choose another path")
    if os.path.lexists(path) and not overwrite:
        raise _taken(path)


def whole(path: Path, write: Callable[[Path], None], overwrite: bool) -> None:
    """Have `write` make a file, and give it the name `path` once it is on the disk."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.unlink(missing_ok=True)
        write(draft)
        fd = os.open(draft, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        if overwrite:
            os.replace(draft, path)
        else:
            _name_new(draft, path)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StudyError(f"{path} cannot be written: {reason}; choose another path, or make room") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _name_new(draft: Path, path: Path) -> None:
    """Rename, but never over a file that appeared meanwhile."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError:  # no hard links here (FAT, some network shares)
        if os.path.lexists(path):
            raise _taken(path) from None
        os.replace(draft, path)


def _taken(path: Path) -> InputError:
    return InputError(f"{path} exists; choose another path, or replace it (--force, overwrite=True)")


# ---------------------------------------------------------------------- one row for each trial


def _columns(records: Sequence[TrialRecord]) -> tuple[Columns, Columns, Columns]:
    """The trials' own columns, their parameters, and what was told and measured of them; None where a trial has nothing.

    Parameters that are None (a choice may be) are told from absent ones by `_absent`.
    """
    own: Columns = {
        "number": [record.number for record in records],
        "state": [record.state for record in records],
        "attempts": [record.attempts for record in records],
        "worker": [record.worker for record in records],
        "started": [_time(record.started) for record in records],
        "finished": [_time(record.finished) for record in records],
        "duration": [_seconds(record.duration) for record in records],
        "spent": [_seconds(record.spent) for record in records],
    }
    params = {
        name: [record.params.get(name, _absent) for record in records]
        for name in _merged(record.params for record in records)
    }
    values: Columns = {
        f"values.{name}": [record.values.get(name) for record in records]
        for name in _merged(record.values for record in records)
    }
    values |= {
        f"meters.{name}": [record.meters.get(name) for record in records]
        for name in _merged(record.meters for record in records)
    }
    return own, params, values


_absent: Any = object()


def _merged(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """All names in `rows`, each after those that it follows in its row: the order of the definition."""
    order: list[str] = []
    known: set[str] = set()
    for row in rows:
        if row.keys() <= known:
            continue
        position = 0
        for name in row:
            if name in known:
                position = max(position, order.index(name) + 1)
            else:
                order.insert(position, name)
                known.add(name)
                position += 1
    return order


def _time(seconds: float | None) -> datetime | None:
    if seconds is None or not math.isfinite(seconds):
        return None
    return datetime.fromtimestamp(seconds, timezone.utc)


def _seconds(duration: float | None) -> float | None:
    return None if duration is None or not math.isfinite(duration) else round(duration, 6)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def csv_text(records: Sequence[TrialRecord], gpu_hours: Mapping[int, float] | None = None) -> str:
    """The trials as CSV: a line of names, then one for each trial. Columns as `export` says.

    gpu_hours: by trial; a column of its own if there are any.
    """
    own, params, values = _columns(records)
    if gpu_hours:
        own["gpu_hours"] = [gpu_hours.get(record.number) for record in records]
    table: Columns = {name: [_plain(cell) for cell in column] for name, column in own.items()}
    table.update({f"params.{name}": [_cell(value) for value in column] for name, column in params.items()})
    table.update(values)
    table["error"] = [record.error for record in records]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


def _plain(value: object) -> object:
    return _iso(value) if isinstance(value, datetime) else value


def _cell(value: object) -> object:
    """A parameter in CSV: text and numbers as they are, others as JSON (true, null, [1]); absent: empty."""
    if value is _absent:
        return None
    return value if type(value) in (str, int, float) else _json(value)


# ---------------------------------------------------------------------- Parquet


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(
            "parquet needs pyarrow, which is not installed: pip install pyarrow, or use csv or sqlite",
            ("to",),
        ) from None


def _arrow_table(records: Sequence[TrialRecord], arrow: Any) -> Any:
    own, params, values = _columns(records)
    time = arrow.timestamp("us", tz="UTC")
    kinds = {"state": arrow.string(), "started": time, "finished": time}
    kinds |= dict.fromkeys(("duration", "spent"), arrow.float64())
    table = {name: arrow.array(column, kinds.get(name, arrow.int64())) for name, column in own.items()}
    table.update({f"params.{name}": _arrow_column(column, arrow) for name, column in params.items()})
    table.update({name: arrow.array(column, arrow.float64()) for name, column in values.items()})
    table["error"] = arrow.array([record.error for record in records], arrow.string())
    return arrow.table(table)


def _arrow_column(column: list[Any], arrow: Any) -> Any:
    """A parameter in its own type if it has one; lists, None, huge integers and mixed values as JSON text."""
    values = [value for value in column if value is not _absent]
    kinds = {type(value) for value in values}
    own = next((kind for kind in ({bool}, {str}, {int}, {int, float}) if kinds <= kind), None)
    if own is None or (int in own and any(abs(value) > 2**53 for value in values)):
        return arrow.array([None if value is _absent else _json(value) for value in column], arrow.string())
    wanted = arrow.bool_() if bool in own else arrow.string() if str in own else arrow.int64()
    if float in own:
        wanted = arrow.float64()
    return arrow.array([None if value is _absent else value for value in column], wanted)


# ---------------------------------------------------------------------- SQLite

_TABLES = """
CREATE TABLE trials (
    number INTEGER PRIMARY KEY, state TEXT NOT NULL, worker INTEGER NOT NULL, attempts INTEGER NOT NULL,
    started TEXT, finished TEXT, duration REAL, spent REAL, error TEXT
);
CREATE TABLE params (
    number INTEGER NOT NULL REFERENCES trials, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (number, name)
) WITHOUT ROWID;
CREATE TABLE "values" (
    number INTEGER NOT NULL REFERENCES trials, metric TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (number, metric)
) WITHOUT ROWID;
"""

_REPORTS = """
CREATE TABLE reports (
    number INTEGER NOT NULL REFERENCES trials, metric TEXT NOT NULL, step REAL, value REAL, time TEXT
);
CREATE INDEX reports_by_trial ON reports (number, metric, step);
"""


def _write_sqlite(records: Sequence[TrialRecord], draft: Path, reports: Mapping[str, Reports] | None) -> None:
    # Without locks: nobody else knows the draft, and on many a cluster's file system there are none.
    address = f"file:{quote(str(draft.absolute()))}?vfs=unix-none"
    with contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None)) as base:
        base.execute("PRAGMA journal_mode = OFF")
        base.execute("PRAGMA synchronous = OFF")
        base.executescript(_TABLES)
        base.execute("BEGIN")
        base.executemany(
            "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    r.number,
                    r.state,
                    r.worker,
                    r.attempts,
                    _iso(_time(r.started)),
                    _iso(_time(r.finished)),
                    _seconds(r.duration),
                    _seconds(r.spent),
                    r.error,
                )
                for r in records
            ),
        )
        base.executemany(
            "INSERT INTO params VALUES (?, ?, ?)",
            ((r.number, name, _json(value)) for r in records for name, value in r.params.items()),
        )
        base.executemany(
            'INSERT INTO "values" VALUES (?, ?, ?)',
            ((r.number, name, value) for r in records for name, value in {**r.meters, **r.values}.items()),
        )
        base.execute("COMMIT")
        if reports is not None:
            _write_reports(base, [record.number for record in records], reports)


def _write_reports(base: sqlite3.Connection, numbers: Sequence[int], reports: Mapping[str, Reports]) -> None:
    base.executescript(_REPORTS)
    base.execute("BEGIN")
    for metric, columns in reports.items():
        rows = np.flatnonzero(np.isin(columns.number, np.asarray(numbers, np.int64)))
        number, step, value, time = (column[rows].tolist() for column in columns)
        base.executemany(
            "INSERT INTO reports VALUES (?, ?, ?, ?, ?)",
            ((n, metric, s, v, _iso(_time(t))) for n, s, v, t in zip(number, step, value, time, strict=True)),
        )
    base.execute("COMMIT")
