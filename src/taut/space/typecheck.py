"""Static types of expressions: a wrong combination is an error before the first trial runs.

A type is a set of names: a choice among 1, 2.5 and "auto" is ``{"int", "float", "str"}``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from taut.errors import InputError, nearest
from taut.space.syntax import number_of, shown

__all__ = ["Types", "type_of"]

Types = frozenset[str]

_INT, _FLOAT, _BOOL = frozenset({"int"}), frozenset({"float"}), frozenset({"bool"})
_NUMBER = frozenset({"int", "float"})
_OF_LITERAL = {bool: "bool", int: "int", float: "float", str: "str", type(None): "none"}
_WORDS = {
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "none": "None",
    "list": "a list",
}


def type_of(node: ast.expr, types: Mapping[str, Types]) -> Types:
    """The types that `node` can have, where names have `types`. Raises `InputError`."""
    match node:
        case ast.Constant(value=value):
            return frozenset({_OF_LITERAL[type(value)]})
        case ast.Name(id=name):
            if name not in types:
                raise InputError(f"{name!r} is not known here{nearest(name, types) or _listed(types)}")
            return types[name]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _need(operand, types, _BOOL, "not")
            return _BOOL
        case ast.UnaryOp(operand=operand):
            return _arithmetic(_need(operand, types, _NUMBER, "-"))
        case ast.BinOp(left=left, op=op, right=right):
            sides = _need(left, types, _NUMBER, "arithmetic") | _need(right, types, _NUMBER, "arithmetic")
            fraction = isinstance(op, ast.Div) or (isinstance(op, ast.Pow) and (number_of(right) or 0) < 0)
            return _FLOAT if fraction else _arithmetic(sides)
        case ast.BoolOp(op=joint, values=operands):
            for operand in operands:
                _need(operand, types, _BOOL, "and" if isinstance(joint, ast.And) else "or")
            return _BOOL
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for compare, right in zip(ops, comparators, strict=True):
                _compare(left, compare, right, types)
                left = right
            return _BOOL
        case ast.Call(func=ast.Name(id=name), args=args):
            sides = frozenset[str]().union(*(_need(a, types, _NUMBER, name) for a in args))
            return {"round": _INT, "sqrt": _FLOAT, "log": _FLOAT}.get(name) or _arithmetic(sides)
    raise AssertionError(f"the whitelist let {ast.dump(node)} through")


def said(types: Types) -> str:
    """The types in words."""
    return " or ".join(
        dict.fromkeys(_WORDS[t] for t in ("int", "float", "bool", "str", "list", "none") if t in types)
    )


def _arithmetic(sides: Types) -> Types:
    return _INT if sides == _INT else _FLOAT


def _need(node: ast.expr, types: Mapping[str, Types], wanted: Types, user: str) -> Types:
    got = type_of(node, types)
    if not got <= wanted:
        hint = "compare it, for instance with ==" if wanted == _BOOL else "only numbers can be computed with"
        raise InputError(f"{shown(node)!r} is {said(got)}, but {user} needs {said(wanted)}; {hint}")
    return got


def _compare(left: ast.expr, op: ast.cmpop, right: ast.expr, types: Mapping[str, Types]) -> None:
    if not isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
        for side in (left, right):
            got = type_of(side, types)
            if not got <= _NUMBER:
                raise InputError(f"{shown(side)!r} is {said(got)} and has no order; use == or in")
        return
    a = type_of(left, types)
    for item in right.elts if isinstance(right, ast.List) else [right]:
        b = type_of(item, types)
        if not _loose(a) & _loose(b):
            raise InputError(
                f"{shown(left)!r} is {said(a)}, and {shown(item)!r} is {said(b)}; they are never equal"
            )


def _loose(types: Types) -> Types:
    return types | _NUMBER if types & _NUMBER else types


def _listed(types: Mapping[str, Any]) -> str:
    return f"; there are {', '.join(types)}" if types else ""
