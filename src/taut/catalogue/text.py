"""Values as study.toml spells them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["inline", "number"]


def inline(value: Any) -> str:
    """`value` as TOML on one line: ``{ loguniform = [1e-5, 0.002], start = 2e-4 }``."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return number(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            return "{ " + ", ".join(f"{key} = {inline(each)}" for key, each in value.items()) + " }"
        case _:
            return "[" + ", ".join(inline(each) for each in value) + "]"


def number(x: float) -> str:
    """A float with its point or exponent, so that it is read back as the same float: 0.1, 2e-4, 1e6."""
    text = repr(x)
    if 1e-3 < abs(x) < 1e6 or x == 0:
        return text
    mantissa, _, exponent = f"{x:e}".partition("e")
    short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return short if float(short) == x else text
