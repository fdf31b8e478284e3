"""What a search in a directory was begun with, so that nobody goes on with other data, folds or settings of the estimator."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _num_samples

from taut.errors import InputError

__all__ = ["compare", "identity", "settle"]

_FILE = "search.json"


def identity(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    splits: Sequence[tuple[Any, Any]],
    fit_params: Mapping[str, Any],
    scoring: Any,
    searched: Collection[str],
) -> dict[str, str]:
    """What has to stay the same for trials to be comparable, as texts by name.

    Data and folds by digests; the estimator by its class and those of its settings that are numbers or texts and not `searched`.
    """
    found = {"estimator": type(estimator).__qualname__, "X": _digest(X), "y": _digest(y)}
    found["scoring"] = _named(scoring)
    found |= {name: _digest(value) for name, value in fit_params.items()}
    rows = hashlib.blake2b(digest_size=8)
    for train, test in splits:
        for part in (train, test):
            rows.update(np.ascontiguousarray(part, np.int64).tobytes())
    found["cv"] = f"{len(splits)} folds, {rows.hexdigest()}"
    for name, value in estimator.get_params(deep=True).items():
        if name not in searched and isinstance(value, str | int | float | bool | tuple | None):
            found[f"estimator.{name}"] = repr(value)
    return found


def compare(place: Path, now: Mapping[str, str]) -> None:
    """Raise `InputError` where the search in `place`, if there is one, is of something else."""
    file = place / _FILE
    if not file.exists():
        return
    before = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            raise InputError(
                f"{place} was begun with another {name} ({before.get(name)}, now {now.get(name)}): its trials cannot be compared "
                "with new ones; give another path, or the same estimator, data and folds (cv with a fixed random_state)",
                ("path",),
            )


def settle(place: Path, now: Mapping[str, str]) -> None:
    """Write down what the search in `place` is of, for all that come later. Raises as `compare`, if somebody else has just done so."""
    place.mkdir(parents=True, exist_ok=True)
    draft = place / f".{_FILE}.{os.getpid()}"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(now), indent=1))
    try:
        os.link(draft, place / _FILE)
    except FileExistsError:
        compare(place, now)
    finally:
        draft.unlink()


def _named(scoring: Any) -> str:
    """What scores, as far as it has a name."""
    if isinstance(scoring, Mapping):
        return ", ".join(f"{name}: {_named(each)}" for name, each in scoring.items())
    if isinstance(scoring, list | tuple | set | frozenset):
        return ", ".join(sorted(map(str, scoring)))
    return str(getattr(scoring, "__qualname__", type(scoring).__name__ if callable(scoring) else scoring))


def _digest(data: Any) -> str:
    """The size and a digest of arrays, sparse matrices and data frames; of others the size alone."""
    if data is None:
        return "None"
    total = hashlib.blake2b(digest_size=8)
    try:
        for part in _arrays(data):
            total.update(np.ascontiguousarray(part).tobytes())
    except (TypeError, ValueError):
        return f"{_num_samples(data)} rows"
    return f"{' x '.join(map(str, np.shape(data)))}, {total.hexdigest()}"


def _arrays(data: Any) -> list[Any]:
    if hasattr(data, "tocsr"):
        rows = data.tocsr()
        return [rows.indptr, rows.indices, rows.data]
    if hasattr(data, "iloc"):
        from pandas.util import hash_pandas_object

        return [hash_pandas_object(data, index=False).to_numpy()]
    array = np.asarray(data)
    if array.dtype.kind == "O":  # addresses, which differ from process to process
        return [np.array([repr(value) for value in array.ravel()], dtype="U")]
    return [array]
