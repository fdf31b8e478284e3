"""What is installed of samplers and pruners that are written for Optuna, by the names that study.toml has for them."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna

from taut.definition import Method
from taut.errors import InputError, nearest
from taut.samplers.registry import FOREIGN

__all__ = ["found", "program", "quiet", "tried"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what Optuna says to people who run its studies."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def found(name: str, what: str, has: str) -> Any:
    """The class that ``optuna:NAME``, ``optuna:package.module:NAME`` or ``optuna:/folder:NAME`` means.

    what: sampler or pruner. has: a method that such classes have. Raises `InputError` if there is none.
    """
    place, _, attribute = name.partition(":")[2].rpartition(":")
    module = _module(name, place, what)
    kind = getattr(module, attribute, None)
    if not inspect.isclass(kind) or not hasattr(kind, has):
        known = [key for key, value in vars(module).items() if inspect.isclass(value) and hasattr(value, has)]
        raise InputError(
            f"{place or module.__name__} has no {what} {attribute!r}{nearest(attribute, known)}; it has {', '.join(known) or 'none'}",
            (what, "method"),
        )
    return kind


def program(method: Method) -> str | None:
    """The first class that is not Optuna's own and that `method` would load, by its name or from its options (a pruner may have another inside)."""
    left: list[Any] = [method.method, method.options]
    while left:
        value = left.pop(0)
        if isinstance(value, str) and value.startswith(FOREIGN) and value.count(":") > 1:
            return value
        if isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list):
            left += value
    return None


def tried(method: Method, what: str, make: Callable[[], object]) -> None:
    """Raise `InputError` if it does not take its options."""
    try:
        with quiet():
            make()
    except (TypeError, ValueError, ImportError) as error:
        raise InputError(f"{method.method!r} cannot be made so: {error}", (what,)) from None


def _module(name: str, place: str, what: str) -> ModuleType:
    """Where a class stands: Optuna itself, a module that is installed, or the folder of a package of OptunaHub."""
    try:
        if "/" in place or place.startswith("~"):
            return _package(name, Path(place).expanduser(), what)
        return importlib.import_module(place or f"optuna.{what}s")
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        advice = f"pip install {missing}" if missing in ("optuna", "optunahub") else "is it installed?"
        raise InputError(f"{name!r}: {error}; {advice}", (what, "method")) from None


def _package(name: str, folder: Path, what: str) -> ModuleType:
    if not folder.is_absolute() or not (folder / "__init__.py").is_file():
        raise InputError(
            f"{name!r}: {folder} is no package; give the whole path of the folder that has its __init__.py, as every worker sees it",
            (what, "method"),
        )
    import optunahub

    module: ModuleType = optunahub.load_local_module(folder.name, registry_root=str(folder.parent))
    return module
