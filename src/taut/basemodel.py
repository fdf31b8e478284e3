"""Which model a study's trials start from, as far as its command or configuration names one.

Trials of two base models cannot be compared: their losses are on other scales, and their best settings differ. So a study keeps
the one that it began with (`opening.py`), and another one makes another study, which may learn from the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["NAMES", "in_file", "in_space", "in_words", "same"]

NAMES: Final = (
    *(
        "model_name_or_path",
        "pretrained_model_name_or_path",
        "base_model_name_or_path",
        "base_model",
        "model_name",
    ),
    *("model_id", "model", "pretrained_model"),
)
"""Flags and keys that name a base model, the clearest first."""


def in_words(words: Sequence[str]) -> str | None:
    """The model in a command: ``--model_name_or_path gpt2``, ``--model-name=gpt2``, ``base_model=gpt2``."""
    found: dict[str, str] = {}
    for i, word in enumerate(words):
        key, equals, value = word.partition("=")
        name = key.lstrip("-").replace("-", "_").lower()
        if name not in NAMES or not (equals or key.startswith("--")):
            continue
        if not equals:
            value = words[i + 1] if i + 1 < len(words) and not words[i + 1].startswith("-") else ""
        if value and "{" not in value:
            found.setdefault(name, value)
    return _clearest(found)


def in_space(space: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The model that is a parameter with one value only."""
    found: dict[str, str] = {}
    for name, form in space.items():
        values = form.get("choice", form.get("ordinal", ()))
        if len(values) == 1 and isinstance(values[0], str):
            found[name.rpartition("__")[2].replace("-", "_").lower()] = values[0]
    return _clearest(found)


def in_file(path: Path) -> str | None:
    """The model in a configuration file's outermost keys. What cannot be read names none: who needs it will say so."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            tree = json.loads(text)
        elif path.suffix == ".toml":
            tree = msgspec.toml.decode(text)
        else:  # no parser of YAML need be installed for this
            lines = re.findall(r"""^(\w+)\s*:[ \t]+["']?([^\s"'#{\[]+)""", text, flags=re.M)
            tree = dict(reversed(lines))
    except (OSError, ValueError):
        return None
    if not isinstance(tree, dict):
        return None
    return _clearest({key: value for key, value in tree.items() if isinstance(value, str) and value})


def same(one: str, other: str) -> bool:
    """Whether two names mean one model: a directory may have moved, and may hold what the Hub has under that name."""
    if one.startswith(("/", ".", "~")) or other.startswith(("/", ".", "~")):
        return one.rstrip("/").rpartition("/")[2] == other.rstrip("/").rpartition("/")[2]
    return one == other


def _clearest(found: Mapping[str, str]) -> str | None:
    return next((found[name] for name in NAMES if name in found), None)
