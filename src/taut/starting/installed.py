"""Packages that are installed for the script's Python, looked up without importing any of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.machinery import PathFinder
from importlib.metadata import Distribution
from pathlib import Path

from taut.errors import InputError
from taut.executors.program import find_program
from taut.starting.sources import Source, parse

__all__ = ["Installed"]

_SECONDS = 30.0
_MOST_STEPS = 12  # modules that hand a class on to one another


@dataclass(frozen=True)
class Installed:
    """What one interpreter can import. python: as in a command: ``python``, or a path."""

    python: str = "python"

    @cached_property
    def program(self) -> str:
        """The interpreter's absolute path. Raises `InputError` if there is none."""
        return find_program(self.python, Path.cwd())

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The directories that it imports from."""
        if self.program == sys.executable:
            return tuple(path for path in sys.path if path)
        code = "import json, sys; print(json.dumps(sys.path))"
        try:
            told = subprocess.run(
                [self.program, "-c", code], capture_output=True, text=True, timeout=_SECONDS, check=True
            )
            return tuple(path for path in json.loads(told.stdout) if path)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise InputError(
                f"{self.python} does not start: {error}; name the Python of the script with --python"
            ) from None

    def package(self, name: str) -> Path | None:
        """The package's directory, or the module's file."""
        spec = PathFinder.find_spec(name, list(self.paths))
        if spec is None:
            return None
        if spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations)))
        return Path(spec.origin) if spec.origin else None

    def version(self, name: str) -> str:
        """The installed version of a distribution; an empty text if there is none."""
        found = next(iter(Distribution.discover(name=name, path=list(self.paths))), None)
        return found.version if found else ""

    def find_class(self, module: str, name: str) -> Source | None:
        """The module that defines the class ``module.name``, followed through those that only hand it on."""
        package, *rest = module.split(".")
        place = self.package(package)
        if place is None:
            return None
        return _follow(place.joinpath(*rest) if place.is_dir() else place, name, place.parent, _MOST_STEPS)

    def find_base(self, source: Source, name: str) -> Source | None:
        """The module of a class that the installed module `source` uses."""
        if name in source.classes:
            return source
        if name not in source.imports:
            return None
        module, original = source.imports[name]
        if not module.startswith("."):
            return self.find_class(module, original)
        return _follow(_relative(source.path, module), original, source.path.parent, _MOST_STEPS)


def _relative(path: Path, module: str) -> Path:
    """The place that ``from ..module import`` in the module at `path` means."""
    level = len(module) - len(module.lstrip("."))
    folder = path.parent
    for _ in range(level - 1):
        folder = folder.parent
    return folder.joinpath(*[part for part in module.lstrip(".").split(".") if part])


def _follow(place: Path, name: str, top: Path, steps: int) -> Source | None:
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not steps or not file.is_file():
        return None
    source = _parsed(file)
    if source is None:
        return None
    if name in source.classes:
        return source
    module, original = source.imports.get(name, ("", ""))
    if module.startswith("."):
        return _follow(_relative(file, module), original, top, steps - 1)
    if module and (top / module.partition(".")[0]) in file.parents:  # the same package, by its whole name
        return _follow(top.joinpath(*module.split(".")), original, top, steps - 1)
    return None


@cache
def _parsed(file: Path) -> Source | None:
    try:
        return Source(file, parse(file), own=False)
    except InputError:
        return None


def release(installed: Installed, distributions: Sequence[str]) -> str:
    """``trl 1.16.0, transformers 5.24.0``, of those that are installed."""
    return ", ".join(f"{name} {version}" for name in distributions if (version := installed.version(name)))
