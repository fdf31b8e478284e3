"""`taut status`, `taut best` and `taut trials`: what a study knows."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from taut.cli import fronts, pruning
from taut.cli.common import gpu_hours, locate, metrics_text, open_study, value_text, warm_start_text
from taut.cli.progress import last_line
from taut.duration import in_words
from taut.errors import InputError
from taut.leading import nearest_miss
from taut.reaper import Reaper
from taut.spells import spells
from taut.study import Study
from taut.trial import State, TrialRecord

__all__ = ["best", "status", "trials"]


@click.command(epilog="Example:  taut status runs/lora --follow")
@click.argument("study")
@click.option(
    "--follow", is_flag=True, help="Say it again whenever something changes, until the study is done."
)
@click.option("--jobs", "each", is_flag=True, help="One line for each job on Slurm, too.")
def status(study: str, follow: bool, each: bool) -> None:
    """What the study in STUDY (a directory, or its study.toml) has done so far."""
    opened = open_study(study)
    shown, folder = [""], locate(study).absolute()
    while True:
        said = _said(opened, str(locate(study)), folder)
        if (folder / "slurm").is_dir():
            from taut.cli import jobs

            said += [*jobs.lines(opened, folder), *(jobs.table(opened, folder) if each else ())]
        if (folder / "hyperqueue").is_dir():
            from taut.cli import hyperqueue

            said += hyperqueue.lines(opened, folder)
        news = [part for _, part in said]
        if news != shown:
            click.echo("\n".join(line for line, _ in said))
            shown = news
        if not follow or opened.store.done:
            return
        time.sleep(1.0)


def _status(study: Study, directory: str) -> str:
    return "\n".join(line for line, _ in _said(study, directory, Path(directory)))


def _said(study: Study, directory: str, folder: Path) -> list[pruning.Said]:
    snapshot = study.snapshot
    budget = study.definition.budget.trials
    counts = pruning.counted(snapshot)
    of = f" of {budget}" if budget and budget >= snapshot.n_finished else ""
    more = f", budget {budget}" if budget and not of else ""
    lines = [
        f"study {study.definition.name} in {directory}",
        f"trials: {snapshot.n_finished}{of} finished{more} ({', '.join(counts) or 'none yet'})",
        f"sampler: {_sampler(study)}",
        *([line] if (line := warm_start_text(study.definition)) else ()),
    ]
    if study.definition.pruner is not None:
        lines.append(f"pruner: {pruning.account(study)}")
    said, lines = [*_news(lines), *pruning.lines(study, folder)], []
    if len(snapshot.known):
        ran = spells(snapshot, study.store.clock.now())
        useful = (snapshot.state[ran.number] >= State.COMPLETE) & ~ran.lost
        spent, trials = float(ran.seconds[useful].sum()), len(set(ran.number[useful].tolist()))
        workers = len(set(ran.writer.tolist()))  # who only submitted or told did not work
        lines.append(
            f"time: {in_words(spent)} in finished trials, {in_words(spent / max(trials, 1))} each, "
            f"{workers} worker{'s' if workers > 1 else ''} so far"
        )
    if (preference := study.definition.prefer) is not None:
        lines.append(f"preference: {preference}")
    if fronts.several(study.definition) and study.ranking:
        lines.append(fronts.brief(snapshot))
    for name, record in _top(study):
        params = "  ".join(f"{key}={value_text(value)}" for key, value in record.params.items())
        lines.append(f"{name}: {pruning.best_text(study, record)}  ({params})")
    said += _news(lines)
    if promising := pruning.leads(study):
        said.append((f"best: no trial is complete yet; {promising}", ""))
    if not study.ranking and (missed := nearest_miss(snapshot)):
        said += _news([f"best: {missed}"])
    lines = [f"damaged: {problem}" for problem in study.store.journal.problems]
    if gone := Reaper(study.store).gone():
        dead = f"dead workers: {len(gone)} ({'; '.join(gone[:3])}); the next worker takes their trials over"
        lines.insert(0, dead)
    return said + _news(lines)


def _news(lines: Sequence[str]) -> list[pruning.Said]:
    """Lines of which every word is news."""
    return [(line, line) for line in lines]


def _sampler(study: Study) -> str:
    """The method's name, and what it does at the moment where that is more than its name says."""
    name = study.definition.sampler.method
    try:
        account = study.store.proposals.sampler.account(study.store.snapshot)
    except Exception as error:  # a sampler may be anybody's; what else is known of the study is worth showing
        account = f"it cannot say what it does ({type(error).__name__}: {error})"
    return f"{name}: {' '.join(account.split())}" if account else name


def _top(study: Study) -> list[tuple[str, TrialRecord]]:
    """The trial to look at first: the best; the knee where several objectives have no preference among them."""
    if not study.ranking:
        return []
    if len(study.definition.objectives) == 1 or study.definition.prefer is not None:
        return [("best", study.best)]
    return [("knee", record)] if (record := study.knee) is not None else []


@click.command(epilog="Example:  taut best runs/lora --json")
@click.argument("study")
@click.option("--json", "as_json", is_flag=True, help="As JSON: the trial, or an object with the front.")
def best(study: str, as_json: bool) -> None:
    """The best trial that fulfils the constraints; with several objectives, the front.

    With several objectives: the trials that no other beats, the hypervolume and from where it is measured, the best by
    the study's preference if it states one, and the knee, with the reason. So it is for a sampler that looks for the best at every
    cost (aim = "front").
    """
    opened = open_study(study)
    record = opened.best
    if fronts.several(opened.definition):
        if as_json:
            click.echo(json.dumps(fronts.as_json(opened), indent=1))
            return
        if len(opened.definition.objectives) > 1:
            click.echo("\n".join(fronts.block(opened)))
            return
    elif as_json:
        click.echo(json.dumps(msgspec.to_builtins(record), indent=1))
        return
    click.echo(pruning.best_text(opened, record))
    for name, value in record.params.items():
        click.echo(f"  {name} = {value_text(value)}")
    if descent := pruning.descent_text(opened, record):
        click.echo(descent)
    if fronts.several(opened.definition):
        click.echo("\n".join(fronts.block(opened)))


@click.command(epilog="Example:  taut trials runs/lora --csv > trials.csv")
@click.argument("study")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list of objects.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV.")
@click.option("--errors", is_flag=True, help="Whole error texts instead of their last lines.")
@click.option("--meters", is_flag=True, help="What trials used (time, memory, energy) instead of parameters.")
def trials(study: str, as_json: bool, as_csv: bool, errors: bool, meters: bool) -> None:
    """Every trial that was started: state, metrics, parameters, and why it failed."""
    if as_json and as_csv:
        raise InputError("--json and --csv exclude each other; give one of them")
    opened = open_study(study)
    records, hours = list(opened.trials), gpu_hours(opened, locate(study))
    if as_json:
        plain = [msgspec.to_builtins(record) for record in records]
        for each in plain:
            if each["number"] in hours:
                each["gpu_hours"] = hours[each["number"]]
        click.echo(json.dumps(plain, indent=1))
    elif as_csv:
        from taut.export import csv_text

        click.echo(csv_text(records, hours), nl=False)
    else:
        _table(records, errors, hours, meters)


def _table(
    records: Sequence[TrialRecord], errors: bool, hours: Mapping[int, float], meters: bool = False
) -> None:
    rows = [("trial", "state", "tries", "took", "metrics", "meters" if meters else "parameters")]
    for record in records:
        last = record.meters if meters else record.params
        params = "  ".join(f"{name}={value_text(value)}" for name, value in last.items())
        took = in_words(record.spent) if record.finished is not None or record.spent else ""
        if record.number in hours:
            took += f"  {hours[record.number]:.3f} GPU-h"
        rows.append(
            (
                str(record.number),
                record.state,
                str(record.attempts),
                took,
                metrics_text(record.values),
                params,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    of_rows: list[TrialRecord | None] = [None, *records]
    for row, shown in zip(rows, of_rows, strict=True):
        click.echo(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)) + "  " + row[5]
        )
        if shown is None:
            continue
        said = [
            text for text in shown.interruptions if not (shown.error and text.endswith(f": {shown.error}"))
        ]
        if shown.error:
            said.append(shown.error if errors else last_line(shown.error))
        indent = " " * (widths[0] + 2)
        for line in [line for text in said for line in text.splitlines()]:
            click.echo(indent + line)
