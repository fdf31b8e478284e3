"""A space: named parameters, and the maps between the three forms of a trial's parameters.

*params* are a dict of Python values, *codes* an array of floats with one column for each searched
parameter, *unit* an array of the same shape in [0, 1]. All maps work on many trials at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taut.errors import InputError
from taut.space import extend
from taut.space.condition import Conditions
from taut.space.continuous import Continuous, LogUniform, Uniform
from taut.space.encode import checked_codes, known_codes, params_of
from taut.space.parameter import Parameter, Searched, plain
from taut.space.prior import Axis, Bools, Floats
from taut.space.together import Together

__all__ = ["Space"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*\Z")
_LONGEST = 200
_UNKNOWN: Mapping[str, Parameter] = MappingProxyType({})


class Space:
    """What may be tuned, and what is believed about it.

    ``Space(lr=loguniform(1e-5, 1e-3), layers=uniform_int(1, 8))``; names that are no Python
    identifiers go into a mapping: ``Space({"model.lr": loguniform(1e-5, 1e-3)})``.

    A name is made of letters, digits, ``_``, ``-`` and dots between parts. Arrays have shape (n, d):
    one row for each trial, one column for each searched parameter, in the order of `searched`.
    An inactive conditional parameter is NaN in codes, 0.5 in the unit cube and absent from params.

    Raises `InputError`, with `at` naming the parameter, for anything that cannot be searched.
    """

    def __init__(self, parameters: Mapping[str, Parameter] | None = None, /, **named: Parameter) -> None:
        items = _checked(parameters, named)
        self.parameters: Mapping[str, Parameter] = MappingProxyType(items)
        self.names: tuple[str, ...] = tuple(items)
        self.columns: tuple[Searched, ...] = tuple(p for p in items.values() if isinstance(p, Searched))
        self.searched: tuple[str, ...] = tuple(name for name, p in items.items() if isinstance(p, Searched))
        self.cells: NDArray[np.int64] = np.array([p.cells for p in self.columns], dtype=np.int64)
        self.cells.flags.writeable = False
        self._coders = [(name, p.known_code) for name, p in zip(self.searched, self.columns, strict=True)]
        self.conditions = Conditions(items)
        axes = [_axis(p) for p in self.columns]
        even = [
            axis if isinstance(p, Uniform | LogUniform) else None
            for axis, p in zip(axes, self.columns, strict=True)
        ]
        self._quantile = Together([p.quantile for p in self.columns], even)
        self._decode = Together([p.decode for p in self.columns], axes)
        self._encode = Together([p.encode for p in self.columns], axes, inverse=True)

    def __len__(self) -> int:
        return len(self.searched)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return self.names == other.names and dict(self.parameters) == dict(other.parameters)

    def __hash__(self) -> int:
        return hash(tuple(self.parameters.items()))

    @staticmethod
    def unknown() -> Space:
        """The space of a study that finds out what there is from what its trials ask for; nothing yet."""
        return Space(_UNKNOWN)

    def __repr__(self) -> str:
        return f"Space({dict(self.parameters)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (dict(self.parameters),)

    def to_json(self) -> dict[str, Any]:
        """The form of the ``[space]`` table of study.toml; `from_json` reads it."""
        return {name: parameter.to_json() for name, parameter in self.parameters.items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Space:
        """The space that ``{name: parameter}`` describes. Raises `InputError`."""
        if not isinstance(data, Mapping):
            raise InputError(f"{data!r} is not a space; write a table of parameters")
        return Space({name: Parameter.from_json(name, parameter) for name, parameter in data.items()})

    @property
    def optional(self) -> frozenset[str]:
        """Names of the parameters that not every trial has: conditional ones, and what follows from them."""
        found: set[str] = set(self.conditions.when) | self.asked
        while (
            more := {
                name
                for name, source in self.conditions.computed.items()
                if not found.isdisjoint(source.names)
            }
            - found
        ):
            found |= more
        return frozenset(found)

    @cached_property
    def asked(self) -> frozenset[str]:
        """Names of the parameters that a trial has only if its objective asks for them."""
        return frozenset(name for name, p in zip(self.searched, self.columns, strict=True) if p.asked)

    @cached_property
    def holds_lists(self) -> bool:
        """Whether a parameter's value can be a list, which a copy of the params would share."""
        return any(
            isinstance(value, (list, tuple)) for p in self.columns for value in getattr(p, "values", ())
        )

    @property
    def start(self) -> dict[str, Any]:
        """The start values that were given, by name."""
        pairs = zip(self.searched, self.columns, strict=True)
        return {name: plain(p.start) for name, p in pairs if p.start is not None}

    # -- between the unit cube and codes -------------------------------------------------------------

    def quantile(self, u: ArrayLike, *, conditions: bool = True) -> Floats:
        """Codes from the prior: uniform `u` (n, d) gives independent draws; 0 and 1 give the bounds.

        Without `conditions`, inactive parameters keep their number too (`condition` removes it later).
        """
        codes = self._quantile(self._matrix(u))
        return self.condition(codes) if conditions else codes

    def decode(self, u: ArrayLike, *, conditions: bool = True) -> Floats:
        """Codes in the geometry that models work in: logarithmic for the log kinds, linear otherwise."""
        codes = self._decode(self._matrix(u))
        return self.condition(codes) if conditions else codes

    def encode(self, codes: ArrayLike) -> Floats:
        """The inverse of `decode`: the middle of its cell for a discrete value, 0.5 for an inactive one."""
        codes = self._matrix(codes)
        u = self._encode(codes)
        u[np.isnan(codes)] = 0.5
        return np.minimum(np.maximum(u, 0.0), 1.0)

    def active(self, codes: ArrayLike) -> Bools:
        """Which parameters (n, d) exist in each trial, given a number for each (NaN: there is none)."""
        codes = self._matrix(codes)
        return self.conditions.activity(codes) & ~np.isnan(codes)

    def condition(self, codes: Floats) -> Floats:
        """`codes` with NaN where a parameter's condition does not hold."""
        if not self.conditions.when:
            return codes
        return np.where(self.conditions.activity(codes), codes, math.nan)

    # -- between codes and params --------------------------------------------------------------------

    def params(self, codes: ArrayLike) -> list[dict[str, Any]]:
        """One dict of Python values for each row of codes, in the order of definition."""
        return params_of(self.conditions, self._matrix(codes))

    def codes(self, params: Iterable[Mapping[str, Any]], known: bool = False) -> Floats:
        """Codes (n, d) of parameter dicts.

        known: the dicts were checked when they were written (old trials); nothing is checked again,
            values outside the ranges are kept, and a choice that no longer exists becomes NaN.

        Raises `InputError` naming the parameter, its value and what is allowed: for an unknown name, a
        value out of range, an active parameter that is missing, an inactive one that is given, or a
        value that contradicts its expression.
        """
        params = list(params)
        if known:
            return known_codes(self._coders, params)
        return checked_codes(self.conditions, params)

    # -- extension -----------------------------------------------------------------------------------

    def extension_problem(self, old: Space) -> str | None:
        """None if every trial of `old` is a valid trial of this space; else one sentence on why not."""
        return extend.problem(self, old)

    def recode(self, codes: ArrayLike, old: Space) -> Floats:
        """Codes of the space `old` in the coding of this one; new parameters are NaN."""
        return extend.recode(self, old._matrix(codes), old)

    def _matrix(self, x: ArrayLike) -> Floats:
        matrix = np.asarray(x, dtype=float)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.searched):
            raise ValueError(f"an array of shape (n, {len(self.searched)}) is needed, not {matrix.shape}")
        return matrix


def _axis(parameter: Searched) -> Axis | None:
    """The axis that the whole map between the unit interval and codes is, where it is one."""
    if not isinstance(parameter, Continuous) or parameter.cells or parameter.bounds[0] == parameter.bounds[1]:
        return None
    return parameter.axis


def _again(parameters: dict[str, Parameter]) -> Space:
    return Space(parameters or _UNKNOWN)


def _checked(
    parameters: Mapping[str, Parameter] | None, named: Mapping[str, Parameter]
) -> dict[str, Parameter]:
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InputError(
            f"{parameters!r} is not a mapping of names to parameters; write Space({{'lr': loguniform(...)}})"
        )
    twice = set(parameters or {}) & set(named)
    if twice:
        raise InputError("the name is given twice; give each parameter once", (min(twice),))
    items = {**(parameters or {}), **named}
    for name, parameter in items.items():
        if not isinstance(name, str) or len(name) > _LONGEST or not _NAME.match(name):
            raise InputError(
                f"{name!r} is not a name; use up to {_LONGEST} letters, digits, _ and -, dots between parts,"
                " and a letter or _ first",
                (str(name),),
            )
        if not isinstance(parameter, Parameter):
            raise InputError(
                f"{parameter!r} is not a parameter; write a constructor, for instance uniform(0.0, 1.0),"
                " or choice([...]) with one value for a constant",
                (name,),
            )
    if parameters is not _UNKNOWN and not any(isinstance(p, Searched) for p in items.values()):
        raise InputError(
            "the space has nothing to search; add a parameter, for instance lr = loguniform(1e-5, 1e-3)"
        )
    return items
