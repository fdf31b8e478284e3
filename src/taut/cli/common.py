"""What the commands share: finding a study, and saying numbers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from taut.definition import Definition
from taut.errors import InputError
from taut.layout import is_frozen, place
from taut.study import Study

__all__ = [
    "CODE",
    "based",
    "gpu_hours",
    "is_frozen",
    "locate",
    "metrics_text",
    "needs_optuna",
    "not_toml",
    "open_study",
    "place",
    "value_text",
    "warm_start_text",
]


CODE = "code"  # where a study keeps the copy of its project that it runs


def based(definition: Definition, base: str) -> Definition:
    """The definition with another base, as seen from the study's directory."""
    return msgspec.structs.replace(
        definition, evaluation=msgspec.structs.replace(definition.evaluation, base=base)
    )


def locate(target: str) -> Path:
    """The study directory that `target` (a directory, or a study.toml) means."""
    path = Path(target)
    if path.is_dir():
        return path
    if is_frozen(path):
        return path.parent
    if not path.exists():
        raise InputError(f"{target}: there is no such study directory or file")
    if path.suffix != ".toml":
        raise InputError(not_toml(target))
    from taut import studyfile

    return place(path, studyfile.read(path).name)


def not_toml(target: str) -> str:
    return f"{target} is not a study.toml; `taut init` writes one, in which {target} can be the command"


def open_study(target: str) -> Study:
    """The existing study that `target` means; looking leaves no trace."""
    directory = locate(target)
    if not (directory / "definition").is_dir():
        if Path(target).is_file():
            raise InputError(f"{directory}: there is no study here yet; start it with: taut run {target}")
        raise InputError(
            f"{directory} holds no study; give the directory that `taut run` named, or its study.toml"
        )
    return Study.of(directory)


def base_of(definition: Definition, directory: Path) -> Path:
    """The directory that the definition's relative names start from."""
    return Path(os.path.normpath(directory.absolute() / definition.evaluation.base))


def warm_start_text(definition: Definition) -> str | None:
    """One line on the earlier studies that inform this one; None if there are none."""
    summaries = "; ".join(each.summary for each in definition.warm_start)
    return f"warm start: {summaries}" if summaries else None


def gpu_hours(study: Study, folder: Path) -> dict[int, float]:
    """GPU-hours of each trial that had GPUs: in jobs by its share of them, which also counts attempts that died; elsewhere as measured."""
    measured = study.snapshot.measured("gpu_hours")
    found = {n: float(measured[n]) for n in np.flatnonzero(measured == measured).tolist()}
    if not (folder / "slurm").is_dir():
        return found
    from taut.cli import jobs

    return {**found, **jobs.gpu_hours(study, folder)}


@contextlib.contextmanager
def needs_optuna(extra: str = "optuna") -> Iterator[None]:
    """Say how to get Optuna, and what is its own, where that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("optuna", "optuna_dashboard"):
            raise
        raise InputError(
            f"this needs {missing.replace('_', '-')}, which is not installed where taut is: "
            f"pip install 'taut[{extra}]'"
        ) from None


def value_text(value: Any) -> str:
    """A parameter or metric as a person reads it: six digits for floats."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def metrics_text(values: dict[str, float]) -> str:
    return "  ".join(f"{name}={value_text(value)}" for name, value in values.items())
