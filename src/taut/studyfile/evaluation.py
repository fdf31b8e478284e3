"""How a trial is evaluated: the keys command, function, config, style, timeout, cwd and [results]."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from taut import basemodel, commandline
from taut.definition import Evaluation, Results
from taut.duration import LONGEST, parse_duration
from taut.errors import InputError
from taut.studyfile.keys import TABLES, above
from taut.studyfile.table import Table, show

__all__ = ["STYLES", "evaluation"]

STYLES: Final = ("--k v", "--k=v", "k=v", "a.b=v", "++a.b=v")

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_PATTERN_RULE = (
    '"hf" or a regular expression with named groups is allowed; '
    "write, for instance, stdout = 'loss=(?P<loss>\\S+)'"
)


def evaluation(
    top: Table, space: Mapping[str, Mapping[str, Any]], base: Path, fidelity: str | None = None
) -> Evaluation:
    """The evaluation that the top table asks for.

    space: JSON form of the space. base: absolute directory of the study file. fidelity: the name of the study's
    fidelity.
    """
    function = top.text("function", '"train:objective"')
    both = ("command", "function")
    if sum(key in top for key in both) != 1:
        problem = "a function is given too" if function else "neither a command nor a function is given"
        raise top.error(
            f'{problem}; exactly one of them evaluates a trial; write command = "python train.py {{args}}" '
            'or function = "train:objective"',
            "command",
        )
    if function is not None:
        if not _FUNCTION.fullmatch(function):
            raise top.error(
                f'{show(function)} does not name a function; "module:function" is allowed; '
                'write, for instance, function = "train:objective" for objective() in train.py',
                "function",
            )
        for key, what in (
            ("config", "{config}"),
            ("style", "{args}"),
            ("results", "the output of a command"),
        ):
            if key in top:
                raise top.error(f"a function has no use for it; it is for {what}; take it out", key)
    if function is None and "fresh_process" in top:
        raise top.error("a command has a process of its own for each trial; take it out", "fresh_process")
    command = _command(top, space, fidelity)
    config = _config(top, base)
    named = basemodel.in_words(command or ()) or basemodel.in_space(space)
    return Evaluation(
        command=command,
        function=function,
        style=_style(top, command),
        config=config,
        timeout=_timeout(top),
        cwd=_cwd(top, base),
        base=str(base),
        results=_results(top),
        fresh_process=top.flag("fresh_process", False),
        model=named or (basemodel.in_file(base / config) if config else None),
    )


def _command(top: Table, space: Mapping[str, Mapping[str, Any]], fidelity: str | None) -> list[str] | None:
    given = top.values.get("command")
    texts = top.texts("command", '"python train.py {args}"', blank=True)
    if texts is None:
        return None
    try:
        words = texts if isinstance(given, list) else commandline.split(texts[0])
        commandline.check(words, space, "config" in top, fidelity)
    except InputError as error:
        raise top.error(error.message, "command", *(error.at if isinstance(given, list) else ())) from None
    return words


def _style(top: Table, command: list[str] | None) -> Any:
    style = top.one_of("style", STYLES)
    if style is not None and "{args}" not in (command or ()):
        raise top.error(
            "the command has no {args}; style says how {args} spells them; add {args} or take style out",
            "style",
        )
    return style or STYLES[0]


def _config(top: Table, base: Path) -> str | None:
    config = top.text("config", '"base.yaml"')
    if config is None:
        return None
    if Path(config).suffix.lower() not in (".yaml", ".yml", ".json", ".toml"):
        raise top.error(
            f"{show(config)} has another ending; .yaml, .yml, .json and .toml are allowed; rename it",
            "config",
        )
    if not (base / config).is_file():
        raise top.error(
            f"there is no file {show(config)} in {base}; a path relative to that is allowed; correct it",
            "config",
        )
    return config


def _cwd(top: Table, base: Path) -> str | None:
    cwd = top.text("cwd", '"."')
    if cwd is not None and not (base / cwd).is_dir():
        raise top.error(
            f"there is no directory {show(cwd)} in {base}; a path relative to that is allowed; "
            "correct it, or take cwd out to run in the trial's own directory",
            "cwd",
        )
    return cwd


def _timeout(top: Table) -> float | None:
    value = top.values.get("timeout")
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except InputError as error:
            raise error.under("timeout") from None
    seconds = top.positive("timeout", '"30m"')
    if seconds is not None and seconds > LONGEST:
        raise top.error(
            f'{show(value)} seconds is too long; at most 366 days is allowed; write, for instance, "2h"',
            "timeout",
        )
    return seconds


def _results(top: Table) -> Results:
    table = top.table("results", 'stdout = "hf"')
    if table is None:
        return Results()
    table.only(TABLES["results"], above)
    stdout = table.text("stdout", '"hf"')
    if stdout not in (None, "hf"):
        _check_pattern(table, str(stdout))
    for key in ("json", "csv", "tensorboard"):
        path = table.text(key, '"out/results.json"')
        if path and (path.startswith(("/", "{")) or ".." in PurePosixPath(path).parts):
            raise table.error(
                f"{show(path)} may lie outside the trial's directory; a path inside it is allowed, "
                f'so that trials keep apart; write, for instance, {key} = "out/{PurePosixPath(path).name}"',
                key,
            )
    return Results(stdout, table.values.get("json"), table.values.get("csv"), table.values.get("tensorboard"))


def _check_pattern(table: Table, pattern: str) -> None:
    try:
        groups = re.compile(pattern).groupindex
    except (re.error, RecursionError, OverflowError) as error:
        raise table.error(
            f"{show(pattern)} is not a regular expression ({error}); {_PATTERN_RULE}", "stdout"
        ) from None
    if not groups:
        raise table.error(f"{show(pattern)} names no metric; {_PATTERN_RULE}", "stdout")
