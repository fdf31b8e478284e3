"""`Coupling`: one parameter that follows from others, as an expression for study.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from taut.catalogue.entry import Source
from taut.catalogue.names import Basis, Context
from taut.catalogue.text import inline
from taut.errors import InputError, nearest

__all__ = ["Coupling"]

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FUNCTIONS = frozenset(["log", "max", "min", "round", "sqrt", "and", "or", "not", "in"])


class Coupling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule such as ``lora_alpha = 2 * lora_r``.

    gives: the entry that follows. expr: from entries, helpers and constants.
    helpers: parameters to be searched in its place which no script knows, with their priors. Where a study has some,
        its command names its flags one by one instead of by {args}.
    constants: numbers to be written into the expression, with typical values; give your own by keyword.
    contexts: where the rule was made for. basis: "seen" if the formula stands in a source.
    """

    name: str
    title: str
    gives: str
    expr: str
    contexts: tuple[Context, ...]
    basis: Basis
    helpers: dict[str, dict[str, Any]] = {}
    constants: dict[str, int | float] = {}
    notes: str = ""
    sources: tuple[Source, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The entries that have to be parameters of the study, in the order of the expression."""
        words = dict.fromkeys(_WORD.findall(self.expr))
        known = _FUNCTIONS | self.helpers.keys() | self.constants.keys()
        return tuple(word for word in words if word not in known)

    def expression(self, names: Mapping[str, str] | None = None, **constants: float) -> str:
        """The expression with a study's names and numbers.

        names: the study's name for an entry or helper, where it is another: ``{"lora_r": "r"}``.
        constants: instead of the catalogue's values.

        Raises `InputError` for a constant that the rule does not have.
        """
        for name in constants:
            if name not in self.constants:
                listed = ", ".join(self.constants) or "none"
                raise InputError(
                    f"{name!r} is no constant of {self.name}; it has {listed}{nearest(name, self.constants)}"
                )
        numbers = {name: inline(value) for name, value in {**self.constants, **constants}.items()}
        written = {**(names or {}), **numbers}
        return _WORD.sub(lambda word: written.get(word[0], word[0]), self.expr)

    def toml(self, names: Mapping[str, str] | None = None, **constants: float) -> str:
        """The lines for [space]: helpers, then what follows from them."""
        names = names or {}
        lines = [f"{names.get(name, name)} = {inline(prior)}" for name, prior in self.helpers.items()]
        expr = inline({"expr": self.expression(names, **constants)})
        return "\n".join([*lines, f"{names.get(self.gives, self.gives)} = {expr}"])
