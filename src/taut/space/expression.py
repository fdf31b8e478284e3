"""`Expression`: a text such as ``2 * lora_r`` or ``optim == 'sgd' and lr > 1e-3``, checked and computed.

Used for coupled parameters, for conditions, and on metrics (``eval_loss <= 1.9``).
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from taut.errors import InputError
from taut.space.evaluate import Column, evaluate
from taut.space.prior import Bools
from taut.space.syntax import names, parse
from taut.space.typecheck import said, type_of

__all__ = ["Column", "Expression"]


class Expression:
    """A parsed expression. Immutable; two are equal if they differ only in spaces and brackets.

    The language: names, numbers, texts, True, False, None; ``+ - * / // % **`` (the exponent a written
    number from -64 to 64); comparisons, also chained; ``and or not``; ``in`` and ``not in`` a written
    list; ``min max sqrt log round``. At most 1000 characters and 200 parts.
    """

    __slots__ = ("_form", "names", "source", "tree")

    source: str
    """The text as it was written."""
    names: tuple[str, ...]
    """The names in it, each once, in the order of the text."""
    tree: ast.expr
    """The parsed text, for readers of the grammar (`syntax.py`)."""

    def __init__(self, source: str) -> None:
        self.tree = parse(source)
        self.source = source
        self.names = names(self.tree)
        self._form = ast.dump(self.tree)

    @staticmethod
    @functools.lru_cache(maxsize=1024)
    def parse(text: str) -> Expression:
        """The expression of `text`. Raises `InputError` for anything outside the language."""
        return Expression(text)

    def check(self, types: Mapping[str, str | Iterable[str]]) -> str:
        """The type of the result: "int", "float", "bool", "str" or "none".

        types: for each name, its type, or its possible types; besides the above also "list".

        Raises `InputError` for an unknown name and for types that do not fit, such as a text plus 1.
        """
        sets = {name: frozenset([t] if isinstance(t, str) else t) for name, t in types.items()}
        result = type_of(self.tree, sets)
        if len(result) == 1 and result != {"list"}:
            return next(iter(result))
        if result == {"int", "float"}:
            return "float"
        raise InputError(f"{self.source!r} is {said(result)}; an expression needs one type")

    def evaluate(self, env: Mapping[str, ArrayLike | tuple[ArrayLike, ArrayLike]]) -> Column:
        """Values over many rows at once, and in which rows they are known.

        env: for each name a column: an array (NaN is unknown), or a pair of an array and a mask of
            known rows. Whole numbers are arrays of integers; texts and mixtures arrays of objects.

        Raises `InputError` with the values at fault for a division by zero, a result that is not
        finite, or a whole number above 2**53.
        """
        return self._evaluated(env, strict=True)

    def holds(
        self, env: Mapping[str, ArrayLike | tuple[ArrayLike, ArrayLike]], strict: bool = False
    ) -> Bools:
        """Where a condition is true; false where it is false or unknown. For `env` see `evaluate`.

        What cannot be computed, such as a division by zero, is unknown; or an error if `strict`.
        """
        values, known = self._evaluated(env, strict)
        return np.asarray(values & known)

    def _evaluated(self, env: Mapping[str, Any], strict: bool) -> Column:
        columns = {name: _column(name, env, self.source) for name in self.names}
        return evaluate(self.tree, columns, self.source, strict)

    def __eq__(self, other: object) -> bool:
        return self._form == other._form if isinstance(other, Expression) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._form)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Expression, (self.source,)


def _column(name: str, env: Mapping[str, Any], source: str) -> Column:
    if name not in env:
        raise InputError(f"{source!r} needs {name!r}, which is not given")
    given = env[name]
    if isinstance(given, tuple):
        return Column(np.asarray(given[0]), np.asarray(given[1], dtype=bool))
    values = np.asarray(given)
    if values.dtype.kind == "U":
        values = values.astype(object)
    return Column(
        values, ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)
    )
