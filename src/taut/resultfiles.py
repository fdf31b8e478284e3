"""Numbers in files that a command leaves: JSON, JSON lines, trainer_state.json, CSV, TensorBoard.

Each reader returns rows in the file's order and raises ValueError, with a reason to show, for a file
that is not what it should be.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taut.resultlines import Row, metric_name, row_of

__all__ = ["has_tensorboard", "read_csv", "read_json", "read_tensorboard"]

_STEPS = ("step", "epoch")


def read_json(path: Path) -> list[Row]:
    """A JSON object, a list of objects, or a JSON object on each line.

    In the Trainer's trainer_state.json each entry of ``log_history`` is a row, at its epoch.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        whole = json.loads(text)
    except ValueError as error:
        return _json_lines(text, error)
    if isinstance(whole, dict):
        history = whole.get("log_history")
        if isinstance(history, list):
            rest = {key: value for key, value in whole.items() if key != "log_history"}
            # The state's own numbers come first: what the history says is newer or more exact.
            return [
                row_of(rest, ())._replace(odd={}),
                *(row_of(entry, ("epoch", "step")) for entry in history if isinstance(entry, dict)),
            ]
        return [row_of(whole, _STEPS)]
    if isinstance(whole, list):
        return [row_of(entry, _STEPS) for entry in whole if isinstance(entry, dict)]
    raise ValueError("holds no JSON object")


def _json_lines(text: str, error: ValueError) -> list[Row]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows: list[Row] = []
    for number, line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            if rows and number == lines[-1][0]:
                break  # torn by the command's end; the lines before are whole
            raise ValueError(f"is neither JSON nor JSON lines ({error})") from None
        if isinstance(entry, dict):
            rows.append(row_of(entry, _STEPS))
    return rows


def read_csv(path: Path) -> list[Row]:
    """A header and a row for each step; the step is the column step or epoch, or else the row's number.

    Empty cells say nothing, so that files with a column for training and one for validation work.
    """
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        if not reader.fieldnames:
            raise ValueError("has no header line")
        rows: list[Row] = []
        for number, cells in enumerate(reader, 1):
            record: dict[str, Any] = {
                (name.strip().lower() if name.strip().lower() in _STEPS else name): cell
                for name, cell in cells.items()
                if name and isinstance(cell, str) and cell.strip()
            }
            row = row_of(record, _STEPS)
            rows.append(row if row.step is not None else row._replace(step=float(number)))
    return rows


def has_tensorboard() -> bool:
    """Whether the reader of TensorBoard's event files can be imported."""
    return importlib.util.find_spec("tensorboard") is not None


def read_tensorboard(path: Path) -> list[Row]:
    """Scalars of all event files under `path`, in the order of their steps."""
    module = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    folders = sorted({file.parent for file in path.rglob("*tfevents*")})
    if not folders:
        raise ValueError("holds no event file (*tfevents*)")
    by_step: dict[float, dict[str, float]] = {}
    for folder in folders:
        events = module.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        for tag, step, value in _scalars(events):
            by_step.setdefault(step, {})[metric_name(tag)] = value
    return [Row(step, by_step[step]) for step in sorted(by_step)]


def _scalars(events: Any) -> Iterator[tuple[str, float, float]]:
    tags = events.Tags()
    for tag in tags.get("scalars", ()):
        for event in events.Scalars(tag):
            yield tag, float(event.step), float(event.value)
    if tensors := tags.get("tensors", ()):  # what TensorFlow 2 writes
        make_array = importlib.import_module("tensorboard.util.tensor_util").make_ndarray
        for tag in tensors:
            for event in events.Tensors(tag):
                array = make_array(event.tensor_proto)
                if array.size == 1 and array.dtype.kind in "fiu":
                    yield tag, float(event.step), float(array.reshape(-1)[0])
