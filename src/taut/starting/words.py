"""The words of a study's command: what it sets for good, and where its parameters stand."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from taut.starting.findings import Results
from taut.starting.flags import UNKNOWN, Flag, printable
from taut.starting.given import CONFIG, Given
from taut.starting.picks import Selection
from taut.starting.sources import Source

__all__ = ["held", "literal", "moved", "parameters", "to_fill", "users", "working_directory"]

_OUTPUT: Final = re.compile(
    r"^(output|out|save|saving|checkpoint|checkpoints|ckpt|log|logs|logging|run|runs|results?|work|exp|experiment|model_save)"
    r"_?(dir|directory|folder|path|root|to)?$"
)
_CALLED_DIR: Final = re.compile(r"(dir|directory|folder|path|root)$")
_PLACE: Final = re.compile(
    r"(^|_)(dir|directory|folder|path|root|file|data|corpus|inputs?)$|dir$|^model_name_or_path$"
)
_OFTEN_NO_PATH: Final = re.compile(r"^(save|saving|checkpoint|ckpt|log|logging|run|work|exp|experiment)$")


def held(
    flags: Sequence[Flag], given: Given, base: Path, modules: Sequence[Source], found: Results
) -> dict[str, list[str]]:
    """What the command sets for good of what the user's own does not: where results go, what is required, data beside the study.

    What is required and not known is the flag's name in capitals, for the user to replace.
    """
    words: dict[str, list[str]] = {}
    trainer = bool(found.trainer)
    evaluates = trainer and (found.eval_data or found.evaluates)
    used = {node.attr for source in modules for node in source.nodes if isinstance(node, ast.Attribute)}
    plain = len(given.rest)  # the user's plain words are the first positional arguments
    for flag in flags:
        if flag.positional:
            plain -= 1
            if plain < 0 and (flag.required or flag.default in (UNKNOWN, None)):
                words[flag.name] = [flag.name.upper()]
            continue
        if flag.name in given.values:
            if _takes_output(flag, given.values[flag.name]):
                words[flag.name] = [flag.option, _of_trial(flag, given.values[flag.name])]
            continue
        text = flag.default if isinstance(flag.default, str) else ""
        needed = flag.required or (trainer and flag.name == "output_dir")
        if _takes_output(flag, text) and (text or needed):
            words[flag.name] = [flag.option, _of_trial(flag, text)]
        elif flag.required and flag.switch is None:
            words[flag.name] = [flag.option, flag.name.upper()]
        elif (place := _beside(text, flag.name, base)) != text:
            words[flag.name] = [flag.option, literal(place)]
        elif ("/" in text or "." in text) and not os.path.isabs(text) and (base / text).exists():
            words[flag.name] = [flag.option, literal(text)]  # the command runs elsewhere
        elif found.eval_data and flag.name == "eval_strategy" and flag.default == "no":
            words[flag.name] = [flag.option, "epoch"]
        elif flag.name in used and (
            (trainer and flag.name == "do_train") or (evaluates and flag.name == "do_eval")
        ):
            words[flag.name] = [flag.option, "true"]
    return words


def _takes_output(flag: Flag, value: Any) -> bool:
    """Whether a flag says where results go. value: what it has; a text that is no path, or a checkpoint to begin with, is none."""
    if (
        not _OUTPUT.match(flag.name)
        or flag.kind not in ("str", "")
        or flag.switch is not None
        or flag.choices
    ):
        return False
    if not isinstance(value, str) or value == "-" or value.startswith(("/dev/", "{")):
        return False
    if value and _OFTEN_NO_PATH.match(flag.name) and not ("/" in value or Path(value).suffix):
        return False
    return not (flag.name in ("checkpoint", "ckpt") and os.path.isfile(value))


def _of_trial(flag: Flag, text: str) -> str:
    """The same place in the trial's own directory."""
    file = Path(text).suffix and not _CALLED_DIR.search(flag.name)
    return f"{{trial_dir}}/{literal(Path(text).name) if file else 'out'}"


def moved(words: Mapping[str, list[str]], given: Given) -> list[str]:
    """What is said of outputs of the user's own command that go elsewhere now."""
    return [
        f"{' '.join(given.words[name])} gives way to {' '.join(instead)}: trials that share a directory overwrite each other's "
        "results, and go on from each other's checkpoints"
        for name, instead in words.items()
        if name in given.words
    ]


def to_fill(flags: Sequence[Flag], words: dict[str, list[str]], searched: set[str]) -> dict[str, str]:
    """Words that stand for what the user has to give, and what that is."""
    return {
        flag.name.upper(): f"{printable(flag.help) or flag.name}, which the script requires"
        for flag in flags
        if flag.name not in searched and words.get(flag.name, [""])[-1] == flag.name.upper()
    }


def users(flags: Sequence[Flag], given: Given, gone: set[str], base: Path) -> list[str]:
    """The user's own words, in their order, without those of the flags in `gone`."""
    by_name = {flag.name: flag for flag in flags}
    positional = [flag for flag in flags if flag.positional]
    words: list[str] = []
    plain = 0
    for name, group in given.line:
        if name == CONFIG:
            words += [*map(literal, group), CONFIG]
        elif name == "":
            at = positional[plain].name if plain < len(positional) else ""
            plain += not group[0].startswith("-")
            words += [literal(_beside(word, at, base)) for word in group]
        elif name in by_name and name not in gone:
            option, equals, value = group[0].partition("=")
            first = f"{option}={_beside(value, name, base)}" if equals else option
            words += map(literal, [first, *(_beside(word, name, base) for word in group[1:])])
        elif name not in by_name:
            words += map(literal, group)
    return words


def _beside(word: str, name: str, base: Path) -> str:
    """``corpus`` as ``./corpus`` where that is a place beside the study: a trial runs elsewhere, and paths are known by a slash."""
    bare = word and "/" not in word and "." not in word and not word.startswith("-")
    return f"./{word}" if bare and _PLACE.search(name) and (base / word).exists() else word


def literal(word: str) -> str:
    """A word of the user's own, with its braces doubled, so that they stay what they are."""
    return word.replace("{", "{{").replace("}", "}}")


class Parameters(NamedTuple):
    """The words by which parameters reach the command. early: those before a subcommand. named: whether they name each."""

    early: list[str]
    words: list[str]
    named: bool


def parameters(selection: Selection, in_config: set[str], config: bool) -> Parameters:
    """Where those that are searched, but for what stands in the configuration, have their places in the command."""
    own = [pick.flag for pick in selection.searched if pick.flag.name not in in_config]
    plain = all(flag.option == f"--{flag.name}" and flag.switch is None and not flag.early for flag in own)
    if plain and not config:
        return Parameters([], ["{args}"], False)
    early = [word for flag in own if flag.early for word in _place(flag)]
    words = [word for flag in own if not flag.early for word in _place(flag)]
    return Parameters(early, words, bool(own))


def _place(flag: Flag) -> list[str]:
    if flag.switch is None:
        return [flag.option, f"{{{flag.name}}}"]
    on, off = flag.switch
    return [f"{{{flag.name}:{on}|{off}}}".replace("|}", "}")]


def working_directory(modules: Sequence[Source], base: Path) -> tuple[str, str]:
    """Whether the script opens files beside it by names of its own: then it has to run there."""
    for source in modules:
        for node in source.nodes:
            text = node.value if isinstance(node, ast.Constant) else None
            if (
                not isinstance(text, str)
                or not re.fullmatch(r"[\w-][\w./-]{2,200}", text)
                or text.endswith(".py")
            ):
                continue
            if ("/" in text or "." in text) and (base / text).is_file():
                why = f"{source.path.name} reads {text} from there; what it writes must go to its trial's own directory"
                return ".", why
    return "", ""
