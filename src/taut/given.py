"""What `Study(...)` and `Study.run(...)` were given, checked and made into a definition."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from taut.definition import Budget, Definition, Earlier, Method, Objective, reference_form
from taut.errors import InputError, nearest
from taut.preference import Preference, amounts, named
from taut.space import Space

__all__ = ["definer", "hours_of", "mode_of", "place_of", "reference_given", "whole"]

_MODES = ("async", "batch", "sequential")


def definer(
    label: str,
    space: Space | None,
    minimize: str | Sequence[str],
    maximize: str | Sequence[str],
    subject_to: str | Sequence[str],
    prefer: Any,
    reference: Any,
    trials: int | None,
    until: str | None,
    sampler: str | Mapping[str, Any] | None,
    pruner: str | Mapping[str, Any] | None,
    seed: int | None,
    retries: int | None,
    warm_start: Any,
    name: str | None,
) -> Callable[[Definition | None], Definition | None]:
    """From an existing definition (None: there is none) to the one wanted; what is left out stays as it is.

    label: the name of a new study that is given none.
    """
    if space is not None and not isinstance(space, Space):
        raise InputError(
            f"{space!r} is not a space; write taut.Space(lr=taut.loguniform(1e-5, 1e-3))", ("space",)
        )
    if name is not None and not isinstance(name, str):
        raise InputError(f"{name!r} is not a name; write it as a text", ("name",))
    if until is not None and not isinstance(until, str):
        raise InputError(f'{until!r} is not a condition; write it as a text: "loss <= 0.1"', ("until",))
    objectives = [Objective(metric, True) for metric in _texts("minimize", minimize)]
    objectives += [Objective(metric, False) for metric in _texts("maximize", maximize)]
    asked: dict[str, Any] = {
        "space": None if space is None else space.to_json(),
        "objectives": objectives or None,
        "subject_to": _texts("subject_to", subject_to) or None,
        "sampler": None if sampler is None else _method(sampler),
        **_pruner(pruner),
        "seed": None if seed is None else whole("seed", seed, 0),
        "retries": None if retries is None else whole("retries", retries, 0),
        "warm_start": None if warm_start is None else _earlier(warm_start),
    }
    asked = {key: value for key, value in asked.items() if value is not None}
    asked |= {} if prefer is None else {"prefer": _preference(prefer)}
    asked |= {} if reference is None else {"reference": reference_given(reference, objectives)}
    limits = {"trials": None if trials is None else whole("trials", trials, 1), "until": until}
    limits = {key: value for key, value in limits.items() if value is not None}

    def define(now: Definition | None) -> Definition | None:
        if now is None:
            if space is None and not objectives:
                return None
            now = Definition(name or label, {}, [], budget=Budget())
        budget = msgspec.structs.replace(now.budget, **limits)
        return msgspec.structs.replace(now, budget=budget, **asked)

    return define


def place_of(path: Any) -> Path:
    """The study's directory; ``~`` is the user's home."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise InputError(
            f"{path!r} is not a directory's name; give a path, or None for a study in memory", ("path",)
        )
    return Path(path).expanduser()


def whole(name: str, value: Any, least: int) -> int:
    """`value` as a whole number from `least`; NumPy's count, booleans do not."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InputError(f"{value!r} is not possible; use a whole number from {least}", (name,))
    return number


def hours_of(value: Any) -> float | None:
    """A number of hours above 0, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise InputError(f"{value!r} is not possible; use a number above 0", ("hours",))
    return float(value)


def mode_of(mode: Any) -> int | None:
    """The group size of a mode: 0 asynchronous, 1 sequential, None as many as there are slots."""
    if mode not in _MODES:
        raise InputError(
            f'{mode!r} is not a mode; use "async", "batch" or "sequential"{nearest(mode, _MODES)}', ("mode",)
        )
    return {"async": 0, "sequential": 1, "batch": None}[mode]


def _texts(name: str, value: str | Sequence[str]) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{value!r} is not possible; use a text, or a list of texts", (name,))
    return list(texts)


def _preference(given: Any) -> Preference | None:
    """What is preferred; nothing if what is given is empty."""
    if isinstance(given, Preference):
        return given
    try:
        return Preference.parse(given) if given or isinstance(given, str) else None
    except InputError as error:
        raise error.under("prefer") from None


def reference_given(given: Any, objectives: Sequence[Objective]) -> dict[str, float]:
    """A value for each objective, by its metric. objectives: none where the study that exists has them."""
    metrics = [objective.metric for objective in objectives]
    form = reference_form(metrics or ["loss"])
    try:
        values = amounts(given, form)
        if metrics:
            named(values, metrics, form)
    except InputError as error:
        raise error.under("reference") from None
    return values


def _earlier(given: Any) -> list[Earlier]:
    """Earlier studies by their paths, one or several."""
    paths = [given] if isinstance(given, str | os.PathLike) else given
    if not isinstance(paths, Sequence) or isinstance(paths, bytes):
        raise InputError(
            f"{given!r} names no study; give its directory, or a list of directories", ("warm_start",)
        )
    found = []
    for path in paths:
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"{path!r} names no study; give the directory of an earlier one, or its study.toml",
                ("warm_start",),
            )
        found.append(Earlier(text, place=os.path.abspath(os.path.expanduser(text))))
    return found


def _pruner(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    from taut.studyfile.pruner import pruning  # what reads files is needed by few
    from taut.studyfile.table import Table

    values = {"method": given} if isinstance(given, str) else given
    if not isinstance(values, Mapping):
        raise InputError(
            f'{given!r} names no pruner; use "median", or {{"method": "asha", "fidelity": {{"name": "epoch", "max": 27}}}}',
            ("pruner",),
        )
    method, fidelity = pruning(Table(values, ("pruner",)))
    return {"pruner": method, "fidelity": fidelity}


def _method(sampler: str | Mapping[str, Any]) -> Method:
    if isinstance(sampler, str):
        return Method(sampler)
    if not isinstance(sampler, Mapping) or not isinstance(sampler.get("method"), str):
        raise InputError(
            f'{sampler!r} names no sampler; use "auto", or {{"method": "grid", "resolution": 5}}',
            ("sampler",),
        )
    return Method(sampler["method"], {key: value for key, value in sampler.items() if key != "method"})
