"""Studies whose trials and jobs have ended, and a queue of which only the waits are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import taut
from handmade import hello
from taut.definition import Budget, Definition, Objective
from taut.events import Allocation, Event, Finished, Started
from taut.queue.simulate import Lognormal
from taut.queue.waits import Ask
from taut.queue.work import Known, Work
from taut.snapshot import Snapshot

SPACE = taut.Space(x=taut.uniform(0, 1), layers=taut.uniform_int(1, 8), kind=taut.choice(["a", "b"]))
T = 1_700_000_000.0
POINT = {"x": 0.5, "layers": 2, "kind": "a"}
IN_JOB = Allocation("lab", 90, 0, "90", "node1", 1, 4)


class Fixed:
    """Waits of a median of `hour` seconds for an hour of one unit, that grow with walltime and size and are spread, and shared within a burst."""

    strength = "none: assumed"
    jobs = 0

    def __init__(
        self, hour: float = 3600.0, spread: float = 1.2, longer: float = 1.5, wider: float = 1.36
    ) -> None:
        self.hour, self.spread, self.longer, self.wider = hour, spread, longer, wider

    def _median(self, ask: Ask) -> float:
        return (
            self.hour
            * self.longer ** math.log2(ask.walltime / 3600)
            * self.wider ** math.log2(max(ask.size, 1.0))
        )

    def draw(
        self, rng: np.random.Generator, ask: Ask, now: float, jobs: int, runs: int
    ) -> NDArray[np.float64]:
        shared, own = rng.standard_normal((runs, 1)), np.sort(rng.standard_normal((runs, jobs)), axis=1)
        normal = math.sqrt(0.85) * shared + math.sqrt(0.15) * own
        return np.asarray(self._median(ask) * np.exp(self.spread * normal))

    def similar(self, ask: Ask, now: float) -> float:
        return 0.0

    def quantiles(self, ask: Ask, now: float, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        normal = np.array([-1.2815515655446004, 0.0, 1.2815515655446004])
        return np.asarray(self._median(ask) * np.exp(self.spread * normal))

    def immediate(self, ask: Ask, now: float) -> float:
        return 0.1


def work(
    trials: int = 200, mean: float = 360.0, spread: float = 0.4, overhead: float = 480.0, **more: Any
) -> Work:
    """Known from so many trials and jobs that there is little doubt."""
    trial = Known(Lognormal(mean, spread), 1000, "from 1000 trials")
    return Work(trials, trial, Known(Lognormal(overhead, 0.2), 1000, "from 1000 jobs"), **more)


def definition(trials: int | None = 100, space: taut.Space = SPACE, **more: Any) -> Definition:
    return Definition("study", space.to_json(), [Objective("loss")], budget=Budget(trials=trials), **more)


def ran(
    took: Sequence[float],
    before: Sequence[float] = (),
    params: Sequence[dict[str, Any]] | None = None,
    of: Definition | None = None,
    metrics: Sequence[dict[str, float]] | None = None,
) -> tuple[Snapshot, dict[tuple[int, int], float]]:
    """A snapshot of trials that took so many seconds, one after the other in a job each `len(took) / len(before)` trials; and when jobs began, `before` seconds
    before their first trial."""
    snapshot = Snapshot(of or definition())
    begun: dict[tuple[int, int], float] = {}
    jobs = max(len(before), 1)
    size = math.ceil(len(took) / jobs) if took else 1
    for job in range(jobs):
        t = T + 1e6 * job
        events: list[Event] = []
        if before:
            begun[100 + job, 0] = t
            t += before[job]
            held = Allocation("lab", 100 + job, 0, str(100 + job), "node1", 1, 4)
            events.append(hello(t=t - 0.5 * before[job], job=held))
        for n in range(job * size, min((job + 1) * size, len(took))):
            x = params[n] if params else {"x": 0.5, "layers": 2, "kind": "a"}
            values = {"loss": 1.0, **(metrics[n] if metrics else {})}
            events.append(Started(n, 0, x, 0, n + 1, t))
            events.append(Finished(n, 0, "complete", values, t + took[n]))
            t += took[n]
        snapshot.apply(job, events)
    return snapshot, begun
