"""Which parameters depend on the value of another: conditions, read off what trials had.

An objective that asks for its parameters as it goes has branches that nobody declares: ``if optimizer == "sgd"`` it asks for a
momentum. A model that did not know them would vary a momentum that does not exist, and wonder why nothing comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from taut.errors import InputError
from taut.space.expression import Expression
from taut.space.integers import Whole
from taut.space.levels import Levels
from taut.space.parameter import Searched
from taut.space.prior import Bools, Floats

__all__ = ["branches"]


def branches(columns: Mapping[str, Searched], codes: Floats) -> dict[str, str]:
    """The condition of each parameter that some trials lack, as far as the value of one that was asked for before tells it.

    columns: in the order in which they are asked for. codes: (n, d), a row for each trial; NaN where it lacks a parameter.

    A choice is believed before a number, as it takes less to explain; a value that no trial has had leaves a parameter in. What two
    values explain together is not found: such a parameter has no condition. Nor has one whose explanation no expression can say, as it
    would name ``a-b`` or ``lambda``, or list hundreds of values.
    """
    there, names = ~np.isnan(codes), list(columns)
    found: dict[str, str] = {}
    for j in np.flatnonzero(there.any(axis=0) & ~there.all(axis=0)).tolist():
        for kind in (Levels, Whole):
            candidates = [i for i in range(j) if isinstance(columns[names[i]], kind)]
            texts = (_condition(names[i], columns[names[i]], codes[:, i], there[:, j]) for i in candidates)
            text = next((text for text in texts if text is not None and _can_be_said(text)), None)
            if text is not None:
                found[names[j]] = text
                break
    return found


def _condition(name: str, parameter: Searched, codes: Floats, present: Bools) -> str | None:
    """What the values `codes` (n,) of a parameter say about who has another; None if they do not explain it."""
    known = ~np.isnan(codes)
    if (present & ~known).any() or "list" in parameter.types:
        return None
    having, lacking = np.unique(codes[present]), np.unique(codes[~present & known])
    if np.isin(lacking, having).any():
        return None
    if isinstance(parameter, Levels):
        return f"{name} not in {parameter.to_python(lacking)!r}" if len(lacking) else _always(name, parameter)
    if not len(lacking):
        return f"{name} >= {int(having[0])}"
    if lacking[-1] < having[0]:
        return f"{name} > {int(lacking[-1])}"
    return f"{name} < {int(lacking[0])}" if having[-1] < lacking[0] else None


def _can_be_said(text: str) -> bool:
    try:
        return len(Expression.parse(text).names) == 1 and "-" not in text.split()[0]
    except InputError:
        return False


def _always(name: str, parameter: Searched) -> str:
    """True wherever the parameter exists."""
    return f"{name} in {parameter.to_python(np.arange(parameter.cells, dtype=float))!r}"
