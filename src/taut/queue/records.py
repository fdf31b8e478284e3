"""What a queue did: one row for each job, in columns. Every reader makes these, and models learn from them alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taut.errors import InputError
from taut.space.prior import Floats

__all__ = ["UNITS", "Codes", "Jobs", "Names", "Reading"]

Codes = NDArray[np.int32]
Names = tuple[str, ...]

UNITS: Final = ("gpus", "cpus", "nodes")
"""What a job's size counts: GPUs if it asked for any, else CPUs, and nodes where the source knows no CPUs."""

_TIMES = ("submit", "eligible", "start", "end", "walltime")
_COUNTS = ("gpus", "cpus", "nodes")


@dataclass(frozen=True, eq=False)
class Jobs:
    """Jobs of a batch queue, in order of submission. Make them with `Jobs.of`.

    submit, eligible, start, end: (n,) seconds since 1970; NaN where it has not happened, or is not known. A job with a
    start that is NaN and an end was cancelled while it waited. eligible: when nothing but the queue kept it any longer
    (its dependencies were over); its wait is counted from there.
    walltime: (n,) seconds asked for; infinite if unlimited, NaN if not known. gpus, cpus, nodes: (n,) counts.
    partition, user, account, state: (n,) places in `partitions`, `users`, `accounts`, `states`.
    array: (n,) the number that the tasks of a job array share, -1 for other jobs.
    """

    submit: Floats
    eligible: Floats
    start: Floats
    end: Floats
    walltime: Floats
    gpus: Floats
    cpus: Floats
    nodes: Floats
    partition: Codes
    user: Codes
    account: Codes
    state: Codes
    array: NDArray[np.int64]
    partitions: Names
    users: Names
    accounts: Names
    states: Names

    @classmethod
    def of(
        cls,
        submit: ArrayLike,
        start: ArrayLike,
        *,
        eligible: ArrayLike | None = None,
        end: ArrayLike | None = None,
        walltime: ArrayLike | None = None,
        gpus: ArrayLike | None = None,
        cpus: ArrayLike | None = None,
        nodes: ArrayLike | None = None,
        partition: Sequence[str] | None = None,
        user: Sequence[str] | None = None,
        account: Sequence[str] | None = None,
        state: Sequence[str] | None = None,
        array: ArrayLike | None = None,
    ) -> Jobs:
        """Jobs from plain columns of n values each, in any order; what a source lacks is left out.

        Raises `InputError` for columns of different lengths, a submission that is not finite, a start before it, and
        counts below 0.
        """
        times = dict(zip(_TIMES, (submit, eligible, start, end, walltime), strict=True))
        counts = dict(zip(_COUNTS, (gpus, cpus, nodes), strict=True))
        n = len(np.atleast_1d(np.asarray(submit, dtype=np.float64)))
        columns: dict[str, Any] = {name: _column(name, given, n, np.nan) for name, given in times.items()}
        columns |= {name: _column(name, given, n, 0.0) for name, given in counts.items()}
        columns["eligible"] = np.fmax(columns["eligible"], columns["submit"])
        _check(columns)
        order = np.argsort(columns["submit"], kind="stable")
        named = {"partition": partition, "user": user, "account": account, "state": state}
        codes: dict[str, Any] = {name: _codes(name, given, n) for name, given in named.items()}
        arrays = np.full(n, -1) if array is None else np.asarray(array)
        if len(arrays) != n:
            raise InputError(f"array has {len(arrays)} values and submit {n}; give one for each job")
        return cls(
            **{name: column[order] for name, column in columns.items()},
            **{name: found[order] for name, (found, _) in codes.items()},
            array=arrays.astype(np.int64)[order],
            partitions=codes["partition"][1],
            users=codes["user"][1],
            accounts=codes["account"][1],
            states=codes["state"][1],
        )

    def __len__(self) -> int:
        return len(self.submit)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Jobs:
        """Some of the jobs, by a mask, by places in rising order, or by a slice."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        some: dict[str, Any] = {name: of[which] for name, of in columns.items() if isinstance(of, np.ndarray)}
        return replace(self, **some)

    @property
    def unit(self) -> Codes:
        """(n,) places in `UNITS`: what `size` counts."""
        return np.where(self.gpus > 0, 0, np.where(self.cpus > 0, 1, 2)).astype(np.int32)

    @property
    def size(self) -> Floats:
        """(n,) how much of the machine each job asked for, in its unit; at least 1."""
        counts = np.stack([self.gpus, self.cpus, self.nodes])
        return np.maximum(counts[self.unit, np.arange(len(self))], 1.0)

    @property
    def wait(self) -> Floats:
        """(n,) seconds from eligible to start; NaN where there is no start."""
        return np.maximum(self.start - self.eligible, 0.0)


@dataclass(frozen=True)
class Reading:
    """What was read from a file or a command. lines: how many stood for jobs or should have. left_out: the first of those
    that could not be read, as ``line 17: ...``. unread: how many there were in all. clusters: whose jobs they are, as far as they say."""

    jobs: Jobs
    lines: int
    unread: int = 0
    left_out: Names = ()
    clusters: Names = ()

    def __str__(self) -> str:
        text = f"{len(self.jobs):,} {'job' if len(self.jobs) == 1 else 'jobs'}"
        if self.unread:
            more = (
                f" (and {self.unread - len(self.left_out):,} more)"
                if self.unread > len(self.left_out)
                else ""
            )
            text += f"; {self.unread:,} of {self.lines:,} lines left out: {'; '.join(self.left_out)}{more}"
        return text


def _column(name: str, given: ArrayLike | None, n: int, default: float) -> Floats:
    column = np.full(n, default) if given is None else np.atleast_1d(np.asarray(given, dtype=np.float64))
    if column.shape != (n,):
        raise InputError(f"{name} has shape {column.shape} and submit ({n},); give one value for each job")
    return column


def _codes(name: str, given: Sequence[str] | None, n: int) -> tuple[Codes, Names]:
    if given is None:
        return np.zeros(n, dtype=np.int32), ("",)
    if len(given) != n:
        raise InputError(f"{name} has {len(given)} values and submit {n}; give one for each job")
    place: dict[str, int] = {}
    codes = np.fromiter((place.setdefault(text, len(place)) for text in given), dtype=np.int32, count=n)
    return codes, tuple(place)


def _check(columns: dict[str, Floats]) -> None:
    for name, wrong, allowed in (
        ("submit", ~np.isfinite(columns["submit"]), "a finite number of seconds since 1970"),
        ("start", columns["start"] < columns["submit"], "not before the job's submission, or NaN"),
        ("end", columns["end"] < columns["start"], "not before the job's start, or NaN"),
        ("walltime", columns["walltime"] <= 0, "above 0 s, or NaN"),
        *((name, ~(columns[name] >= 0), "0 or more") for name in _COUNTS),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"{name} of row {row} is {columns[name][row]:g}; {allowed} is allowed; leave that job out"
            )
