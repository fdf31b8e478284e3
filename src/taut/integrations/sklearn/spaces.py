"""From what people give to scikit-learn's searches to a space of taut, and from a trial's parameters back to what an estimator takes."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from taut.errors import InputError, nearest
from taut.space import Parameter, Space, choice, lognormal, loguniform, normal, ordinal, uniform, uniform_int

__all__ = ["Given"]


class Given:
    """A space as it was given: a `taut.Space`, or a mapping from names to what may be tried.

    A mapping takes, by name: a parameter of taut; a list (an *ordinal* if it holds rising or falling numbers, else a *choice*), whose
    elements may be anything, estimators and functions among them, and reach the estimator as they are; a frozen distribution of
    `scipy.stats` that says the same as a prior of taut (loguniform, uniform, randint, norm, lognorm).

    Raises `InputError` for anything else.
    """

    def __init__(self, given: Space | Mapping[str, Any]) -> None:
        self._objects: dict[str, dict[str, Any]] = {}
        if isinstance(given, Space):
            self.space = copy.deepcopy(
                given
            )  # which keeps what it has computed: an estimator's parameters do not change in `fit`
            return
        self.space = Space({name: self._parameter(name, value) for name, value in given.items()})

    def settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What `set_params` gets for a trial's parameters.

        Lists of a `taut.Space` arrive as tuples, which many of scikit-learn's parameters must be (``ngram_range``).
        """
        return {name: self._value(name, value) for name, value in params.items()}

    def check(self, known: Iterable[str]) -> None:
        """Raise `InputError` for a name that is none of an estimator's parameters, nor belongs to a part that is searched."""
        known = set(known)
        for name in self.space.names:
            parts = name.split("__")
            owners = {"__".join(parts[:k]) for k in range(1, len(parts))}
            if name not in known and not owners & set(self.space.names):
                raise InputError(
                    f"the estimator has no parameter {name!r}{nearest(name, known)}; estimator.get_params() lists them",
                    ("space", name),
                )

    def _value(self, name: str, value: Any) -> Any:
        objects = self._objects.get(name)
        if objects is not None:
            return objects[json.dumps(value)]
        return tuple(value) if isinstance(value, list) else value

    def _parameter(self, name: str, value: Any) -> Parameter:
        try:
            if isinstance(value, Parameter):
                return copy.deepcopy(value)
            if hasattr(value, "rvs"):
                return _distribution(value)
            if isinstance(value, list | tuple | np.ndarray | range):
                return self._listed(name, list(value))
        except InputError as error:
            raise InputError(error.message, ("space", name)) from None
        raise InputError(
            f"{value!r} says not what may be tried; give a list, a parameter such as taut.loguniform(1e-3, 1e3), "
            "or a frozen distribution of scipy.stats",
            ("space", name),
        )

    def _listed(self, name: str, values: list[Any]) -> Parameter:
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
        texts: list[Any] = [value if _plain(value) else _label(value) for value in values]
        for i, text in enumerate(texts):
            if not _plain(values[i]) and text in texts[:i]:  # two objects that look alike
                texts[i] = f"{text} ({i + 1})"
        parameter = ordinal(texts) if _graded(texts) else choice(texts)
        self._objects[name] = {json.dumps(text): value for text, value in zip(texts, values, strict=True)}
        return parameter


def _plain(value: Any) -> bool:
    """Whether `value` is one that taut can write down."""
    try:
        choice([value])
    except InputError:
        return False
    return True


def _label(value: Any) -> str:
    """A name for an object: the same in every process."""
    named = getattr(value, "__qualname__", None)
    text = named if isinstance(named, str) else " ".join(repr(value).split())
    return type(value).__name__ if " at 0x" in text or len(text) > 120 else text


def _graded(values: list[Any]) -> bool:
    numbers = len(values) > 2 and all(type(value) in (int, float) for value in values)
    return numbers and sorted(values, reverse=values[0] > values[-1]) == values


def _distribution(frozen: Any) -> Parameter:
    """The prior of taut that a frozen distribution of `scipy.stats` is."""
    kind = getattr(getattr(frozen, "dist", None), "name", type(frozen).__name__)
    low, high = (float(bound) for bound in frozen.support())
    if kind == "uniform":
        return uniform(low, high)
    if kind in ("loguniform", "reciprocal"):
        return loguniform(low, high)
    if kind == "randint":
        return uniform_int(int(low), int(high))
    if kind == "norm":
        return normal(float(frozen.mean()), float(frozen.std()))
    if kind == "lognorm" and low == 0.0:
        middle = math.log(frozen.median())
        return lognormal(_round(middle), _round(math.log(frozen.ppf(0.8413447460685429)) - middle))
    raise InputError(
        f"scipy.stats.{kind} is no prior of taut; loguniform, uniform, randint, norm and lognorm are; "
        "else write it as one, for instance taut.lognormal(mean, sd), or give a list of its quantiles: "
        "list(distribution.ppf([0.1, 0.3, 0.5, 0.7, 0.9]))"
    )


def _round(value: float) -> float:
    return float(f"{value:.12g}")  # without the last digits, which come from scipy's inversions
