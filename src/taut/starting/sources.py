"""A script's source and that of the modules beside it which it imports; parsed, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from taut.errors import InputError
from taut.starting.literals import Names, dotted

__all__ = ["Source", "sources"]

_MOST = 40  # modules that are followed


@dataclass(frozen=True)
class Source:
    """One module. own: whether it is the script itself, not a module that it imports."""

    path: Path
    tree: ast.Module
    own: bool = True

    @cached_property
    def names(self) -> Names:
        return Names(self.tree)

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Local name to (module, name there; empty for the module itself); relative modules keep their dots."""
        found: dict[str, tuple[str, str]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                found |= {each.asname or each.name: (module, each.name) for each in node.names}
            elif isinstance(node, ast.Import):
                for each in node.names:
                    local = each.asname or each.name.partition(".")[0]
                    found[local] = (each.name if each.asname else local, "")
        return found

    @cached_property
    def modules(self) -> frozenset[str]:
        """The first names of all modules that are imported."""
        return frozenset(module.lstrip(".").partition(".")[0] for module, _ in self.imports.values())

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)}

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}

    def at(self, node: ast.AST) -> str:
        """Where a node stands, for people: ``train.py:34``."""
        return f"{self.path.name}:{getattr(node, 'lineno', 1)}"

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes in the order of their lines; of an imported module without what runs only when it is the program."""
        nodes = list(ast.walk(self.tree))
        if not self.own:
            programs = [each for each in self.tree.body if _is_program(each)]
            inner = {id(node) for program in programs for node in ast.walk(program)}
            nodes = [node for node in nodes if id(node) not in inner]
        return sorted(nodes, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))


def _is_program(node: ast.stmt) -> bool:
    """``if __name__ == "__main__":`` or ``def main``."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
        return dotted(node.test.left) == "__name__"
    return isinstance(node, ast.FunctionDef) and node.name == "main"


def parse(path: Path) -> ast.Module:
    """Raises `InputError` for what is no Python."""
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except SyntaxError as error:
        raise InputError(
            f"{path}:{error.lineno}: this Python cannot read it ({error.msg}); correct it, or let "
            "--run-help ask the script itself"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no Python: {error}; give a script or a YAML file") from None


def sources(path: Path) -> list[Source]:
    """The script, then modules beside it that it imports, near ones first."""
    found = [Source(path, parse(path))]
    seen = {path.resolve()}
    for source in found:  # grows while it is read
        for module, name in source.imports.values():
            for place in _places(source.path.parent, path.parent, module, name):
                if len(found) < _MOST and place.is_file() and place.resolve() not in seen:
                    seen.add(place.resolve())
                    try:
                        found.append(Source(place, parse(place), own=False))
                    except InputError:
                        continue  # what is imported may be for another Python; its flags are not read
    return found


def _places(here: Path, top: Path, module: str, name: str) -> Iterator[Path]:
    """Files that ``from module import name`` may mean."""
    level = len(module) - len(module.lstrip("."))
    folder = here if level else top
    for _ in range(level - 1):
        folder = folder.parent
    parts = [part for part in module.lstrip(".").split(".") if part]
    place = folder.joinpath(*parts)
    if parts:
        yield place.with_name(place.name + ".py")
    yield place / "__init__.py"
    if name and name != "*":
        yield place / f"{name}.py"
