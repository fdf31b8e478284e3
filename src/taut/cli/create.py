"""`taut init`: a study.toml to start from, for a script, a configuration, a function or an undertaking."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from taut.errors import InputError, StudyError

__all__ = ["init"]


@click.command(epilog="Example:  taut init train.py && taut run study.toml")
@click.argument("script", required=False, metavar="[SCRIPT]")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- ITS ARGUMENTS]")
@click.option("--out", type=click.Path(), help="Where to write it (default: study.toml).")
@click.option(
    "--preset",
    metavar="NAME",
    help="What is tuned: sft, lora, dpo, grpo, pretrain, inference, performance, sklearn.",
)
@click.option("--run-help", is_flag=True, help="Run SCRIPT --help, too, and hold its flags against that.")
@click.option("--python", default="python", help="The Python that runs SCRIPT (default: python).")
@click.option("--from", "earlier", metavar="STUDY", help="Begin as this study, and learn from what it found.")
@click.option("--model", metavar="NAME", help="With --from: the base model, instead of that study's.")
def init(
    script: str | None,
    words: tuple[str, ...],
    out: str | None,
    preset: str | None,
    run_help: bool,
    python: str,
    earlier: str | None,
    model: str | None,
) -> None:
    """Write a commented study.toml, to be edited, and say what to do next.

    SCRIPT may be a Python script, whose flags are read without running it; a YAML file of Axolotl, LLaMA-Factory,
    torchtune or TRL; or module:function. Arguments after -- are those with which it works today: they stay in the
    command, or become the start of what is searched.
    """
    if earlier is not None:
        if script is not None or preset is not None:
            raise InputError("it begins as an earlier study; leave SCRIPT and --preset out", ("--from",))
        return _continue(Path(earlier), model, None if out is None else Path(out))
    if model is not None:
        raise InputError("it goes with --from, an earlier study", ("--model",))
    path = Path(out or "study.toml")
    _refuse_existing(path)
    place = path.absolute().parent.name if path.stem == "study" else path.stem
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", place).strip("-.")[:100] or "study"
    if script is None and preset is None:
        if run_help:
            raise InputError(
                "there is no script to run; name it: taut init train.py --run-help", ("--run-help",)
            )
        from taut.studyfile import template

        _write(path, template(name))
        click.echo(f"wrote {path}: put your command, metric and ranges there, then: taut run {path}")
        return
    from taut.starting.compose import compose
    from taut.starting.draft import check, told
    from taut.starting.request import Request
    from taut.starting.writing import written

    base = Path(os.path.abspath(path)).parent
    outline = compose(Request(script or "", words, base, name, preset or "", run_help, python))
    text = written(outline, str(path))
    check(text, path)
    _write(path, text)
    first, *more = told(outline, str(path))
    click.echo(f"wrote {path}: {first}")
    for line in more:
        click.echo(line)


def _continue(earlier: Path, model: str | None, out: Path | None) -> None:
    from taut.starting.continuing import continued
    from taut.starting.draft import check

    made = continued(earlier, model, out)
    path = Path(os.path.relpath(made.path))
    _refuse_existing(path)
    for place, text in made.files.items():
        _write(place, text)
    try:
        check(made.text, path)
    except StudyError:
        for place in made.files:
            place.unlink()
        raise
    _write(path, made.text)
    click.echo(f"wrote {path}: {made.said[0]}")
    for line in made.said[1:]:
        click.echo(line)
    click.echo(f"then: taut run {path}")


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise InputError(
            f"{path} exists; taut does not overwrite it: remove it, or give another name with --out"
        )
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.parent}: there is no such directory; make it first, or give another --out")


def _write(path: Path, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
