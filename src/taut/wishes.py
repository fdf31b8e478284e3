"""What a trial asks for as it goes: ``trial.suggest_float("lr", 1e-5, 1e-1, log=True)``.

A study need not know its space beforehand. A trial that asks for a parameter gets what its sampler offers; where that offers nothing, since
nobody has asked for it before, or nothing that is allowed here, it gets a draw from the prior. The draw follows from the study's seed, the
trial's number and the parameter's name alone, so a trial that is started again draws the same.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from taut.errors import InputError
from taut.space.levels import Levels
from taut.space.parameter import Parameter, Searched

__all__ = ["Form", "Wish", "choices_form", "drawn", "grant", "number_form", "parsed", "parted", "position"]

Form = dict[str, Any]
"""A parameter as study.toml has it, such as ``{"uniform": [0.0, 1.0]}``."""
_TAG = 0x3A  # so that no sampler's numbers are these


class Wish(msgspec.Struct, frozen=True):
    """A parameter that a trial has asked for, and the value that it got. drawn: whether that is no sampler's, but a draw from the prior."""

    form: Form
    value: Any
    drawn: bool


def number_form(low: float, high: float, step: float | None, log: bool, whole: bool) -> Form:
    """The parameter that `suggest_float` and `suggest_int` mean; `high` comes down to a whole number of steps above `low`."""
    kind = ("loguniform" if log else "uniform") + ("_int" if whole else "")
    if log:
        if step is not None and not (whole and step == 1):
            raise InputError(
                f"step = {step!r} and log=True exclude each other; leave one of them out", ("step",)
            )
        return {kind: [low, high]}
    if step is None or (whole and step == 1):
        return {kind: [low, high]}
    if step > 0:
        a, b, s = (Decimal(str(each)) for each in (low, high, step))
        top = a + (b - a) // s * s
        high = int(top) if whole else float(top)
    return {kind: [low, high], "step": step}


def choices_form(choices: Any) -> Form:
    """The parameter that `suggest_categorical` means."""
    return {"choice": [list(each) if isinstance(each, tuple) else each for each in choices]}


def parted(params: dict[str, Any], asked: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of suggested parameters, those that a trial has, and those that it has if it asks for them."""
    if not asked:
        return params, {}
    had = {name: value for name, value in params.items() if name not in asked}
    return had, {name: value for name, value in params.items() if name in asked}


def grant(name: str, form: Form, offered: Mapping[str, Any], seed: int, number: int) -> Wish:
    """What trial `number` gets where it asks for a parameter. Raises `InputError` at `name` for one that cannot be."""
    parameter = parsed(name, form)
    if name in offered:
        try:
            code = parameter.code(offered[name])
        except InputError:  # it asks for less than trials before it did
            pass
        else:
            return Wish(form, parameter.to_python(np.array([code]))[0], False)
    return Wish(form, drawn(name, parameter, seed, number), True)


def drawn(name: str, parameter: Searched, seed: int, number: int) -> Any:
    """A draw from the prior for one parameter of one trial."""
    rng = np.random.default_rng([seed, number, zlib.crc32(name.encode()), _TAG])
    return parameter.to_python(parameter.quantile(rng.random(1)))[0]


def position(form: Form, value: Any) -> int:
    """Where a choice stands in its list: users get their own objects back."""
    parameter = _parsed(json.dumps(form))
    assert isinstance(parameter, Levels), "it was asked for as a choice"
    return int(parameter.code(value))


def parsed(name: str, form: Form) -> Searched:
    """The parameter of a form. Raises `InputError` at `name`."""
    try:
        return _parsed(json.dumps(form))
    except InputError as error:
        raise InputError(error.message, (name, *error.at[1:])) from None
    except TypeError:  # json's
        raise InputError(
            f"{form!r} has values that are no texts, numbers, true, false or null; choose among names, and look up what they stand for",
            (name,),
        ) from None


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> Searched:
    parameter = Parameter.from_json("", json.loads(text))
    assert isinstance(parameter, Searched), "nobody asks for what follows from others"
    return parameter
