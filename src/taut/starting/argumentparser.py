"""Flags that a script defines with argparse, read from its calls of `add_argument`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from taut.starting.flags import UNKNOWN, Flag, Kind, Script, kind_of, parameter_name
from taut.starting.literals import call_name, dotted, keyword
from taut.starting.sources import Source
from taut.starting.topflags import TopFlags

__all__ = ["read"]

_KINDS: Final[dict[str, Kind]] = {"float": "float", "int": "int", "str": "str", "Path": "str"}
_NO_VALUE: Final = ("store_true", "store_false", "BooleanOptionalAction")
_OTHERS: Final = ("help", "version", "append", "append_const", "count", "store_const", "extend")


def read(modules: Sequence[Source], words: Sequence[str] = ()) -> Script:
    """The flags of all parsers in `modules`. words: of the user's own command, which may choose a subcommand."""
    flags: list[Flag] = []
    notes: list[str] = []
    commands: dict[str, list[Flag]] = {}
    defaults: dict[str, Any] = {}
    early: set[str] = set()
    tops = TopFlags(modules)
    for source in modules:
        parts = _subparsers(source)
        for node in source.nodes:
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = parts.get(dotted(node.func.value))
            if node.func.attr == "set_defaults":
                defaults |= {each.arg: source.names.value(each.value) for each in node.keywords if each.arg}
            elif node.func.attr == "add_argument":
                flag = _flag(source, node)
                if flag is None:
                    notes.append(
                        f"{source.at(node)}: the name of this flag is made as the script runs; --run-help reads it"
                    )
                elif owner is None:
                    flags.append(flag)
                    if tops.has(node):
                        early.add(flag.name)
                else:
                    commands.setdefault(owner, []).append(flag)
        for owner in parts.values():
            commands.setdefault(owner, [])
    chosen = next((word for word in words if word in commands), None)
    if chosen is None and any(commands.values()):  # one without flags of its own may not be needed
        chosen = max(commands, key=lambda name: len(commands[name]))
        if len(commands) > 1:
            notes.append(
                f"it has subcommands ({', '.join(commands)}); {chosen} is taken, which has most flags; for "
                "another give it after the script"
            )
    own = [flag for flag in commands.get(chosen, [])] if chosen is not None else []
    if chosen is not None:
        flags = [replace(flag, early=flag.name in early) for flag in flags]
    named = {flag.name: flag for flag in (*flags, *own)}  # the last one counts, as for argparse
    found = tuple(_with_default(flag, defaults) for flag in named.values())
    subcommand = () if chosen is None else (chosen,)
    return Script(found, ("argparse",) if found else (), tuple(notes), subcommand)


def _with_default(flag: Flag, defaults: dict[str, Any]) -> Flag:
    if flag.name not in defaults:
        return flag
    return replace(flag, default=defaults[flag.name])


def _subparsers(source: Source) -> dict[str, str]:
    """Variable of each subcommand's parser to the subcommand's name."""
    found: dict[str, str] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign) and call_name(node.value) == "add_parser":
            call = node.value
            assert isinstance(call, ast.Call)
            name = source.names.value(call.args[0]) if call.args else UNKNOWN
            target = dotted(node.targets[0])
            if isinstance(name, str) and target:
                found[target] = name
    return found


def _flag(source: Source, call: ast.Call) -> Flag | None:
    names = [source.names.value(each) for each in call.args]
    if not names or not all(isinstance(each, str) for each in names):
        return None
    long = next((each for each in names if each.startswith("--")), names[0])
    positional = not long.startswith("-")
    dest = source.names.value(keyword(call, "dest"))
    action = _last(source, keyword(call, "action"))
    nargs = source.names.value(keyword(call, "nargs")) if keyword(call, "nargs") else None
    default = source.names.value(keyword(call, "default")) if keyword(call, "default") else None
    choices = source.names.value(keyword(call, "choices")) if keyword(call, "choices") else ()
    help_ = source.names.value(keyword(call, "help"))
    kind, trap = _kind(source, keyword(call, "type"), default)
    switch = None
    if action in _NO_VALUE:
        kind, trap = "bool", ""
        default = (action == "store_false") if default is None and action != _NO_VALUE[2] else default
        switch = {
            "store_true": (long, ""),
            "store_false": ("", long),
            "BooleanOptionalAction": (long, f"--no-{long.lstrip('-')}"),
        }[action]
    elif action in _OTHERS:
        if action in ("help", "version"):
            return Flag(
                parameter_name(long), long, "", None, switch=("", ""), trap="it shows something and ends"
            )
        trap = f"action={action!r}: it is not one value"
    if nargs in ("*", "+") or (isinstance(nargs, int) and not isinstance(nargs, bool)):
        kind = "list"
    listed = isinstance(choices, list | tuple | dict)
    return Flag(
        name=parameter_name(dest if isinstance(dest, str) and len(long.lstrip("-")) == 1 else long),
        option="" if positional else long,
        spellings=() if positional else tuple(each for each in names if each != long),
        kind=kind,
        default=default,
        choices=tuple(choices) if listed and UNKNOWN not in choices else (),
        switch=switch,
        positional=positional and nargs not in ("?", "*"),
        required=source.names.value(keyword(call, "required")) is True,
        trap=trap,
        where=source.at(call),
        help=" ".join(help_.split()) if isinstance(help_, str) else "",
    )


def _last(source: Source, node: ast.expr | None) -> str:
    value = source.names.value(node)
    return value if isinstance(value, str) else dotted(node).rpartition(".")[2]


def _kind(source: Source, node: ast.expr | None, default: Any) -> tuple[Kind, str]:
    """The kind of a flag's values, and why its values would not be what they seem."""
    if node is None:
        return ("str" if default is None else kind_of(default)), ""
    name = dotted(node).rpartition(".")[2]
    if name == "bool":
        return "bool", "type=bool: argparse makes True of any text, even of false"
    if name in _KINDS:
        return _KINDS[name], ""
    function = source.functions.get(name)
    if function is not None and dotted(function.returns) in (*_KINDS, "bool"):
        returned = dotted(function.returns)
        return _KINDS.get(returned, "bool"), ""
    if "bool" in name.lower():  # str2bool and its like, which read true and false
        return "bool", ""
    return kind_of(default), ""
