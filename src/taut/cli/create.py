"""`taut init`: a study.toml to start from."""

from __future__ import annotations

import re
from pathlib import Path

import click

from taut.errors import InputError

__all__ = ["init"]


@click.command(epilog="Example:  taut init && taut run study.toml")
@click.option("--out", default="study.toml", type=click.Path(), help="Where to write it.")
def init(out: str) -> None:
    """Write a commented study.toml, to be edited, and say what to do next."""
    from taut.studyfile import template

    path = Path(out)
    if path.exists():
        raise InputError(
            f"{out} exists; taut does not overwrite it: remove it, or give another name with --out"
        )
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.parent}: there is no such directory; make it first, or give another --out")
    place = path.absolute().parent.name if path.stem == "study" else path.stem
    text = template(re.sub(r"[^A-Za-z0-9._-]+", "-", place).strip("-.")[:100] or "study")
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
    click.echo(f"wrote {out}: put your command, metric and ranges there, then: taut run {out}")
