"""Spans of time as people write them: 30s, 10m, 2h, 1h30m."""

from __future__ import annotations

import re

from taut.errors import InputError

__all__ = ["LONGEST", "in_words", "parse_duration"]

LONGEST = 366 * 86400.0  # seconds; what is longer is a slip, and some timers overflow beyond it

_UNITS_FORM = re.compile(
    r"(?:([0-9]+(?:\.[0-9]+)?)d)?(?:([0-9]+(?:\.[0-9]+)?)h)?"
    r"(?:([0-9]+(?:\.[0-9]+)?)m)?(?:([0-9]+(?:\.[0-9]+)?)s)?"
)
_CLOCK_FORM = re.compile(r"(?:([0-9]+)-)?([0-9]+):([0-5][0-9]):([0-5][0-9])")
_ALLOWED = "30s, 10m, 2h, 1d, 1h30m or 06:00:00 (hours, minutes, seconds) are allowed"


def parse_duration(text: str) -> float:
    """Seconds that `text` means: ``30s``, ``10m``, ``2h``, ``1d``, ``1h30m``, ``06:00:00`` or ``1-12:00:00``.

    The units come in falling order and may have decimals (``1.5h``); blanks are ignored. The result
    is above 0 and at most 366 days. Raises `InputError` for anything else; a bare number too, since
    its unit would be a guess.
    """
    plain = "".join(text.split())
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", plain):
        raise InputError(f"{text!r} has no unit; {_ALLOWED}; write {plain}s, {plain}m or {plain}h")
    found = (plain and _UNITS_FORM.fullmatch(plain)) or _CLOCK_FORM.fullmatch(plain)
    if not found:
        raise InputError(f"{text!r} is not a span of time; {_ALLOWED}; write, for instance, 90m")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= LONGEST:
        raise InputError(
            f"{text!r} is out of range; above 0s and at most 366d is allowed; write, for instance, 90m"
        )
    return total


def in_words(seconds: float) -> str:
    """A duration in its two largest units: 8.1 s, 3 min 20 s, 5 h 2 min, 2 d."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours < 1:
        return _two(minutes, "min", int(seconds % 60), "s")
    if hours < 24:
        return _two(hours, "h", minutes % 60, "min")
    return _two(hours // 24, "d", hours % 24, "h")


def _two(large: int, unit: str, small: int, part: str) -> str:
    return f"{large} {unit} {small} {part}" if small else f"{large} {unit}"
