"""Numbers in lines of text: `$TAUT_REPORT`, the Hugging Face Trainer's dicts, regular expressions."""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from taut.errors import InputError

__all__ = ["Row", "hf_rows", "metric_name", "pattern_rows", "report_rows", "row_of"]


class Row(NamedTuple):
    """Values of metrics at one step; `odd` holds what was named but is no number."""

    step: float | None
    values: dict[str, float]
    odd: dict[str, str] = {}  # noqa: RUF012 (never changed)


def metric_name(text: str) -> str:
    """`text` as a name that an objective can have: ``eval/loss`` and ``eval.loss`` become ``eval_loss``."""
    name = re.sub(r"\W", "_", text.strip())
    return f"_{name}" if not name or name[0].isdigit() else name


def number_of(value: object) -> float | None:
    """`value` as a number, if it is or spells one."""
    if isinstance(value, (bool, int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str):
        try:
            return float(value.strip().rstrip(",;:%)]}"))
        except ValueError:
            return None
    return None


def row_of(record: Mapping[str, Any], steps: tuple[str, ...]) -> Row:
    """A row from nested `record`; its step stands at the first of the keys `steps` that has a number."""
    values: dict[str, float] = {}
    odd: dict[str, str] = {}
    step: float | None = None
    for key in steps:
        step = number_of(record.get(key))
        if step is not None:
            break

    def visit(prefix: str, part: Mapping[str, Any]) -> None:
        for key, value in part.items():
            name = f"{prefix}{key}"
            if isinstance(value, Mapping):
                visit(f"{name}_", value)
            elif name in steps:
                continue
            elif (number := number_of(value)) is not None:
                values[metric_name(name)] = number
            elif not isinstance(value, (list, tuple)):
                odd[metric_name(name)] = str(value)

    visit("", record)
    return Row(step, values, odd)


def report_rows(line: str) -> Iterator[Row]:
    """A line of `$TAUT_REPORT`: a JSON object, with the step at ``"step"`` if there is one."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise ValueError(f"{line.strip()[:80]!r} is not a JSON object")
    yield row_of(record, ("step",))


# The Trainer prints Python dicts, in which nan and inf are bare names and so no literals.
_BARE = re.compile(r"(?<=[:\s\[(,])([+-]?(?:nan|inf))(?=[\s,}\])])")


def hf_rows(line: str) -> Iterator[Row]:
    """A dict printed by the Hugging Face Trainer: ``{'eval_loss': 0.5, 'epoch': 1.0}``; others: nothing."""
    start, end = line.find("{"), line.rfind("}")
    if not 0 <= start < end:
        return
    text = _BARE.sub(r"'\1'", line[start : end + 1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return
    if isinstance(record, dict) and all(isinstance(key, str) for key in record):
        row = row_of(record, ("epoch", "step"))
        if row.values:
            yield row


def pattern_rows(pattern: str) -> Callable[[str], Iterator[Row]]:
    """A parser of lines by a regular expression; its named groups are metrics, and ``step`` the step."""
    at = ("results", "stdout")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"'{pattern}' is not a regular expression: {error}; "
            r"write for instance 'eval_loss=(?P<eval_loss>\S+)', or 'hf' for the Hugging Face Trainer",
            at,
        ) from None
    if not set(compiled.groupindex) - {"step"}:
        raise InputError(
            f"'{pattern}' has no named group for a metric; write for instance "
            r"'eval_loss=(?P<eval_loss>\S+)'",
            at,
        )

    def rows(line: str) -> Iterator[Row]:
        for match in compiled.finditer(line):
            found = {name: text for name, text in match.groupdict().items() if text is not None}
            yield row_of(found, ("step",))

    return rows
