"""Values in source text, found without running it."""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from typing import Any, Final

from taut.starting.flags import UNKNOWN

__all__ = ["Names", "call_name", "dotted", "keyword"]

_BINARY: Final = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_WRAPPERS: Final = ("Path", "str", "float", "int", "list", "tuple")  # what stands around a plain value
_FAR = 2.0**53
_LARGEST_POWER = 64


class Names:
    """The literals that a module gives names at its top, to be used in the defaults of its flags."""

    def __init__(self, tree: ast.Module) -> None:
        self._known: dict[str, Any] = {}
        for node in tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target: ast.expr = node.targets[0]
                value: ast.expr | None = node.value
            elif isinstance(node, ast.AnnAssign):
                target, value = node.target, node.value
            else:
                continue
            if isinstance(target, ast.Name) and value is not None:
                self._known[target.id] = self.value(value)

    def value(self, node: ast.expr | None) -> Any:
        """The value of an expression of literals, or `UNKNOWN`."""
        match node:
            case ast.Constant(value):
                return value
            case ast.Name(name):
                return self._known.get(name, UNKNOWN)
            case ast.List(elements) | ast.Tuple(elements) | ast.Set(elements):
                values = [self.value(each) for each in elements]
                return UNKNOWN if any(each is UNKNOWN for each in values) else values
            case ast.Dict(keys, values):
                return {self.value(k): self.value(v) for k, v in zip(keys, values, strict=True) if _plain(k)}
            case ast.Subscript(inner, index):
                table, key = self.value(inner), self.value(index)
                known = isinstance(table, Mapping) and isinstance(key, str)
                return table.get(key, UNKNOWN) if known else UNKNOWN
            case ast.UnaryOp(ast.USub(), operand):
                number = self.value(operand)
                return -number if _number(number) else UNKNOWN
            case ast.BinOp(left, operation, right):
                return _computed(operation, self.value(left), self.value(right))
            case ast.Call(function, [only], []) if dotted(function).rpartition(".")[2] in _WRAPPERS:
                return self.value(only)
        return UNKNOWN


def _plain(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _computed(operation: ast.operator, left: Any, right: Any) -> Any:
    if not (_number(left) and _number(right)) or max(abs(left), abs(right)) > _FAR:
        return UNKNOWN
    try:
        if isinstance(operation, ast.Pow):
            return left**right if abs(right) <= _LARGEST_POWER else UNKNOWN
        if isinstance(operation, ast.LShift):
            return left << right if 0 <= right <= _LARGEST_POWER else UNKNOWN
        return _BINARY[type(operation)](left, right)
    except (ArithmeticError, KeyError, TypeError):
        return UNKNOWN


def dotted(node: ast.expr | None) -> str:
    """``a.b.c`` of a chain of names; an empty text for anything else."""
    match node:
        case ast.Name(name):
            return name
        case ast.Attribute(inner, name):
            before = dotted(inner)
            return f"{before}.{name}" if before else ""
    return ""


def call_name(node: ast.AST) -> str:
    """The last name of what is called: ``add_argument`` of ``parser.add_argument(...)``."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The argument that a call gives by `name`."""
    return next((each.value for each in call.keywords if each.arg == name), None)
