"""Frozen code: a copy of a project's files, so that editing them while jobs wait changes nothing."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from taut.errors import InputError

__all__ = ["MOST_BYTES", "MOST_FILES", "changed", "freeze"]

MOST_BYTES: Final = 100 * 10**6  # of one file
MOST_FILES: Final = 20_000

_AT = ("on", "slurm", "snapshot")
_MOVE = "name it in .gitignore if it is no code, or set snapshot = false"


def freeze(base: Path, target: Path, leave_out: Collection[Path] = ()) -> int:
    """Copy the project's files below `base` to the new directory `target`; how many there were.

    The files are what git tracks, as they stand now, and new ones that it does not ignore (a forgotten
    ``git add`` costs no night). Paths, modes, times and links are kept; submodules are copied with the rest.
    leave_out: directories that are not copied, such as the study's; `target` never is.

    `target` appears at once and whole, or not at all. One that is there already stays as it is: 0.

    Raises `InputError` where `base` is not in a git work tree, or holds what is hardly code.
    """
    if target.exists():
        return 0
    names = _names(base, [*leave_out, target])
    _check_sizes(base, names)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        partial.mkdir()
        for name in names:
            copy = partial / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(base / name, copy, follow_symlinks=False)
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            return 0  # another process was faster
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(names)


def changed(base: Path, copy: Path, leave_out: Collection[Path] = ()) -> list[str]:
    """Files that differ between `base` now and its frozen `copy`, sorted: edited, new or gone.

    leave_out: as it was given to `freeze`. Raises `InputError` as that does.
    """
    now = set(_names(base, [*leave_out, copy]))
    then = {
        os.path.relpath(os.path.join(folder, name), copy)
        for folder, folders, files in os.walk(copy)
        for name in [*files, *(name for name in folders if os.path.islink(os.path.join(folder, name)))]
    }
    return sorted(now ^ then | {name for name in now & then if not _same(base / name, copy / name)})


def _names(base: Path, leave_out: Collection[Path]) -> list[str]:
    """The project's files and links, relative to `base`, sorted."""
    out = tuple(os.path.join(os.path.realpath(path), "") for path in leave_out)
    root = os.path.realpath(base)
    return sorted(name for name in set(_listed(base)) if not os.path.join(root, name).startswith(out))


def _listed(base: Path) -> Iterator[str]:
    for name in _git_names(base):
        path = base / name
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue  # tracked, and deleted by hand
        if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            yield name
        elif (path / ".git").exists():  # a submodule, or another repository: one entry of its parent's list
            yield from (os.path.join(name, inner) for inner in _listed(path))


def _git_names(base: Path) -> list[str]:
    # What a git hook sets would name another repository than the one that `base` lies in.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(words, cwd=base, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    except FileNotFoundError:
        raise InputError(
            "a frozen copy is made of the files that git knows, and there is no git in PATH; "
            "install git, or set snapshot = false",
            _AT,
        ) from None
    if done.returncode:
        said = os.fsdecode(done.stderr).strip().partition("\n")[0]
        raise InputError(
            f"{base} is no git work tree ({said}); a frozen copy is made of the files that git knows; "
            "run git init there, or set snapshot = false",
            _AT,
        )
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _check_sizes(base: Path, names: list[str]) -> None:
    if not names:
        raise InputError(
            f"git knows no file in {base}; a frozen copy is made of those that it does not ignore; "
            "take the directory out of .gitignore, or set snapshot = false",
            _AT,
        )
    size, name = max(((base / name).lstat().st_size, name) for name in names)
    largest = f"{name} ({size / 1e6:.1f} MB)"
    if size > MOST_BYTES:
        raise InputError(
            f"{largest} is too large for a frozen copy; files up to {MOST_BYTES / 1e6:.0f} MB are allowed; {_MOVE}",
            _AT,
        )
    if len(names) > MOST_FILES:
        raise InputError(
            f"{base} has {len(names)} files, the largest is {largest}; at most {MOST_FILES} are allowed in a frozen copy; "
            "name those in .gitignore that are no code, or set snapshot = false",
            _AT,
        )


def _same(file: Path, copy: Path) -> bool:
    if file.is_symlink() or copy.is_symlink():
        return file.is_symlink() and copy.is_symlink() and os.readlink(file) == os.readlink(copy)
    now, then = file.stat(), copy.stat()
    if now.st_size != then.st_size or (now.st_mode ^ then.st_mode) & stat.S_IXUSR:
        return False
    return file.read_bytes() == copy.read_bytes()
