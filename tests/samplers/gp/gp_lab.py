"""A study as its snapshot, for the tests of the Gaussian process: trials are added with what became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from taut.definition import Budget, Definition, Objective
from taut.events import Finished, Started
from taut.samplers.gp.model import Model
from taut.samplers.gp.sampler import GPSampler
from taut.samplers.history import History
from taut.snapshot import Snapshot
from taut.space import Space

Ended = Literal["complete", "pruned", "failed"]
Outcome = Mapping[str, float] | Ended | None  # metrics, the state it ended in, or None while it runs


class Lab:
    def __init__(
        self,
        space: Space,
        objectives: tuple[str, ...] = ("loss",),
        subject_to: tuple[str, ...] = (),
        budget: int | None = None,
    ) -> None:
        self.space = space
        wanted = [Objective(name, True) for name in objectives]
        definition = Definition(
            "a study", space.to_json(), wanted, subject_to=list(subject_to), budget=Budget(trials=budget)
        )
        self.snapshot = Snapshot(definition, space)

    def add(self, params: Mapping[str, Any], outcome: Outcome, seconds: float = 0.5, writer: int = 0) -> None:
        n = self.snapshot.size
        self.snapshot.apply(writer, [Started(n=n, a=0, x=dict(params), r=0, c=n + 1, t=float(n))])
        if isinstance(outcome, str):
            ended = Finished(n=n, a=0, state=outcome, y={}, t=n + seconds, error="no")
            self.snapshot.apply(writer, [ended])
        elif outcome is not None:
            ended = Finished(n=n, a=0, state="complete", y=dict(outcome), t=n + seconds)
            self.snapshot.apply(writer, [ended])

    def scatter(self, trials: int, objective: Callable[[dict[str, Any]], Outcome], seed: int = 0) -> None:
        """Trials at random points."""
        rng = np.random.default_rng(seed)
        for params in self.space.params(self.space.quantile(rng.random((trials, len(self.space))))):
            self.add(params, objective(params))

    def ask(self, count: int = 1, seed: int = 0, **options: Any) -> list[dict[str, Any]]:
        numbers = np.arange(self.snapshot.size, self.snapshot.size + count)
        return self.space.params(GPSampler(**options).propose(self.space, seed, numbers, self.snapshot))

    def run(
        self, trials: int, objective: Callable[[dict[str, Any]], Outcome], seed: int = 0, **options: Any
    ) -> None:
        for _ in range(trials):
            (params,) = self.ask(seed=seed, **options)
            self.add(params, objective(params))

    @property
    def params(self) -> list[dict[str, Any]]:
        return self.space.params(self.snapshot.codes)

    def model(self) -> Model:
        history = History.of(self.snapshot)
        return Model(history, np.empty((0, len(self.space))))
