"""Values as Hydra and OmegaConf read them in an override: ``model.name='a,b'``.

Both take most texts as they stand. What would become something else there (a number, ``null``, a list, a sweep) or an error is quoted, in the
one form that both read alike: YAML for OmegaConf's lists of overrides (LLaMA-Factory, torchtune), a grammar of its own for Hydra.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["override_text"]

_PLAIN = re.compile(r"[A-Za-z_/][\w./-]*( [\w./-]+)*", re.ASCII)
_WORDS = frozenset(
    ["true", "false", "null", "none", "nan", "inf", "infinity", "yes", "no", "on", "off", "y", "n"]
)


def override_text(value: Any) -> str:
    """The text of one value; it reads back as the same value, of the same type."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(override_text(element) for element in value)}]"
    return json.dumps(value)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # A dollar and a brace begin an interpolation, in quotes, too; backslashes before it count double.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    if "'" in text and "\\" not in text and text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    # Hydra's own: a quote has a backslash, and backslashes that stand before a quote are doubled. With neither it is YAML, too.
    return "'" + re.sub(r"(\\*)(')", r"\1\1\\\2", text) + _trailing(text) + "'"


def _trailing(text: str) -> str:
    """As many backslashes again as the text ends with: they stand before the quote that closes."""
    return "\\" * (len(text) - len(text.rstrip("\\")))
