"""examples/optuna-exercise in a directory of its own, and what its page says to type there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "optuna-exercise"


def required() -> None:
    """Skip the test where what the exercise trains with is not installed."""
    for name in ("torch", "transformers", "accelerate", "optuna"):
        pytest.importorskip(name, reason="the exercise trains with transformers, for Optuna")


def prepare(folder: Path) -> None:
    for path in EXAMPLE.iterdir():
        if path.suffix in {".py", ".toml"}:
            shutil.copy(path, folder)


def command(part: str) -> list[str]:
    """The one command of the page that has this in it, in words."""
    blocks = re.findall(r"^```\n(.*?)^```", (EXAMPLE / "README.md").read_text(), re.M | re.S)
    (line,) = [line for block in blocks for line in block.splitlines() if part in line]
    return shlex.split(line, comments=True)
