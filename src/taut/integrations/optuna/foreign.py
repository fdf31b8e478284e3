"""A sampler of Optuna in a study of taut: ``[sampler] method = "optuna:GPSampler"``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import optuna

from taut.definition import Method
from taut.errors import InputError, StudyError
from taut.events import Note
from taut.integrations.optuna.coded import code, distribution, trials
from taut.integrations.optuna.frozen import directions
from taut.integrations.optuna.installed import found, quiet, tried
from taut.integrations.optuna.replay import Course
from taut.samplers.base import Codes, Numbers, Sampler
from taut.snapshot import Snapshot
from taut.space import Space

__all__ = ["ForeignSampler", "make"]

_OURS = {"BruteForceSampler": "grid", "GridSampler": "grid"}
"""Samplers that have to know when they are through, and what there is instead."""
_COUNTING = ("CmaEsSampler", "QMCSampler")
"""Those of Optuna's own that remember what they did before."""


@dataclasses.dataclass(frozen=True)
class ForeignSampler(Sampler):
    """Asks a sampler of Optuna, or one that is written for Optuna: ``optuna:package.module:Class``, or ``optuna:/folder:Class`` for a
    package of OptunaHub.

    Choose it to compare, or for a method that taut does not have. Each proposal shows all trials anew to a fresh sampler, whose seed
    follows from the study's and the trial's number: so it is a function of what is known, and can be verified, at a cost that grows with
    the trials (about 0.1 ms for each, besides what the sampler takes). What a sampler writes to its trial is kept in the log.
    Conditional parameters that do not exist are left out of what it is shown, and of what it proposes.

    kind: the sampler's class. options: its arguments, as a list of pairs; `seed` is given where it takes one.
    counts: whether it remembers what it did before, so that it has to be taken the whole way (see `replay.py`).
    """

    uses_history: ClassVar[bool] = True
    kind: Any
    options: tuple[tuple[str, Any], ...] = ()
    counts: bool = False
    _course: Course = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_course", Course(lambda seed: self.made(seed)))

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        return self.propose_noted(space, seed, numbers, snapshot)[0]

    def propose_noted(
        self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None
    ) -> tuple[Codes, Sequence[Note | None]]:
        assert snapshot is not None
        try:
            with quiet():
                if self.counts:
                    return self._course.propose(space, seed, numbers.tolist(), snapshot), [None] * len(
                        numbers
                    )
                return self._afresh(space, seed, numbers, snapshot)
        except Exception as error:  # it may be anybody's
            raise StudyError(
                f"{self.kind.__name__} cannot say what to try next ({type(error).__name__}: {error}); "
                "the study keeps its trials: go on with another sampler"
            ) from error

    def _afresh(
        self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot
    ) -> tuple[Codes, Sequence[Note | None]]:
        distributions = dict(zip(space.searched, map(distribution, space.columns), strict=True))
        codes = np.empty((len(numbers), len(space)))
        notes: list[Note | None] = []
        shown = list(trials(snapshot, distributions).values())
        for i, number in enumerate(numbers.tolist()):
            study = optuna.create_study(directions=directions(snapshot), sampler=self.made(seed, number))
            study.add_trials(shown)
            trial = study.ask(distributions)
            frozen = study._storage.get_trial(trial._trial_id)
            codes[i] = [
                code(p, frozen.params[name]) for name, p in zip(space.searched, space.columns, strict=True)
            ]
            notes.append(dict(frozen.system_attrs) or None)
            shown.append(frozen)
        return space.condition(codes), notes

    def made(self, *seeds: int) -> Any:
        """The sampler at its beginning."""
        own = {}
        if "seed" in inspect.signature(self.kind).parameters:
            own["seed"] = int(np.random.SeedSequence(seeds).generate_state(1)[0])
        return self.kind(**{**own, **dict(self.options)})


def make(method: Method) -> Sampler:
    """The sampler that ``method = "optuna:..."`` names. Raises `InputError` if there is none, or it does not take its options."""
    kind = found(method.method, "sampler", "sample_relative")
    if instead := _OURS.get(kind.__name__):
        raise InputError(
            f"{kind.__name__} numbers the points of its space, and has to say when all are tried; use {instead!r}",
            ("sampler", "method"),
        )
    counts = kind.__name__ in _COUNTING or not kind.__module__.startswith("optuna.")
    sampler = ForeignSampler(kind, tuple(method.options.items()), counts)
    tried(method, "sampler", lambda: sampler.made(0))
    return sampler
