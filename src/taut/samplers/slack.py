"""How far a trial is from breaking a constraint, as numbers that a model can learn."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable

import numpy as np

from taut.errors import InputError
from taut.snapshot import Snapshot
from taut.space import Expression
from taut.space.prior import Floats

__all__ = ["slacks"]

Measure = Callable[[Snapshot], Floats]


def slacks(snapshot: Snapshot) -> Floats:
    """(size, c) a column for each constraint: at most 0 where a trial keeps it, NaN where that is not known.

    ``memory_gb <= 40`` gives ``memory_gb - 40``. A condition that is no comparison of two numbers gives -1 where it holds
    and 1 where not.
    """
    columns = [measure(snapshot) for text in snapshot.definition.subject_to for measure in _measures(text)]
    return np.stack(columns, axis=1) if columns else np.empty((snapshot.size, 0))


@functools.lru_cache(maxsize=256)
def _measures(text: str) -> tuple[Measure, ...]:
    tree = Expression.parse(text).tree
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    return tuple(measure for part in parts for measure in _of(part))


def _of(tree: ast.expr) -> list[Measure]:
    if isinstance(tree, ast.Compare):
        sides = [tree.left, *tree.comparators]
        if all(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in tree.ops):
            return [
                _difference(a, b) if isinstance(op, ast.Lt | ast.LtE) else _difference(b, a)
                for a, op, b in zip(sides, tree.ops, sides[1:], strict=False)
            ]
    return [_label(Expression.parse(ast.unparse(tree)))]


def _difference(smaller: ast.expr, larger: ast.expr) -> Measure:
    expression = Expression.parse(f"({ast.unparse(smaller)}) - ({ast.unparse(larger)})")

    def measure(snapshot: Snapshot) -> Floats:
        try:
            values, known = expression.evaluate(_metrics(snapshot, expression))
        except InputError:  # a division by zero, say, in one of the trials
            return np.full(snapshot.size, np.nan)
        return np.where(known, np.asarray(values, float), np.nan)

    return measure


def _label(condition: Expression) -> Measure:
    def measure(snapshot: Snapshot) -> Floats:
        metrics = _metrics(snapshot, condition)
        known = ~np.isnan(np.stack([*metrics.values(), np.zeros(snapshot.size)])).any(axis=0)
        return np.where(known, np.where(condition.holds(metrics), -1.0, 1.0), np.nan)

    return measure


def _metrics(snapshot: Snapshot, expression: Expression) -> dict[str, Floats]:
    return {name: snapshot.values(name) for name in expression.names}
