"""Names in a command that are relative to study.toml, and the program that it starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from taut.errors import InputError

__all__ = ["anchored", "check_script", "find_program"]

_AT = ("command",)
_SCRIPTS = (".py", ".sh", ".R", ".r", ".jl", ".pl", ".rb", ".lua", ".js")


def anchored(word: str, base: Path, cwd: Path | None) -> str:
    """`word` of a template, made absolute if it is a path that exists relative to `base`.

    Only words with a slash or a dot are looked at, also behind ``--option=``. A path that exists in
    `cwd` stays as it is, since the command runs there.
    """
    if "{" in word or "}" in word:
        return word
    option, equals, path = word.partition("=") if word.startswith("-") else ("", "", word)
    if not path or os.path.isabs(path) or not ("/" in path or "." in path):
        return word
    if cwd is not None and os.path.exists(cwd / path):
        return word
    if not os.path.exists(base / path):
        return word
    found = os.path.normpath(base / path)
    return option + equals + found.replace("{", "{{").replace("}", "}}")


def check_script(words: Sequence[str], base: Path, cwd: Path | None) -> None:
    """Raise `InputError` if the command names a script, as its first plain argument, that is not there.

    Every trial would fail in the same way, and the budget be gone.
    """
    for word in words[1:]:
        if word in ("-m", "-c"):
            return
        if word.startswith("-"):
            continue
        script = word.replace("{base}", str(base))
        places = [base] if cwd is None else [cwd, base]
        here = "{" in script or any((place / script).exists() for place in places)
        if Path(script).suffix in _SCRIPTS and not here:
            raise InputError(
                f"the script {word!r} does not exist (looked in {base}); mend its name, or put it there", _AT
            )
        return


def find_program(word: str, directory: Path) -> str:
    """The absolute path of the program `word`; a relative path is one in `directory`.

    ``python`` and ``python3`` are this interpreter where PATH has none, and where PATH has only the one
    that our virtual environment was made from: ``.venv/bin/taut`` then need not be activated.
    Raises `InputError` for a program that is not there or cannot be executed.
    """
    if "/" in word:
        path = os.path.normpath(directory / word)
        if not os.path.isfile(path):
            raise InputError(f"the program {word!r} does not exist (looked for {path})", _AT)
        if not os.access(path, os.X_OK):
            raise InputError(
                f"the program {word!r} is not executable; make it so with chmod +x {path}, "
                "or put its interpreter in front, for instance python",
                _AT,
            )
        return path
    found = shutil.which(word)
    if word in ("python", "python3") and sys.executable and (found is None or _parent_of_ours(found)):
        return sys.executable
    if found is not None:
        return os.path.abspath(found)
    raise InputError(
        f"the program {word!r} was not found in PATH; install it, load its module or activate its "
        "environment first, or give its whole path",
        _AT,
    )


def _parent_of_ours(python: str) -> bool:
    """Whether `python` is the plain installation that our own virtual environment was made from."""
    if sys.prefix == sys.base_prefix:
        return False
    code = "import sys; print(sys.prefix, sys.base_prefix, sep=chr(10))"
    try:
        told = subprocess.run(
            [python, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return told.stdout.splitlines() == [sys.base_prefix, sys.base_prefix]
