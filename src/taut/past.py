"""What earlier studies found, for the samplers of a new one (``warm_start``).

An earlier study is read once and kept beside the new one's definition (`taut.archive`); `Snapshot.past` gives it to
samplers. Its values are those of another task: they may inform a model as a prior, by their order say, and are
never mixed with the study's own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from taut.definition import Objective
from taut.space import Space
from taut.space.continuous import Number
from taut.space.evaluate import same
from taut.space.integers import Whole
from taut.space.levels import Levels
from taut.space.parameter import Searched, is_number
from taut.space.prior import Bools, Floats

__all__ = ["Content", "Kept", "Past", "Recoded"]


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trial of an earlier study.

    n: its number. x: its searched parameters. y: its objectives, in their order; None if it failed.
    good: whether it fulfilled that study's constraints.
    """

    n: int
    x: dict[str, Any]
    y: list[float] | None = None
    good: bool = True


class Content(msgspec.Struct, frozen=True):
    """What is kept of an earlier study: its aim, its space (JSON form), and trials by number."""

    name: str
    space: dict[str, Any]
    objectives: list[Objective]
    trials: list[Kept]

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @staticmethod
    def from_json(data: bytes) -> Content:
        return msgspec.json.decode(data, type=Content)


class Recoded(NamedTuple):
    """Trials of an earlier study in another space; see `Past.recoded`.

    codes: (n, d). usable: (n,) which trials are points of that space, as far as both know its parameters.
    shared: (d,) which parameters both know.
    """

    codes: Floats
    usable: Bools
    shared: Bools


@dataclass(frozen=True, eq=False)
class Past:
    """An earlier study as a sampler sees it: its trials that are complete or failed, by number.

    name: of that study. space: its own space. number: (n,) numbers of its trials. codes: (n, d) their parameters in
    `space`, NaN where inactive. loss: (n,) the first objective of the study that asks, less is better; NaN where the
    trial failed. values: every objective of that study by its metric, (n,), as it was measured. good: (n,) complete and
    within that study's constraints. failed: (n,) which trials failed.

    Compares by identity, so that a sampler can keep what it has worked out for it.
    """

    name: str
    space: Space
    number: NDArray[np.int64]
    codes: Floats
    loss: Floats
    values: Mapping[str, Floats]
    good: Bools
    failed: Bools

    def __len__(self) -> int:
        return len(self.number)

    @staticmethod
    def of(content: Content, objective: Objective) -> Past:
        """objective: the first of the study that asks, which the earlier study must have."""
        trials, space = content.trials, Space.from_json(content.space)
        failed = np.array([trial.y is None for trial in trials], bool)
        nothing = [math.nan] * len(content.objectives)
        table = np.array([nothing if trial.y is None else trial.y for trial in trials], float)
        table = table.reshape(len(trials), len(nothing))
        values = {each.metric: table[:, j] for j, each in enumerate(content.objectives)}
        column = values[objective.metric]
        past = Past(
            name=content.name,
            space=space,
            number=np.array([trial.n for trial in trials], np.int64),
            codes=space.codes([trial.x for trial in trials], known=True),
            loss=column if objective.minimize else -column,
            values=values,
            good=np.array([trial.good for trial in trials], bool) & ~failed,
            failed=failed,
        )
        for array in (past.number, past.codes, past.loss, past.good, past.failed, table):
            array.flags.writeable = False
        return past

    def recoded(self, space: Space) -> Recoded:
        """The trials in another space, by the names of parameters; columns that nothing is known of are NaN.

        A value is taken over if the other space's parameter can take it, whatever the kinds: a number within the
        bounds (the nearest whole number, or step, where only those are allowed), a listed value that is listed
        again (numbers by value, 8.0 is 8). All others are missing, NaN; none is clipped. Parameters that a trial
        does not have under the other space's conditions are NaN, too. A parameter is *shared* if any value was taken
        over, otherwise it counts as new. A trial is *usable* if it has every shared parameter that it needs (and there
        is one); one that lies outside of the other space is not.
        """
        return _recoded(self, space)


@functools.lru_cache(maxsize=32)
def _recoded(past: Past, space: Space) -> Recoded:
    params = past.space.params(past.codes)  # with what follows from others, which may be searched there
    codes = np.full((len(past), len(space)), math.nan)
    for j, (name, parameter) in enumerate(zip(space.searched, space.columns, strict=True)):
        rows = [i for i, trial in enumerate(params) if name in trial]
        codes[rows, j] = _carried(parameter, [params[i][name] for i in rows])
    active = space.conditions.activity(codes)
    codes = np.where(active, codes, math.nan)
    known = ~np.isnan(codes)
    shared = known.any(axis=0)
    usable = (known | ~active)[:, shared].all(axis=1) & shared.any()
    for array in (codes, usable, shared):
        array.flags.writeable = False
    return Recoded(codes, usable, shared)


def _carried(parameter: Searched, values: Sequence[Any]) -> Floats:
    """Codes (k,) of values of another parameter; NaN for those that this one cannot take."""
    if isinstance(parameter, Levels):
        return np.array([_level(parameter, value) for value in values], float)
    assert isinstance(parameter, Number)
    numbers = np.array([value if is_number(value) else math.nan for value in values], float)
    low, high = parameter.bounds
    numbers = np.where((low <= numbers) & (numbers <= high), numbers, math.nan)
    if isinstance(parameter, Whole):
        numbers = np.rint(numbers)
    lattice = getattr(parameter, "lattice", None)
    return numbers if lattice is None else np.asarray(lattice.at(lattice.index(numbers)))


def _level(parameter: Levels, value: Any) -> float:
    code = parameter.known_code(value)
    if code == code or not is_number(value):
        return code
    return next((float(i) for i, level in enumerate(parameter.values) if same(level, value)), math.nan)
