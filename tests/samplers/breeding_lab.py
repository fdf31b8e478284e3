"""A study as its snapshot, for samplers whose trials descend from others: ask, evaluate, tell, with some under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from taut.definition import Definition, Objective
from taut.events import Finished, Started
from taut.samplers.base import Sampler
from taut.snapshot import Snapshot
from taut.space import Space

Params = dict[str, Any]
Outcome = Mapping[str, float] | str  # metrics, or the state it ended in


class Lab:
    def __init__(
        self,
        space: Space,
        sampler: Sampler,
        objectives: tuple[str, ...] = ("loss",),
        subject_to: tuple[str, ...] = (),
    ) -> None:
        self.space, self.sampler, self.trials = space, sampler, list[tuple[Params, Outcome]]()
        wanted = [Objective(name, True) for name in objectives]
        asked = Definition("a study", space.to_json(), wanted, subject_to=list(subject_to))
        self.snapshot = Snapshot(asked, space)

    def ask(self, count: int = 1, seed: int = 0) -> list[Params]:
        numbers = np.arange(self.snapshot.size, self.snapshot.size + count)
        return self.space.params(self.sampler.propose(self.space, seed, numbers, self.snapshot))

    def begin(self, params: Params) -> int:
        n = self.snapshot.size
        self.snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n))])
        return n

    def end(self, n: int, params: Params, outcome: Outcome) -> None:
        self.trials.append((params, outcome))
        if isinstance(outcome, str):
            event = Finished(n=n, a=0, state=outcome, y={}, t=len(self.trials) + 0.5, error="no")  # type: ignore[arg-type]
        else:
            event = Finished(n=n, a=0, state="complete", y=dict(outcome), t=len(self.trials) + 0.5)
        self.snapshot.apply(1, [event])

    def add(self, params: Params, outcome: Outcome) -> None:
        self.end(self.begin(params), params, outcome)

    def run(
        self, trials: int, objective: Callable[[Params], Outcome], seed: int = 0, pending: int = 0
    ) -> None:
        """`pending` trials are under way besides the one that is asked for."""
        under_way: deque[tuple[int, Params]] = deque()
        for _ in range(trials):
            (params,) = self.ask(seed=seed)
            under_way.append((self.begin(params), params))
            if len(under_way) > pending:
                n, params = under_way.popleft()
                self.end(n, params, objective(params))
        for n, params in under_way:
            self.end(n, params, objective(params))

    def losses(self, metric: str = "loss") -> list[float]:
        return [float("inf") if isinstance(y, str) else y[metric] for _, y in self.trials]
