"""From a flag to an entry."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from taut.catalogue import load
from taut.catalogue.coupling import Coupling
from taut.catalogue.entry import Entry
from taut.catalogue.names import CONTEXTS, FAMILIES, LIBRARIES, plain
from taut.errors import InputError, nearest

__all__ = ["couplings", "entries", "entry", "match", "meanings"]


def entries(
    family: str | None = None, library: str | None = None, context: str | None = None
) -> tuple[Entry, ...]:
    """The entries of a family, or all; only those with a name in `library` and a range for `context`, where given.

    Raises `InputError` for an unknown family, library or context.
    """
    _known(family, FAMILIES, "family")
    _known(library, LIBRARIES, "library")
    _known(context, CONTEXTS, "context")
    chosen = load.everything() if family is None else load.family(family)
    if context is not None:
        chosen = tuple(each for each in chosen if each.setting(context))
    if library is None:
        return chosen
    wanted = (library, *load.libraries()[library].includes)  # type: ignore[index]
    return tuple(each for each in chosen if any(a.owner in wanted for a in each.aliases))


def meanings(flag: str, library: str | None = None, context: str | None = None) -> tuple[Entry, ...]:
    """All that `flag` could mean, entries by that very name first.

    flag: ``--per-device-train-batch-size``, ``optimizer.lr``: dashes, - for _ and case do not matter, and what is not
        known as a whole is looked up by its last part.
    library: whose flag it is. Its own names come first, then those of libraries that it takes over (TRL has all of
        transformers'), then what people write in scripts of their own.
    context: what is being done; rules meanings out that belong elsewhere.

    Raises `InputError` for an unknown library or context.
    """
    return _found(flag, library, context)[1]


def match(flag: str, library: str | None = None, context: str | None = None) -> Entry | None:
    """The entry that `flag` means; None if there is none, or if it could mean several. See `meanings`.

    Names that say nothing by themselves, such as C, k and gamma, count only where the library is given.
    """
    spelling, found = _found(flag, library, context)
    if len(found) != 1 or (library is None and found[0].only_vaguely(spelling)):
        return None
    return found[0]


def entry(name: str, library: str | None = None, context: str | None = None) -> Entry:
    """The entry with this name or alias.

    Raises `InputError` for an unknown one, with the nearest that there is, and for one with several meanings.
    """
    found = meanings(name, library, context)
    if len(found) == 1:
        return found[0]
    if not found:
        known = [*(each.name for each in load.everything()), *_index()]
        raise InputError(
            f"{name!r} is not in the catalogue{nearest(plain(name), known)}; `taut catalogue` lists what is"
        )
    listed = ", ".join(f"{each.name} ({each.summary.rstrip('.')})" for each in found)
    raise InputError(f"{name!r} can mean {listed}; give one of these names, or the library")


def couplings(gives: str | None = None) -> tuple[Coupling, ...]:
    """The rules that give an entry, or all."""
    return tuple(each for each in load.couplings() if gives is None or each.gives == gives)


def _found(flag: str, library: str | None, context: str | None) -> tuple[str, tuple[Entry, ...]]:
    """The spelling that was found, the whole flag or its last part, and what it means."""
    _known(library, LIBRARIES, "library")
    _known(context, CONTEXTS, "context")
    whole = plain(flag)
    for spelling in (whole, whole.rpartition(".")[2]):
        if meant := _whole(spelling, library, context):
            return spelling, meant
    return whole, ()


def _whole(flag: str, library: str | None, context: str | None) -> tuple[Entry, ...]:
    """Meanings of a flag that is taken as one word."""
    named = _index().get(flag, ())
    if library is None:
        own = [each for each in named if each.name == flag]
        return _unique(own or _called(named, flag, LIBRARIES, context))
    info = load.libraries()[library]  # type: ignore[index]
    for places in ((library,), info.includes, ("scripts",)):
        if found := _called(named, flag, places, context):
            return _unique(found)
    return _unique([each for each in named if each.name == flag])


def _called(named: Iterable[Entry], flag: str, places: Iterable[str], context: str | None) -> list[Entry]:
    return [each for place in places for each in named if each.called(flag, place, context)]


def _unique(found: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple({each.name: each for each in found}.values())


@functools.cache
def _index() -> dict[str, tuple[Entry, ...]]:
    """Entries by each of their spellings."""
    index: dict[str, dict[str, Entry]] = {}
    for each in load.everything():
        for spelling in (each.name, *each.names()):
            index.setdefault(plain(spelling), {})[each.name] = each
    return {spelling: tuple(found.values()) for spelling, found in index.items()}


def _known(word: str | None, words: Iterable[str], what: str) -> None:
    words = tuple(words)
    if word is not None and word not in words:
        raise InputError(f"{word!r} is no {what}; there are {', '.join(words)}{nearest(word, words)}")
