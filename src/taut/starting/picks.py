"""What becomes of each flag of a script, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from taut.catalogue import Coupling, Entry
from taut.starting.flags import Flag

__all__ = ["Context", "Pick", "Selection"]

_LENGTH: Final = ("num_train_epochs",)


@dataclass(frozen=True)
class Context:
    """What is being done, and whose names the flags have.

    names: contexts of the catalogue, the most fitting first. libraries: in which names are looked up, in this order.
    wanted: entries that are to be searched, by a preset; None leaves it to their impact. refused: a regular
    expression for values that need what is not installed.
    """

    names: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    wanted: tuple[str, ...] | None = None
    refused: str = ""


@dataclass(frozen=True)
class Pick:
    """What becomes of one flag.

    prior: JSON form of the parameter; None where there is none to offer. searched: whether it is part of the study; if not,
    `why` says why. said: about the start. stays: whether the command sets it.
    spelled: the library's values for the catalogue's, where they differ.
    """

    flag: Flag
    entry: Entry | None = None
    prior: Mapping[str, Any] | None = None
    searched: bool = False
    why: str = ""
    said: str = ""
    basis: str = ""
    stays: bool = False
    spelled: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lengthens(self) -> bool:
        """Whether the flag says how long a trial is, so that the best trial would be the longest."""
        return self.entry is not None and self.entry.name in _LENGTH


@dataclass
class Selection:
    """All flags, in groups. rules: couplings that could be used, with the names of the script's flags."""

    picks: list[Pick] = field(default_factory=list)
    rules: list[tuple[Coupling, dict[str, str]]] = field(default_factory=list)

    @property
    def searched(self) -> list[Pick]:
        return [pick for pick in self.picks if pick.searched]
