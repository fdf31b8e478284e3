"""`taut import`: a study of Optuna as a study of taut that can be gone on with.

Where it came from taut, its definition is there to be taken. Otherwise the space is what trials have asked for (`discovered.py`).
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from taut.clock import WallClock
from taut.errors import InputError
from taut.integrations.optuna.adopted import Adopted, adopt
from taut.integrations.optuna.reading import read
from taut.opening import open_store
from taut.snapshot import Snapshot

__all__ = ["Imported", "import_study"]


class Imported(NamedTuple):
    """name: of the study. snapshot: what there is now. said: what taut cannot hold of it, and what has another name, one sentence each."""

    name: str
    snapshot: Snapshot
    said: Sequence[str]


def import_study(source: str, path: str | os.PathLike[str], study: str | None = None) -> Imported:
    """Read a study of Optuna into a new study of taut in the directory `path`.

    source, study: see `taut.integrations.optuna.reading.read`.

    Trials keep their numbers, parameters, values, intermediate values, times and states. Their attributes are kept as they are, and numbers
    among them are metrics, too. A trial that waits or runs, of which the parameters are known, waits to be run by taut.

    Raises `InputError` if there is no such study, `path` is taken, or a parameter cannot be one of taut's; then nothing is written.
    """
    target = Path(path)
    _check_place(target)
    found = adopt(read(source, study))
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        snapshot = _written(draft, found)
        os.rename(draft, target)  # the study is there as a whole, or not at all
    except OSError as error:
        raise InputError(
            f"{target} cannot be made: {error.strerror}; choose another directory", ("path",)
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Imported(found.definition.name, snapshot, found.said)


def _check_place(target: Path) -> None:
    if target.is_dir() and any(target.iterdir()):
        raise InputError(
            f"{target} is not empty; give the name of a directory that is not there yet", ("path",)
        )
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; give the name of a directory that is not there yet", ("path",))


def _written(draft: Path, found: Adopted) -> Snapshot:
    store = open_store(draft, lambda now: found.definition, WallClock())
    try:
        store.save()
        store.write(())  # opens our log, in whose name numbers are claimed
        if found.numbers:
            store.journal.claim(found.numbers, math.inf)
        store.write(found.events, durable=True)
    finally:
        store.close()
    return store.snapshot
