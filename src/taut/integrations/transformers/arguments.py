"""Parameters of a trial as arguments of a training."""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from taut.errors import InputError

__all__ = ["arguments"]

T = TypeVar("T")

_WORDS = {"true": True, "false": False}


def arguments(kind: type[T] | T, params: Mapping[str, Any], **fixed: Any) -> tuple[T, dict[str, Any]]:
    """A dataclass of arguments with the values that `params` has for its fields, and the parameters that are none of its fields.

        args, others = arguments(SFTConfig, trial.params, output_dir="out", max_steps=500)
        adapter, _ = arguments(LoraConfig, others, task_type="CAUSAL_LM")

    Values are taken by the type that a field is declared with, and not by the value that stands there: ``warmup_steps=0.1`` stays a share
    of the steps, ``bf16="False"`` means False, and 3.0 is good for a field of whole numbers where 3.5 is refused.

    kind: `TrainingArguments`, `SFTConfig`, `LoraConfig`, or any other dataclass; or an instance, whose other values are kept.
        Prefer the class where values are worked out from others when it is built, as in `GRPOConfig`: an instance has them already.
    fixed: what all trials have in common; what `params` says goes before it.

    Raises `InputError` for a value that a field cannot have.
    """
    of = kind if isinstance(kind, type) else type(kind)
    names = {field.name for field in dataclasses.fields(of) if field.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(of)
    known = {name: taken(name, hints[name], value) for name, value in params.items() if name in names}
    rest = {name: value for name, value in params.items() if name not in names}
    try:
        whole = {**fixed, **known}
        made = of(**whole) if isinstance(kind, type) else dataclasses.replace(kind, **whole)  # type: ignore[type-var]
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in known.items())
        raise InputError(f"{of.__name__} refuses {given}: {error}") from error
    return made, rest


def taken(name: str, hint: Any, value: Any) -> Any:
    """`value` for a field that is declared as `hint`."""
    kinds = _kinds(hint)
    if value is None or Any in kinds or (isinstance(value, bool) and bool in kinds):
        return value
    if isinstance(value, str):
        if str not in kinds and bool in kinds and value.lower() in _WORDS:
            return _WORDS[value.lower()]
        if str in kinds or any(isinstance(kind, enum.EnumMeta) for kind in kinds):
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if float in kinds and not (int in kinds and isinstance(value, int)):
            return float(value)
        if int in kinds and math.isfinite(value) and value == int(value):
            return int(value)
    if any(isinstance(kind, type) and isinstance(value, kind) and kind is not int for kind in kinds):
        return value
    allowed = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise InputError(f"{value!r} is not {allowed}, which this field takes", (name,))


def _kinds(hint: Any) -> list[Any]:
    """The types of a union, without their parameters."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [kind for each in typing.get_args(hint) for kind in _kinds(each)]
    if typing.get_origin(hint) is typing.Literal:
        return [type(value) for value in typing.get_args(hint)]
    if typing.get_origin(hint) is typing.Annotated:
        return _kinds(typing.get_args(hint)[0])
    return [typing.get_origin(hint) or hint]
