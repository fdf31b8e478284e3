"""Extending the space of a running study: what may change, and old codes in the new coding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from taut.space.expression import Expression
from taut.space.parameter import Expr, Parameter, Searched
from taut.space.prior import Floats
from taut.space.probe import points

if TYPE_CHECKING:
    from taut.space.space import Space

__all__ = ["problem", "recode"]


def problem(new: Space, old: Space) -> str | None:
    """None if every trial of `old` is a valid trial of `new`; else one sentence."""
    for name, before in old.parameters.items():
        after = new.parameters.get(name)
        if after is None:
            return f"{name} is gone; keep it, or start a new study."
        change = _change(after, before)
        if change is not None:
            return f"{name} cannot change: {change}; keep every old value, or start a new study."
    return _incomplete(new, old)


def recode(new: Space, codes: Floats, old: Space) -> Floats:
    """Codes of `old` as codes of `new`; columns that `old` lacks are NaN."""
    columns = {name: j for j, name in enumerate(old.searched)}
    result = np.full((len(codes), len(new)), math.nan)
    for j, name in enumerate(new.searched):
        parameter, before = new.parameters[name], old.parameters.get(name)
        if isinstance(parameter, Searched) and isinstance(before, Searched):
            result[:, j] = parameter.recode(codes[:, columns[name]], before)
    return result


def _change(new: Parameter, old: Parameter) -> str | None:
    if new.kind != old.kind:
        return f"it was {old.kind} and would be {new.kind}"
    if isinstance(new, Expr) and isinstance(old, Expr):
        same = Expression.parse(new.source) == Expression.parse(old.source)
        return None if same else f"it was {old.source!r} and would be {new.source!r}"
    assert isinstance(new, Searched) and isinstance(old, Searched)
    if old.asked:  # its condition was read off the trials, and may be again; or somebody states it
        return new.narrower(old)
    if (new.when is None) != (old.when is None) or (
        new.when is not None
        and old.when is not None
        and Expression.parse(new.when) != Expression.parse(old.when)
    ):
        return f"its condition was {old.when!r} and would be {new.when!r}"
    return new.narrower(old)


def _incomplete(new: Space, old: Space) -> str | None:
    """A parameter that old trials would need and lack."""
    added = [
        j for j, name in enumerate(new.searched) if name not in old.parameters and not new.columns[j].asked
    ]
    if not added:
        return None
    trials = old.condition(points(old.conditions.searched, []))
    needed = new.conditions.activity(recode(new, trials, old))
    for j in added:
        if needed[:, j].any():
            name = new.searched[j]
            return (
                f"{name} is new and old trials have no value for it; give it a condition that only"
                " new choices fulfil, or start a new study."
            )
    return None
