"""What the benchmarks share: fair timing of two contestants, and a table that is also Markdown."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

__all__ = ["header", "met", "rounds", "table", "times"]

Result = TypeVar("Result")


def rounds(
    contestants: Mapping[str, Callable[[], Result]], count: int, warm_up: int = 1
) -> dict[str, list[Result]]:
    """Results of `count` rounds, after `warm_up` rounds that do not count.

    All contestants take part in every round, so that whatever else the machine does falls on all of
    them, and the order turns around each time, so that none always runs on what another left behind.
    """
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for turn in range(-warm_up, count):
        for name in sorted(contestants, key=list(contestants).index, reverse=turn % 2 == 1):
            gc.collect()
            result = contestants[name]()
            if turn >= 0:
                results[name].append(result)
    return results


def times(contestants: Mapping[str, Callable[[], float]], count: int, warm_up: int = 1) -> dict[str, float]:
    """Medians of what the contestants measured themselves, over `count` alternating rounds."""
    return {name: statistics.median(found) for name, found in rounds(contestants, count, warm_up).items()}


def met(value: float, goal: float, *, at_most: bool = False) -> str:
    """Whether a goal is reached, in one word."""
    return "yes" if (value <= goal if at_most else value >= goal) else "NO"


def header(title: str) -> str:
    """What ran where: absolute figures differ between machines, ratios much less."""
    versions = ", ".join(f"{name} {_version(name)}" for name in ("optuna", "numpy", "msgspec"))
    return f"{title}\n{os.cpu_count()} cores, Python {platform.python_version()}, {versions}\n"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An aligned Markdown table; the first column to the left, all others to the right."""
    cells = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[j]) for row in cells) for j in range(len(columns))]
    lines = [
        "| "
        + " | ".join(
            cell.rjust(w) if j else cell.ljust(w) for j, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if j else "-") for j, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
