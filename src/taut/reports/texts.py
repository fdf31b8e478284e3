"""Whatever users, scripts and schedulers wrote, as text of a page."""

from __future__ import annotations

import re
from html import escape

__all__ = ["plain", "shown"]

# Control characters but for the ends of lines and tabs; what turns the direction of writing; halves of characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain(text: str) -> str:
    """The text with what cannot be seen made visible: control characters as their pictures, all else as a replacement. So what looks like one thing is that."""
    return _UNSEEN.sub(_picture, text)


def shown(text: str) -> str:
    """The same, escaped for HTML and for attributes in it."""
    return escape(plain(text))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"
