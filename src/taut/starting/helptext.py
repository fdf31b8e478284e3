"""Flags in what a script prints with `--help`; running the script is the user's choice."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taut.errors import InputError
from taut.starting.flags import UNKNOWN, Flag, Kind, Script, kind_of, parameter_name

__all__ = ["ask", "parse"]

_SECONDS = 120.0
_OPTION = re.compile(r"^\s{0,8}((?:-\w[^-\s]*(?:[ ]\S+)?,?\s+)*)(--[A-Za-z][\w.-]*)(.*)$")
_SHORT = re.compile(r"^\s{0,8}(-\w)(?![\w-])(.*)$")
_DEFAULT = re.compile(
    r"[\[(](?:default|defaults to)\s*[:=]?\s*(.*?)[\])]\.?\s*$|\bdefault:\s*([^\s,;]+)", re.I
)
_KINDS: dict[str, Kind] = {"float": "float", "number": "float", "int": "int", "integer": "int", "text": "str"}
_OWN = ("help", "h", "version", "install_completion", "show_completion", "helpfull", "helpshort")
_RANGE = re.compile(r"(?:FLOAT|INTEGER) RANGE")


def ask(command: Sequence[str], cwd: Path) -> str:
    """What ``command --help`` prints. Raises `InputError` if it fails or does not end."""
    shown = " ".join([*command, "--help"])
    environment = {**os.environ, "COLUMNS": "400", "TERM": "dumb", "NO_COLOR": "1"}
    try:
        told = subprocess.run(
            [*command, "--help"],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{shown} did not end within {_SECONDS:.0f} s; leave --run-help out: then the source alone is read"
        ) from None
    except OSError as error:
        raise InputError(f"{shown} cannot be started: {error.strerror}") from None
    if told.returncode != 0:
        last = (told.stderr.strip() or told.stdout.strip() or "it printed nothing").splitlines()[-1]
        raise InputError(
            f"{shown} failed with exit code {told.returncode}: {last}; mend that, name its Python with --python, "
            "or leave --run-help out"
        )
    return told.stdout


def parse(text: str) -> Script:
    """The flags that a help text lists, as argparse, click, absl and typer write it."""
    entries: list[list[str]] = []
    for line in text.replace("│", " ").splitlines():
        if _OPTION.match(line) or _SHORT.match(line):
            entries.append([line.strip()])
        elif entries and line.startswith(" " * 4) and line.strip():
            entries[-1].append(line.strip())
        elif not line.strip() and entries:
            entries.append([])  # a new paragraph belongs to no flag
    flags: dict[str, Flag] = {}
    for lines in entries:
        flag = _flag(" ".join([lines[0] + "  ", *lines[1:]])) if lines else None
        if flag is not None and flag.name not in _OWN:
            flags.setdefault(flag.name, flag)
    return Script(tuple(flags.values()), ("--help",) if flags else ())


def _flag(entry: str) -> Flag | None:
    found = _OPTION.match(entry)
    if found:
        option, rest = found[2], found[3]
    else:
        short = _SHORT.match(entry)
        if short is None:
            return None
        option, rest = short[1], short[2]
    negative = ""
    if pair := re.match(r"\s*[,/]?\s*(--no-?[\w-]+)(.*)", rest):
        negative, rest = pair[1], pair[2]
    while alias := re.match(r",\s*(--[\w-]+)(.*)", rest):  # another spelling of the same
        rest = alias[2]
    if typed := re.match(r"\s+(<[\w ]+>)(.*)", rest):  # typer's columns
        rest = f" {typed[1]}  {typed[2]}"
        rest = rest if typed[1] != "<bool>" else f"  {typed[2]}"
    head, _, words = rest.strip("=").partition("  ") if not rest.startswith("  ") else ("", "", rest)
    head = head.strip().strip("[]")
    found_default = _DEFAULT.search(words)
    raw = next((group for group in found_default.groups() if group), "") if found_default else ""
    default = _literal(raw.partition(";")[0]) if found_default else UNKNOWN
    choices = _choices(head)
    kind = _kind(head, default, choices, _RANGE.search(entry) is not None and "INTEGER" in entry)
    switch = (option, negative) if not head or negative else None
    if switch is not None:
        kind = "bool"
        default = (
            default
            if isinstance(default, bool)
            else not str(default).startswith("no") and default is not UNKNOWN
        )
    return Flag(
        name=parameter_name(option),
        option=option,
        kind=kind,
        default=default,
        choices=choices,
        switch=switch,
        required="[required]" in words.lower(),
        where="--help",
        help=" ".join(words.split()),
    )


def _choices(head: str) -> tuple[Any, ...]:
    if head.startswith("{") and "}" in head:
        return tuple(_literal(each) for each in head[1 : head.index("}")].split(","))
    if "|" in head and re.fullmatch(r"[\w.|-]+", head):  # click's [adam|sgd]
        return tuple(_literal(each) for each in head.split("|"))
    return ()


def _kind(head: str, default: Any, choices: tuple[Any, ...], whole: bool) -> Kind:
    if choices:
        return kind_of(choices[0])
    if "..." in head or re.search(r"\w+\s+\[\w+", head):
        return "list"
    word = re.split(r"[\s:]", head.strip("<>"))[0].lower()
    if whole:
        return "int"
    return _KINDS.get(word) or kind_of(default)


def _literal(text: str) -> Any:
    text = text.strip().strip("'\"")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)
    return value if isinstance(value, str | int | float | bool | list | tuple) or value is None else text
