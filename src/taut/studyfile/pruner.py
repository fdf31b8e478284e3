"""The pruner that a study asks for, and how far its trials are taken."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from taut.definition import Method
from taut.fidelity import Fidelity
from taut.studyfile.table import Table, plain

__all__ = ["pruning"]

_KEYS = ("name", "min", "max", "unit", "resume", "cost", "levels")
_EXAMPLE = '{ name = "epoch", min = 1, max = 27 }'


def pruning(
    table: Table | None, known: Collection[str] | None = None
) -> tuple[Method | None, Fidelity | None]:
    """What `[pruner]` says. known: the methods that there are; None leaves that to a later look-up.

    Raises `InputError` for what is no method and no fidelity.
    """
    if table is None:
        return None, None
    method = table.text("method", '"asha"')
    inner = table.table("fidelity", f"fidelity = {_EXAMPLE}")
    fidelity = None if inner is None else _fidelity(inner)
    if method is None and fidelity is None:
        raise table.error(
            'no method is given; a [pruner] has one; write, for instance, method = "asha"', "method"
        )
    if method is not None and known is not None and not method.startswith("optuna:"):
        table.one_of("method", sorted(known))
    options = {name: value for name, value in table.values.items() if name not in ("method", "fidelity")}
    return Method(method or "asha", plain(options, table.at)), fidelity


def _fidelity(table: Table) -> Fidelity:
    table.only(_KEYS)
    values: dict[str, Any] = {
        key: table.text(key, f'"{key}"') for key in ("name", "unit", "cost") if key in table
    }
    levels = table.values.get("levels", [])
    if not isinstance(levels, list) or not all(_number(each) and each > 0 for each in levels):
        raise table.error(
            f"{levels!r} are no steps; a list of numbers above 0 is allowed; write, for instance, levels = [1, 3, 9]",
            "levels",
        )
    if levels:
        values |= {
            "levels": [float(each) for each in levels],
            "min": float(levels[0]),
            "max": float(levels[-1]),
        }
    values |= {key: table.positive(key, "27") for key in ("min", "max") if key in table}
    for key in ("name", "max"):
        if key not in values:
            raise table.error(
                f"{key} is not given; a fidelity has a name and the step of a whole trial; write, for instance, {_EXAMPLE}",
                key,
            )
    resume = table.values.get("resume", False)
    if not isinstance(resume, bool):
        raise table.error(
            f"{resume!r} is no answer; true or false is allowed; write resume = true if trials go on from checkpoints",
            "resume",
        )
    return Fidelity(**values, resume=resume)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
