"""Evaluation of expressions over columns: all trials at once, with three-valued logic.

A column is an array of values and a mask of the rows in which they are *known*; a value of an
inactive parameter is unknown, and so is everything computed from it. ``and`` and ``or`` know their
result as soon as one side decides it (Kleene's logic). Whole numbers travel as int64, but are computed
in float64 and checked, so that nothing wraps around.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.space.prior import EXACT, Bools
from taut.space.syntax import names, shown

__all__ = ["Column", "evaluate", "same"]


class Column(NamedTuple):
    """Values (n,) and in which rows they are known; shapes () stand for the same in every row."""

    values: NDArray[Any]
    known: Bools


_ALL = np.array(True)

_ARITHMETIC: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
_ORDER: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"sqrt": np.sqrt, "log": np.log, "round": np.rint}


def evaluate(tree: ast.expr, env: Mapping[str, Column], source: str, strict: bool) -> Column:
    """The values of `tree` where its names have the columns of `env`.

    Where a result is not finite, a division is by zero, or a whole number exceeds 2**53, it raises
    `InputError` with the values of one such row if `strict`; else the result is unknown there.
    """
    with np.errstate(all="ignore"):  # what goes wrong is reported below, with the values
        return _Evaluation(env, source, strict).of(tree, _ALL)


def same(a: object, b: object) -> bool:
    """Equality as expressions see it: numbers by value, but true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


_same = np.frompyfunc(same, 2, 1)


class _Evaluation:
    def __init__(self, env: Mapping[str, Column], source: str, strict: bool) -> None:
        self.env = env
        self.source = source
        self.strict = strict

    def of(self, node: ast.expr, rows: Bools) -> Column:
        """The column of `node`; errors count only in `rows`, the rows in which its value matters."""
        match node:
            case ast.Constant(value=value):
                return Column(_literal(value), _ALL)
            case ast.Name(id=name):
                return self.env[name]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                x = self.of(operand, rows)
                return Column(~x.values, x.known)
            case ast.UnaryOp(operand=operand):
                x = self.of(operand, rows)
                return Column(np.negative(x.values), x.known)
            case ast.BinOp(left=left, op=op, right=right):
                return self._arithmetic(node, op, self.of(left, rows), self.of(right, rows), rows)
            case ast.BoolOp(op=bool_op, values=values):
                return self._logic(isinstance(bool_op, ast.And), values, rows)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._chain(self.of(left, rows), ops, comparators, rows)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self._call(node, name, [self.of(a, rows) for a in args], rows)
        raise AssertionError(f"the whitelist let {ast.dump(node)} through")

    def _arithmetic(self, node: ast.BinOp, op: ast.operator, a: Column, b: Column, rows: Bools) -> Column:
        known = a.known & b.known
        if isinstance(op, ast.Div | ast.FloorDiv | ast.Mod):
            known = self._sound(known, b.values == 0, rows, node, "divides by zero")
        whole = _is_whole(a) and _is_whole(b) and not isinstance(op, ast.Div)
        if isinstance(op, ast.Pow):
            known = self._sound(known, (a.values == 0) & (b.values < 0), rows, node, "divides by zero")
            whole = whole and bool(np.all(b.values >= 0))
        x = _ARITHMETIC[type(op)](a.values.astype(float), b.values.astype(float))
        return self._checked(node, x, known, whole, rows)

    def _call(self, node: ast.Call, name: str, args: list[Column], rows: Bools) -> Column:
        known = args[0].known
        if name in ("min", "max"):
            x = args[0].values
            for column in args[1:]:
                x = (np.minimum if name == "min" else np.maximum)(x, column.values)
                known = known & column.known
            return Column(x, known)
        x = _FUNCTIONS[name](args[0].values.astype(float))
        return self._checked(node, x, known, name == "round", rows)

    def _checked(self, node: ast.expr, x: Any, known: Bools, whole: bool, rows: Bools) -> Column:
        known = self._sound(known, ~np.isfinite(x), rows, node, "is not a finite number")
        if not whole:
            return Column(np.asarray(x), known)
        large = np.abs(x) > EXACT
        known = self._sound(known, large, rows, node, "exceeds 2**53, the largest whole number kept exactly,")
        return Column(np.where(known & ~large, x, 0.0).astype(np.int64), known)

    def _chain(self, left: Column, ops: list[ast.cmpop], comparators: list[ast.expr], rows: Bools) -> Column:
        result: Column | None = None
        for op, comparator in zip(ops, comparators, strict=True):
            if isinstance(comparator, ast.List):
                link = self._contained(left, comparator, isinstance(op, ast.In))
            else:
                right = self.of(comparator, rows)
                link = Column(_compared(op, left.values, right.values), left.known & right.known)
                left = right
            result = link if result is None else _both(result, link)
        assert result is not None
        return result

    def _contained(self, left: Column, literals: ast.List, wanted: bool) -> Column:
        found: Any = np.array(False)
        for literal in literals.elts:
            assert isinstance(literal, ast.Constant)
            found = found | _equal(left.values, _literal(literal.value))
        return Column(found if wanted else ~found, left.known)

    def _logic(self, conjunction: bool, operands: list[ast.expr], rows: Bools) -> Column:
        result = self.of(operands[0], rows)
        for operand in operands[1:]:
            # what comes later matters only where the result is still open, so that x != 0 guards 1 / x
            decided = result.known & (~result.values if conjunction else result.values)
            link = self.of(operand, rows & ~decided)
            result = _both(result, link) if conjunction else _either(result, link)
        return result

    def _sound(self, known: Bools, wrong: Any, rows: Bools, node: ast.expr, what: str) -> Bools:
        """`known` less the rows with a `wrong` result; an error if one of them matters."""
        unsound: Bools = known & wrong
        if not np.any(unsound):
            return known
        fatal = unsound & rows
        if not self.strict or not np.any(fatal):
            return np.asarray(known & ~unsound)
        row = int(np.argmax(fatal)) if np.ndim(fatal) else 0
        values = [f"{name} = {_at(self.env[name].values, row)!r}" for name in names(node)]
        part = "" if shown(node) == self.source else f" in {self.source!r}"
        where = f" at {', '.join(values)}" if values else ""
        raise InputError(f"{shown(node)!r}{part} {what}{where}; narrow the ranges, or rewrite the expression")


def _both(a: Column, b: Column) -> Column:
    false = (a.known & ~a.values) | (b.known & ~b.values)
    return Column(a.values & b.values & ~false, (a.known & b.known) | false)


def _either(a: Column, b: Column) -> Column:
    true = (a.known & a.values) | (b.known & b.values)
    return Column(true, (a.known & b.known) | true)


def _compared(op: ast.cmpop, a: NDArray[Any], b: NDArray[Any]) -> Any:
    if isinstance(op, ast.Eq):
        return _equal(a, b)
    if isinstance(op, ast.NotEq):
        return ~_equal(a, b)
    return _ORDER[type(op)](a, b)


def _equal(a: NDArray[Any], b: NDArray[Any]) -> Any:
    kinds = {a.dtype.kind, b.dtype.kind}
    if "O" in kinds:
        simple = b.ndim == 0 and (b[()] is None or isinstance(b[()], str))
        return np.equal(a, b).astype(bool) if simple else np.asarray(_same(a, b)).astype(bool)
    if "b" in kinds and len(kinds) > 1:  # true is not 1
        return np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=bool)
    return np.equal(a, b)


def _literal(value: Any) -> NDArray[Any]:
    return np.array(value, dtype=object if value is None or isinstance(value, str) else None)


def _is_whole(column: Column) -> bool:
    return column.values.dtype.kind == "i"


def _at(values: NDArray[Any], row: int) -> Any:
    value = values[row] if values.ndim else values[()]
    return value.item() if isinstance(value, np.generic) else value
