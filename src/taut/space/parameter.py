"""What every parameter is: an immutable value that knows its prior, its coding and its JSON form.

`Parameter` is the root; `Searched` are the kinds that a sampler chooses (`continuous.py`,
`bell.py`, `integers.py`, `levels.py`); `Expr` follows from others. A *code* is the float that
stands for a value in arrays: the number itself, or the index of a level.
"""

from __future__ import annotations

import dataclasses
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeGuard

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError, nearest
from taut.space.prior import Floats

__all__ = ["BELIEFS", "Expr", "Parameter", "Searched"]

BELIEFS = ("weak", "medium", "strong")
_EXAMPLE = "{ uniform = [0.0, 1.0] }"


class Parameter(ABC):
    """One parameter of a space. Compares by value; its repr is the call that makes it."""

    kind: ClassVar[str]
    arity: ClassVar[int | None] = None  # how many numbers stand in its JSON array; None: one whole argument
    kinds: ClassVar[dict[str, type[Parameter]]] = {}

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            Parameter.kinds[cls.kind] = cls

    @abstractmethod
    def arguments(self) -> tuple[Any, ...]:
        """The positional arguments of the constructor."""

    def options(self) -> dict[str, Any]:
        """The keyword arguments that differ from their defaults."""
        fields = [f for f in dataclasses.fields(self) if f.default is not dataclasses.MISSING]  # type: ignore[arg-type]
        given = {f.name: getattr(self, f.name) for f in fields}
        return {f.name: plain(given[f.name]) for f in fields if given[f.name] != f.default}

    def to_json(self) -> dict[str, Any]:
        """The form that stands in study.toml, for instance ``{"uniform": [0.0, 1.0], "start": 0.5}``."""
        arguments = list(self.arguments())
        return {self.kind: arguments if self.arity else arguments[0], **self.options()}

    @staticmethod
    def from_json(name: str, data: Mapping[str, Any]) -> Parameter:
        """The parameter that `data` describes. Raises `InputError` with `at` starting at `name`."""
        try:
            return _read(data)
        except InputError as error:
            raise error.under(str(name)) from None

    @cached_property
    def text(self) -> str:
        """Canonical JSON text; two parameters are equal if their texts are."""
        return json.dumps(self.to_json(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Parameter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        words = [repr(a) for a in self.arguments()]
        words += [f"{k}={v!r}" for k, v in self.options().items()]
        return f"{self.kind}({', '.join(words)})"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Searched(Parameter):
    """A parameter that a sampler chooses.

    start: a value known to work; samplers try it first.
    belief: how strongly samplers lean towards `start`: "weak", "medium" or "strong".
    when: a condition on other parameters, for instance ``"optim == 'sgd'"``; the parameter exists
        only in trials that fulfil it.
    asked: whether it exists only in trials whose objective asks for it (`Trial.suggest_float`). Nobody writes that: a
        study notes it of parameters that it did not know before.
    """

    start: Any = None
    belief: str | None = None
    when: str | None = None
    asked: bool = False

    def settle(self, **fields: Any) -> None:
        """Replace fields by their checked and normalised values, then check what all kinds share."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if self.start is not None:
            try:
                code = self.code(self.start)
            except InputError as error:
                raise InputError(error.message, ("start",)) from None
            start = self.to_python(np.array([code]))[0]
            object.__setattr__(self, "start", tuple(start) if isinstance(start, list) else start)
        if self.belief is not None and self.belief not in BELIEFS:
            raise InputError(
                f"{self.belief!r} is not a strength; use 'weak', 'medium' or 'strong'"
                + nearest(self.belief, BELIEFS),
                ("belief",),
            )
        if self.belief is not None and self.start is None:
            raise InputError(
                f"belief {self.belief!r} needs a start value to believe in; add start", ("belief",)
            )
        if not isinstance(self.asked, bool):
            raise InputError(f"{self.asked!r} must be true or false", ("asked",))
        if self.when is not None and not isinstance(self.when, str):
            raise InputError(
                f"{self.when!r} is not a condition; write it as a text, for instance \"optim == 'sgd'\"",
                ("when",),
            )

    @property
    @abstractmethod
    def cells(self) -> int:
        """How many distinct values there are; 0 where values are continuous."""

    @property
    @abstractmethod
    def types(self) -> frozenset[str]:
        """Types of the values in expressions: int, float, bool, str, none, list."""

    @abstractmethod
    def quantile(self, u: Floats) -> Floats:
        """Codes; u uniform on [0, 1] gives draws from the prior."""

    @abstractmethod
    def decode(self, u: Floats) -> Floats:
        """Codes at u in the geometry that models work in."""

    @abstractmethod
    def encode(self, codes: Floats) -> Floats:
        """The inverse of `decode`; the middle of its cell for a discrete value."""

    @abstractmethod
    def to_python(self, codes: Floats) -> list[Any]:
        """Python values of codes; no NaN."""

    @abstractmethod
    def column(self, codes: Floats) -> NDArray[Any]:
        """Values as an array for expressions; no NaN."""

    @abstractmethod
    def code(self, value: object) -> float:
        """The code of one value. Raises `InputError` saying what is allowed."""

    @property
    @abstractmethod
    def known_code(self) -> Callable[[Any], float]:
        """`code` without checks, for values that were checked when they were written."""

    @abstractmethod
    def admits(self, literal: object) -> bool:
        """Whether ``name == literal`` can be true in an expression."""

    @abstractmethod
    def allowed(self) -> str:
        """What is allowed, in words that follow "must be"."""

    def suggestion(self, value: object) -> str:
        """A hint at the value that was probably meant, to end an error with."""
        return ""

    @abstractmethod
    def narrower(self, old: Any) -> str | None:
        """None if every value of `old` (of the same kind) is still allowed; else what was lost."""

    def recode(self, codes: Floats, old: Any) -> Floats:
        """Codes of `old` in this parameter's coding."""
        return codes


@dataclass(frozen=True, eq=False, repr=False)
class Expr(Parameter):
    """A parameter that follows from others and is not searched, for instance ``expr("2 * lora_r")``.

    For couplings: one value fixes another. Arithmetic, comparisons, ``and or not in``, and
    ``min max sqrt log round``. Whole numbers stay whole. It is inactive where a parameter that it needs is.
    """

    kind: ClassVar[str] = "expr"
    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.source, str):
            raise InputError(
                f'{self.source!r} is not an expression; write a text, for instance "2 * lora_r"', ("expr",)
            )

    def arguments(self) -> tuple[Any, ...]:
        return (self.source,)


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is a Python or NumPy number; True and False are none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def number(value: object, what: str, kind: str) -> float:
    """`value` as a finite float, or an error that names `what`."""
    if not is_number(value):
        raise InputError(
            f"{what} = {value!r} is not a number; write one without quotes, for instance 0.5", (kind,)
        )
    try:
        x = float(value) + 0.0  # -0.0 becomes 0.0: equal numbers need equal texts
    except OverflowError:
        x = math.inf
    if not math.isfinite(x):
        raise InputError(f"{what} = {value!r} is not finite; give a finite number", (kind,))
    return x


def plain(value: Any) -> Any:
    """A frozen value as the user knows it: lists are kept as tuples."""
    return list(value) if isinstance(value, tuple) else value


def _read(data: Mapping[str, Any]) -> Parameter:
    kinds = sorted(Parameter.kinds)
    if not isinstance(data, Mapping):
        hint = f"; for a constant write {{ choice = [{json.dumps(data)}] }}" if _is_scalar(data) else ""
        raise InputError(f"{data!r} is not a parameter; write a table such as {_EXAMPLE}{hint}")
    named = [key for key in data if key in Parameter.kinds]
    if len(named) > 1:
        raise InputError(f"{named[0]!r} and {named[1]!r} are two kinds; a parameter has one", (named[1],))
    if not named:
        listed = ", ".join(kinds)
        strange = [key for key in data if key not in ("start", "belief", "when", "step", "low", "high")]
        if strange:
            raise InputError(
                f"{strange[0]!r} is not a kind; use one of {listed}{nearest(strange[0], kinds)}",
                (str(strange[0]),),
            )
        raise InputError(f"no kind is given; name one of {listed}, for instance {_EXAMPLE}")
    kind = named[0]
    cls = Parameter.kinds[kind]
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    optional = [name for name, f in fields.items() if f.default is not dataclasses.MISSING]
    for key in data:
        if key != kind and key not in optional:
            told = [name for name in optional if name != "asked"]
            listed = f"it takes {', '.join(sorted(told))}" if told else "it takes none"
            raise InputError(
                f"{key!r} is not an option of {kind}; {listed}{nearest(key, optional)}", (str(key),)
            )
    return cls(*_arguments(cls, data[kind], list(fields)), **{k: v for k, v in data.items() if k != kind})


def _arguments(cls: type[Parameter], given: Any, fields: list[str]) -> list[Any]:
    if cls.arity is None:
        return [given]
    names = [name for name in fields if name not in ("start", "belief", "when", "asked")][: cls.arity]
    if not isinstance(given, list | tuple) or len(given) != cls.arity:
        wanted = f"{cls.kind} = [{', '.join(names)}]"
        count = (
            f"{len(given)} value{'s' * (len(given) != 1)}" if isinstance(given, list | tuple) else repr(given)
        )
        raise InputError(f"{count} where two numbers are needed; write {wanted}", (cls.kind,))
    return list(given)


def _is_scalar(data: object) -> bool:
    return isinstance(data, bool | int | float | str)
