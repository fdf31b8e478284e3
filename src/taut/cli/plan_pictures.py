"""The pictures of a plan: a typical case of it, and what came beside it; on the terminal and in files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from taut.cli.plan_study import KnownStudy
from taut.errors import InputError
from taut.queue.plan import Plan, Queue
from taut.queue.promise import Kept
from taut.reports.chart import Chart

__all__ = ["against", "case", "shown", "write"]

_WIDEST = 120  # columns
_ROWS = 24  # lanes on a terminal; of more neighbours share one


def case(plan: Plan, queue: Queue, now: float, name: str, caption: str) -> Chart:
    """A typical case of a plan."""
    from taut.queue.predicted import course

    early, _, late = plan.best.outlook.finish
    band = (early, late) if math.isfinite(late) else None
    return Chart(course(plan, queue, now), f"{name}: a typical case of the plan", caption, band)


def against(found: Sequence[Kept], known: KnownStudy, now: float) -> Chart | None:
    """The latest promise that can be drawn, and what came of it; None where there is none."""
    from taut.reports.actual import Jobs
    from taut.reports.promised import band, picture

    jobs = None if known.rounds is None else Jobs.of(known.rounds.all(), known.lives or ())
    for each in reversed(found):
        if (timeline := picture(each, known.snapshot, now, jobs)) is not None:
            title = f"{known.definition.name}: planned, and what came"
            return Chart(timeline, title, finish=band(each))
    return None


def shown(chart: Chart) -> str:
    """For the terminal that is there, or for a file of 100 columns."""
    width = min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
    return chart.text(width, _ROWS)


def write(chart: Chart, svg: str | None, png: str | None) -> None:
    """Put it into files. Raises `InputError` where one cannot be written."""
    files: dict[str, bytes] = {}
    if png is not None:
        files[png] = chart.png()
    if svg is not None:
        files[svg] = chart.svg().encode()
    for name, content in files.items():
        try:
            Path(name).write_bytes(content)
        except OSError as error:
            raise InputError(f"{name}: {error.strerror}; give a file that can be written") from None
        click.echo(f"{name}: {chart.title.partition(': ')[2]}", err=True)
