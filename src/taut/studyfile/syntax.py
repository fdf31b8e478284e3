"""Parsing TOML, with complaints about its syntax that say what to write instead."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from taut.errors import InputError
from taut.studyfile.lines import Lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["load", "parse"]

_LARGEST = 4 * 2**20  # bytes; a definition is text that somebody wrote
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TEXT_KEYS = re.compile(r"\b(expr|when|until)\s*=\s*([A-Za-z0-9_(][^,}\n]*)")
_WORD = re.compile(r"[A-Za-z_./~$\\-][^\s,\]}#]*")


def load(path: Path, next_move: str) -> str:
    """The text of a file, or an `InputError` that begins with the path and ends with `next_move`."""
    try:
        if not path.is_file():
            what = (
                "is a directory"
                if path.is_dir()
                else "is not a plain file"
                if path.exists()
                else "does not exist"
            )
            raise InputError(f"{path}: {what}; a TOML file is allowed; {next_move}")
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); a readable file is allowed; {next_move}"
        ) from None
    if len(data) > _LARGEST:
        raise InputError(f"{path}: is larger than 4 MiB; a TOML file is allowed; {next_move}")
    try:
        return data.decode("utf-8-sig")  # some Windows editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; "
            "TOML files are UTF-8 text; save the file with that encoding"
        ) from None


def parse(path: Path, text: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises `InputError`, which names `path` and the line, for wrong syntax."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(
            f"{path}: lists or tables are nested too deeply; a study needs three levels"
        ) from None
    except ValueError as error:  # TOMLDecodeError, or Python's own for an integer of thousands of digits
        message = str(error)
    text = text.replace("\r\n", "\n")
    position = _POSITION.search(message)
    problem = _POSITION.sub("", message)
    statement = Lines(text).statement
    if position is None or position[1] is None or problem.startswith(("Unclosed array", "Unterminated")):
        # The parser noticed only later, often at the end of the file.
        line, column = statement, 1
        after = _line(text, line).partition("=")[2].strip()
    else:
        line, column = int(position[1]), int(position[2])
        after = _line(text, line)[column - 1 :]
    hint = _hint(problem, _line(text, line), column, after)
    raise InputError(f"{path}:{line}: not valid TOML: {problem[0].lower()}{problem[1:]}; {hint}")


def _line(text: str, number: int) -> str:
    lines = text.split("\n")
    return lines[number - 1] if number <= len(lines) else ""


def _hint(problem: str, line: str, column: int, after: str) -> str:
    """What to write instead. `after` is the line from the place where the parser gave up."""
    before = line[: column - 1].rstrip()
    if problem.startswith(("Cannot overwrite", "Cannot declare", "Cannot mutate", "Duplicate")):
        return "each key and each [table] may stand only once; keep one of the two"
    if problem.startswith(("Unescaped", "Invalid hex", "Invalid escape")):
        return r"between double quotes \ is special; use single quotes, as in stdout = 'loss=(?P<loss>\S+)'"
    if found := re.match(r"(None|null|nil)\b", after):
        return f'TOML has no {found[1]}; leave the key out, or write it as text, "none"'
    if found := re.match(r"(True|False|TRUE|FALSE)\b", after):
        return f"TOML spells it in lower case; write {found[1].lower()}"
    if problem.startswith("Illegal character '\\n'") or problem.startswith('Expected "\'"'):
        return "text ends with the kind of quote that it began with, on the same line; add the closing quote"
    if problem.startswith("Unterminated"):
        return "text that begins with three quotes ends with three; add them"
    if problem.startswith("Unclosed array"):
        return "a list has commas between its items and ends with ]; add what is missing"
    if problem.startswith("Expected '='"):
        return "a line is key = value; put = after the key"
    if problem.startswith("Expected ']"):
        return "a table's name stands between brackets; write, for instance, [space]"
    if before.endswith(('"', "'")) and re.match(r"[^\s#,}\]]", after):
        return "text with one kind of quotes inside stands between the other, as in \"optim == 'sgd'\""
    if found := _TEXT_KEYS.search(line):
        return f'an expression is text; put quotes around it, {found[1]} = "{found[2].strip()}"'
    if re.match(r"[+-]?\.\d", after) or (re.match(r"\.", after) and before[-1:].isdigit()):
        return "a number has a digit on both sides of its point; write 0.5 or 1.0"
    if problem.startswith("Invalid value") and (word := _WORD.match(after)):
        return f'text stands between quotes; write "{word[0]}"'
    if problem.startswith("Invalid value"):
        return "a value is text between quotes, a number, true, false, [ a list ] or { a table }; write one"
    if problem.startswith("Unclosed inline") or (
        problem.startswith("Invalid initial") and before[-1:] in {",", ""}
    ):
        return (
            "an inline table stands on one line, with commas between its entries and } right after the last; "
            "longer ones can be tables of their own, [space.NAME]"
        )
    if problem.startswith("Expected newline"):
        return "a line holds one key = value; begin a new line or put # before a comment"
    return "a line is key = value, [table] or # comment"
