"""Reading the data files, each once and only when it is asked for.

data/<family>.toml  entries of a family       data/couplings.toml  rules between them
data/sources.toml   what sources are          data/libraries.toml  whose names are known, and in which version

In the files an entry's aliases are ``{ hf = "learning_rate", scripts = ["lr", "eta"] }``, its interactions
``{ weight_decay = "how" }``, its sources ``{ key = "what was seen there" }``; and contexts may be groups (`names.py`).
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from taut.catalogue.coupling import Coupling
from taut.catalogue.entry import Entry
from taut.catalogue.names import FAMILIES, Library, widen
from taut.errors import TautError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["DATA", "LibraryInfo", "couplings", "everything", "family", "libraries", "sources"]

DATA: Final = Path(__file__).parent / "data"


class LibraryInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A library whose names are known: its title, the version looked at, whose names it takes over."""

    title: str
    checked: str
    url: str = ""
    includes: tuple[Library, ...] = ()


class _Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    title: str
    read: str


@functools.cache
def everything() -> tuple[Entry, ...]:
    """All entries, family by family."""
    return tuple(entry for name in FAMILIES for entry in family(name))


@functools.cache
def family(name: str) -> tuple[Entry, ...]:
    """The entries of one family, in the order of its file."""
    return tuple(
        _convert({"name": key, "family": name, **_spelled(table)}, Entry, f"{name}.toml: {key}")
        for key, table in _read(name).items()
    )


@functools.cache
def couplings() -> tuple[Coupling, ...]:
    """All rules between entries."""
    return tuple(
        _convert({"name": key, **_spelled(table)}, Coupling, f"couplings.toml: {key}")
        for key, table in _read("couplings").items()
    )


@functools.cache
def libraries() -> dict[Library, LibraryInfo]:
    """What is known of each library."""
    found: dict[Library, LibraryInfo] = _convert(
        _read("libraries"), dict[Library, LibraryInfo], "libraries.toml"
    )
    return found


@functools.cache
def sources() -> dict[str, _Origin]:
    """Where things were seen, by key."""
    found: dict[str, _Origin] = _convert(_read("sources"), dict[str, _Origin], "sources.toml")
    return found


def _spelled(table: dict[str, Any]) -> dict[str, Any]:
    """A table of a file with its abbreviations spelled out."""
    full = dict(table)
    if "contexts" in full:
        full["contexts"] = widen(full["contexts"])
    if "settings" in full:
        full["settings"] = [{**each, "contexts": widen(each["contexts"])} for each in full["settings"]]
    if "aliases" in full:
        full["aliases"] = [
            _alias(lib, each) for lib, given in full["aliases"].items() for each in _list(given)
        ]
    if "interactions" in full:
        full["interactions"] = [{"name": name, "how": how} for name, how in full["interactions"].items()]
    if "sources" in full:
        full["sources"] = [_source(key, says) for key, says in full["sources"].items()]
    return full


def _alias(library: Any, given: Any) -> dict[str, Any]:
    known = libraries()
    if library not in known:
        raise TautError(f"aliases: {library!r} is not in libraries.toml")
    alias: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)
    if "contexts" in alias:
        alias["contexts"] = widen(alias["contexts"])
    return {"library": library, "checked": known[library].checked, **alias}


def _source(key: str, says: str) -> dict[str, Any]:
    if key not in sources():
        raise TautError(f"sources: {key!r} is not in sources.toml")
    origin = sources()[key]
    return {"key": key, "url": origin.url, "title": origin.title, "read": origin.read, "says": says}


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _read(name: str) -> dict[str, Any]:
    with open(DATA / f"{name}.toml", "rb") as file:
        return tomllib.load(file)


def _convert(data: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise TautError(f"{where}: {error}") from None
