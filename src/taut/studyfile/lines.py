"""On which line of a TOML text does a key stand? The standard parser does not say."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Sequence

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Lines", "Path"]

Path = tuple[str, ...]

_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANKS = re.compile(r"[ \t]*")
_KEY = re.compile(r""" [A-Za-z0-9_-]+ | "(?:\\.|[^"\\\n])*" | '[^'\n]*' """, re.VERBOSE)
_STRING = re.compile(
    r'''
    """ (?:\\.|[^\\])*? """ "{0,2}    # up to two quotes may stand right before the closing three
    | \'\'\' .*? \'\'\' '{0,2}
    | " (?:\\.|[^"\\\n])* "
    | ' [^'\n]* '
    ''',
    re.VERBOSE | re.DOTALL,
)
_BARE = re.compile(r"[^,\]}#\n]*")  # numbers, booleans and dates (which may hold a blank)


class Lines:
    """Line numbers (from 1) of the keys and array items of a TOML text.

    A path holds the keys from the outermost inwards, and for an item of an array its index as text:
    ``("space", "optim", "choice", "1")``. A key that a text mentions several times, such as
    ``space`` in ``[space.lr]`` and ``[space.optim]``, counts where it stands first.

    The text ought to be valid TOML. In a broken one the keys before the fault are found, and
    `statement` is the line on which the statement with the fault begins.
    """

    def __init__(self, text: str) -> None:
        self.statement = 1
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0  # newlines up to here are in _line
        self._lines: dict[Path, int] = {(): 1}
        self._tables: dict[Path, int] = {}  # how many elements an array of tables has so far
        with contextlib.suppress(_Broken, RecursionError):
            self._document()

    def find(self, path: Sequence[str]) -> int:
        """The line of `path`, or of its longest beginning that the text has; 1 if it has none of it."""
        known = tuple(path)
        while known not in self._lines:
            known = known[:-1]
        return self._lines[known]

    def __contains__(self, path: object) -> bool:
        return path in self._lines

    def _document(self) -> None:
        table: Path = ()
        while self._skip(_GAP) < len(self._text):
            self.statement = self._here()
            if self._take("[["):
                table = self._table(self._key())
                self._tables[table] = self._tables.get(table, 0) + 1
                table = self._mark(self._inside(table))
                self._expect("]]")
            elif self._take("["):
                table = self._inside(self._table(self._key()))
                self._expect("]")
            else:
                self._pair(table)

    def _table(self, key: Path) -> Path:
        """The full path of a table's header; arrays of tables on the way mean their last element."""
        path: Path = ()
        for part in key:
            path = self._mark((*self._inside(path), part))
        return path

    def _inside(self, path: Path) -> Path:
        return (*path, str(self._tables[path] - 1)) if path in self._tables else path

    def _pair(self, table: Path) -> None:
        path = table
        for part in self._key():
            path = self._mark((*path, part))
        self._expect("=")
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_BLANKS)
        if self._take("["):
            index = 0
            while not self._closes("]"):
                item = (*path, str(index))
                self._mark(item)
                self._value(item)
                self._separator("]")
                index += 1
        elif self._take("{"):
            while not self._closes("}"):
                self._pair(path)
                self._separator("}")
        elif self._text.startswith(('"', "'"), self._at):
            self._match(_STRING)
        else:
            self._match(_BARE)

    def _closes(self, bracket: str) -> bool:
        self._skip(_GAP)
        return self._take(bracket)

    def _separator(self, bracket: str) -> None:
        self._skip(_GAP)
        if not self._text.startswith(bracket, self._at):
            self._expect(",")

    def _key(self) -> Path:
        parts = []
        while True:
            self._skip(_BLANKS)
            raw = self._match(_KEY)
            parts.append(_unquoted(raw) if raw[0] in "\"'" else raw)
            self._skip(_BLANKS)
            if not self._take("."):
                return tuple(parts)

    def _mark(self, path: Path) -> Path:
        self._lines.setdefault(path, self._here())
        return path

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _skip(self, pattern: re.Pattern[str]) -> int:
        self._match(pattern)
        return self._at

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _Broken
        self._at = found.end()
        return found.group()

    def _take(self, literal: str) -> bool:
        if not self._text.startswith(literal, self._at):
            return False
        self._at += len(literal)
        return True

    def _expect(self, literal: str) -> None:
        if not self._take(literal):
            raise _Broken


class _Broken(Exception):
    """The text is not valid TOML from here on."""


def _unquoted(raw: str) -> str:
    try:
        return str(tomllib.loads(f"key = {raw}")["key"])
    except tomllib.TOMLDecodeError:
        raise _Broken from None
