"""Settings that are arguments of a function: `module:function`, fire's components, absl's definitions, suggested values."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from taut.starting.dataclassfields import annotated
from taut.starting.findings import preference
from taut.starting.flags import UNKNOWN, Flag, Kind, Script, kind_of
from taut.starting.literals import call_name, dotted, keyword
from taut.starting.sources import Source

__all__ = ["asked_of_trial", "of_function", "read_absl", "read_fire", "returned", "suggests"]

_ABSL: Final[dict[str, Kind]] = {
    **{"DEFINE_float": "float", "DEFINE_integer": "int", "DEFINE_string": "str", "DEFINE_bool": "bool"},
    **{"DEFINE_boolean": "bool", "DEFINE_enum": "str", "DEFINE_list": "list", "DEFINE_multi_string": "list"},
}


def of_function(source: Source, node: ast.FunctionDef, prefix: str = "") -> list[Flag]:
    """The arguments of a function; with a `prefix`, as options of the command line."""
    arguments = node.args
    given = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [
        *([None] * (len(given) - len(arguments.defaults))),
        *arguments.defaults,
        *arguments.kw_defaults,
    ]
    inherited = "site-packages" in source.path.parts
    flags = []
    for each, default in zip([*given, *arguments.kwonlyargs], defaults, strict=True):
        if each.arg == "self":
            continue
        kind, choices = annotated(each.annotation)
        value = source.names.value(default) if default is not None else UNKNOWN
        if not kind and not (
            inherited and isinstance(value, str)
        ):  # scikit-learn's "sqrt" may be a number as well
            kind = kind_of(value)
        flags.append(
            Flag(
                name=each.arg,
                option=f"{prefix}{each.arg}" if prefix else "",
                kind=kind,
                default=value,
                choices=choices,
                switch=(f"--{each.arg}", f"--no{each.arg}") if prefix and kind == "bool" else None,
                required=default is None,
                inherited=inherited,
                where=source.at(each),
            )
        )
    return flags


def read_fire(modules: Sequence[Source]) -> Script:
    """What ``fire.Fire(main)`` makes options of."""
    for source in modules:
        for node in source.nodes:
            if isinstance(node, ast.Call) and dotted(node.func) in ("fire.Fire", "Fire"):
                given = node.args[0] if node.args else keyword(node, "component")
                function = source.functions.get(dotted(given))
                if function is not None:
                    return Script(tuple(of_function(source, function, "--")), ("fire",))
                return Script(
                    (), (), (f"{source.at(node)}: fire is given more than one function; --run-help reads it",)
                )
    return Script()


def read_absl(modules: Sequence[Source]) -> Script:
    """What absl's ``flags.DEFINE_float("lr", 1e-3, "...")`` and its like define."""
    flags = []
    for source in modules:
        if "absl" not in source.modules:
            continue
        for node in source.nodes:
            kind = _ABSL.get(call_name(node))
            if kind is None or not isinstance(node, ast.Call):
                continue
            values = [source.names.value(each) for each in node.args]
            if not values or not isinstance(values[0], str):
                continue
            name = values[0]
            listed = values[2] if call_name(node) == "DEFINE_enum" and len(values) > 2 else ()
            last = values[-1] if len(values) > 2 else ""
            flags.append(
                Flag(
                    name=name,
                    option=f"--{name}",
                    kind=kind,
                    default=values[1] if len(values) > 1 else UNKNOWN,
                    choices=tuple(listed) if isinstance(listed, list) else (),
                    low=_bound(source, node, "lower_bound"),
                    high=_bound(source, node, "upper_bound"),
                    switch=(f"--{name}", f"--no{name}") if kind == "bool" else None,
                    where=source.at(node),
                    help=" ".join(last.split()) if isinstance(last, str) else "",
                )
            )
    return Script(tuple(flags), ("absl",) if flags else ())


def _bound(source: Source, call: ast.Call, name: str) -> float | None:
    value = source.names.value(keyword(call, name))
    return value if isinstance(value, int | float) else None


def asked_of_trial(source: Source, node: ast.FunctionDef) -> list[Flag]:
    """What a function of a trial reads of it by name: ``trial.params["lr"]``, ``trial.suggest_float("lr", 1e-5, 1e-1)``."""
    flags: dict[str, Flag] = {}
    for each in ast.walk(node):
        match each:
            case ast.Subscript(ast.Attribute(_, "params"), ast.Constant(str(name))):
                flags.setdefault(name, Flag(name, where=source.at(each)))
            case ast.Call(ast.Attribute(_, method), [ast.Constant(str(name)), *rest]) if method.startswith(
                "suggest_"
            ):
                flags.setdefault(name, _suggested(source, each, method, name, rest))
    return list(flags.values())


def suggests(node: ast.FunctionDef) -> bool:
    """Whether a function asks its trial for values by ``trial.suggest_float`` and its like."""
    return any(
        isinstance(each, ast.Call) and call_name(each).startswith("suggest_") for each in ast.walk(node)
    )


def _suggested(source: Source, call: ast.Call, method: str, name: str, rest: list[ast.expr]) -> Flag:
    values = [source.names.value(one) for one in rest]
    kind: Kind = "int" if method == "suggest_int" else "float" if method != "suggest_categorical" else ""
    if method == "suggest_categorical":
        choices = values[0] if values and isinstance(values[0], list) else []
        return Flag(
            name, choices=tuple(choices), kind=kind_of(choices[0]) if choices else "", where=source.at(call)
        )
    low, high = (one if isinstance(one, int | float) else None for one in (*values, None, None)[:2])
    return Flag(name, kind=kind, low=low, high=high, where=source.at(call))


def returned(node: ast.FunctionDef) -> tuple[str, str]:
    """The metric that a function returns, and how that is known."""
    for each in ast.walk(node):
        match each:
            case ast.Return(ast.Dict(keys)):
                names = [
                    key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
                ]
                if names:
                    best = min(names, key=preference)
                    return best, f"{node.name}() returns it"
            case ast.Return(ast.Name(name)):
                return name, f"{node.name}() returns it"
    return "loss", f"what {node.name}() returns; name it, and say whether it is to be minimized"
