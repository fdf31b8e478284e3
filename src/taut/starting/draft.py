"""A drafted file before it is written: it must be readable; and what is said when it has been written."""

from __future__ import annotations

import shlex
from pathlib import Path

from taut import studyfile
from taut.errors import InputError, StudyError
from taut.starting.flags import printable
from taut.starting.outline import Outline

__all__ = ["check", "told"]


def check(text: str, path: Path) -> None:
    """Read a draft as `taut run` would read it at `path`.

    Raises `StudyError` if it is refused: that is a mistake of the draft, not of its reader.
    """
    try:
        studyfile.read_text(text, path)
    except InputError as error:
        raise StudyError(
            f"the study that was drafted could not be read again ({error}); nothing was written: please report this with "
            "the script, and begin with plain `taut init`"
        ) from None


def told(outline: Outline, out: str) -> list[str]:
    """What the user should know, the most pressing first."""
    searched = [pick.flag.name for pick in outline.selection.searched]
    measure = outline.measure
    lines = [
        f"{len(searched)} parameter{'s' if len(searched) > 1 else ''} of {outline.title}: {', '.join(searched)}"
    ]
    if not searched:
        lines = [f"{outline.title}, which asks for its parameters as it goes"]
    aim = "minimize" if measure.minimize else "maximize"
    if measure.found:
        lines.append(f"{aim} {measure.metric}" + (f": {measure.said[0]}" if measure.said else ""))
    else:
        lines.append(f"no result was found: {measure.said[-2]}")
    lines += [f"replace {word} in the command: {what}" for word, what in outline.to_fill.items()]
    lines += [f"left out: {name}" for name in outline.left_out]
    lines += [f"note: {note}" for note in outline.notes]
    lines.append(f"read it, then: taut run {shlex.quote(out)} --trials 2")
    return list(map(printable, lines))
