"""Which texts a script knows for a flag that lists no choices: those that it compares the flag with, or looks up by it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from taut.starting.flags import Flag
from taut.starting.literals import dotted
from taut.starting.sources import Source

__all__ = ["with_texts"]

_SAME_TEXT: Final = ("lower", "upper", "strip", "casefold")


def with_texts(flag: Flag, modules: Sequence[Source], given: Any = None) -> Flag:
    """`flag` with those texts as its choices, or marked as free. given: its value in the user's own command, which works."""
    if flag.inherited or flag.choices or flag.kind not in ("str", "") or flag.switch is not None:
        return flag
    texts = dict.fromkeys(text for source in modules for text in _texts(source, flag.name) if text)
    if not texts:
        return replace(flag, free=True)
    own = [each for each in (flag.default, given) if isinstance(each, str) and each]
    known = {text.lower() for text in texts}
    return replace(
        flag, choices=(*texts, *(each for each in dict.fromkeys(own) if each.lower() not in known))
    )


def _texts(source: Source, name: str) -> Iterator[str]:
    for node in source.nodes:
        match node:
            case ast.Compare(left, _, rights):
                sides = [left, *rights]
                if any(_is(each, name) for each in sides):
                    for each in sides:
                        yield from _literals(source, each)
            case ast.Subscript(table, key) if _is(key, name):
                yield from _keys(source, table)
            case ast.Call(ast.Attribute(table, "get"), [key, *_]) if _is(key, name):
                yield from _keys(source, table)
            case ast.Match(subject, cases) if _is(subject, name):
                for case in cases:
                    for part in ast.walk(case.pattern):
                        if isinstance(part, ast.MatchValue):
                            yield from _literals(source, part.value)


def _is(node: ast.expr, name: str) -> bool:
    """Whether an expression is the flag's value: ``args.optimizer``, ``optimizer.lower()``, ``config["optimizer"]``."""
    match node:
        case ast.Call(ast.Attribute(inner, method), []) if method in _SAME_TEXT:
            return _is(inner, name)
        case ast.Subscript(_, ast.Constant(key)):
            return bool(key == name)
    return dotted(node).rpartition(".")[2] == name


def _literals(source: Source, node: ast.expr) -> Iterator[str]:
    value = source.names.value(node)
    each = value if isinstance(value, list | tuple) else list(value) if isinstance(value, dict) else [value]
    yield from (one for one in each if isinstance(one, str))


def _keys(source: Source, node: ast.expr) -> Iterator[str]:
    value = source.names.value(node)
    if isinstance(value, dict):
        yield from (key for key in value if isinstance(key, str))
