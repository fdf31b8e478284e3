"""Flags of scripts that use click or typer, read from decorators and signatures."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from taut.starting.dataclassfields import annotated
from taut.starting.flags import UNKNOWN, Flag, Kind, Script, kind_of, parameter_name
from taut.starting.literals import call_name, dotted, keyword
from taut.starting.sources import Source

__all__ = ["read"]

_KINDS: Final[dict[str, Kind]] = {
    **{"float": "float", "FLOAT": "float", "FloatRange": "float"},
    **{"int": "int", "INT": "int", "IntRange": "int"},
    **{
        "str": "str",
        "STRING": "str",
        "Path": "str",
        "File": "str",
        "Choice": "str",
        "bool": "bool",
        "BOOL": "bool",
    },
}

Function = tuple[Source, ast.FunctionDef]


def read(modules: Sequence[Source], words: Sequence[str] = ()) -> Script:
    """The options of click and typer commands in `modules`; of several commands those of one that `words` name."""
    commands: dict[str, list[Flag]] = {}
    chains: dict[str, tuple[str, ...]] = {}
    readers: dict[str, None] = {}
    notes: list[str] = []
    main: list[Flag] = []
    grouped = False
    for source in modules:
        groups = {node.name: node for _, node in _functions(source) if _gathers(source, node)}
        grouped |= bool(groups)
        for _, node in _functions(source):
            found = list(_of_click(source, node))
            typed = _of_typer(source, node)
            if typed is not None:
                readers["typer"] = None
                found = typed
            elif found or _decorator(node, "command"):
                readers["click"] = None
            else:
                continue
            outer = _outer(node, groups)
            if node.name not in groups:
                name = _command_name(source, node)
                commands[name], chains[name] = found, (*_chain(source, outer, groups), name)
            elif outer is None:
                main += [replace(flag, early=True) for flag in found]
            elif found:
                notes.append(
                    f"{source.at(node)}: the options of the group {node.name} are left out; write those that you need into the command"
                )
    chosen = next((word for word in words if word in commands), None)
    if chosen is None and commands:
        chosen = max(commands, key=lambda name: len(commands[name]))
        if len(commands) > 1:
            notes.append(
                f"it has subcommands ({', '.join(commands)}); {chosen} is taken, which has most flags; for "
                "another give it after the script"
            )
    own = commands.get(chosen, []) if chosen is not None else []
    several = len(commands) > 1 or grouped
    return Script(
        (*main, *own), tuple(readers), tuple(notes), chains[chosen] if several and chosen is not None else ()
    )


def _gathers(source: Source, node: ast.FunctionDef) -> bool:
    """Whether commands are named after this function's: click's groups, typer's callbacks."""
    return bool(_decorator(node, "group") or ("typer" in source.modules and _decorator(node, "callback")))


def _outer(node: ast.FunctionDef, groups: Mapping[str, ast.FunctionDef]) -> ast.FunctionDef | None:
    """The group that a command or a group belongs to."""
    decorator = _decorator(node, "command") or _decorator(node, "group")
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return groups.get(dotted(called).rpartition(".")[0])


def _chain(
    source: Source, group: ast.FunctionDef | None, groups: Mapping[str, ast.FunctionDef]
) -> tuple[str, ...]:
    """The words of the groups between the outermost, which is the program, and a command."""
    words: list[str] = []
    while group is not None and (outer := _outer(group, groups)) is not None and len(words) < len(groups):
        words.insert(0, _command_name(source, group))
        group = outer
    return tuple(words)


def _functions(source: Source) -> Iterator[Function]:
    return ((source, node) for node in source.nodes if isinstance(node, ast.FunctionDef))


def _decorator(node: ast.FunctionDef, name: str) -> ast.expr | None:
    """The decorator ``@click.command``, ``@app.command()``."""
    for each in node.decorator_list:
        called = each.func if isinstance(each, ast.Call) else each
        if dotted(called).rpartition(".")[2] == name:
            return each
    return None


def _command_name(source: Source, node: ast.FunctionDef) -> str:
    decorator = _decorator(node, "command") or _decorator(node, "group")
    if isinstance(decorator, ast.Call):
        given = decorator.args[0] if decorator.args else keyword(decorator, "name")
        name = source.names.value(given)
        if isinstance(name, str):
            return name
    return node.name.replace("_", "-")


def _of_click(source: Source, node: ast.FunctionDef) -> Iterator[Flag]:
    for call in node.decorator_list:
        if not isinstance(call, ast.Call) or call_name(call) not in ("option", "argument"):
            continue
        names = [name for each in call.args if isinstance(name := source.names.value(each), str)]
        if names:
            yield _option(source, call, names, call_name(call) == "argument")


def _option(source: Source, call: ast.Call, names: list[str], positional: bool) -> Flag:
    dashed = [name for name in names if name.startswith("-")]
    long = next((name for name in dashed if name.startswith("--")), dashed[0] if dashed else names[0])
    given = keyword(call, "default")
    default = source.names.value(given) if given is not None else None
    on, slash, off = long.partition("/")
    switch: tuple[str, str] | None = (on, off) if slash else None
    if source.names.value(keyword(call, "is_flag")) is True and not slash:
        switch = (on, "")
    kind, choices, low, high = _type(source, keyword(call, "type"))
    several = source.names.value(keyword(call, "multiple")) is True or keyword(call, "nargs") is not None
    help_ = source.names.value(keyword(call, "help"))
    if switch is not None:
        kind, default = "bool", bool(default) if default is not UNKNOWN else UNKNOWN
    return Flag(
        name=parameter_name(on),
        option="" if positional else on,
        spellings=tuple(each for each in dashed if each != long and "/" not in each),
        kind="list" if several else kind or kind_of(default),
        default=default,
        choices=choices,
        low=low,
        high=high,
        switch=switch,
        positional=positional,
        required=source.names.value(keyword(call, "required")) is True,
        where=source.at(call),
        help=" ".join(help_.split()) if isinstance(help_, str) else "",
    )


def _type(source: Source, node: ast.expr | None) -> tuple[Kind, tuple[Any, ...], float | None, float | None]:
    kind = _KINDS.get(dotted(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2], "")
    choices: tuple[Any, ...] = ()
    bounds: list[float | None] = [None, None]
    if isinstance(node, ast.Call) and call_name(node) == "Choice" and node.args:
        values = source.names.value(node.args[0])
        choices = tuple(values) if isinstance(values, list) and UNKNOWN not in values else ()
    elif isinstance(node, ast.Call) and call_name(node).endswith("Range"):
        for i, name in enumerate(("min", "max")):
            given = node.args[i] if len(node.args) > i else keyword(node, name)
            value = source.names.value(given)
            bounds[i] = value if isinstance(value, int | float) else None
    return kind, choices, bounds[0], bounds[1]


def _of_typer(source: Source, node: ast.FunctionDef) -> list[Flag] | None:
    """The options that typer makes of a signature; None if typer has nothing to do with the function."""
    if "typer" not in source.modules:
        return None
    run = any(
        isinstance(each, ast.Call)
        and dotted(each.func) == "typer.run"
        and each.args
        and dotted(each.args[0]) == node.name
        for each in ast.walk(source.tree)
    )
    if not (run or _decorator(node, "command") or _decorator(node, "callback")):
        return None
    arguments = node.args
    given = [*arguments.args, *arguments.kwonlyargs]
    defaults = [
        *([None] * (len(arguments.args) - len(arguments.defaults))),
        *arguments.defaults,
        *arguments.kw_defaults,
    ]
    return [
        _typed(source, each, default)
        for each, default in zip(given, defaults, strict=True)
        if not dotted(each.annotation).endswith("Context")
    ]


def _typed(source: Source, argument: ast.arg, default: ast.expr | None) -> Flag:
    call = default if isinstance(default, ast.Call) else None
    annotation = argument.annotation
    if isinstance(annotation, ast.Subscript) and dotted(annotation.value).endswith("Annotated"):
        inside = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        annotation = inside[0]
        call = next((each for each in inside[1:] if isinstance(each, ast.Call)), call)
    kind, choices = annotated(annotation)
    value = (
        source.names.value(default) if default is not None and not isinstance(default, ast.Call) else UNKNOWN
    )
    names: list[str] = []
    low = high = None
    positional = default is None
    help_: Any = ""
    if call is not None:
        rest = list(call.args)
        if default is call:
            value = source.names.value(rest[0]) if rest else UNKNOWN
            rest = rest[1:]
        names = [name for each in rest if isinstance(name := source.names.value(each), str)]
        positional = call_name(call) == "Argument"
        low, high = (source.names.value(keyword(call, bound)) for bound in ("min", "max"))
        help_ = source.names.value(keyword(call, "help"))
    option = next((name for name in names if name.startswith("--")), f"--{argument.arg.replace('_', '-')}")
    on, slash, off = option.partition("/")
    switch = None
    if kind == "bool" and not positional:
        switch = (on, off if slash else "" if names else f"--no-{on.lstrip('-')}")
    return Flag(
        name=argument.arg,
        option="" if positional else on,
        kind=kind or kind_of(value),
        default=None if value is ... else value,
        choices=choices,
        low=low if isinstance(low, int | float) else None,
        high=high if isinstance(high, int | float) else None,
        switch=switch,
        positional=positional,
        required=value is ... or default is None,
        where=source.at(argument),
        help=" ".join(help_.split()) if isinstance(help_, str) else "",
    )
