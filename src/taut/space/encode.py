"""Between codes and dicts of Python values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from taut.errors import InputError, nearest
from taut.space.condition import Conditions
from taut.space.continuous import Continuous
from taut.space.evaluate import same
from taut.space.parameter import Searched
from taut.space.prior import Bools, Floats

__all__ = ["checked_codes", "known_codes", "params_of"]

_ABSENT: Any = object()


def params_of(conditions: Conditions, codes: Floats) -> list[dict[str, Any]]:
    """One dict for each row, made column by column; what is inactive is left out."""
    if not conditions.parameters:  # nobody has asked for anything yet
        return [{} for _ in codes]
    gaps = np.isnan(codes)
    partial: list[bool] = np.any(gaps, axis=0).tolist()
    listed = codes.T.tolist()
    columns: dict[str, list[Any]] = {name: [] for name in conditions.parameters}
    complete = True
    for j, (name, parameter) in enumerate(conditions.searched.items()):
        if partial[j]:
            complete = False
            columns[name] = _marked(parameter.to_python(codes[~gaps[:, j], j]), ~gaps[:, j])
        elif isinstance(parameter, Continuous):  # a value is its own code
            columns[name] = listed[j]
        else:
            columns[name] = parameter.to_python(codes[:, j])
    for name, (values, known) in conditions.values(codes).items():
        if known.all():
            columns[name] = values.tolist()
        else:
            complete = False
            columns[name] = _marked(values[known].tolist(), known)
    names = tuple(columns)
    rows = zip(*columns.values(), strict=True)
    if complete:
        return [dict(zip(names, row, strict=True)) for row in rows]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not _ABSENT} for row in rows
    ]


def known_codes(
    coders: Sequence[tuple[str, Callable[[Any], float]]], params: Sequence[Mapping[str, Any]]
) -> Floats:
    """Codes of dicts that need no check; what they leave out is NaN."""
    nan = math.nan
    rows = [[code(p[name]) if name in p else nan for name, code in coders] for p in params]
    return np.array(rows, dtype=float).reshape(len(rows), len(coders))


def checked_codes(conditions: Conditions, params: Sequence[Mapping[str, Any]]) -> Floats:
    """Codes of dicts that come from outside. Raises `InputError` at (name,)."""
    codes = np.full((len(params), len(conditions.searched)), math.nan)
    for row, given in enumerate(params):
        for name in given:
            if name not in conditions.parameters:
                hint = (
                    nearest(name, conditions.parameters) or f"; there are {', '.join(conditions.parameters)}"
                )
                raise InputError(
                    f"{given[name]!r} is given, but the space has no such parameter{hint}", (str(name),)
                )
        for j, (name, parameter) in enumerate(conditions.searched.items()):
            if name in given:
                codes[row, j] = _code(parameter, name, given[name])
    active = conditions.activity(codes)
    _check_presence(conditions, active, ~np.isnan(codes), params)
    for name, (values, known) in conditions.values(codes).items():
        for row, given in enumerate(params):
            if name in given and not (known[row] and same(values[row : row + 1].tolist()[0], given[name])):
                is_ = repr(values[row : row + 1].tolist()[0]) if known[row] else "inactive here"
                source = conditions.computed[name].source
                raise InputError(
                    f"{given[name]!r} is given, but {source!r} is {is_}; leave {name} out", (name,)
                )
    return codes


def _check_presence(
    conditions: Conditions, active: Bools, present: Bools, params: Sequence[Mapping[str, Any]]
) -> None:
    for row, j in np.argwhere(active != present):
        name, parameter = list(conditions.searched.items())[j]
        if parameter.asked:
            continue  # whether it is there is up to the trial
        if active[row, j]:
            raise InputError(f"no value is given; it must be {parameter.allowed()}", (name,))
        raise InputError(
            f"{params[row][name]!r} is given, but the parameter exists only when {parameter.when};"
            " leave it out",
            (name,),
        )


def _code(parameter: Searched, name: str, value: object) -> float:
    try:
        return parameter.code(value)
    except InputError as error:
        raise error.under(name) from None


def _marked(values: list[Any], known: Bools) -> list[Any]:
    """`values` of the known rows in their places, `_ABSENT` in the others."""
    present = iter(values)
    return [next(present) if k else _ABSENT for k in known.tolist()]
