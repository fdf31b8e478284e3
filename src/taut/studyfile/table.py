"""Typed access to a parsed TOML table; each complaint carries the path of keys to the wrong value."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from taut.errors import InputError, nearest

__all__ = ["Table", "plain", "show"]


class Table:
    """A table and the path `at` to it. A key that is not there reads as None.

    Every `InputError` says what is wrong with a value; what is allowed instead; what to write.
    """

    def __init__(self, values: Mapping[str, Any], at: tuple[str, ...] = ()) -> None:
        self.values = values
        self.at = at

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def error(self, message: str, *keys: str) -> InputError:
        return InputError(message, (*self.at, *keys))

    def only(self, allowed: Iterable[str], advice: Callable[[str], str | None] = lambda key: None) -> None:
        """Refuse keys other than `allowed`; `advice` may know where a key belongs."""
        names = list(allowed)
        where = f"[{'.'.join(self.at)}]" if self.at else "a study"
        for key in self.values:
            if key not in names:
                move = advice(key) or nearest(key, names)[2:] or "correct its name or take it out"
                raise self.error(f"unknown key of {where}; {', '.join(names)} are allowed; {move}", key)

    def text(self, key: str, example: str) -> str | None:
        """Text that is not blank."""
        value = self.values.get(key)
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise self.error(
                f"{show(value)} is not allowed; text is allowed; write, for instance, {key} = {example}", key
            )
        return value

    def texts(self, key: str, example: str, blank: bool = False) -> list[str] | None:
        """Text, or a list of texts (which may be empty where `blank`)."""
        value = self.values.get(key)
        if value is None or isinstance(value, list):
            for index, item in enumerate(value or ()):
                if not (isinstance(item, str) and (blank or item.strip())):
                    raise self.error(
                        f"{show(item)} is not allowed; text is allowed; write, for instance, [{example}]",
                        key,
                        str(index),
                    )
            return value
        if not (isinstance(value, str) and value.strip()):
            raise self.error(
                f"{show(value)} is not allowed; text or a list of texts is allowed; "
                f"write, for instance, {key} = {example}",
                key,
            )
        return [value]

    def integer(self, key: str, low: int, high: int, example: int) -> int | None:
        value = self.values.get(key)
        if value is None:
            return None
        allowed = f"an integer from {low} to {high} is allowed; write, for instance, {key} = {example}"
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(f"{show(value)} is not an integer; {allowed}", key)
        if not low <= value <= high:
            raise self.error(f"{show(value)} is too {'small' if value < low else 'large'}; {allowed}", key)
        return value

    def positive(self, key: str, example: str) -> float | None:
        """A finite number above 0."""
        value = self.values.get(key)
        if value is None:
            return None
        allowed = f"a number above 0 is allowed; write, for instance, {key} = {example}"
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.error(f"{show(value)} is not a number; {allowed}", key)
        if not 0 < value <= 1e300:
            raise self.error(f"{show(value)} is not above 0 and finite; {allowed}", key)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(
                f"{show(value)} is not allowed; true and false are allowed; "
                f"write, for instance, {key} = {show(not default)}",
                key,
            )
        return value

    def one_of(self, key: str, names: Iterable[str]) -> str | None:
        value = self.values.get(key)
        allowed = list(names)
        if value is not None and value not in allowed:
            shown = ", ".join(json.dumps(name) for name in allowed)
            move = nearest(value, allowed)[2:] or f"write, for instance, {key} = {json.dumps(allowed[0])}"
            raise self.error(f"{show(value)} is unknown; {shown} are allowed; {move}", key)
        return value

    def table(self, key: str, example: str) -> Table | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            header = ".".join((*self.at, key))
            raise self.error(
                f"{show(value)} is not a table; a table is allowed; write [{header}] and {example} below it",
                key,
            )
        return Table(value, (*self.at, key))


def plain(value: Any, at: tuple[str, ...]) -> Any:
    """`value` if every JSON reader can hold it: no dates, no nan or inf, no integer beyond 64 bits."""
    if isinstance(value, dict):
        return {key: plain(item, (*at, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, (*at, str(index))) for index, item in enumerate(value)]
    if isinstance(value, int) and abs(value) >= 2**63:
        raise InputError(
            f"{show(value)} is too large; integers below 2**63 are allowed; write a smaller one", at
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(
            f"{value} is not allowed; finite numbers are allowed; write a number or leave the key out", at
        )
    if isinstance(value, datetime.date | datetime.time):
        raise InputError(
            f'{value} is a date or time; text and numbers are allowed; write it as text, "{value}"', at
        )
    return value


def show(value: Any) -> str:
    """A value as TOML spells it, cut to 60 characters."""
    spelled = _spell(value)
    return spelled if len(spelled) <= 60 else spelled[:57] + "..."


def _spell(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{key} = {_spell(item)}" for key, item in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_spell, value)) + "]"
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and value.bit_length() > 1000:
        return hex(value)  # Python refuses to write very long integers in decimals
    return str(value)
