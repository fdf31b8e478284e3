"""Conditions and coupled parameters of a space: checked once, then computed for many trials at once.

Both are expressions over other parameters. They are ordered so that each comes after what it needs;
one walk in that order says which parameters exist in which trial, and what the coupled ones are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from taut.errors import InputError, nearest
from taut.space.evaluate import Column
from taut.space.expression import Expression
from taut.space.parameter import Expr, Parameter, Searched
from taut.space.prior import Bools, Floats
from taut.space.probe import points
from taut.space.syntax import shown
from taut.space.typecheck import Types, said

__all__ = ["Conditions"]


class Conditions:
    """The expressions of a space.

    when: the condition of each conditional parameter. computed: the expression of each coupled one.
    Raises `InputError` at (name, "when") or (name, "expr") for what can never work.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters = parameters
        self.searched = {name: p for name, p in parameters.items() if isinstance(p, Searched)}
        self.position = {name: j for j, name in enumerate(self.searched)}
        self.when: dict[str, Expression] = {}
        self.computed: dict[str, Expression] = {}
        for name, parameter in parameters.items():
            if isinstance(parameter, Expr):
                self.computed[name] = _parsed(parameter.source, name, "expr")
            elif isinstance(parameter, Searched) and parameter.when is not None:
                self.when[name] = _parsed(parameter.when, name, "when")
        either = {**self.computed, **self.when}
        self.expressions = {name: either[name] for name in parameters if name in either}
        if not self.expressions:
            self.order: tuple[str, ...] = ()
            self._needed: dict[str, float] = {}
            return
        self._check_names()
        self.order = self._sorted()
        needed = {n for e in self.expressions.values() for n in e.names}
        self._needed = {
            name: float(p.decode(np.zeros(1))[0]) for name, p in self.searched.items() if name in needed
        }  # with a code to stand in where the parameter is inactive
        self._check_types()
        self._check_literals()
        self._probe()

    # -- what trials ask -----------------------------------------------------------------------------

    def activity(self, codes: Floats) -> Bools:
        """Which parameters (n, d) exist, given a number for each; what needs a NaN does not."""
        active = np.ones(codes.shape, dtype=bool)
        if self.when:
            self._walk(codes, active)
        return active

    def values(self, codes: Floats) -> dict[str, Column]:
        """The coupled parameters (n,) for codes in which inactive parameters are NaN."""
        if not self.computed:
            return {}
        env = self._walk(codes, None)
        return {name: _spread(env[name], len(codes)) for name in self.computed}

    def _walk(self, codes: Floats, active: Bools | None) -> dict[str, Column]:
        """Everything that expressions name, in order; `active`, if given, is narrowed by the conditions."""
        env: dict[str, Column] = {}
        conditional = self.when if active is not None else {}
        for name in self._needed:
            if name not in conditional:
                env[name] = self._column(name, codes, None)
        for name in self.order:
            try:
                if name in self.computed:
                    env[name] = self.computed[name].evaluate(env)
                elif active is not None:
                    j = self.position[name]
                    active[:, j] = self.when[name].holds(env, strict=True)
                    if name in self._needed:
                        env[name] = self._column(name, codes, active[:, j])
            except InputError as error:
                raise error.under(name, _key(self.parameters[name])) from None
        return env

    def _column(self, name: str, codes: Floats, active: Bools | None) -> Column:
        x = codes[:, self.position[name]]
        known = ~np.isnan(x) if active is None else active & ~np.isnan(x)
        return Column(self.searched[name].column(np.where(known, x, self._needed[name])), known)

    # -- what the definition must fulfil -------------------------------------------------------------

    def _check_names(self) -> None:
        for name, expression in self.expressions.items():
            key = _key(self.parameters[name])
            for other in expression.names:
                if other == name:
                    raise InputError(
                        f"{expression.source!r} names {name!r} itself; name other parameters", (name, key)
                    )
                if other not in self.parameters:
                    hint = nearest(other, self.parameters) or f"; there are {', '.join(self.parameters)}"
                    raise InputError(f"{other!r} in {expression.source!r} is no parameter{hint}", (name, key))

    def _sorted(self) -> tuple[str, ...]:
        """Names with expressions, each after those that it needs."""
        done: dict[str, None] = {}
        path: list[str] = []

        def visit(name: str) -> None:
            if name in done or name not in self.expressions:
                return
            if name in path:
                circle = " -> ".join([*path[path.index(name) :], name])
                raise InputError(
                    f"the parameters need each other in a circle: {circle}; take one condition out",
                    (name, _key(self.parameters[name])),
                )
            path.append(name)
            for other in self.expressions[name].names:
                visit(other)
            path.pop()
            done[name] = None

        for name in self.expressions:
            visit(name)
        return tuple(done)

    def _check_types(self) -> None:
        types: dict[str, Types] = {name: p.types for name, p in self.searched.items()}
        for name in self.order:
            expression = self.expressions[name]
            try:
                result = expression.check(types)
                if name in self.computed:
                    types[name] = frozenset({result})
                elif result != "bool":
                    raise InputError(
                        f"{expression.source!r} is {said(frozenset({result}))}, not a condition;"
                        f" compare it, for instance {expression.source} == ..."
                    )
            except InputError as error:
                raise error.under(name, _key(self.parameters[name])) from None

    def _check_literals(self) -> None:
        for name, expression in self.expressions.items():
            for node, other, literal in _equalities(expression.tree):
                parameter = self.searched.get(other)
                if parameter is not None and not parameter.admits(literal):
                    raise InputError(
                        f"{shown(node)!r} compares with {literal!r}, which {other!r} can never be;"
                        f" it is {parameter.allowed()}{parameter.suggestion(literal)}",
                        (name, _key(self.parameters[name])),
                    )

    def _probe(self) -> None:
        """Compute everything at many points: errors show now, and so do conditions that never hold."""
        codes = points(self.searched, [(self._roots(name), e.tree) for name, e in self.expressions.items()])
        active = self.activity(codes)
        for name, expression in self.when.items():
            if not active[:, self.position[name]].any():
                raise InputError(
                    f"{expression.source!r} is never true in {len(codes)} combinations tried,"
                    f" so {name!r} would never be searched; correct the condition, or remove the parameter",
                    (name, "when"),
                )
        self.values(np.where(active, codes, np.nan))

    def _roots(self, name: str) -> frozenset[str]:
        """The searched parameters that the expression of `name` depends on, directly or through others."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            expression = self.expressions.get(waiting.pop())
            for other in expression.names if expression else ():
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return frozenset(found & self.searched.keys())


def _parsed(source: str, name: str, key: str) -> Expression:
    try:
        return Expression.parse(source)
    except InputError as error:
        raise error.under(name, key) from None


def _key(parameter: Parameter) -> str:
    return "expr" if isinstance(parameter, Expr) else "when"


def _spread(column: Column, n: int) -> Column:
    return Column(np.broadcast_to(column.values, n), np.broadcast_to(column.known, n))


def _equalities(tree: ast.expr) -> Iterator[tuple[ast.expr, str, Any]]:
    """Every comparison of a name with a written value by ==, != or in: (comparison, name, value)."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            for item in right.elts if isinstance(right, ast.List) else [right]:
                if isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                    for a, b in ((left, item), (item, left)):
                        if isinstance(a, ast.Name) and isinstance(b, ast.Constant):
                            yield node, a.id, b.value
            left = right
