"""From what an evaluation returned to how its trial ends."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

from taut.definition import Definition
from taut.errors import InputError, nearest
from taut.readings import WALL
from taut.space.expression import Expression

__all__ = ["Verdict", "metrics", "needed", "numbers", "verdict", "writable"]


class Verdict(NamedTuple):
    """The state of a finished trial, its metrics and, if it failed, why."""

    state: Literal["complete", "pruned", "failed"]
    values: dict[str, float | None]
    error: str | None


def needed(definition: Definition) -> list[str]:
    """Metrics that a trial must bring: objectives first, then what constraints name."""
    names = [objective.metric for objective in definition.objectives]
    for text in definition.subject_to:
        names += Expression.parse(text).names
    return list(dict.fromkeys(names))


def verdict(
    must: list[str],
    values: Mapping[str, Any],
    error: str | None = None,
    pruned: bool = False,
    measured: Collection[str] = (),
    theirs: Collection[str] = (),
) -> Verdict:
    """Judge an evaluation that brought `values` and, if it went wrong, `error`. measured: what meters have read of it.
    theirs: names of readings that trials of this study tell themselves, so that no meter stands in for them.

    A trial is complete if every metric in `must` is there and finite, or was measured. It is never taken for good
    because of a number that is not one: NaN, an infinity or nothing is a failure that says so.

    Raises `InputError` for a metric in `must` whose value is no number at all.
    """
    found = metrics(must, values)
    kept = {name: value if math.isfinite(value) else None for name, value in found.items()}
    if error is not None:
        return Verdict("failed", kept, writable(error))
    if pruned:
        return Verdict("pruned", kept, None)
    for name in must:
        if name not in found and name not in theirs and (name in measured or name == WALL):
            continue
        if name not in found:
            got = f"it returned {', '.join(sorted(found))}" if found else "it returned no metric at all"
            hint = "; is one of them misspelt?" if nearest(name, found) else ""
            return Verdict("failed", kept, f"no value for {name!r}: {got}{hint}")
        if not math.isfinite(found[name]):
            return Verdict("failed", kept, f"{name} is {found[name]}: the run diverged or divided by zero")
    return Verdict("complete", kept, None)


def metrics(must: Collection[str], values: Mapping[str, Any]) -> dict[str, float]:
    """The metrics among `values`; what is no number and not asked for (a note, a path) is left out."""
    try:
        return numbers(values)
    except InputError:
        pass
    found = {}
    for name, value in values.items():
        try:
            found.update(numbers({name: value}))
        except InputError:
            if name in must:
                raise
    return found


def writable(text: str) -> str:
    """`text` with what UTF-8 cannot hold (lone surrogates of undecodable file names) spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _short(value: object) -> str:
    if type(value).__repr__ is object.__repr__:
        return f"a {type(value).__name__}"  # its place in memory tells nobody anything
    try:
        return reprlib.repr(value)
    except Exception:  # a number of more digits than Python prints, a type that cannot show itself
        return "a value"


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as plain floats; accepts whatever `float()` does, NumPy and PyTorch scalars among it."""
    found = {}
    for name, value in values.items():
        try:
            found[str(name)] = float(value)
        except Exception:  # whatever a type's own conversion raises
            raise InputError(
                f"{name} = {_short(value)} ({type(value).__name__}) is not a number; give a float: loss.item()"
            ) from None
    return found
