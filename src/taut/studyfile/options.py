"""Options of sbatch that `extra` may not hold, since taut sets them itself, and the key to use instead."""

from __future__ import annotations

import re
import shlex
from typing import Final

from taut.errors import InputError
from taut.studyfile.table import show

__all__ = ["check_option"]

_LOGS = "output is kept in the study's directory, where taut looks for it"
_ALONE = "taut submits, and reads what sbatch says"
_ONE_NODE = "a job is one worker on one node; for more of them write, for instance, workers = 8"
_GPUS = 'write, for instance, gpus = 2 or gpus = "a100:2"'
_MEMORY = 'write, for instance, memory = "16G"'

_OWN: Final[dict[str, str]] = {
    "array": "write, for instance, workers = 8",
    "job-name": "jobs have names by which taut finds them again",
    "output": _LOGS,
    "error": _LOGS,
    "open-mode": _LOGS,
    "signal": 'write, for instance, notice = "120s"',
    "time": 'write, for instance, time = "06:00:00"',
    "requeue": "write requeue = true",
    "no-requeue": "write requeue = false",
    "dependency": 'one round of jobs follows the other by itself, for instance with mode = "batch"',
    "partition": 'write, for instance, partition = "gpu"',
    "account": 'write, for instance, account = "my-project"',
    "qos": 'write, for instance, qos = "normal"',
    "constraint": 'write, for instance, constraint = "a100"',
    "gres": _GPUS,
    "gpus": _GPUS,
    "gpus-per-node": _GPUS,
    "gpus-per-task": _GPUS,
    "gpus-per-socket": _GPUS,
    "cpus-per-task": "write, for instance, cpus = 8",
    "cpus-per-gpu": "write, for instance, cpus = 8",
    "mem": _MEMORY,
    "mem-per-cpu": _MEMORY,
    "mem-per-gpu": _MEMORY,
    "nodes": _ONE_NODE,
    "ntasks": _ONE_NODE,
    "ntasks-per-node": _ONE_NODE,
    "clusters": "taut asks the Slurm of this cluster; start it on a login node of the other one",
    "wait": _ALONE,
    "wrap": _ALONE,
    "parsable": _ALONE,
    "test-only": _ALONE,
}
_SHORT: Final[dict[str, str]] = {
    **{"a": "array", "J": "job-name", "o": "output", "e": "error", "t": "time", "d": "dependency"},
    **{"p": "partition", "A": "account", "q": "qos", "C": "constraint", "G": "gpus", "c": "cpus-per-task"},
    **{"N": "nodes", "n": "ntasks", "M": "clusters", "W": "wait"},
}


def check_option(text: str, gpus: int) -> None:
    """Raise `InputError` unless `text` can stand after ``#SBATCH`` beside what taut writes there.

    gpus: of one job. Where it has none, ``--gres`` may ask for things that are no GPUs.
    """
    example = 'write, for instance, extra = ["--exclusive"]'
    if not text.startswith("-"):
        raise InputError(f"{show(text)} is not an option; options begin with -; {example}")
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        raise InputError(f"{show(text)} has {str(error).lower()}; quotes come in pairs; mend it") from None
    for word in words:
        name = _own(word)
        if name is None or (name == "gres" and not gpus and "gpu" not in text):
            continue
        raise InputError(
            f"{show(word)} is not allowed, since taut sets --{name} itself; take it out: {_OWN[name]}"
        )


def _own(word: str) -> str | None:
    """The option of taut's own that `word` would set. sbatch takes beginnings of names, too."""
    if not word.startswith("--"):
        return _SHORT.get(word[1:2]) if word.startswith("-") else None
    name = re.split("=", word[2:], maxsplit=1)[0]
    if name in _OWN:
        return name
    return next((own for own in _OWN if name and own.startswith(name)), None)
