"""Which model a study's trials start from, as far as its command or configuration names one.

Trials of two base models cannot be compared: their losses are on other scales, and their best settings differ. So a study keeps
the one that it began with (`opening.py`), and another one makes another study, which may learn from the first.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
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

_CLEAR: Final = NAMES[:4]  # they mean nothing else, also as a key within another
_ANOTHER: Final = re.compile(
    "teacher|ref|reward|draft|assistant|critic|judge|token|embed"
)  # models that are not the one that is trained

_LOCAL: Final = ("/", ".", "~")
_OF_ANY: Final = re.compile(
    r"(final|best|last|latest|model|output|outputs|out|merged|adapter|weights|hf|ckpt|checkpoint|step|epoch|iter)"
    r"([-_](model|dir|checkpoint|adapter|weights|merged|\d+))*|\d+|\.+"
)


def in_words(words: Sequence[str]) -> str | None:
    """The model in a command: ``--model_name_or_path gpt2``, ``--model-name=gpt2``, ``model.base_model=gpt2``."""
    found: dict[str, str] = {}
    within: set[str] = set()
    for i, word in enumerate(words):
        key, equals, value = word.partition("=")
        if not (equals or key.startswith("--")):
            continue
        if not equals:
            value = words[i + 1] if i + 1 < len(words) and not words[i + 1].startswith("-") else ""
        if not value or "{" in value:
            continue
        path = key.lstrip("-+").replace("-", "_").lower().split(".")
        if len(path) == 1 and path[0] in NAMES:
            found.setdefault(path[0], value)
        elif _means_it(path, value):
            within.add(value)
    return _clearest(found) or _only(within)


def in_space(space: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The model that is a parameter with one value only."""
    found: dict[str, str] = {}
    for name, form in space.items():
        values = form.get("choice", form.get("ordinal", ()))
        if len(values) == 1 and isinstance(values[0], str):
            found[name.rpartition("__")[2].replace("-", "_").lower()] = values[0]
    return _clearest(found)


def in_file(path: Path) -> str | None:
    """The model in a configuration file: of its outermost keys, or of others where a name says it clearly.

    What cannot be read names none: who needs it will say so.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            tree = json.loads(text)
        elif path.suffix == ".toml":
            tree = msgspec.toml.decode(text)
        else:  # no parser of YAML need be installed for this
            tree = _of_yaml(text)
    except (OSError, ValueError):
        return None
    if not isinstance(tree, dict):
        return None
    found = {key: value for key, value in tree.items() if isinstance(value, str) and _is_name(value)}
    return _clearest(found) or _only(set(_within(tree, ())))


def same(one: str, other: str) -> bool:
    """Whether two names mean one model: equal texts, one place, or a directory that has moved.

    One that has moved keeps its own name and the one above, which may be the Hub's (``org/name``), and its config.json where
    both are there. Names such as ``checkpoint-500`` say nothing: every training has them.
    """
    if one == other:
        return True
    if not (one.startswith(_LOCAL) or other.startswith(_LOCAL)):
        return False
    places = [Path(each).expanduser() for each in (one, other)]
    if os.path.realpath(places[0]) == os.path.realpath(places[1]):
        return True
    ends = [place.parts[-2:] for place in places]
    if ends[0] != ends[1] or len(ends[0]) < 2 or _OF_ANY.fullmatch(ends[0][-1].lower()):
        return False
    configs = [text for place in places if (text := _bytes(place / "config.json")) is not None]
    return len(set(configs)) < 2


def _within(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """The models that are named clearly, at any depth."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _within(value, (*path, str(key)))
        elif isinstance(value, str) and _means_it((*path, str(key)), value):
            yield value


def _means_it(path: Sequence[str], value: str) -> bool:
    """Whether a key within others names the base model: clearly, and not the teacher or the tokenizer."""
    return (
        path[-1] in _CLEAR
        and _is_name(value)
        and not any(_ANOTHER.search(each.lower()) for each in path[:-1])
    )


def _is_name(value: str) -> bool:
    return bool(value) and not value.startswith("$") and value.lower() not in ("null", "none", "~")


def _only(found: set[str]) -> str | None:
    """Several different ones leave open which is meant."""
    return next(iter(found)) if len(found) == 1 else None


def _of_yaml(text: str) -> dict[str, Any]:
    """The plain texts of a YAML file by their keys; lists and what stands in braces are left out."""
    tree: dict[str, Any] = {}
    open_ones: list[tuple[int, dict[str, Any]]] = [(-1, tree)]
    block = math.inf  # deeper lines are a text of several lines
    for indent, key, value in re.findall(r"^( *)([\w.-]+)[ \t]*:(?:[ \t]+(.*))?$", text, flags=re.M):
        depth = len(indent)
        if depth > block:
            continue
        block = depth if value.startswith(("|", ">")) else math.inf
        while open_ones[-1][0] >= depth:
            open_ones.pop()
        if not value or value.startswith(("#", "&")):
            within = open_ones[-1][1].setdefault(key, {})
            open_ones.append((depth, within if isinstance(within, dict) else {}))
        elif plain := re.match(r"""["']?([^\s"'#{\[|>]+)""", value):
            open_ones[-1][1].setdefault(key, plain[1])
    return tree


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _clearest(found: Mapping[str, str]) -> str | None:
    return next((found[name] for name in NAMES if name in found), None)
