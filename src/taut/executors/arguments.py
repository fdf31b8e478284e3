"""From a command's template and a trial's parameters to its argument list; pure, without a shell.

Each word of the template becomes one argument, whatever the values hold; only ``{args}`` and a list
in the style ``--k v`` become several. Values are spelled the same everywhere: floats in their shortest
exact form, ``true`` and ``false``, ``null`` where a missing value must be said at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from taut.commandline import OWN, pieces, switch
from taut.errors import InputError
from taut.executors.overrides import override_text

__all__ = ["Style", "Template", "spell", "step_text", "text_of"]

Style = Literal["--k v", "--k=v", "k=v", "a.b=v", "++a.b=v"]

OVERRIDES = ("a.b=v", "++a.b=v")
"""The styles of Hydra and OmegaConf, in which texts are quoted where those would read something else."""

_AT = ("command",)


def text_of(value: Any) -> str:
    """A value as one text: lists as JSON without blanks."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)  # the shortest text that reads back as the same number
    return json.dumps(
        list(value) if isinstance(value, tuple) else value, separators=(",", ":"), ensure_ascii=False
    )


def step_text(step: float) -> str:
    """A step as one text; whole numbers, such as epochs, without a point, as scripts read them."""
    return str(int(step)) if step.is_integer() else repr(float(step))


def spell(name: str, value: Any, style: Style) -> list[str]:
    """The words by which ``{args}`` gives one parameter."""
    if style == "k=v":
        return [f"{name}={text_of(value)}"]
    if style in OVERRIDES:
        return [f"{style.partition('a')[0]}{name.replace('__', '.')}={override_text(value)}"]
    if value is None:
        return []
    if style == "--k=v":
        return [f"--{name}={text_of(value)}"]
    return _option(f"--{name}", value)


def _option(option: str, value: Any) -> list[str]:
    """``--k v``; a value that begins with a dash is glued on, since scripts take it for an option."""
    if not isinstance(value, (list, tuple)):
        text = text_of(value)
        glue = text.startswith("-") and option.startswith("--")
        return [f"{option}={text}"] if glue else [option, text]
    texts = [text_of(element) for element in value]
    if len(texts) == 1:
        return _option(option, texts[0])
    for element, text in zip(value, texts, strict=True):
        if text.startswith("-") and isinstance(element, str):
            raise InputError(
                f"{text!r} in a list begins with '-', and as a word of its own it would be taken for an "
                'option; use style = "--k=v"',
                ("space", option.lstrip("-")),
            )
    return [option, *texts]


class Slot(NamedTuple):
    """A placeholder within a word."""

    name: str


class Switch(NamedTuple):
    """A flag without a value: ``{amp:--amp}``, the words for true and for false; an empty one is left out."""

    name: str
    on: str
    off: str


class Pair(NamedTuple):
    """An option and, as the next word, a parameter: ``--momentum {momentum}``."""

    option: str
    name: str


Word = tuple["str | Slot | Switch", ...]


class Template:
    """A parsed command. `names` are the placeholders that it uses (`taut.commandline.check` has checked them)."""

    def __init__(self, words: Sequence[str], style: Style) -> None:
        self._style = style
        parsed = [_parse(word) for word in words]
        self.names = frozenset(part.name for word in parsed for part in word if not isinstance(part, str))
        self._words = _paired(parsed)

    def expand(self, params: Mapping[str, Any], places: Mapping[str, str]) -> list[str]:
        """The argument list for `params` (inactive ones absent); `places` holds the texts of `OWN` and of the fidelity.

        What has no value is left out together with its option: ``--momentum {momentum}``,
        ``--momentum={momentum}`` and ``momentum={momentum}`` vanish; within other words it is empty text.
        """
        given: dict[str, Any] = dict(params)
        if self._style.startswith("--"):
            given = {name: value for name, value in given.items() if value is not None}
        return [text for word in self._words for text in self._expand(word, given, places)]

    def program(self, base: str) -> str:
        """The first word; only ``{base}`` may stand in it, so that it can be looked for beforehand."""
        word = self._words[0]
        if isinstance(word, Pair) or any(not isinstance(part, str) and part.name != "base" for part in word):
            raise InputError(
                "the program itself cannot be a parameter; begin the command with a fixed name", _AT
            )
        return "".join(part if isinstance(part, str) else base for part in word)

    def _expand(self, word: Word | Pair, given: Mapping[str, Any], places: Mapping[str, str]) -> list[str]:
        if isinstance(word, Pair):
            if word.name in places:
                return [word.option, places[word.name]]
            if word.name not in given:
                return []
            value = given[word.name]
            return _option(word.option, value) if self._style == "--k v" else [word.option, text_of(value)]
        if len(word) == 1 and isinstance(flag := word[0], Switch):
            told = (flag.on if given[flag.name] else flag.off) if flag.name in given else ""
            return [told] if told else []
        if word == (Slot("args"),):
            return [text for name, value in given.items() for text in spell(name, value, self._style)]
        last = word[-1] if word else ""
        if isinstance(last, Slot) and last.name not in OWN and last.name not in places:
            option = word[0] if len(word) == 2 else ""
            whole = len(word) == 1 or (isinstance(option, str) and re.fullmatch(r"[^=]+=", option))
            if whole and last.name not in given:
                return []
            if len(word) == 1 and self._style == "--k v" and isinstance(given[last.name], (list, tuple)):
                return [text_of(element) for element in given[last.name]]
        spelled = override_text if self._style in OVERRIDES and _is_override(word) else text_of
        return [
            "".join(part if isinstance(part, str) else _fill(part, given, places, spelled) for part in word)
        ]


def _is_override(word: Word) -> bool:
    """Whether a word is a key and one value: ``optimizer.lr={lr}``, ``+model.rank={rank}``."""
    return len(word) == 2 and isinstance(word[0], str) and re.fullmatch(r"[^-=][^=]*=", word[0]) is not None


def _fill(
    slot: Slot | Switch,
    given: Mapping[str, Any],
    places: Mapping[str, str],
    spelled: Callable[[Any], str],
) -> str:
    if slot.name in OWN or slot.name in places:
        return spelled(places[slot.name]) if slot.name in OWN else places[slot.name]
    return spelled(given[slot.name]) if slot.name in given else ""


def _paired(words: Sequence[Word]) -> list[Word | Pair]:
    """`words` with each option and the parameter that follows it in one."""
    result: list[Word | Pair] = []
    for word in words:
        part = word[0] if len(word) == 1 else ""
        before = result[-1] if len(result) > 1 else ()  # the first word is the program
        if (
            isinstance(part, Slot)
            and part.name not in OWN
            and not isinstance(before, Pair)
            and len(before) == 1
            and isinstance(before[0], str)
            and re.fullmatch(r"--?[A-Za-z][^=]*", before[0])
        ):
            result[-1] = Pair(before[0], part.name)
        else:
            result.append(word)
    return result


def _parse(text: str) -> Word:
    parts: list[str | Slot | Switch] = []
    for literal, name in pieces(text):
        if literal:
            parts.append(literal)
        if name is not None:
            found = switch(name)
            parts.append(Slot(name) if found is None else Switch(*found))
    return tuple(parts)
