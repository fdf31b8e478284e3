"""The words of a study's command: what it sets for good, and where its parameters stand."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from taut.starting.findings import Results
from taut.starting.flags import UNKNOWN, Flag
from taut.starting.given import Given
from taut.starting.picks import Selection
from taut.starting.sources import Source

__all__ = ["held", "literal", "parameters", "to_fill", "working_directory"]

_OUTPUT: Final = re.compile(
    r"^(output|out|save|saving|checkpoint|checkpoints|ckpt|log|logs|logging|run|runs|results?|work|exp|experiment|model_save)"
    r"_?(dir|directory|folder|path|root|to)?$"
)
_CALLED_DIR: Final = re.compile(r"(dir|directory|folder|path|root)$")


def held(
    flags: Sequence[Flag], given: Given, base: Path, modules: Sequence[Source], found: Results
) -> dict[str, list[str]]:
    """What the command sets for good of what the user's own does not: where results go, what is required, data beside the study.

    What is required and not known is the flag's name in capitals, for the user to replace.
    """
    words: dict[str, list[str]] = {}
    trainer = bool(found.trainer)
    used = {node.attr for source in modules for node in source.nodes if isinstance(node, ast.Attribute)}
    plain = len(given.rest)  # the user's plain words are the first positional arguments
    for flag in flags:
        if flag.positional:
            plain -= 1
            if plain < 0 and (flag.required or flag.default in (UNKNOWN, None)):
                words[flag.name] = [flag.name.upper()]
            continue
        if flag.name in given.values:
            continue
        text = flag.default if isinstance(flag.default, str) else ""
        output = _OUTPUT.match(flag.name) and flag.kind in ("str", "")
        if output and (text or flag.required or (trainer and flag.name == "output_dir")):
            file = Path(text).suffix and not _CALLED_DIR.search(flag.name)
            words[flag.name] = [flag.option, f"{{trial_dir}}/{Path(text).name if file else 'out'}"]
        elif flag.required and flag.switch is None:
            words[flag.name] = [flag.option, flag.name.upper()]
        elif ("/" in text or "." in text) and not os.path.isabs(text) and (base / text).exists():
            words[flag.name] = [flag.option, literal(text)]  # the command runs elsewhere
        elif trainer and flag.name == "eval_strategy" and flag.default == "no":
            words[flag.name] = [flag.option, "epoch"]
        elif trainer and flag.name in ("do_train", "do_eval") and flag.name in used:
            words[flag.name] = [flag.option, "true"]
    return words


def to_fill(flags: Sequence[Flag], words: dict[str, list[str]], searched: set[str]) -> dict[str, str]:
    """Words that stand for what the user has to give, and what that is."""
    return {
        flag.name.upper(): f"{flag.help or flag.name}, which the script requires"
        for flag in flags
        if flag.name not in searched and words.get(flag.name, [""])[-1] == flag.name.upper()
    }


def literal(word: str) -> str:
    """A word of the user's own, with its braces doubled, so that they stay what they are."""
    return word.replace("{", "{{").replace("}", "}}")


def parameters(selection: Selection, in_config: set[str], config: bool) -> tuple[list[str], bool]:
    """The words by which parameters reach the command, and whether they name each."""
    own = [pick for pick in selection.searched if pick.flag.name not in in_config]
    plain = all(pick.flag.option == f"--{pick.flag.name}" and pick.flag.switch is None for pick in own)
    if plain and not config:
        return ["{args}"], False
    words: list[str] = []
    for pick in own:
        if pick.flag.switch is not None:
            on, off = pick.flag.switch
            words.append(f"{{{pick.flag.name}:{on}|{off}}}".replace("|}", "}"))
        else:
            words += [pick.flag.option, f"{{{pick.flag.name}}}"]
    return words, bool(words)


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
