"""What a script can be told: its flags, as one plain value each, whatever library reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = ["UNKNOWN", "Flag", "Kind", "Script", "parameter_name", "printable"]

Kind = Literal["float", "int", "str", "bool", "list", ""]


class _Unknown:
    """The value of what cannot be read without running the script."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False


UNKNOWN: Final = _Unknown()


@dataclass(frozen=True)
class Flag:
    """One setting of a script.

    name: a name for the parameter, an identifier. option: as the script takes it, ``--learning-rate``; empty for an argument
    of a function, a key of a configuration and a positional argument; spellings: its others, ``-l``. kind: of its values; empty if that is not known.
    default: a literal, None, or `UNKNOWN`. choices: the only values that are allowed, if that was said. low, high: bounds that
    the script itself checks. switch: the words for true and for false of a flag that takes no value (an empty text: none).
    inherited: whether the default is that of a library, made for everybody, and not of the user's own script.
    free: whether it takes texts of which the script does not say which. early: whether it stands before the subcommand's name. positional, required: the script does not run without it. trap: why a value on the command line would not do what it says.
    where: for people, ``train.py:34``. help: the script's own words.
    """

    name: str
    option: str = ""
    kind: Kind = ""
    default: Any = UNKNOWN
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    switch: tuple[str, str] | None = None
    free: bool = False
    spellings: tuple[str, ...] = ()
    early: bool = False
    positional: bool = False
    required: bool = False
    inherited: bool = False
    trap: str = ""
    where: str = ""
    help: str = ""


@dataclass(frozen=True)
class Script:
    """What was read of a script or a configuration.

    flags: in the order in which the script has them. readers: how they are read: argparse, dataclasses, click, ... notes: what
    could not be read, in sentences. subcommand: the words that choose the part that was read.
    """

    flags: tuple[Flag, ...] = ()
    readers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    subcommand: tuple[str, ...] = field(default=())

    def joined(self, other: Script) -> Script:
        """Both; a flag that both have counts as the first has it."""
        names = {flag.name for flag in self.flags}
        return Script(
            (*self.flags, *(flag for flag in other.flags if flag.name not in names)),
            tuple(dict.fromkeys((*self.readers, *other.readers))),
            tuple(dict.fromkeys((*self.notes, *other.notes))),
            self.subcommand or other.subcommand,
        )


def parameter_name(text: str) -> str:
    """The parameter for an option: ``--learning-rate`` becomes learning_rate."""
    name = re.sub(r"\W", "_", text.lstrip("-"))
    return f"_{name}" if not name or name[0].isdigit() else name


def printable(text: str) -> str:
    """Text of a script without what would steer a terminal, and break a comment of a study."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f-\x9f]", "", text)


def kind_of(value: Any) -> Kind:
    """The kind of a literal."""
    for kind, types in (
        ("bool", bool),
        ("int", int),
        ("float", float),
        ("str", str),
        ("list", (list, tuple)),
    ):
        if isinstance(value, types):
            return kind  # type: ignore[return-value]
    return ""
