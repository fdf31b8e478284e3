"""What the tests of `taut init` share."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taut import studyfile
from taut.definition import Definition
from taut.starting.compose import compose
from taut.starting.draft import check
from taut.starting.flags import Flag
from taut.starting.outline import Outline
from taut.starting.request import Request
from taut.starting.writing import written


@dataclass
class Desk:
    """A directory in which scripts are written and studies drafted, as the command line does it."""

    place: Path

    def write(self, name: str, text: str) -> Path:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def outline(self, target: str, *words: str, **options: Any) -> Outline:
        return compose(Request(target, words, self.place, "study", **options))

    def draft(self, target: str, *words: str, **options: Any) -> str:
        """The text; it has been read again, as it always is before it is written."""
        text = written(self.outline(target, *words, **options), "study.toml")
        check(text, self.place / "study.toml")
        return text

    def study(self, target: str, *words: str, **options: Any) -> Definition:
        return studyfile.read_text(self.draft(target, *words, **options), self.place / "study.toml")


def by_name(flags: tuple[Flag, ...]) -> dict[str, Flag]:
    return {flag.name: flag for flag in flags}
