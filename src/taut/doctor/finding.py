"""What one check of `taut doctor` found, and how findings name sizes and times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["ELSEWHERE", "GIB", "Finding", "duration", "size", "some"]

ELSEWHERE = "keep the study on another file system (--dir)"
GIB = 1 << 30


class Finding(NamedTuple):
    """One thing that was looked at.

    state: ``ok``; ``warn``: a study works, at a price; ``fail``: it does not, or data was damaged.
    advice: the next move, empty if there is none.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    advice: str = ""


def some(texts: Sequence[str], mark: str = "; ", most: int = 5) -> str:
    more = f"{mark}and {len(texts) - most} more" if len(texts) > most else ""
    return mark.join(texts[:most]) + more


def size(count: int) -> str:
    return f"{count / GIB:,.1f} GiB" if count >= GIB else f"{count / (1 << 20):,.0f} MiB"


def duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:,.1f} s"
    return f"{seconds * 1000:.2g} ms" if seconds > 1e-5 else "less than 0.01 ms"
