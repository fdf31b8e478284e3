"""`taut import`."""

from __future__ import annotations

import shlex

import click

from taut.cli.common import needs_optuna

__all__ = ["import_"]


@click.command("import", epilog="Example:  taut import sqlite:///lora.db runs/lora --study lora")
@click.argument("source")
@click.argument("directory")
@click.option("--study", metavar="NAME", help="Which study, where SOURCE holds several.")
def import_(source: str, directory: str, study: str | None) -> None:
    """Read a study of Optuna into the new study DIRECTORY, to look at it and to go on with it in taut.

    SOURCE is an SQLite file, a journal file, or the URL of a database. What taut cannot hold is said.
    """
    with needs_optuna():
        from taut.integrations.optuna.importing import import_study

        found = import_study(source, directory, study)
    tally = found.snapshot.tally()
    states = ", ".join(f"{count} {state.name.lower()}" for state, count in tally.items()) or "none"
    click.echo(f"{sum(tally.values())} trials of {found.name!r} are in {directory} ({states})")
    for text in found.said:
        click.echo(f"note: {text}")
    click.echo(f"look at it with: {shlex.join(['taut', 'status', directory])}")
    click.echo(
        f"go on with: {shlex.join(['taut', 'run', 'study.toml', '--dir', directory])}, where study.toml names "
        f"the program, or in Python: taut.Study({directory!r}).run(objective, trials=...)"
    )
