"""A study of Optuna, read from where Optuna keeps it: an SQLite file, a journal file or a database's URL. Nothing is written there."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial

from taut.errors import InputError, nearest

__all__ = ["Found", "read"]

_FILE = "sqlite:///"
_MAGIC = b"SQLite format 3\0"


class Found(NamedTuple):
    """A study of Optuna and its trials, by number."""

    study: FrozenStudy
    trials: list[FrozenTrial]


def read(source: str, name: str | None = None) -> Found:
    """The study called `name` in the storage `source`.

    source: the path of an SQLite or journal file, or a URL such as ``sqlite:///lora.db`` or ``postgresql://...``. name: may be left out
    where there is one study only.

    Raises `InputError` if there is no such storage, it cannot be read, or it has no such study.
    """
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _chosen(_storage(source), source, name)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"{source}: {error}; install what opens such a database") from None
    except Exception as error:  # whatever Optuna, SQLAlchemy and a database's own library raise
        reason = " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__
        raise InputError(f"{source} cannot be read as a storage of Optuna: {reason}") from error
    finally:
        optuna.logging.set_verbosity(before)


def _chosen(storage: BaseStorage, source: str, name: str | None) -> Found:
    studies = storage.get_all_studies()
    names = [study.study_name for study in studies]
    if not studies:
        raise InputError(f"{source} is a storage of Optuna without a study; is it the right one?")
    if name is None and len(studies) > 1:
        raise InputError(
            f"{source} holds {len(names)} studies; choose one with --study: {', '.join(names)}", ("study",)
        )
    study = next((study for study in studies if name in (None, study.study_name)), None)
    if study is None:
        raise InputError(
            f"{source} has no study {name!r}{nearest(name, names)}; it has {', '.join(names)}", ("study",)
        )
    try:
        return Found(study, storage.get_all_trials(study._study_id))
    finally:
        if isinstance(storage, RDBStorage):
            storage.remove_session()
            storage.engine.dispose()


def _storage(source: str) -> BaseStorage:
    if "://" in source and not source.startswith(_FILE):
        return RDBStorage(source, skip_table_creation=True)
    path = Path(source.removeprefix(_FILE)).expanduser()
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file; give an SQLite or journal file of Optuna, or the URL of its database"
        )
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if start == _MAGIC:
        return RDBStorage(
            f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true", skip_table_creation=True
        )
    if start[:1] == b"{":
        return JournalStorage(_Journal(path))
    raise InputError(
        f"{path} is neither an SQLite nor a journal file of Optuna; it begins with {start!r}"
        if start
        else f"{path} is empty"
    )


class _Journal(BaseJournalBackend):
    """A journal file to be read: no lock, and no file where there is none. A last line that is not whole is not there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as file:
            for number, line in enumerate(file):
                if number >= log_number_from and line.endswith(b"\n"):
                    yield self._parsed(number, line)

    def _parsed(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            log = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"{self._path}:{number + 1}: the line is damaged ({error}), and those after it count on it; "
                "copy the file, take the line out of the copy, and see whether its trials make sense"
            ) from None
        if not isinstance(log, dict) or "op_code" not in log:
            raise InputError(f"{self._path}:{number + 1}: this is no line of a journal of Optuna")
        return log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise AssertionError("it is only read")
