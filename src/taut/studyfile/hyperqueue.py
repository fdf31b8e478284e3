"""`[on.hyperqueue]`: what its tasks ask for, checked before anything is submitted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast, get_args

from taut.duration import parse_duration
from taut.errors import InputError
from taut.hyperqueue.settings import GPUS, Mode, Settings, Tasks
from taut.studyfile.keys import above
from taut.studyfile.slurm import line, shell_lines
from taut.studyfile.table import Table, show

__all__ = ["settings"]

KEYS: Final = (
    *("server_dir", "tasks", "workers", "mode", "cpus", "gpus", "resources", "min_time"),
    *("setup", "python"),
)
_PLACE = ("on", "hyperqueue")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*")
_LEAST = 0.0001  # HyperQueue counts resources in ten-thousandths
_QUEUE = {
    "partition": "hq alloc add slurm -- --partition=...",
    "account": "hq alloc add slurm -- --account=...",
    "qos": "hq alloc add slurm -- --qos=...",
    "time": "hq alloc add slurm --time-limit=...",
    "memory": "resources = { mem = ... }, where HyperQueue's workers offer it",
}


def settings(values: Mapping[str, Any]) -> Settings:
    """The settings in a plain `[on.hyperqueue]` table.

    Raises `InputError` for what HyperQueue would refuse or misunderstand, its path beginning with on, hyperqueue.
    """
    table = Table(values, _PLACE)
    table.only(KEYS, _elsewhere)
    tasks = cast(Tasks, table.one_of("tasks", get_args(Tasks)) or "worker")
    if tasks == "trial":
        for key in ("workers", "mode"):
            if key in table:
                raise table.error(
                    "it is for tasks that are workers, and here each task is one trial, of which HyperQueue runs as many as "
                    'its workers have room for; take it out, or write tasks = "worker"',
                    key,
                )
    return Settings(
        server_dir=_directory(table),
        tasks=tasks,
        workers=table.integer("workers", 1, 100_000, 8),
        mode=cast(Mode, table.one_of("mode", get_args(Mode)) or "async"),
        cpus=_amount(table, "cpus") or 1.0,
        gpus=_amount(table, "gpus") or 0.0,
        resources=_resources(table),
        min_time=_seconds(table),
        setup=shell_lines(table),
        python=line(table, "python", '"/home/me/env/bin/python"'),
    )


def _elsewhere(key: str) -> str | None:
    if key in _QUEUE:
        return f"HyperQueue's own settings say that: {_QUEUE[key]}"
    return above(key)


def _directory(table: Table) -> str | None:
    value = line(table, "server_dir", '"~/.hq-server"')
    if value is not None and not value.startswith(("/", "~")):
        raise table.error(
            f"{show(value)} would be another directory for each place it is read from; a path from / or ~ is allowed; "
            'write, for instance, server_dir = "~/.hq-server"',
            "server_dir",
        )
    return value


def _amount(table: Table, key: str) -> float | None:
    value = table.positive(key, "1")
    if value is not None and value < _LEAST:
        raise table.error(
            f"{show(table.values[key])} is too small; at least {_LEAST} is allowed; write, for instance, {key} = 0.5",
            key,
        )
    return value


def _resources(table: Table) -> dict[str, float]:
    inner = table.table("resources", '"gpus/amd" = 1')
    if inner is None:
        return {}
    for name in inner.values:
        if name in ("cpus", "gpus", GPUS):
            own = "cpus" if name == "cpus" else "gpus"
            raise inner.error(
                f"it has a key of its own; write {own} = {show(inner.values[name])} below [on.hyperqueue]",
                name,
            )
        if not _NAME.fullmatch(name):
            raise inner.error(
                f"{show(name)} cannot be a resource; a letter, then letters, digits, _, / and - are allowed; "
                "write the name that `hq worker start --resource` gives it",
                name,
            )
    return {name: inner.positive(name, "1") or 1.0 for name in inner.values}


def _seconds(table: Table) -> float:
    value = table.text("min_time", '"30m"')
    try:
        return 0.0 if value is None else parse_duration(value)
    except InputError as error:
        raise error.under(*_PLACE, "min_time") from None
