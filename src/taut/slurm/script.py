"""The job script of a study's workers and the words that submit it. Pure: nothing is read, written or run.

A trial's parameters never appear in a script: workers read them from the study.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from taut.errors import InputError
from taut.slurm.settings import Settings

__all__ = [
    "job_script",
    "log_pattern",
    "python_words",
    "setup_lines",
    "submit_environment",
    "submit_words",
    "worker_words",
]

_ONE_WORD = re.compile(r"\S+")
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,%@+-]+")  # what sbatch takes without quotes

_EARLY = 60  # seconds by which Slurm may send its signal before the time that was asked for (sbatch --signal)
_STARTING = 30  # seconds after which a worker surely listens,
_SETTING_UP = 120  # and so many more where modules or environments are loaded first

# Variables that sbatch prefers to the script's lines: of what every script says, and of single settings.
_ALWAYS = frozenset(
    f"SBATCH_{name}"
    for name in (
        *(
            "ARRAY_INX",
            "CLUSTERS",
            "CPUS_PER_GPU",
            "ERROR",
            "GPUS",
            "GPUS_PER_NODE",
            "GPUS_PER_TASK",
            "JOB_NAME",
        ),
        *("MEM_PER_CPU", "MEM_PER_GPU", "NO_REQUEUE", "OPEN_MODE", "OUTPUT", "REQUEUE", "SIGNAL", "WAIT"),
    )
)
_SETTING = {
    "SBATCH_PARTITION": "partition",
    "SBATCH_ACCOUNT": "account",
    "SBATCH_QOS": "qos",
    "SBATCH_CONSTRAINT": "constraint",
    "SBATCH_GRES": "gpus",
    "SBATCH_MEM_PER_NODE": "memory",
    "SBATCH_TIMELIMIT": "time",
}

_END = """\
# When this job ends, in seconds since 1970; Slurm says so itself from 23.02 on.
export SLURM_JOB_END_TIME=${{SLURM_JOB_END_TIME:-$(( $(date +%s) + {seconds} ))}}"""

# A failed line ends the job, as with `set -e`, but what happens inside functions (`conda activate`) and
# sourced files (`/etc/profile`) is theirs: there a command may fail and mean nothing.
_GUARD = """\
# Setup. If a line of it fails, the {what} ends and says so, rather than going on with, say, the wrong Python.
setup_failed() {{
  [[ $2 -gt 1 ]] && return  # inside a file that is sourced: only its end counts
  echo "taut: setup failed with exit code $1, so the {what} ends: $3" >&2
  exit "$1"
}}
trap 'setup_failed $? ${{#BASH_SOURCE[@]}} "$BASH_COMMAND"' ERR"""


def job_script(
    settings: Settings, *, name: str, log: str, remarks: Sequence[str], command: Sequence[str]
) -> str:
    """A job script that a person reads with pleasure.

    name: of the job. log: where its output goes, as `log_pattern` gives it. remarks: lines of comment at the
    top. command: the words that the job becomes, for instance `worker_words`.

    Raises `InputError` for a name, log or remark of several lines.
    """
    parts = [_head(remarks), _directives(settings, name, log)]
    if settings.time is not None:
        parts.append(_END.format(seconds=60 * settings.time))
    if settings.setup:
        parts.append(setup_lines(settings.setup, "job"))
    parts.append(
        f"# exec: the command takes the shell's place, so that Slurm's signals reach it.\nexec {shlex.join(command)}"
    )
    return "\n\n".join(parts) + "\n"


def setup_lines(setup: Sequence[str], what: str) -> str:
    """The user's lines, guarded: if one fails, so does the script. what: that which then ends, a job or a task."""
    return "\n".join([_GUARD.format(what=what), *setup])


def worker_words(settings: Settings, study: Path, *more: str, present: str = sys.executable) -> list[str]:
    """The command of a worker's job, behind its container if it has one.

    study: absolute. more: further words for ``taut worker``. present: the interpreter outside of containers.
    """
    part = settings.trial_gpus
    options = ["--workers", str(settings.slots)]
    options += [] if part is None else ["--trial-gpus", f"{part:.12g}"]
    options += ["--mode", settings.mode]
    return [
        *settings.container,
        *python_words(settings, present=present),
        *("-m", "taut", "worker", str(study), *options, *more),
    ]


def python_words(settings: Settings, *, present: str = sys.executable) -> list[str]:
    """The interpreter in a job. present: the one for jobs whose settings name none, nor a container."""
    return [settings.python or ("python3" if settings.container else present)]


def log_pattern(folder: Path, pattern: str) -> str:
    """The value of ``--output`` for logs in `folder` (absolute), named by Slurm's `pattern` (``%a.log``).

    Raises `InputError` where Slurm cannot express the folder's name.
    """
    text = str(folder)
    if "\\" in text or not text.isprintable():
        raise InputError(
            f"{text!r} holds a backslash, a line break or a control character, which Slurm cannot have in the name of "
            "a job's log; other characters are allowed; choose another directory for the study, for instance with --dir"
        )
    return f"{text.replace('%', '%%')}/{pattern}"


def submit_words(
    script: Path,
    *,
    tasks: int | None = None,
    at_once: int | None = None,
    dependency: str | None = None,
) -> list[str]:
    """The words that submit `script`, of which sbatch then prints the job id alone.

    tasks: of the array; None is one plain job. at_once: how many of them may run side by side; None is all.
    dependency: for instance ``afterany:17``.
    """
    words = ["sbatch", "--parsable"]
    if tasks is not None:
        limit = f"%{at_once}" if at_once is not None and at_once < tasks else ""
        words.append(f"--array=0-{tasks - 1}{limit}")
    if dependency is not None:
        words.append(f"--dependency={dependency}")
    return [*words, str(script)]


def submit_environment(settings: Settings, present: Mapping[str, str]) -> dict[str, str]:
    """`present` (``os.environ``) as it has to be for sbatch, which hands it on to the job.

    Without SBATCH_ variables that would win over the script, and without what the present job is: in a job
    submitted from another one, Slurm leaves SLURM_RESTART_COUNT, SLURM_ARRAY_TASK_ID and SLURM_JOB_END_TIME
    as they were handed on, unless it has its own.
    """

    def stays(name: str) -> bool:
        if name.startswith("SLURM_"):
            return name == "SLURM_CONF"
        return name not in _ALWAYS and not (name in _SETTING and getattr(settings, _SETTING[name]))

    return {name: value for name, value in present.items() if stays(name)}


def _head(remarks: Sequence[str]) -> str:
    for remark in remarks:
        _check_line(remark)
    return "\n".join(["#!/bin/bash", *(f"# {remark}" for remark in remarks)])


def _directives(settings: Settings, name: str, log: str) -> str:
    gpus = None
    if settings.gpus:
        gpus = ":".join(["gpu", *([settings.gpu_type] if settings.gpu_type else []), str(settings.gpus)])
    options = {
        "job-name": name,
        "output": log,
        "open-mode": "append",  # a requeued job goes on in its log
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "constraint": settings.constraint,
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": settings.cpus,
        "gres": gpus,
        "mem": settings.memory,
        "time": None if settings.time is None else _span(settings.time),
        "signal": _signal(settings),
    }
    lines = [f"--{key}={_quoted(str(value))}" for key, value in options.items() if value is not None]
    lines += ["--requeue" if settings.requeue else "--no-requeue", *map(_option, settings.extra)]
    return "\n".join(f"#SBATCH {line}" for line in lines)


def _signal(settings: Settings) -> str | None:
    """When Slurm is to send USR1; None for a job that is not to be told, or that might be told, and ended by it, before it listens.

    A worker watches the clock, too, so a job of a minute loses nothing.
    """
    before = settings.notice + _EARLY + _STARTING + (_SETTING_UP if settings.setup else 0)
    if not settings.notice or (settings.time is not None and 60 * settings.time < before):
        return None
    return f"B:USR1@{settings.notice}"


def _span(minutes: int) -> str:
    days, rest = divmod(minutes, 24 * 60)
    return f"{f'{days}-' if days else ''}{rest // 60:02}:{rest % 60:02}:00"


def _quoted(value: str) -> str:
    """A value as sbatch reads it after ``#SBATCH``: in double quotes, a backslash before " and itself."""
    _check_line(value)
    if _PLAIN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _option(text: str) -> str:
    """An option of `extra`: its value is quoted as others are, unless the user did so or wrote several options."""
    name, equals, value = text.partition("=")
    several = any(word.startswith("-") for word in value.split()[1:])
    if not equals or not _ONE_WORD.fullmatch(name) or several or any(mark in value for mark in "\"'\\"):
        return text
    return f"{name}={_quoted(value)}"


def _check_line(text: str) -> None:
    if not text.isprintable():
        raise InputError(
            f"{text!r} holds a line break or a control character, which a job script cannot have in its first lines; "
            "text on one line is allowed; rename it"
        )
