"""Names and defaults of settings in installed libraries, read from their source: nothing heavy is imported."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

UNKNOWN = object()  # a default that is not a literal


def root(package: str) -> Path | None:
    """The directory of an installed package, or None."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def fields(*files: Path) -> dict[str, list[Any]]:
    """Annotated fields of the classes in `files`, with all the defaults that they have there."""
    found: dict[str, list[Any]] = {}
    for node in _nodes(files, ast.AnnAssign):
        if isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, []).append(_default(node.value))
    return found


def arguments(*files: Path) -> set[str]:
    """Names of the arguments of all functions and methods in `files`."""
    return {arg.arg for node in _nodes(files, ast.arguments) for arg in (*node.args, *node.kwonlyargs)}


def popped(*files: Path) -> set[str]:
    """Names that `files` take from keyword arguments: kwargs.pop("name", ...)."""
    calls = (node for node in _nodes(files, ast.Call) if ast.unparse(node.func) == "kwargs.pop")
    return {ast.literal_eval(call.args[0]) for call in calls if isinstance(call.args[0], ast.Constant)}


def _nodes(files: tuple[Path, ...], kind: type) -> list[Any]:
    return [
        node for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, kind)
    ]


def _default(value: ast.expr | None) -> Any:
    if isinstance(value, ast.Call):
        value = next((word.value for word in value.keywords if word.arg == "default"), None)
    try:
        return UNKNOWN if value is None else ast.literal_eval(value)
    except ValueError:
        return UNKNOWN
