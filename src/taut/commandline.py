"""Command templates: an argument list with placeholders, run without a shell.

    split      "python train.py {args}" -> ["python", "train.py", "{args}"]
    pieces     "--lr={lr}" -> [("--lr=", "lr")]
    switch     "amp:--amp" -> the words for true and for false of a flag that takes no value
    check      does every parameter reach the command, and is every placeholder known?

A parameter's value fills a part of one argument, so it can never become a second argument or a command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from taut.errors import InputError, nearest
from taut.space.expression import Expression

__all__ = ["OWN", "check", "pieces", "split", "switch"]

OWN = ("args", "trial_dir", "trial", "base", "config")
"""Placeholders besides the parameters' names: all parameters in the study's style, the trial's directory,
its number, the directory of the study file, the trial's copy of the config file."""

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_ALONE = re.compile(r"([^{}=]+=)?\{[^{}]*\}")  # words that can be left out where the parameter has no value
_SHELL_WORDS = frozenset(["|", "||", "&", "&&", ";", ">", ">>", "<", "<<", "1>", "2>", "2>>", "&>", "2>&1"])
_SHELLS = frozenset(["sh", "bash", "dash", "zsh", "ksh", "fish"])


def split(command: str) -> list[str]:
    """The words of a command line, by the quoting rules of a POSIX shell.

    Raises `InputError` for a broken quote and for what only a shell could do (pipes, redirections,
    variables set before the program).
    """
    try:
        words = shlex.split(command.replace("\\\n", " "))
    except ValueError as error:
        raise InputError(
            f"{str(error).lower()}; words are split as a shell would; mend the quote, "
            'or give a list, for instance ["python", "train.py", "{args}"]'
        ) from None
    if words and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", words[0]):
        raise InputError(
            f"{words[0]!r} is not a program; a command runs without a shell and begins with its program; "
            f"write env {words[0]} ..."
        )
    for word in words:
        if word in _SHELL_WORDS:
            raise InputError(
                f"{word!r} needs a shell; a command is one program with its arguments (its output is kept); "
                "put the line into a script (or give a list, if the argument is meant)"
            )
    return words


def pieces(word: str) -> list[tuple[str, str | None]]:
    """`word` as pairs of literal text and the name of the placeholder after it (None at the end).

    Like `string.Formatter.parse`: ``{{`` and ``}}`` are literal braces. Raises `InputError` for a
    brace that stands alone.
    """
    found: list[tuple[str, str | None]] = []
    literal, at = "", 0
    for match in _PIECE.finditer(word):
        literal += word[at : match.start()]
        at = match.end()
        if match.group() in ("{{", "}}"):
            literal += match.group()[0]
        elif match[1] is None:
            raise InputError(
                f"{word!r} has a single {match.group()}; placeholders are {{name}}; "
                f"write {match.group() * 2} for the character itself"
            )
        else:
            found.append((literal, match[1]))
            literal = ""
    literal += word[at:]
    return [*found, (literal, None)] if literal or not found else found


def switch(placeholder: str) -> tuple[str, str, str] | None:
    """A placeholder for a flag without a value as (parameter, word for true, word for false); None for any other.

    ``amp:--amp`` is --amp or nothing, ``amp:--amp|--no-amp`` one of the two.
    """
    name, colon, words = placeholder.partition(":")
    on, _, off = words.partition("|")
    return (name, on, off) if colon else None


def check(
    words: Sequence[str],
    parameters: Mapping[str, Mapping[str, Any]],
    config: bool,
    fidelity: str | None = None,
) -> None:
    """Raise `InputError` unless `words` can be filled and show the program every parameter.

    parameters: JSON form of the space (`Space.to_json`). config: whether the study names a config file.
    fidelity: the name of the study's fidelity, which may be a placeholder, too, and need not be.
    The error's path is the word's index, or empty if the whole command is meant.
    """
    if not words:
        raise InputError(
            'the command is empty; a program and its arguments are allowed; write "python train.py {args}"'
        )
    # The fidelity is a number that every trial has, as a parameter without a condition is.
    given = parameters if fidelity is None else {**parameters, fidelity: {}}
    named: set[str] = set()
    for index, word in enumerate(words):
        try:
            names = [name for _, name in pieces(word) if name is not None]
            if len(names) == 1 and (found := switch(names[0])) is not None:
                names = [found[0]]
                _check_switch(word, found, given)
            _check_word(words, index, names, given)
        except InputError as error:
            raise error.under(str(index)) from None
        named.update(names)
    if "config" in named and not config:
        raise InputError(
            "{config} is the trial's copy of a config file, but none is given; both or neither are allowed; "
            'add, for instance, config = "base.yaml"'
        )
    if config and "config" not in named:
        raise InputError(
            "a config file is given, but the command never names {config}, the trial's copy of it; "
            "both or neither are allowed; add {config} to the command"
        )
    if not named & {"args", "config"}:
        _check_all_seen(named, parameters)


def _check_word(
    words: Sequence[str], index: int, names: list[str], parameters: Mapping[str, Mapping[str, Any]]
) -> None:
    word = words[index]
    if "\0" in word:
        raise InputError(f"{word!r} holds a null character; no argument can; take it out")
    for name in names:
        if name not in OWN and name not in parameters:
            raise InputError(
                f"{{{name}}} is no placeholder; {_listed([*OWN, *parameters])} are allowed"
                + (nearest(name, [*OWN, *parameters]) or "; write {{ and }} for literal braces")
            )
        if name in OWN and name in parameters and name != "args":
            raise InputError(
                f"{{{name}}} could mean the parameter or taut's own placeholder; names must differ; "
                "rename the parameter, or pass the parameters with {args}"
            )
        if name == "args" and word != "{args}":
            raise InputError(f"{{args}} stands inside {word!r}; it becomes several words; let it stand alone")
        if index == 0 and (name == "args" or name in parameters):
            raise InputError(
                f"{{{name}}} stands for the program; parameters can only be arguments; name the program first"
            )
        if name not in OWN and _conditional(name, parameters) and not _ALONE.fullmatch(word):
            raise InputError(
                f"{{{name}}} has no value in trials where its condition does not hold, and {word!r} would lack "
                f"it; --{name} {{{name}}}, {name}={{{name}}} and {{args}} can be left out; use one of them"
            )
        if name not in OWN and _is_shell_code(words, index) and _textual(name, parameters):
            raise InputError(
                f"a shell would run the text of {{{name}}} as code; values may only be arguments; "
                f"""write '... "$1"' sh {{{name}}} after -c"""
            )


def _check_switch(
    word: str, found: tuple[str, str, str], parameters: Mapping[str, Mapping[str, Any]]
) -> None:
    """A flag without a value stands alone, has a word, and follows a parameter that is true or false."""
    name, on, off = found
    if not (word.startswith("{") and word.endswith("}")) or not (on or off):
        raise InputError(
            f"{word!r} is no flag without a value; {{{name}:--{name}}} (there if it is true) and "
            f"{{{name}:--{name}|--no-{name}}} are allowed, alone between blanks; write one of them"
        )
    form = parameters.get(name, {})
    values = form.get("choice", form.get("ordinal", ()))
    if name in parameters and not (values and all(isinstance(value, bool) for value in values)):
        raise InputError(
            f"{{{name}:...}} is for a parameter that is true or false, and {name!r} is not; "
            f"write {name} = {{ choice = [false, true] }}, or --{name} {{{name}}}"
        )


def _check_all_seen(named: Iterable[str], parameters: Mapping[str, Mapping[str, Any]]) -> None:
    """Every parameter is named, or shapes one that is through its expression."""
    seen = {name for name in named if name in parameters}
    if not seen:
        raise InputError(
            "the command never sees the parameters; {args}, {config} or their names "
            f"({_listed(parameters)}) are allowed; add {{args}}"
        )
    reach = list(seen)
    while reach:
        new = _sources(parameters[reach.pop()], "expr") & parameters.keys() - seen
        seen |= new
        reach += new
    helpers = set().union(*(_sources(form, "expr", "when") for form in parameters.values()))
    for name, form in parameters.items():
        if name not in seen and not ("expr" in form and name in helpers):
            raise InputError(
                f"the parameter {name!r} never reaches the command; without {{args}} and {{config}} "
                f"each must be named; add {{{name}}} or {{args}}"
            )


def _sources(form: Mapping[str, Any], *keys: str) -> set[str]:
    """Names in the expressions under `keys` of one parameter's JSON form."""
    return {name for key in keys if key in form for name in Expression.parse(form[key]).names}


def _conditional(name: str, parameters: Mapping[str, Mapping[str, Any]]) -> bool:
    form = parameters[name]
    return "when" in form or any(_conditional(source, parameters) for source in _sources(form, "expr"))


def _textual(name: str, parameters: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a value of the parameter can be text."""
    form = parameters[name]
    values = form.get("choice", form.get("ordinal", ()))
    return any(isinstance(value, str | list) for value in values) or any(
        _textual(source, parameters) for source in _sources(form, "expr")
    )


def _is_shell_code(words: Sequence[str], index: int) -> bool:
    return (
        index >= 2
        and re.fullmatch(r"-[a-z]*c", words[index - 1]) is not None
        and any(word.rpartition("/")[2] in _SHELLS for word in words[: index - 1])
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
