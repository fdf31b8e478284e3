"""The table of all trials as columns for a page's script: numbers with six digits, texts by their place in a list."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from taut.readings import WALL
from taut.snapshot import Snapshot

__all__ = ["Column", "Table", "table"]

_CELLS = 500_000  # of one table; beyond that parameters are left out
_LONGEST = 300  # letters of a text


class Column(NamedTuple):
    """cells: numbers or None; with `texts`, places in that list. kind: trial, metric, parameter or about."""

    name: str
    kind: str
    cells: list[Any]
    texts: list[str] | None = None


class Table(NamedTuple):
    """columns: of equal length. left_out: parameters and metrics that did not fit."""

    columns: list[Column]
    left_out: list[str]


def table(snapshot: Snapshot) -> Table:
    """Every trial that was ever started, by number."""
    records = snapshot.records(snapshot.known)
    names = [name for name in snapshot.space.names if any(name in record.params for record in records)]
    metrics = list(snapshot.metrics)
    room = max(_CELLS // max(len(records), 1) - 6 - len(snapshot.meters), 1)
    shown = [*metrics[:room], *names[: max(room - len(metrics), 0)]]
    columns = [
        Column("trial", "trial", [record.number for record in records]),
        _texts("state", "about", (record.state for record in records)),
        *(
            _numbers(name, "metric", [record.values.get(name) for record in records])
            for name in metrics[:room]
        ),
        *(
            _values(
                name,
                [record.params.get(name) for record in records],
                [name in record.params for record in records],
            )
            for name in names[: max(room - len(metrics), 0)]
        ),
        _numbers("seconds", "about", [record.spent for record in records]),
        *(
            _numbers(name, "about", [record.meters.get(name) for record in records])
            for name in snapshot.meters
            if name != WALL and name not in metrics
        ),
        Column("attempts", "about", [record.attempts for record in records]),
    ]
    errors = [_last(record.error) for record in records]
    if any(errors):
        columns.append(_texts("error", "about", errors))
    return Table(columns, [name for name in (*metrics, *names) if name not in shown])


def _last(error: str | None) -> str:
    lines = [line for line in (error or "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _values(name: str, values: Sequence[Any], there: Sequence[bool]) -> Column:
    """A parameter: as numbers if all are, else as texts."""
    if all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for value, has in zip(values, there, strict=True)
        if has
    ):
        return _numbers(
            name, "parameter", [value if has else None for value, has in zip(values, there, strict=True)]
        )
    return _texts(
        name, "parameter", (str(value) if has else "" for value, has in zip(values, there, strict=True))
    )


def _numbers(name: str, kind: str, values: Sequence[float | None]) -> Column:
    return Column(name, kind, [_six(value) for value in values])


def _six(value: float | None) -> float | None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**53 else float(value)
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short


def _texts(name: str, kind: str, values: Iterable[str]) -> Column:
    places: dict[str, int] = {}
    cells = [
        places.setdefault(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…", len(places))
        for text in values
    ]
    return Column(name, kind, cells, list(places))
