"""From the catalogue's prior to one that fits a script's flag: its type, its choices, its bounds, its own default."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from taut.catalogue import Entry, Setting
from taut.starting.configs import SUFFIXES
from taut.starting.flags import UNKNOWN, Flag

__all__ = ["Fitted", "fitted", "guessed"]

_WHOLE: Final = {"uniform": "uniform_int", "loguniform": "loguniform_int"}
_RANGES: Final = ("uniform", "loguniform", "uniform_int", "loguniform_int")
_MOST_LEVELS = 12

Prior = dict[str, Any]


class Fitted:
    """A prior for a flag. said: what the start is and why, for a comment; empty if there is nothing to say."""

    def __init__(self, prior: Prior, said: str = "") -> None:
        self.prior = prior
        self.said = said


def fitted(
    flag: Flag, entry: Entry, setting: Setting, library: str, start: Any = UNKNOWN, refused: str = ""
) -> Fitted | None:
    """The catalogue's setting as a parameter for `flag`; None if the flag cannot take such values.

    refused: a regular expression for texts that need what is not installed.
    start: what the user's own command gives; else the script's default is what is tried first, where it lies in the range.
    """
    spelled: Prior | None = _spelled(dict(setting.prior), flag, entry, library)
    if spelled is not None and refused:
        spelled = _without(spelled, refused)
    prior = _typed(spelled, flag) if spelled is not None else None
    if prior is None:
        return None
    wish = flag.default if start is UNKNOWN else start
    file = "file" if flag.where.endswith(SUFFIXES) else "script"
    own = f"the {file}'s own" if start is UNKNOWN else "that of your command"
    if not _plain(wish):
        return Fitted(prior)
    if flag.inherited and start is UNKNOWN:
        if "start" in prior:  # made for this undertaking, where a library's default is for all
            differs = prior["start"] != wish if _number(wish) else False
            return Fitted(prior, f"the library's default is {wish:g}" if differs else "")
        own = "the library's default"
    if not flag.inherited or start is not UNKNOWN:
        prior = _widened(prior, wish)
    value = _as_value(wish, prior)
    if value is None:
        outside = f"{own}, {wish}, lies outside"
        return Fitted(prior, outside if not isinstance(wish, bool) else "")
    return Fitted({**prior, "start": value}, f"start: {own}")


def guessed(flag: Flag) -> Prior | None:
    """A range around the default of a flag that the catalogue does not know; None if there is nothing to build on."""
    if flag.switch is not None or flag.kind == "bool":
        return {
            "choice": [False, True],
            **({"start": flag.default} if isinstance(flag.default, bool) else {}),
        }
    if len(flag.choices) > 1:
        numbers = all(_number(each) for each in flag.choices)
        start = {"start": flag.default} if flag.default in flag.choices else {}
        return {
            "ordinal" if numbers else "choice": sorted(flag.choices) if numbers else list(flag.choices),
            **start,
        }
    if flag.low is not None and flag.high is not None:
        whole = flag.kind == "int"
        low, high = (math.ceil(flag.low), math.floor(flag.high)) if whole else (flag.low, flag.high)
        return {"uniform_int" if whole else "uniform": [low, high]} if low < high else None
    default = flag.default
    if not _number(default) or not math.isfinite(default) or default <= 0:
        return None
    if flag.kind == "int" or (isinstance(default, int) and flag.kind != "float"):
        low, high = max(1, default // 4), default * 4
        prior: Prior = {"loguniform_int": [low, high], "start": default}
    elif 0.1 < default <= 0.99:
        prior = {"uniform": [0.0, 0.99], "start": float(default)}
    else:
        prior = {"loguniform": [_short(default / 10), _short(default * 10)], "start": float(default)}
    return _clipped(prior, flag)


def _spelled(prior: Prior, flag: Flag, entry: Entry, library: str) -> Prior:
    """The prior in the library's own values."""
    alias = next((found for name in (flag.option, flag.name) if (found := entry.called(name, library))), None)
    if alias is None:
        return prior
    for kind in ("choice", "ordinal"):
        if kind in prior:
            prior[kind] = [_said(value, alias.values, alias.inverted) for value in prior[kind]]
    if "start" in prior:
        prior["start"] = _said(prior["start"], alias.values, alias.inverted)
    return prior


def _without(prior: Prior, refused: str) -> Prior | None:
    """The prior without levels that cannot be had."""
    kind = next(iter(prior))
    if kind not in ("choice", "ordinal"):
        return prior
    return _levels(prior, kind, [each for each in prior[kind] if not re.search(refused, str(each))])


def _said(value: Any, values: Mapping[str, Any], inverted: bool) -> Any:
    if inverted and isinstance(value, bool):
        return not value
    return values.get(str(value), value)


def _typed(prior: Prior, flag: Flag) -> Prior | None:
    """The prior within the kind of values, the choices and the bounds of the flag."""
    kind = next(iter(prior))
    listed = kind in ("choice", "ordinal")
    if flag.kind == "list" or (kind == "expr"):
        return None
    if flag.kind == "bool" or flag.switch is not None:
        return prior if listed and all(isinstance(each, bool) for each in prior[kind]) else None
    if flag.choices:
        return _among(prior, kind, flag)
    if listed:
        values = [each for each in prior[kind] if _takes(flag, each)]
        return _levels(prior, kind, values)
    if flag.kind not in ("float", "int", ""):
        return None
    if flag.kind == "int" and kind in _WHOLE:
        low, high = prior[kind]
        low, high = math.ceil(low), math.floor(high)
        if low >= high or (kind == "loguniform" and low < 1):
            return None
        prior = {_WHOLE[kind]: [low, high], **{key: prior[key] for key in prior if key not in (kind, "step")}}
        if _number(prior.get("start")):
            prior["start"] = round(prior["start"])
    elif flag.kind == "int" and kind not in _RANGES:
        return None
    return _clipped(prior, flag)


def _takes(flag: Flag, value: Any) -> bool:
    match flag.kind:
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return _number(value)
        case "str":
            dotted = flag.name.endswith("_component_")  # torchtune's paths to classes
            return isinstance(value, str) and (not dotted or "." in value)
    return True


def _among(prior: Prior, kind: str, flag: Flag) -> Prior | None:
    """Only values that the script lists; all of its own where the catalogue knows too few of them."""
    choices = flag.choices
    if kind in ("choice", "ordinal"):
        values = [same for each in prior[kind] if (same := _one_of(each, choices)) is not None]
        if "start" in prior:
            prior = {**prior, "start": _one_of(prior["start"], choices)}
        if len(values) < 2 and len(choices) <= _MOST_LEVELS and not flag.inherited:
            values = list(choices)
        return _levels(prior, kind, values)
    numbers = sorted(each for each in choices if _number(each))
    low, high = prior[kind] if kind in _RANGES else (-math.inf, math.inf)
    inside = [each for each in numbers if low <= each <= high]
    return _levels({"ordinal": []}, "ordinal", inside if len(inside) > 1 else numbers)


def _one_of(value: Any, choices: Sequence[Any]) -> Any:
    """The choice that is the value, or is so but for upper and lower case; None if none is."""
    if value in choices or not isinstance(value, str):
        return value if value in choices else None
    return next((each for each in choices if isinstance(each, str) and each.lower() == value.lower()), None)


def _levels(prior: Prior, kind: str, values: list[Any]) -> Prior | None:
    if len(values) < 2:
        return None
    found: Prior = {kind: values, **{key: each for key, each in prior.items() if key != kind}}
    if found.get("start") not in values:
        found.pop("start", None)
    return found


def _clipped(prior: Prior, flag: Flag) -> Prior | None:
    """The range within what the script itself allows."""
    kind = next(iter(prior))
    if kind not in _RANGES or (flag.low is None and flag.high is None):
        return prior
    low, high = prior[kind]
    low = low if flag.low is None or (flag.low <= 0 and kind.startswith("log")) else max(low, flag.low)
    high = high if flag.high is None else min(high, flag.high)
    if kind.endswith("_int"):
        low, high = math.ceil(low), math.floor(high)
    if low >= high:
        return None
    found = {**prior, kind: [low, high]}
    if _number(found.get("start")) and not low <= found["start"] <= high:
        found.pop("start")
    return found


def _widened(prior: Prior, wish: Any) -> Prior:
    """The prior with the user's own value in it, if that is near: it works, so the search should not leave it out."""
    kind = next(iter(prior))
    if kind in ("choice", "ordinal"):
        levels = prior[kind]
        if isinstance(wish, str) and (near := _one_of(wish, levels)) not in (None, wish):
            return {**prior, kind: [wish if each == near else each for each in levels]}
        if wish in levels or {type(each) for each in levels} != {type(wish)} or isinstance(wish, bool):
            return prior
        return {
            **prior,
            kind: sorted([*levels, wish]) if kind == "ordinal" and _number(wish) else [wish, *levels],
        }
    if kind not in _RANGES or not _number(wish) or "step" in prior:
        return prior
    low, high = prior[kind]
    if kind.startswith("log"):
        near = low / 10 <= wish <= high * 10
    else:
        near = low - (high - low) <= wish <= high + (high - low)
    if kind.endswith("_int"):
        near = near and float(wish).is_integer() and wish >= 1
        wish = int(wish)
    return {**prior, kind: [min(low, wish), max(high, wish)]} if near else prior


def _as_value(wish: Any, prior: Prior) -> Any:
    """`wish` as a value of the prior, or None."""
    kind = next(iter(prior))
    if kind in ("choice", "ordinal"):
        for each in prior[kind]:
            if each == wish and isinstance(each, bool) == isinstance(wish, bool):
                return each
        return None
    if not _number(wish):
        return None
    if kind in ("normal", "lognormal"):
        low, high = prior.get("low", -math.inf), prior.get("high", math.inf)
    else:
        low, high = prior[kind]
    if not low <= wish <= high:
        return None
    if kind.endswith("_int"):
        step = prior.get("step", 1)
        return int(wish) if float(wish).is_integer() and (int(wish) - low) % step == 0 else None
    if "step" in prior:
        steps = (wish - low) / prior["step"]
        return float(wish) if abs(steps - round(steps)) < 1e-9 else None
    return float(wish)


def _plain(value: Any) -> bool:
    return value is not UNKNOWN and value is not None and isinstance(value, str | int | float | bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: float) -> float:
    return float(f"{value:.2g}")
