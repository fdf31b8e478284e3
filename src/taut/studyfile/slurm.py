"""`[on.slurm]`: what its jobs ask for, checked before anything is submitted."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final, cast, get_args

from taut.duration import parse_duration
from taut.errors import InputError
from taut.slurm.settings import LEAST_NOTICE, NOTICE, Mode, Settings, usual_notice
from taut.studyfile.keys import above
from taut.studyfile.options import check_option
from taut.studyfile.table import Table, show

__all__ = ["line", "settings", "shell_lines", "trial_gpus"]

KEYS: Final = (
    *("partition", "account", "qos", "constraint", "gpus", "cpus", "memory", "time", "workers", "mode"),
    *("per_trial", "setup", "extra", "container", "python", "snapshot", "notice", "requeue"),
)
_PLACE = ("on", "slurm")
_NAME = re.compile(r"[^\s\"'#\\]+")
_GPUS = re.compile(r"(?!gpu:)([A-Za-z0-9_.-]+):([1-9][0-9]{0,3})")
_MEMORY = re.compile(r"0|[1-9][0-9]{0,8}[KMGTkmgt]")
_MOST_NOTICE = 65_535  # seconds: Slurm counts them in 16 bits


def settings(values: Mapping[str, Any]) -> Settings:
    """The settings in a plain `[on.slurm]` table.

    Raises `InputError` for whatever sbatch would refuse or misunderstand, its path beginning with on, slurm.
    """
    table = Table(values, _PLACE)
    table.only(KEYS, above)
    gpus, gpu_type = _gpus(table)
    minutes = _minutes(table)
    per_trial = _per_trial(table)
    memory = _matching(table, "memory", _MEMORY, "a whole number with K, M, G or T is allowed", '"16G"')
    asked = Settings(
        partition=_name(table, "partition", '"gpu"'),
        account=_name(table, "account", '"my-project"'),
        qos=_name(table, "qos", '"normal"'),
        constraint=_name(table, "constraint", '"a100|h100"'),
        gpus=gpus,
        gpu_type=gpu_type,
        cpus=table.integer("cpus", 1, 100_000, 8),
        memory=memory and memory.upper(),
        time=minutes,
        workers=None if values.get("workers") == "auto" else _workers(table),
        mode=cast(Mode, table.one_of("mode", get_args(Mode)) or "async"),
        trial_gpus=trial_gpus(per_trial),
        trial_cpus=per_trial.integer("cpus", 1, 100_000, 4),
        setup=shell_lines(table),
        extra=_extra(table, gpus),
        container=_container(table),
        python=line(table, "python", '"/home/me/env/bin/python"'),
        snapshot=table.flag("snapshot", False),
        notice=_notice(table, minutes),
        requeue=table.flag("requeue", True),
    )
    _check_slots(asked, per_trial)
    return asked


def line(table: Table, key: str, example: str) -> str | None:
    """Text on one line: a second one would end the comment or the command it stands in."""
    value = table.text(key, example)
    if value is not None:
        _check_line(table, value, key)
    return value


def _check_line(table: Table, value: str, *keys: str) -> None:
    if not value.isprintable():
        raise table.error(
            f"{show(value)} holds a line break or a control character; text on one line is allowed; take it out",
            *keys,
        )


def _matching(table: Table, key: str, form: re.Pattern[str], rule: str, example: str) -> str | None:
    value = table.text(key, example)
    if value is not None and not (form.fullmatch(value) and value.isprintable()):
        raise table.error(
            f"{show(value)} is not allowed; {rule}; write, for instance, {key} = {example}", key
        )
    return value


def _name(table: Table, key: str, example: str) -> str | None:
    return _matching(table, key, _NAME, "text without blanks, quotes, # and \\ is allowed", example)


def _workers(table: Table) -> int | None:
    value = table.values.get("workers")
    if isinstance(value, str):
        raise table.error(
            f'{show(value)} is not allowed; an integer from 1 or "auto" is allowed; '
            "write, for instance, workers = 8",
            "workers",
        )
    return table.integer("workers", 1, 100_000, 8)


def _gpus(table: Table) -> tuple[int, str | None]:
    value = table.values.get("gpus")
    if not isinstance(value, str):
        return table.integer("gpus", 0, 9999, 1) or 0, None
    found = _GPUS.fullmatch(value)
    if not found:
        move = f"gpus = {value}" if re.fullmatch("[0-9]{1,4}", value) else 'gpus = "a100:2"'
        raise table.error(
            f"{show(value)} is not allowed; a number of GPUs, or a type and a number, is allowed; "
            f"write, for instance, {move}",
            "gpus",
        )
    return int(found[2]), found[1]


def _minutes(table: Table) -> int | None:
    """The time limit in Slurm's whole minutes, never less than was asked for."""
    value = table.values.get("time")
    if value is None or value == "auto":
        return None
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise table.error(
            f'{show(value)} is not allowed; a span of time or "auto" is allowed; '
            'write, for instance, time = "06:00:00"',
            "time",
        )
    try:
        return math.ceil(parse_duration(str(value)) / 60)
    except InputError as error:
        raise error.under(*_PLACE, "time") from None


def _notice(table: Table, minutes: int | None) -> int:
    """Seconds. A short job that names no notice has a quarter of its time."""
    value = table.values.get("notice")
    if value is None:
        return usual_notice(minutes)
    if isinstance(value, str):
        try:
            value = math.ceil(parse_duration(value))
        except InputError as error:
            raise error.under(*_PLACE, "notice") from None
        table = Table({"notice": value}, table.at)
    seconds = table.integer("notice", LEAST_NOTICE, _MOST_NOTICE, NOTICE) or NOTICE
    if minutes is not None and seconds >= 60 * minutes:
        raise table.error(
            f"{seconds} s is no shorter than a job's {60 * minutes} s; less than that is allowed; "
            "shorten notice or lengthen time",
            "notice",
        )
    return seconds


def shell_lines(table: Table) -> list[str]:
    """The lines of `setup`."""
    lines = table.texts("setup", '"module load PyTorch"', blank=True) or []
    for index, line in enumerate(lines):
        if "\0" in line or "\r" in line:
            raise table.error(
                f"{show(line)} holds a control character; shell lines are allowed; take it out",
                *_item(table, "setup", index),
            )
    return lines


def _extra(table: Table, gpus: int) -> list[str]:
    options = table.texts("extra", '"--exclusive"') or []
    for index, option in enumerate(options):
        at = _item(table, "extra", index)
        _check_line(table, option, *at)
        try:
            check_option(option, gpus)
        except InputError as error:
            raise table.error(error.message, *at) from None
    return options


def _item(table: Table, key: str, index: int) -> tuple[str, ...]:
    return (key, str(index)) if isinstance(table.values[key], list) else (key,)


def _container(table: Table) -> list[str]:
    example = '"apptainer exec --nv image.sif"'
    words = table.texts("container", example, blank=True) or []
    for index, word in enumerate(words):
        _check_line(table, word, *_item(table, "container", index))
    if isinstance(table.values.get("container"), str):
        try:
            words = shlex.split(words[0])
        except ValueError as error:
            raise table.error(
                f"{show(words[0])} has {str(error).lower()}; words are split as a shell would; "
                'mend the quote, or give a list, for instance ["apptainer", "exec", "image.sif"]',
                "container",
            ) from None
    if words and not words[0].strip():
        raise table.error(
            f"{show(words[0])} is not a program; the program comes first; write, for instance, container = {example}",
            "container",
        )
    return words


def _per_trial(table: Table) -> Table:
    value = table.values.get("per_trial", {})
    if not isinstance(value, dict):
        raise table.error(
            f"{show(value)} is not a table; a table is allowed; "
            "write, for instance, per_trial = { gpus = 1, cpus = 4 }",
            "per_trial",
        )
    per_trial = Table(value, (*table.at, "per_trial"))
    per_trial.only(
        ("gpus", "cpus"),
        lambda key: f"{key} is a job's, not a trial's; put it below [on.slurm]" if key in KEYS else None,
    )
    return per_trial


def trial_gpus(per_trial: Table) -> float | None:
    """GPUs of each trial: whole ones, or a part of one."""
    value = per_trial.positive("gpus", "1")
    if value is not None and not (0.01 <= value <= 1 or value.is_integer()):
        raise per_trial.error(
            f"{show(per_trial.values['gpus'])} is not allowed; whole GPUs, or a part of one from 0.01 on, are allowed; "
            "write, for instance, gpus = 0.5 for two trials on each GPU",
            "gpus",
        )
    return value


def _check_slots(asked: Settings, per_trial: Table) -> None:
    """Refuse a job in which not even one trial would fit."""
    for key, has, each in (
        ("gpus", asked.gpus, asked.trial_gpus),
        ("cpus", asked.cpus or 0, asked.trial_cpus),
    ):
        if each is not None and each > has:
            what = f"a job has {has} {key}" if has else f"a job asks for no {key}"
            raise per_trial.error(
                f"{show(per_trial.values[key])} does not fit, {what}; at most what a job has is allowed; "
                f"write, for instance, {key} = {math.ceil(each)} below [on.slurm]",
                key,
            )
