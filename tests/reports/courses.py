"""Studies for the tests of reports, written event by event; their clock begins at T seconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

import taut
from handmade import hello
from taut.definition import Definition, Objective
from taut.events import Allocation, Event, Finished, Released, Reported, Started
from taut.fidelity import Fidelity
from taut.snapshot import Snapshot

T = 1_700_000_000.0
SPACE = taut.Space(
    lr=taut.loguniform(1e-5, 1e-1),
    layers=taut.uniform_int(1, 6),
    optim=taut.choice(["adam", "sgd"]),
    momentum=taut.uniform(0, 0.99, when="optim == 'sgd'"),
)
PARAMS: dict[str, Any] = {"lr": 1e-3, "layers": 2, "optim": "adam"}


def definition(space: taut.Space = SPACE, fidelity: Fidelity | None = None, **more: Any) -> Definition:
    """Less loss is wanted, unless `more` has other objectives."""
    objectives = more.pop("objectives", [Objective("loss")])
    name = more.pop("name", "study")
    return Definition(name, space.to_json(), objectives, fidelity=fidelity, **more)


def opened(t: float, node: str = "vm", job: int | None = None, gpus: int = 1) -> Event:
    held = UNSET if job is None else Allocation("lab", job, 0, str(job), node, gpus, 4)
    return hello(host=node, t=T + t, job=held)


def started(n: int, t: float, a: int = 0, x: Mapping[str, Any] = PARAMS) -> Started:
    return Started(n=n, a=a, x=dict(x), r=0, c=n + 1, t=T + t)


def ended(
    n: int, t: float, a: int = 0, state: Any = "complete", loss: float | None = 1.0, **y: float
) -> Finished:
    error = "RuntimeError: CUDA out of memory" if state == "failed" else UNSET
    values = {} if state == "failed" or loss is None else {"loss": loss, **y}
    return Finished(n=n, a=a, state=state, y=values, t=T + t, error=error)


def left(n: int, t: float, a: int = 0, had: float = 1.0, at: Any = UNSET, kept: Any = UNSET) -> Released:
    return Released(n=n, a=a, why="the worker died", blame=True, t=T + t, had=had, at=at, kept=kept)


def told(n: int, step: float, t: float, loss: float, a: int = 0) -> Reported:
    return Reported(n=n, a=a, s=step, y={"loss": loss}, t=T + t)


def trial(
    n: int, begin: float, end: float, state: Any = "complete", loss: float | None = 1.0, **x: Any
) -> list[Event]:
    """A trial of one attempt with its start and its end. x: parameters that differ."""
    return [started(n, begin, x={**PARAMS, **x}), ended(n, end, state=state, loss=loss)]


def fold(*writers: Sequence[Event], of: Definition | None = None, space: taut.Space = SPACE) -> Snapshot:
    """What is known once the lines of each writer are read."""
    snapshot = Snapshot(of or definition(space), space)
    for writer, events in enumerate(writers):
        snapshot.apply(writer, events)
    return snapshot


def random_study(count: int, seed: int = 0, **more: Any) -> taut.Study:
    """A study in memory of `count` trials: only `lr` matters, and a little `layers`; each takes no time."""
    study = taut.Study(None, SPACE, minimize="loss", sampler="random", seed=seed, **more)

    def loss(lr: float, layers: int, optim: str, momentum: float = 0.0) -> float:
        import math

        return abs(math.log10(lr) + 3.0) + 0.02 * abs(layers - 3)

    study.run(loss, trials=count)
    return study
