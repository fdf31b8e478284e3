"""The user's own command: which script it runs, with which settings."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from taut.errors import InputError, nearest
from taut.starting.configs import SUFFIXES
from taut.starting.flags import Flag

__all__ = ["CONFIG", "Given", "Invocation", "invocation", "settings"]


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
    config: a configuration file among them. line: all words in the user's order, after the flag that they are of; after an
    empty text where they are of none, and after `CONFIG` those before the configuration file that belong to it.
    """

    values: dict[str, Any]
    words: dict[str, list[str]]
    rest: list[str]
    config: Path | None = None
    line: tuple[tuple[str, tuple[str, ...]], ...] = ()


CONFIG: Final = "{config}"


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


def settings(
    flags: Sequence[Flag], words: Sequence[str], subcommand: Sequence[str] = (), abbreviated: bool = False
) -> Given:
    """What `words` say of `flags`. abbreviated: whether a flag may be named by the beginning of its name, as argparse allows."""
    options = _options(flags)
    values: dict[str, Any] = {}
    kept: dict[str, list[str]] = {}
    line: list[tuple[str, tuple[str, ...]]] = []
    config: Path | None = None
    todo = [word for word in words]
    skipped = list(subcommand)
    while todo:
        word = todo.pop(0)
        if word in skipped:
            skipped.remove(word)
            line.append((_SUBCOMMAND, (word,)))
            continue
        option, equals, value = word.partition("=")
        flag = _named(option, options, abbreviated) if word.startswith("-") else None
        if (
            flag is None
            and (short := options.get(word[:2])) is not None
            and short.switch is None
            and word[2:]
        ):
            option, equals, value, flag = word[:2], "=", word[2:].removeprefix("="), short  # -e5
        if flag is None:
            if word.endswith(SUFFIXES) and os.path.isfile(word) and config is None:
                last = line[-1] if line else ("", ("",))
                before = last[1] if last[0] == "" and last[1][0].startswith("-") else ()
                config = Path(word)
                line[len(line) - len(before) :] = [(CONFIG, before)]
            else:
                line.append(("", (word,)))
            continue
        if flag.switch is not None and not equals:
            values[flag.name] = _switched(option, flag.switch)
            kept[flag.name] = [word]
            line.append((flag.name, (word,)))
            continue
        own = [value] if equals else []
        while not equals and todo and not _is_option(todo[0], options):
            own.append(todo.pop(0))
            if flag.kind != "list":
                break
        if len(own) == 1 and own[0].endswith(SUFFIXES) and os.path.isfile(own[0]) and "config" in flag.name:
            config = Path(own[0])
            line.append((CONFIG, (option,)))
            values[flag.name] = own[0]
            continue
        kept[flag.name] = [word, *([] if equals else own)]
        line.append((flag.name, tuple(kept[flag.name])))
        if not own:  # HfArgumentParser takes a boolean alone for true
            values[flag.name] = True
            continue
        values[flag.name] = _literal(own[0], flag) if len(own) == 1 else list(own)
    if skipped:
        line.insert(0, (_SUBCOMMAND, tuple(skipped)))
    rest = [word for name, group in line if name == "" for word in group]
    return Given(values, kept, rest, config, tuple(line))


_SUBCOMMAND: Final = "{subcommand}"


def _options(flags: Sequence[Flag]) -> dict[str, Flag]:
    """Each spelling of each flag; where two have one, that of the first."""
    options = {flag.option: flag for flag in flags if flag.option}
    options |= {word: flag for flag in flags if flag.switch is not None for word in flag.switch if word}
    for flag in flags:
        for word in flag.spellings:
            options.setdefault(word, flag)
    return options | {option.replace("_", "-"): flag for option, flag in options.items()}


def _named(option: str, options: dict[str, Flag], abbreviated: bool) -> Flag | None:
    if option in options or not abbreviated or not option.startswith("--") or len(option) < 3:
        return options.get(option)
    begun = {flag.name: flag for word, flag in options.items() if word.startswith(option)}
    return next(iter(begun.values())) if len(begun) == 1 else None


def _switched(option: str, switch: tuple[str, str]) -> bool:
    """What a flag without a value says; another spelling says what its only word does."""
    on, off = (word.replace("_", "-") for word in switch)
    told = option.replace("_", "-")
    if told in (on, off):
        return told == on
    return bool(on) and not told.startswith("--no-")


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
