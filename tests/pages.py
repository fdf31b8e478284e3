"""Pages of the documentation as what stands in them: files, commands, and what these print.

On the pages of the tutorial and their like a block says by its first line what it is:

    ```toml title="study.toml"     a file, which the commands below find
    ```sh                          commands, run in the order of the page by bash, all in one folder
    ```text title="output"         what the commands before it print: just this; ... stands for anything
    ```text title="one run"        the same, but each number may be another
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
OUTPUT, ONE_RUN = "output", "one run"  # titles of what is printed; all others are names of files
_FENCE = re.compile(r'^```(\w*)(?: title="([^"\n]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


class Block(NamedTuple):
    language: str
    title: str  # empty if there is none
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def matches(shown: str, printed: str, any_number: bool) -> bool:
    """Whether a page shows what was printed. Widths of blanks do not count, and of numbers six digits do."""

    def plain(text: str) -> str:
        text = " ".join(text.split())
        if any_number:
            return re.sub(r"[-─=]{2,}", "--", _NUMBER.sub("0", text))
        return _NUMBER.sub(lambda found: f"{float(found[0]):.6g}", text)

    return re.fullmatch(".*?".join(map(re.escape, plain(shown).split("..."))), plain(printed)) is not None
