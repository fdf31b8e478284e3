"""What people set out to do: `--preset sft`, and for each the entries to search and a command to begin with.

The presets are files beside this module, one each, to be read and mended by hand.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

import msgspec

from taut import catalogue
from taut.catalogue import Entry
from taut.errors import InputError, nearest
from taut.starting.dataclassfields import of_class
from taut.starting.flags import UNKNOWN, Flag, Kind
from taut.starting.installed import Installed
from taut.starting.signatures import of_function

__all__ = ["PRESETS", "Bare", "Preset", "flags_of", "preset"]

PRESETS: Final = ("sft", "lora", "dpo", "grpo", "pretrain", "inference", "performance", "sklearn")
_FOLDER: Final = Path(__file__).parent / "presets"
_KINDS: Final[dict[str, Kind]] = {"float": "float", "int": "int", "bool": "bool", "choice": ""}


class Bare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A preset without a script: the command to begin with.

    tune: entries, where the command has not all that scripts may have; fill: words of the command that the user replaces, and what by. classes: whose fields are the command's flags, in the
    installed packages. packages: whose versions are told. only: the one library whose names the flags have. gpus: of a job.
    """

    command: list[str]
    tune: list[str] = []
    fill: dict[str, str] = {}
    results: dict[str, str] = {}
    classes: list[str] = []
    packages: list[str] = []
    only: str = ""
    gpus: int = 1


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An undertaking.

    contexts: as the catalogue calls them, the most fitting first. libraries: whose names flags may have, in this order.
    metric: what it is usually judged by. tune: the catalogue's entries to search; empty: those that matter most.
    """

    title: str
    contexts: list[str]
    libraries: list[str]
    metric: str
    bare: Bare
    tune: list[str] = []

    @property
    def entries(self) -> list[Entry]:
        """The entries to search, in order."""
        if self.tune:
            return [catalogue.entry(name) for name in self.tune]
        entries = catalogue.entries(library=self.libraries[0])
        return [each for each in entries if each.setting(self.contexts[0]) and each.tune == "yes"]


@functools.cache
def preset(name: str) -> Preset:
    """Raises `InputError` for a name that none has."""
    if name not in PRESETS:
        raise InputError(
            f"{name!r} is no preset; {', '.join(PRESETS)} are allowed{nearest(name, PRESETS)}", ("--preset",)
        )
    return msgspec.toml.decode((_FOLDER / f"{name}.toml").read_bytes(), type=Preset)


def flags_of(wanted: Preset, installed: Installed) -> tuple[list[Flag], list[str]]:
    """The flags that the preset's own command has, and in sentences where they were looked up.

    They are read from the installed packages. What is not installed has the catalogue's names, unchecked.
    """
    flags: dict[str, Flag] = {}
    missing: list[str] = []
    for name in wanted.bare.classes:
        module, _, short = name.rpartition(".")
        source = installed.find_class(module, short)
        found = of_class(source, short, installed) if source is not None else None
        if source is not None and not found:
            body = source.classes[short].body
            made = next((each for each in body if getattr(each, "name", "") == "__init__"), None)
            found = of_function(source, made, "--") if made is not None else None  # type: ignore[arg-type]
        if found:
            flags |= {flag.name: flag for flag in found}
        else:
            missing.append(module.partition(".")[0])
    versions = [f"{each} {version}" for each in wanted.bare.packages if (version := installed.version(each))]
    if flags and not missing:
        return list(flags.values()), [f"the names of its flags were checked against {', '.join(versions)}"]
    said = "the names of its flags are the catalogue's"
    absent = [each for each in wanted.bare.packages if not installed.version(each)]
    if absent:
        said += f", since {', '.join(absent)} is not installed for {installed.python}: they were not checked"
    libraries = [wanted.bare.only] if wanted.bare.only else wanted.libraries
    for entry in [catalogue.entry(name) for name in wanted.bare.tune] or wanted.entries:
        for library in libraries:
            if names := entry.names(library):
                flags.setdefault(names[0], _named(entry, library, names[0]))
                break
    return list(flags.values()), [said]


def _named(entry: Entry, library: str, name: str) -> Flag:
    option = f"--{name.replace('_', '-')}" if library == "vllm" else f"--{name}"
    default: Any = entry.defaults.get(library, UNKNOWN)  # type: ignore[call-overload]
    if isinstance(default, str) and entry.kind != "choice":
        default = UNKNOWN  # in words: it depends on the machine
    switch = (option, f"--no-{option.lstrip('-')}") if library == "vllm" and entry.kind == "bool" else None
    return Flag(
        name.replace("-", "_"),
        option,
        _KINDS[entry.kind],
        default,
        switch=switch,
        inherited=True,
        where=f"catalogue: {library}",
    )
