"""What the catalogue knows of one hyperparameter: `Entry`, the schema of the data files.

The files are written by hand, so every struct refuses keys that it does not know. `load.py` spells out what the
files may abbreviate, and checks what refers to other entries.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from taut.catalogue.names import Affected, Basis, Context, Family, Impact, Kind, Library, plain
from taut.catalogue.text import inline

__all__ = ["Alias", "Entry", "Interaction", "Setting", "Source"]


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to believe of a parameter in some contexts.

    contexts: where it holds.
    prior: the parameter as a table of study.toml: ``{"loguniform": [1e-5, 2e-3], "start": 2e-4}``.
    basis: "seen" if the range or the list itself stands in a source; "inferred" if it was drawn by us around values
        that sources use.
    why: one line on the range or the start; may be empty.
    """

    contexts: tuple[Context, ...]
    prior: dict[str, Any]
    basis: Basis
    why: str = ""

    def with_start(self, value: Any) -> dict[str, Any]:
        """The prior with another start. Whether that lies in the range is for the caller to know."""
        return {**self.prior, "start": value}

    def toml(self, name: str, *, start: Any = None, when: str | None = None) -> str:
        """The line of study.toml: ``learning_rate = { loguniform = [1e-5, 2e-3], start = 2e-4 }``.

        name: the parameter's name in the study. start: instead of the catalogue's. when: its condition.
        """
        prior = self.prior if start is None else self.with_start(start)
        key = (
            name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else json.dumps(name)
        )
        return f"{key} = {inline(prior | ({'when': when} if when else {}))}"


class Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parameter's name in a library.

    owner, name: whose, and as it is written there; dots part nested keys (``optimizer.lr``).
    contexts: where the name means this parameter; empty: always.
    checked: the version whose source was looked at.
    inverted: the library's true is the catalogue's false.
    gone: by when the name no longer existed there ("by trl 0.20"); empty: it does.
    values: the library's spelling of the catalogue's values, where they differ.
    vague: whether the name tells nothing unless one knows whose it is, such as C, k and gamma.
    """

    owner: Library = msgspec.field(name="library")
    name: str
    contexts: tuple[Context, ...] = ()
    checked: str = ""
    inverted: bool = False
    gone: str = ""
    values: dict[str, Any] = {}
    vague: bool = False


class Interaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another entry that should not be chosen without looking at this one, and how they go together."""

    name: str
    how: str


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where something was seen.

    key: its name in sources.toml. says: what was seen there. read: what was looked at (a file at a version, a whole
    page, an abstract, a report by others).
    """

    key: str
    url: str
    title: str
    read: str
    says: str


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One hyperparameter.

    name: ours; often the most common library's. family, kind, impact: see `names.py`; the impact is our rating.
    summary: one line. affects: which metrics it moves.
    tune: "no" for what is listed so that it is known, and is better not searched; `notes` say why.
    when: where it matters, in taut's expressions over names of entries; condition: in prose, where those cannot say it.
    settings: ranges, priors and starts, by context; the first that fits counts.
    aliases: names in libraries. defaults: there, by library.
    interactions: what it goes with. versions: what has been renamed or has gone.
    """

    name: str
    family: Family
    kind: Kind
    summary: str
    impact: Impact
    affects: tuple[Affected, ...]
    tune: Literal["yes", "no"] = "yes"
    when: str | None = None
    condition: str | None = None
    settings: tuple[Setting, ...] = ()
    aliases: tuple[Alias, ...] = ()
    defaults: dict[Library, Any] = {}
    interactions: tuple[Interaction, ...] = ()
    versions: tuple[str, ...] = ()
    notes: str = ""
    sources: tuple[Source, ...] = ()

    def setting(self, context: str | None = None) -> Setting | None:
        """What to believe in `context`, or the first setting if that is None; None where it does not apply."""
        fitting = (each for each in self.settings if context is None or context in each.contexts)
        return next(fitting, None)

    def names(self, library: str | None = None) -> tuple[str, ...]:
        """Its names in `library`, or in all of them; each once."""
        fitting = (a.name for a in self.aliases if library is None or a.owner == library)
        return tuple(dict.fromkeys(fitting))

    def called(self, flag: str, library: str, context: str | None = None) -> Alias | None:
        """The alias by which `flag` means this entry in `library`, where the context is `context`."""
        for alias in self.aliases:
            fits = context is None or not alias.contexts or context in alias.contexts
            if fits and alias.owner == library and plain(alias.name) == plain(flag):
                return alias
        return None

    def only_vaguely(self, flag: str) -> bool:
        """Whether `flag` is no more than a vague name of it."""
        telling = {plain(self.name), *(plain(alias.name) for alias in self.aliases if not alias.vague)}
        return plain(flag) not in telling

    @property
    def basis(self) -> Basis:
        """Whether the first range was seen in a source; see `Setting.basis`."""
        return self.settings[0].basis if self.settings else "inferred"
