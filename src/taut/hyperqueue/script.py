"""The script that every task of a round runs. Pure: nothing is read, written or run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from taut.hyperqueue.settings import Settings
from taut.slurm.script import setup_lines

__all__ = ["task_script", "worker_words"]


def task_script(settings: Settings, *, remark: str, command: Sequence[str]) -> str:
    """A script that a person reads with pleasure. remark: its first line of comment. command: what the task becomes."""
    parts = [f"#!/bin/bash\n# {remark}\n\nexec 2>&1  # one log for each task"]
    if settings.setup:
        parts.append(setup_lines(settings.setup, "task"))
    parts.append(
        "# exec: the command takes the shell's place, so that HyperQueue's signals reach it.\n"
        f"exec {shlex.join(command)}"
    )
    return "\n\n".join(parts) + "\n"


def worker_words(settings: Settings, study: Path, workers: int, present: str = sys.executable) -> list[str]:
    """The command of a task. study: absolute. workers: tasks that share a batch. present: the interpreter where none is named."""
    options = ["--finish", "1"] if settings.tasks == "trial" else ["--mode", settings.mode]
    if settings.tasks == "worker" and settings.mode == "batch":
        options += ["--batch", str(workers)]
    return [settings.python or present, "-m", "taut", "worker", str(study), *options]
