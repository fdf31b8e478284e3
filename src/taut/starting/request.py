"""What was asked of `taut init`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """A script, configuration or function, and how to take it.

    target: as the user names it; empty for a preset alone. words: those of its own command. base: the directory of the file to
    be written. name: of the study. preset: a name of `presets`, or empty. run_help: whether the script may be run with --help.
    python: the interpreter, as in a command.
    """

    target: str
    words: tuple[str, ...]
    base: Path
    name: str
    preset: str = ""
    run_help: bool = False
    python: str = "python"
