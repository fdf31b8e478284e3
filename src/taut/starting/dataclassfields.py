"""Flags that `HfArgumentParser`, `TrlParser` and their like make of dataclasses, also of installed ones."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any, Final

from taut.starting.flags import UNKNOWN, Flag, Kind, Script, kind_of
from taut.starting.installed import Installed
from taut.starting.literals import call_name, dotted, keyword
from taut.starting.sources import Source

__all__ = ["named_classes", "of_class", "read"]

_PARSERS: Final = ("HfArgumentParser", "TrlParser", "ArgumentParserForDataclasses")
_KINDS: Final[dict[str, Kind]] = {"float": "float", "int": "int", "str": "str", "bool": "bool", "Path": "str"}


def read(modules: Sequence[Source], installed: Installed) -> Script:
    """The fields of all dataclasses that a parser in `modules` is given."""
    flags: dict[str, Flag] = {}
    notes: list[str] = []
    for source, name in named_classes(modules):
        found = of_class(source, name, installed, own=modules)
        if found is None:
            module = source.imports.get(name, ("",))[0].partition(".")[0]
            notes.append(
                f"{name} was not found"
                + (f": {module} is not installed for {installed.python}" if module else "")
                + "; --python names the Python that has it, --run-help asks the script itself"
            )
        else:
            flags |= {flag.name: flag for flag in found}
    return Script(tuple(flags.values()), ("dataclasses",) if flags else (), tuple(notes))


def named_classes(modules: Sequence[Source]) -> Iterator[tuple[Source, str]]:
    """The dataclasses that parsers are made with, and the modules that name them."""
    for source in modules:
        for node in source.nodes:
            if isinstance(node, ast.Call) and call_name(node) in _PARSERS:
                given = node.args[0] if node.args else keyword(node, "dataclass_types")
                if isinstance(given, ast.Name) and (inner := _assigned(source, given.id)) is not None:
                    given = inner
                each = given.elts if isinstance(given, ast.Tuple | ast.List) else [given]
                yield from ((source, name) for one in each if (name := dotted(one)))


def of_class(
    source: Source, name: str, installed: Installed, own: Sequence[Source] = ()
) -> list[Flag] | None:
    """The fields of the class `name`, those of its bases first; None if it is not to be found."""
    home = _home(source, name, installed, own)
    if home is None:
        return None
    short = name.rpartition(".")[2]
    short = short if short in home.classes else source.imports.get(short, ("", short))[1]
    node = home.classes.get(short)
    if node is None:
        return None
    flags: dict[str, Flag] = {}
    for base in reversed(node.bases):
        inherited = of_class(home, dotted(base), installed, own) if dotted(base) else None
        flags |= {flag.name: flag for flag in inherited or ()}
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            flag = _field(home, node, statement, statement.target.id)
            if flag is not None:
                flags[flag.name] = flag
    return list(flags.values())


def _home(source: Source, name: str, installed: Installed, own: Sequence[Source]) -> Source | None:
    """The module that defines the class which `source` calls `name`."""
    head, _, last = name.rpartition(".")
    if not head and name in source.classes:
        return source
    if not source.own and source not in own:
        return installed.find_base(source, last)
    module, original = source.imports.get(head or name, ("", ""))
    beside = next((each for each in own if each is not source and (original or last) in each.classes), None)
    if beside is not None:
        return beside
    return installed.find_class(module, last if head else original) if module else None


def _assigned(source: Source, name: str) -> ast.expr | None:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign) and any(dotted(target) == name for target in node.targets):
            return node.value
    return None


def _field(source: Source, owner: ast.ClassDef, node: ast.AnnAssign, name: str) -> Flag | None:
    kind, choices = annotated(node.annotation)
    if name.startswith("_") or dotted(node.annotation).endswith("ClassVar"):
        return None
    default: Any = UNKNOWN
    required = node.value is None
    help_ = ""
    if isinstance(node.value, ast.Call) and call_name(node.value) == "field":
        call = node.value
        if source.names.value(keyword(call, "init")) is False:
            return None
        given, factory = keyword(call, "default"), keyword(call, "default_factory")
        required = given is None and factory is None
        default = _value(source, given) if given is not None else UNKNOWN
        if isinstance(factory, ast.Lambda):
            default = _value(source, factory.body)
        metadata = keyword(call, "metadata")
        told = source.names.value(metadata) if isinstance(metadata, ast.Dict) else {}
        help_ = told.get("help", "")
        if isinstance(told.get("choices"), list):
            choices = tuple(each for each in told["choices"] if each is not UNKNOWN)
    elif node.value is not None:
        default = _value(source, node.value)
    where = source.at(node) if source.own else f"{owner.name} ({source.path.name})"
    return Flag(
        name=name,
        option=f"--{name}",
        kind=kind or kind_of(default),
        default=default,
        choices=choices,
        required=required,
        inherited=not source.own and "site-packages" in source.path.parts,
        where=where,
        help=" ".join(help_.split()) if isinstance(help_, str) else "",
    )


def _value(source: Source, node: ast.expr) -> Any:
    """A literal, also one that a member of an enumeration stands for, where that is seen."""
    value = source.names.value(node)
    if value is UNKNOWN and isinstance(node, ast.Attribute):
        owner = source.classes.get(dotted(node.value))
        for statement in owner.body if owner else ():
            if isinstance(statement, ast.Assign) and dotted(statement.targets[0]) == node.attr:
                return source.names.value(statement.value)
    return value


def annotated(node: ast.expr | None) -> tuple[Kind, tuple[Any, ...]]:
    """The kind and the choices that an annotation says: ``float | None``, ``Literal["a", "b"]``, ``list[int]``."""
    match node:
        case ast.Constant(str(text)):
            try:
                return annotated(ast.parse(text, mode="eval").body)
            except SyntaxError:
                return "", ()
        case ast.BinOp(left, ast.BitOr(), right):
            return _either([left, right])
        case ast.Subscript(head, index):
            name = dotted(head).rpartition(".")[2]
            inside = list(index.elts) if isinstance(index, ast.Tuple) else [index]
            if name == "Literal":
                values = tuple(each.value for each in inside if isinstance(each, ast.Constant))
                return (kind_of(values[0]) if values else ""), values
            if name in ("Optional", "Annotated", "Final"):
                return annotated(inside[0])
            if name == "Union":
                return _either(inside)
            if name.lower() in ("list", "tuple", "sequence", "set", "iterable"):
                return "list", ()
            return "", ()
    return _KINDS.get(dotted(node).rpartition(".")[2], ""), ()


def _either(parts: Sequence[ast.expr]) -> tuple[Kind, tuple[Any, ...]]:
    """A number where a number is among the alternatives, else what the first known one says."""
    found = [annotated(part) for part in parts]
    known = [each for each in found if each[0]]
    for kind in ("list", "float", "int", "bool"):
        if any(each[0] == kind for each in known):
            return kind, next(each[1] for each in known if each[0] == kind)
    return known[0] if known else ("", ())
