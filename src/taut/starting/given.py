"""The user's own command: which script it runs, with which settings."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taut.errors import InputError, nearest
from taut.starting.configs import SUFFIXES
from taut.starting.flags import Flag

__all__ = ["Given", "Invocation", "invocation", "settings"]


@dataclass(frozen=True)
class Invocation:
    """A command taken apart. launcher: the words before the script; words: those after it."""

    launcher: tuple[str, ...]
    script: Path
    words: tuple[str, ...]


@dataclass(frozen=True)
class Given:
    """What the words after a script say.

    values: of flags, by name. words: each flag's words, to be kept where it is not searched. rest: what is no flag.
    config: a configuration file among them, and the words before it that belong to it.
    """

    values: dict[str, Any]
    words: dict[str, list[str]]
    rest: list[str]
    config: Path | None = None
    config_words: tuple[str, ...] = ()


def invocation(target: str, words: Sequence[str], python: str) -> Invocation:
    """The script in ``train.py --data x``, ``python train.py``, ``torchrun --nproc_per_node 2 train.py --data x``.

    Raises `InputError` if there is none.
    """
    every = [target, *words]
    for i, word in enumerate(every):
        if word.endswith(".py"):
            path = Path(word)
            if not path.is_file():
                beside = [entry for entry in os.listdir(path.parent if path.parent.is_dir() else ".")]
                raise InputError(f"{word}: there is no such script{nearest(path.name, beside)}")
            launcher = tuple(every[:i]) or (python,)
            return Invocation(launcher, path, tuple(every[i + 1 :]))
    raise InputError(
        f"{target!r} is no script, configuration or function; train.py, base.yaml and module:function are allowed; "
        "for another program write its command into the file that plain `taut init` writes"
    )


def settings(flags: Sequence[Flag], words: Sequence[str], subcommand: Sequence[str] = ()) -> Given:
    """What `words` say of `flags`."""
    options = {flag.option: flag for flag in flags if flag.option}
    options |= {word: flag for flag in flags if flag.switch is not None for word in flag.switch if word}
    options |= {option.replace("_", "-"): flag for option, flag in list(options.items())}
    values: dict[str, Any] = {}
    kept: dict[str, list[str]] = {}
    rest: list[str] = []
    config: Path | None = None
    config_words: tuple[str, ...] = ()
    todo = [word for word in words]
    skipped = list(subcommand)
    while todo:
        word = todo.pop(0)
        if word in skipped:
            skipped.remove(word)
            continue
        option, equals, value = word.partition("=")
        flag = options.get(option)
        if flag is None or not word.startswith("-"):
            if word.endswith(SUFFIXES) and os.path.isfile(word) and config is None:
                before = rest.pop() if rest and rest[-1].startswith("-") and rest[-1] not in options else ""
                config, config_words = Path(word), ((before,) if before else ())
            else:
                rest.append(word)
            continue
        if flag.switch is not None and not equals:
            values[flag.name] = option == flag.switch[0].replace("_", "-") or option == flag.switch[0]
            kept[flag.name] = [word]
            continue
        own = [value] if equals else []
        while not equals and todo and not _is_option(todo[0], options):
            own.append(todo.pop(0))
            if flag.kind != "list":
                break
        if len(own) == 1 and own[0].endswith(SUFFIXES) and os.path.isfile(own[0]) and "config" in flag.name:
            config, config_words = Path(own[0]), (option,)
            values[flag.name] = own[0]
            continue
        kept[flag.name] = [word, *([] if equals else own)]
        if not own:  # HfArgumentParser takes a boolean alone for true
            values[flag.name] = True
            continue
        values[flag.name] = _literal(own[0], flag) if len(own) == 1 else list(own)
    return Given(values, kept, rest, config, config_words)


def _is_option(word: str, options: dict[str, Flag]) -> bool:
    return word.partition("=")[0] in options or (word.startswith("--") and len(word) > 2)


def _literal(text: str, flag: Flag) -> Any:
    if flag.kind == "str":
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = {"true": True, "false": False}.get(text.lower(), text)
    return (
        float(value)
        if flag.kind == "float" and isinstance(value, int) and not isinstance(value, bool)
        else value
    )
