"""`taut sample`: independent samples without a study."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from taut.definition import Definition, Method
from taut.errors import InputError
from taut.executors.arguments import Style, Template

__all__ = ["sample"]


@click.command(
    epilog="""\b
Example, in a job array:
  eval "python train.py $(taut sample study.toml --index $SLURM_ARRAY_TASK_ID --format args)"

The arguments are quoted for a shell, so eval keeps each value one argument."""
)
@click.argument("study")
@click.option("--index", type=int, required=True, help="Which sample: 0, 1, 2, ...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["shell", "json", "args"]),
    default="json",
    help="json (default), args (--name value ...) or shell (NAME=value lines for eval).",
)
def sample(study: str, index: int, form: str) -> None:
    """Print the I-th sample of the space in STUDY (a study.toml, or a study directory).

    It needs no study directory and remembers nothing: the same index always gives the same parameters,
    so the tasks of a job array need nothing in common but the file. No sample learns from another: without a
    [sampler], or with method = "auto", they are drawn at random.
    """
    if not 0 <= index < 2**62:
        raise InputError(f"{index} is not an index; use a whole number from 0 to 2**62 - 1", ("--index",))
    definition = _definition(study)
    if definition.sampler.method == "auto":  # what it could learn from is not there
        definition = msgspec.structs.replace(definition, sampler=Method("random"))
    from taut.opening import make_sampler

    space = definition.parsed_space()
    sampler = make_sampler(definition, space)
    if sampler.uses_history:
        raise InputError(
            f"{definition.sampler.method} learns from other trials, so it has no I-th sample; "
            'use method = "random" or "quasirandom" here (without [sampler] it is "random"), or `taut run` and '
            "`taut worker`",
            ("sampler", "method"),
        )
    params = space.params(sampler.propose(space, definition.seed, np.array([index]), None))[0]
    click.echo(_text(params, form, definition.evaluation.style))


def _definition(target: str) -> Definition:
    path = Path(target)
    if path.is_dir():
        from taut.cli.common import open_study

        definition = open_study(target).definition
    elif path.exists():
        from taut import studyfile
        from taut.samplers import registry

        definition = studyfile.read(path, samplers=registry.names())
    else:
        raise InputError(f"{target}: there is no such file; `taut init` writes a study.toml to start from")
    return definition


def _text(params: dict[str, Any], form: str, style: Style) -> str:
    if form == "json":
        return json.dumps(params)
    if form == "args":
        return shlex.join(Template(["{args}"], style).expand(params, {}))
    return _shell(params)


def _shell(params: dict[str, Any]) -> str:
    variables: dict[str, str] = {}
    for name, value in params.items():
        variable = re.sub(r"\W", "_", name)
        if variable in variables or variable in ("PATH", "IFS", "HOME"):
            whose = "another parameter's" if variable in variables else "the shell's own"
            raise InputError(
                f"{name!r} cannot be the shell variable {variable}, which is {whose}; use --format json or args"
            )
        variables[variable] = shlex.quote(value if isinstance(value, str) else json.dumps(value))
    return "\n".join(f"{variable}={text}" for variable, text in variables.items())
