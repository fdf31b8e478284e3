"""How far a trial is from breaking a constraint, as numbers that a model can learn."""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from taut.space import Expression
from taut.space.evaluate import Column, evaluate
from taut.space.prior import Floats
from taut.space.syntax import names

__all__ = ["slacks"]

Values = Callable[[str], Floats]
Measure = Callable[[Values, int], Floats]

_BROKEN = math.ulp(0.0)  # the least slack of a constraint that is not kept
_MOST = 1e300


def slacks(conditions: Sequence[str], values: Values, size: int) -> Floats:
    """(size, c) a column for each constraint: at most 0 where a trial keeps it, NaN where that is not known.

    values: from a metric to its (size,) values, NaN where there is none.

    ``memory_gb <= 40`` gives ``memory_gb - 40``; so does ``memory_gb < 40``, but a little more than 0 at 40. A condition that is
    no comparison of two numbers gives -1 where it holds and 1 where not.
    """
    columns = [measure(values, size) for text in conditions for measure in _measures(text)]
    return np.stack(columns, axis=1) if columns else np.empty((size, 0))


@functools.lru_cache(maxsize=256)
def _measures(text: str) -> tuple[Measure, ...]:
    return tuple(_of(Expression.parse(text).tree))


def _of(tree: ast.expr) -> list[Measure]:
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [measure for part in tree.values for measure in _of(part)]
    if isinstance(tree, ast.Compare) and all(
        isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in tree.ops
    ):
        sides = [tree.left, *tree.comparators]
        return [_difference(a, op, b) for a, op, b in zip(sides, tree.ops, sides[1:], strict=False)]
    return [_label(tree)]


def _difference(left: ast.expr, op: ast.cmpop, right: ast.expr) -> Measure:
    smaller, larger = (left, right) if isinstance(op, ast.Lt | ast.LtE) else (right, left)
    at_0 = _BROKEN if isinstance(op, ast.Lt | ast.Gt) else 0.0

    def measure(values: Values, size: int) -> Floats:
        a, b = _column(smaller, values, size), _column(larger, values, size)
        with np.errstate(all="ignore"):
            slack = np.where(a.values == b.values, at_0, np.asarray(a.values, float) - b.values)
        return np.where(a.known & b.known, np.clip(slack, -_MOST, _MOST), np.nan)

    return measure


def _label(condition: ast.expr) -> Measure:
    def measure(values: Values, size: int) -> Floats:
        column = _column(condition, values, size)
        return np.where(column.known, np.where(column.values, -1.0, 1.0), np.nan)

    return measure


def _column(tree: ast.expr, values: Values, size: int) -> Column:
    """The values of an expression in every trial; not known where it cannot be computed, as in a division by zero."""
    metrics = {name: values(name) for name in names(tree)}
    given = {name: Column(column, ~np.isnan(column)) for name, column in metrics.items()}
    found, known = evaluate(tree, given, ast.unparse(tree), strict=False)
    return Column(np.broadcast_to(found, size), np.broadcast_to(known, size))
