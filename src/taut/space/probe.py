"""Points of a space at which conditions and expressions are tried out when the space is made.

Chosen to find what a plain sample would miss: every combination of listed values (while there are
not too many), the bounds, and the numbers that stand in the expressions with their neighbours. Always
the same points for the same space.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping

import numpy as np

from taut.space.continuous import Number
from taut.space.parameter import Searched
from taut.space.prior import Floats
from taut.space.syntax import number_of

__all__ = ["points"]

_DRAWS = 2048
_COMBINATIONS = 4096  # of the listed values that one expression depends on, at most
_NUMBERS = 4_000_000  # in all combinations of all expressions, about


def points(
    searched: Mapping[str, Searched], expressions: Iterable[tuple[frozenset[str], ast.expr]]
) -> Floats:
    """Codes (m, d), conditions not applied. expressions: what each depends on, and its tree."""
    expressions = list(expressions)
    literals = sorted({x for _, tree in expressions for x in _numbers(tree)})
    special = [_special(p, literals) for p in searched.values()]
    rng = np.random.default_rng(0)
    blocks = [_even(searched, _DRAWS, rng)]
    mixed = _even(searched, _DRAWS, rng)
    for j, candidates in enumerate(special):
        mixed[:, j] = rng.choice(candidates, _DRAWS)
    blocks.append(mixed)
    groups = list(dict.fromkeys(roots for roots, _ in expressions))
    limit = max(64, min(_COMBINATIONS, _NUMBERS // (len(searched) * max(1, len(groups)))))
    for roots in groups:
        columns = [j for j, name in enumerate(searched) if name in roots]
        blocks.append(_combined(searched, columns, special, limit, rng))
    return np.concatenate(blocks)


def _even(searched: Mapping[str, Searched], n: int, rng: np.random.Generator) -> Floats:
    """A Latin hypercube: each parameter by itself is covered evenly."""
    u = (np.arange(n) + 0.5) / n
    return np.stack([p.decode(rng.permutation(u)) for p in searched.values()], axis=1)


def _combined(
    searched: Mapping[str, Searched],
    columns: list[int],
    special: list[Floats],
    limit: int,
    rng: np.random.Generator,
) -> Floats:
    """Every combination of the candidates of `columns`, those with few candidates first, up to a limit."""
    taken: list[int] = []
    size = 1
    for j in sorted(columns, key=lambda j: len(special[j])):
        if size * len(special[j]) <= limit:
            size *= len(special[j])
            taken.append(j)
    codes = _even(searched, size, rng)
    grid = np.meshgrid(*(special[j] for j in taken), indexing="ij") if taken else []
    for j, values in zip(taken, grid, strict=True):
        codes[:, j] = values.ravel()
    return codes


def _special(parameter: Searched, literals: Iterable[float]) -> Floats:
    """The codes worth trying: all of a list; else bounds, and written numbers with their neighbours."""
    if not isinstance(parameter, Number):
        return np.arange(parameter.cells, dtype=float)
    low, high = parameter.bounds
    near = [low, high, 0.5 * (low + high)]
    for x in literals:
        near += (
            [x - 1, x, x + 1]
            if parameter.cells
            else [math.nextafter(x, -math.inf), x, math.nextafter(x, math.inf)]
        )
    inside = np.array([x for x in near if low <= x <= high], dtype=float)
    return np.unique(parameter.decode(parameter.encode(inside)) if parameter.cells else inside)


def _numbers(tree: ast.expr) -> Iterable[float]:
    for node in ast.walk(tree):
        number = number_of(node)
        if number is not None:
            yield float(number)
