"""Which keys a study file has, and where one belongs that stands in the wrong place."""

from __future__ import annotations

from typing import Any, Final

from taut.errors import nearest

__all__ = ["TABLES", "VALUES", "above", "below"]

VALUES: Final = (
    *("name", "command", "function", "minimize", "maximize", "subject_to", "prefer", "reference"),
    *("config", "style", "timeout", "cwd", "fresh_process", "seed", "retries", "warm_start"),
)
TABLES: Final[dict[str, tuple[str, ...]]] = {
    "space": (),  # the user's own names
    "budget": ("trials", "hours", "gpu_hours", "until"),
    "sampler": ("method",),  # and the method's options
    "pruner": ("method", "fidelity"),
    "results": ("stdout", "json", "csv", "tensorboard"),
    "on": ("local", "slurm", "hyperqueue"),
}


def above(key: str) -> str | None:
    """Advice for a top-level key in a table, where it falls if its line comes after a [table] line."""
    return f"put the line of {key} above the first [table]" if key in VALUES else None


def below(key: str, value: Any) -> str | None:
    """Advice for a table's key that stands at the top."""
    homes = [table for table, keys in TABLES.items() if key in keys]
    if homes:
        return "put it below " + " or ".join(f"[{table}]" for table in homes)
    if isinstance(value, dict) and not nearest(key, TABLES):
        return f"if {key} is a parameter, put it below [space]"
    return None
