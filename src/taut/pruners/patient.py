"""Patience: a trial stops that has not got better for a while."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from taut.definition import Definition, Method
from taut.errors import InputError
from taut.pruners import registry
from taut.pruners.base import Judgement, Pruner
from taut.pruners.stopping import StoppingPruner, check_number
from taut.pruners.tracks import Tracks
from taut.snapshot import Snapshot

__all__ = ["PatientPruner"]


@dataclasses.dataclass(frozen=True)
class PatientPruner(StoppingPruner):
    """Stops a trial that has not got better for `patience` steps; with `inside`, only if another pruner stops it, too.

    Choose it where trials level off long before their end, whatever the others do; with `inside`, to keep another pruner from
    stopping trials that still get better.

    patience: how many steps a trial may go without getting better. Above 0; must be given.
    min_delta: by how much an objective must get better to count, in its own units. At least 0, the default.
    inside: the other pruner, such as ``{method = "median", startup = 10}``, or its name alone. Only one that stops trials for good.

    With several objectives it is enough that one of them gets better. A trial whose latest value is no number is stopped without
    patience.

    Source: early stopping as in Prechelt, "Early stopping, but when?", 1998; `inside` as in Optuna's PatientPruner.
    """

    patience: float | None = None
    min_delta: float = 0.0
    inside: Mapping[str, Any] | str | Pruner | None = None

    def __post_init__(self) -> None:
        check_number(
            "patience", self.patience, 0.0, math.inf, "so many steps a trial may not get better", open_=True
        )
        check_number(
            "min_delta", self.min_delta, 0.0, math.inf, "by so much a value must get better to count"
        )
        if self.inside is not None and not isinstance(self.inside, Pruner):
            object.__setattr__(self, "inside", _made(self.inside))

    @property
    def inner(self) -> Pruner | None:
        """The pruner that must stop a trial, too."""
        assert self.inside is None or isinstance(self.inside, Pruner)
        return self.inside

    def settled(self, definition: Definition) -> Pruner:
        inner = self.inner
        if inner is None:
            return self
        if inner.needs_fidelity and definition.fidelity is None:
            raise InputError(
                "the pruner inside needs to know the steps of a whole trial; give [pruner.fidelity] with name and max",
                ("pruner", "inside"),
            )
        inner = inner.settled(definition)
        if inner.pauses:
            raise InputError(
                'the pruner inside must stop trials for good; let it be "median", or asha with variant = "stopping"',
                ("pruner", "inside"),
            )
        return dataclasses.replace(self, inside=inner)

    def stops(self, snapshot: Snapshot, tracks: Tracks, number: int, since: float) -> bool:
        assert self.patience is not None, "checked when it was made"
        rows = tracks.rows(number)
        steps = tracks.step[rows]
        before = int(np.searchsorted(steps, steps[-1] - self.patience, side="right")) - 1
        if before < 0:
            return False
        best = tracks.best[:, rows]
        if (best[:, -1] < best[:, before] - self.min_delta).any():
            return False
        inner = self.inner  # asked about all that there is: it may have wanted to stop the trial earlier
        return inner is None or inner.judge(snapshot, number) is Judgement.STOP


def _made(inside: object) -> Pruner:
    options = {"method": inside} if isinstance(inside, str) else inside
    if not isinstance(options, Mapping) or not isinstance(options.get("method"), str):
        raise InputError(
            f'inside = {inside!r} is no pruner; write inside = {{ method = "median" }}', ("pruner", "inside")
        )
    try:
        return registry.make(
            Method(options["method"], {key: options[key] for key in options if key != "method"})
        )
    except InputError as error:
        raise InputError(error.message, ("pruner", "inside", *error.at[1:])) from None
