"""Parameters that choose among listed values: choice and ordinal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError, nearest
from taut.space import prior
from taut.space.evaluate import same
from taut.space.parameter import Searched, plain
from taut.space.prior import EXACT, Floats

__all__ = ["Choice", "Levels", "Ordinal"]

_TYPES = {bool: "bool", int: "int", float: "float", str: "str", type(None): "none", tuple: "list"}
_SHOWN = 12  # values that an error lists before it says how many more there are


@dataclass(frozen=True, eq=False, repr=False)
class Levels(Searched):
    """A parameter with a list of values. The code of a value is its index.

    Values are JSON scalars or lists of them. A value is what its JSON text says: 1, 1.0 and true are three.
    """

    values: Sequence[Any]  # a tuple once it is checked

    def __post_init__(self) -> None:
        self.settle(values=_checked(self.values, self.kind))

    def arguments(self) -> tuple[Any, ...]:
        return ([plain(level) for level in self.values],)

    @property
    def cells(self) -> int:
        return len(self.values)

    @cached_property
    def types(self) -> frozenset[str]:
        return frozenset(_TYPES[type(level)] for level in self.values)

    @cached_property
    def _index(self) -> dict[Any, float]:
        return {_identity(level): float(i) for i, level in enumerate(self.values)}

    @cached_property
    def _column(self) -> NDArray[Any]:
        """The values as an array for expressions: whole numbers, floats, booleans or objects."""
        if self.types <= {"int", "float"}:
            return np.array(self.values, dtype=np.int64 if self.types == {"int"} else np.float64)
        if self.types == {"bool"}:
            return np.array(self.values, dtype=np.bool_)
        column = np.empty(len(self.values), dtype=object)
        for i, level in enumerate(self.values):  # one by one: NumPy would spread a list over the array
            column[i] = level
        return column

    def quantile(self, u: Floats) -> Floats:
        return prior.cell(u, len(self.values))

    def decode(self, u: Floats) -> Floats:
        return prior.cell(u, len(self.values))

    def encode(self, codes: Floats) -> Floats:
        return prior.centre(codes, len(self.values))

    def to_python(self, codes: Floats) -> list[Any]:
        levels = self.values
        if "list" in self.types:  # a list of its own for each trial, which may change it
            return [plain(levels[i]) for i in codes.astype(np.intp).tolist()]
        return [levels[i] for i in codes.astype(np.intp).tolist()]

    def column(self, codes: Floats) -> NDArray[Any]:
        return self._column[codes.astype(np.intp)]

    def code(self, value: object) -> float:
        try:
            return self._index[_identity(_freeze(value))]
        except (InputError, KeyError, TypeError):
            pass
        raise InputError(f"{value!r} is not allowed; it must be {self.allowed()}{self.suggestion(value)}")

    def suggestion(self, value: object) -> str:
        """A hint at the level that was probably meant."""
        equal = [level for level in self.values if _equal(level, value)]
        if equal:
            return f"; did you mean {plain(equal[0])!r}?"
        return nearest(value, [level for level in self.values if isinstance(level, str)])

    @property
    def known_code(self) -> Callable[[Any], float]:
        index = self._index

        def code(value: Any) -> float:
            return index.get(_identity(tuple(value) if isinstance(value, list) else value), math.nan)

        return code

    def admits(self, literal: object) -> bool:
        return any(same(level, literal) for level in self.values)

    def allowed(self) -> str:
        shown = ", ".join(repr(plain(level)) for level in self.values[:_SHOWN])
        more = len(self.values) - _SHOWN
        return f"one of {shown}" + (f" and {more} more" if more > 0 else "")

    def narrower(self, old: Any) -> str | None:
        gone = [level for level in old.values if _identity(level) not in self._index]
        return f"it no longer has {plain(gone[0])!r}" if gone else None

    def recode(self, codes: Floats, old: Any) -> Floats:
        if self.values == old.values and self.text == old.text:
            return codes
        table = np.array([self._index.get(_identity(level), math.nan) for level in old.values])
        inactive = np.isnan(codes)
        return np.where(inactive, math.nan, table[np.where(inactive, 0.0, codes).astype(np.intp)])


class Choice(Levels):
    """One of several values without an order; each is equally likely.

    For alternatives: an optimiser, an activation, a switch. If the values have an order (8, 16, 32),
    choose `ordinal`: samplers can then use it.

    values: numbers, texts, booleans, None, or lists of them; no value twice.
    start, belief, when: see `Searched` (a start of None is no start).

    Raises `InputError` for an empty list, a value twice, or a value that JSON cannot hold.
    """

    kind: ClassVar[str] = "choice"


class Ordinal(Levels):
    """One of several values in a meaningful order; each is equally likely.

    For sizes and grades: LoRA ranks 8, 16, 32, 64; "small", "medium", "large".

    values: numbers, texts, booleans, None, or lists of them, in order; no value twice.
    start, belief, when: see `Searched` (a start of None is no start).

    Raises `InputError` for an empty list, a value twice, or a value that JSON cannot hold.
    """

    kind: ClassVar[str] = "ordinal"

    def narrower(self, old: Any) -> str | None:
        lost = super().narrower(old)
        if lost is None:
            places = [self._index[_identity(level)] for level in old.values]
            if places != sorted(places):
                return "its old values stand in another order"
        return lost


def _checked(values: object, kind: str) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise InputError(f'{values!r} is not a list of values; write {kind} = ["a", "b"]', (kind,))
    if len(values) == 0:
        raise InputError(f"the list of values is empty; {kind} needs at least one", (kind,))
    frozen = []
    seen = set()
    for value in values:
        try:
            level = _freeze(value)
        except InputError as error:
            raise error.under(kind) from None
        if _identity(level) in seen:
            raise InputError(f"{value!r} stands twice in the list of values; remove one", (kind,))
        seen.add(_identity(level))
        frozen.append(level)
    return tuple(frozen)


def _freeze(value: Any, nested: bool = False) -> Any:
    """`value` as an immutable JSON value; NumPy scalars become Python's."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        if abs(value) > EXACT:
            raise InputError(f"{value!r} is too large; whole numbers go up to 2**53 = {EXACT}")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{value!r} is not finite; JSON has no such number, so write it as a text")
        return float(value) + 0.0
    if isinstance(value, list | tuple) and not nested:
        return tuple(_freeze(item, nested=True) for item in value)
    raise InputError(
        f"{value!r} is a {type(value).__name__}; values are numbers, texts, booleans, None, or lists of them."
        " Give a name and look the object up in the objective"
    )


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{value!r} holds half of a character (a surrogate), which JSON cannot hold"
        ) from None
    return str.__str__(value)  # a plain text, also of a subclass such as an enumeration's


def _identity(level: Any) -> Any:
    """A key that is equal for two values exactly if their JSON texts are."""
    if type(level) is tuple:
        return (tuple, *(_identity(item) for item in level))
    return type(level), level


def _equal(level: Any, value: object) -> bool:
    try:
        return bool(plain(level) == value) or json.dumps(plain(level)) == str(value)
    except ValueError:  # an array has no truth
        return False
