"""Studies whose trials have reported, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import taut
from taut.definition import Definition, Method, Objective
from taut.events import Event, Finished, Reported, Started
from taut.fidelity import Fidelity
from taut.pruners import registry
from taut.pruners.base import Judgement, Pruner
from taut.snapshot import Snapshot

SPACE = taut.Space(x=taut.uniform(0, 1))
FIDELITY = Fidelity("epoch", max=27.0, resume=True)
GO, STOP, PAUSE = Judgement.GO, Judgement.STOP, Judgement.PAUSE
Values = Sequence[float | None] | Mapping[float, float | None]


def definition(
    *minimize: str, subject_to: Sequence[str] = (), fidelity: Fidelity | None = FIDELITY, maximize: str = ""
) -> Definition:
    objectives = [Objective(name) for name in minimize or (() if maximize else ("loss",))]
    objectives += [Objective(maximize, False)] if maximize else []
    return Definition("study", SPACE.to_json(), objectives, subject_to=list(subject_to), fidelity=fidelity)


def started(n: int, a: int = 0, t: float = 0.0) -> Started:
    return Started(n=n, a=a, x={"x": 0.5}, r=0, c=n + 1, t=t)


def told(n: int, step: float, a: int = 0, t: float | None = None, **values: float | None) -> Reported:
    return Reported(n=n, a=a, s=float(step), y=values, t=float(step) if t is None else t)


def ended(n: int, a: int = 0, t: float = 99.0, state: Any = "complete", **values: float) -> Finished:
    return Finished(n=n, a=a, state=state, y=dict(values), t=t)


def curve(n: int, values: Values, metric: str = "loss") -> list[Event]:
    """A trial that has begun and reported: at steps 1, 2, 3, ..., or at those that are keys."""
    steps = values if isinstance(values, Mapping) else {i + 1.0: value for i, value in enumerate(values)}
    return [started(n), *(told(n, step, **{metric: value}) for step, value in steps.items())]


def study(what: Definition, *trials: Sequence[Event]) -> Snapshot:
    """Each of the trials has a writer of its own."""
    snapshot = Snapshot(what, SPACE)
    for writer, events in enumerate(trials):
        snapshot.apply(writer, events)
    return snapshot


def losses(*curves: Values) -> Snapshot:
    """Trials 0, 1, 2, ... with these losses."""
    return study(definition(), *(curve(n, values) for n, values in enumerate(curves)))


def make(what: Definition, method: str, **options: Any) -> Pruner:
    return registry.make(Method(method, options)).settled(what)
