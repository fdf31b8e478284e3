"""Calling Slurm's own commands."""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping

from taut.errors import InputError, StudyError

__all__ = ["NoAnswer", "SlurmError", "available", "call", "cluster_name", "myself", "required"]

# What a user has set for the terminal, formats and filters, would change what is read here.
_PERSONAL = ("SQUEUE_", "SACCT_", "SINFO_", "SCONTROL_", "SACCTMGR_", "SLURM_TIME_FORMAT")
_CLUSTER = re.compile(r"^\s*ClusterName\s*=\s*(\S+)", re.MULTILINE | re.IGNORECASE)
# Complaints of commands that may all the same have done what they were asked for.
_NO_ANSWER = ("timed out", "Unable to contact", "onnection refused", "onnection reset", "Transport endpoint")


class SlurmError(StudyError):
    """A command of Slurm failed; the message is what it said."""


class NoAnswer(SlurmError):
    """The controller did not answer in time: whether it has done what was asked is not known."""


@functools.lru_cache(maxsize=1)
def available() -> bool:
    """Whether Slurm's commands are installed here."""
    return all(shutil.which(name) is not None for name in ("sbatch", "squeue", "scontrol"))


def required() -> None:
    """Raise `InputError` where Slurm is not installed."""
    if not available():
        raise InputError(
            "Slurm is not installed here: there is no sbatch in PATH; use a login node of the cluster, "
            "or leave --on out to run on this machine"
        )


def environment() -> dict[str, str]:
    """The environment for Slurm's commands, whose output is to be read by a program."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith(_PERSONAL)}, "LC_ALL": "C"}


def call(
    *words: str, timeout: float = 30.0, env: Mapping[str, str] | None = None, text: str | None = None
) -> str:
    """What a command printed. Raises `SlurmError` with its complaint if it fails or does not answer in time.

    env: its environment, where that is more than a way to readable answers: sbatch hands it on to the job.
    text: its standard input.
    """
    try:
        done = subprocess.run(
            words,
            input=text or "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=environment() if env is None else env,
        )
    except FileNotFoundError:
        raise SlurmError(f"there is no {words[0]} in PATH") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{words[0]} did not answer within {timeout:g} s") from None
    if done.returncode:
        said = complaint(words[0], done.stderr, done.returncode)
        raise (NoAnswer if any(text in said for text in _NO_ANSWER) else SlurmError)(said)
    return done.stdout


def complaint(program: str, said: str, code: int) -> str:
    """The first thing that a failed command said, without its ``sbatch: error:``."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        return f"{program} ended with exit code {code}"
    texts = [line.removeprefix(f"{program}: ").removeprefix("error: ") for line in lines]
    return f"{program}: {'; '.join(dict.fromkeys(texts))}"


@functools.lru_cache(maxsize=1)
def myself() -> str:
    """The name of the user whose jobs ours are: by the user number, whatever LOGNAME says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may have a user number without a name
        return str(os.getuid())


def cluster_name() -> str | None:
    """The cluster whose commands work here: its configuration's word, else the controller's; None if neither says."""
    places = [os.environ.get("SLURM_CONF", "/etc/slurm/slurm.conf"), "/run/slurm/conf/slurm.conf"]
    for place in places:
        with contextlib.suppress(OSError, UnicodeDecodeError), open(place, encoding="utf-8") as file:
            if found := _CLUSTER.search(file.read()):
                return found[1].lower()
    with contextlib.suppress(SlurmError):
        found = _CLUSTER.search(call("scontrol", "show", "config", timeout=10.0))
        return found[1] if found else None
    return None
