"""A finished study rehearsed in other modes: how far its best trial would have been from the best, after how many hours, one after the other, in batches, and
with nobody waiting for anybody."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from taut.decide import Proposals
from taut.definition import Budget, Definition
from taut.duration import in_words
from taut.errors import InputError
from taut.queue.plan import Plan, Queue, asked, waits_of
from taut.queue.shapes import Bounds, shape
from taut.queue.simulate import (
    DrawnQueue,
    Lognormal,
    Neighbours,
    Rehearsal,
    Shape,
    Simulation,
    Trials,
    regrets,
    rehearse,
)
from taut.queue.simulate import Queue as Played
from taut.queue.simulate.replayed import Past
from taut.snapshot import Snapshot
from taut.space import Space
from taut.trial import State

__all__ = ["Rehearsed", "modes", "rehearsed"]

_NICE = (
    *(1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
    *(60.0 * each for each in (1, 2, 5, 10, 20, 30)),
    *(3600.0 * each for each in (1, 2, 4, 8, 16)),
    *(86400.0 * each for each in (1, 2, 4, 8, 16, 32, 64)),
)
_COLUMNS = 5  # moments at which regret is shown
_SIDE = 8  # jobs at a time, where the plan is one job for all
_LONG = 20.0  # times what the plan takes in 90 % of the cases: so long others go on coming


class Rehearsed(NamedTuple):
    """modes: what came of each. best: the value that there was to find. at: seconds at which regret is told. metric, unit: what is searched, and what
    jobs are counted in. trials: of each study. source: where the queue is from, in words."""

    modes: dict[str, Rehearsal]
    best: float
    at: tuple[float, ...]
    metric: str
    minimize: bool
    unit: str
    trials: int
    source: str

    def lines(self) -> list[str]:
        """As a table for the screen."""
        times = len(next(iter(self.modes.values())).finish)
        rows = [["", "done in (80 %)", f"{self.unit}-h", "in trials", *map(in_words, self.at)]]
        rows += [
            [name, *self._row(each), *map(_regret, self._regret(each))] for name, each in self.modes.items()
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return [
            f"{self.trials} trials rehearsed {times} times in each mode; {self.source}",
            "  behind each time: the regret, how far the best trial by then is in the median from the best of the study, "
            f"{self.metric} {self.best:.6g}",
            "",
            *(
                "  " + "  ".join(_cell(i, cell, widths[i]) for i, cell in enumerate(row)).rstrip()
                for row in rows
            ),
        ]

    def as_json(self) -> dict[str, Any]:
        """The same as plain values: seconds, unit-hours; None for what never came."""
        return {
            "trials": self.trials,
            "metric": self.metric,
            "best": self.best,
            "unit": self.unit,
            "source": self.source,
            "at": list(self.at),
            "modes": [
                {
                    "name": name,
                    "mode": each.shape.mode,
                    "workers": each.shape.workers,
                    "walltime": each.shape.walltime,
                    "slots": each.shape.slots,
                    "finish": [_finite(value) for value in each.quantiles().tolist()],
                    "cost": float(np.mean([spent.held for spent in each.hours])),
                    "efficiency": _efficiency(each),
                    "regret": [_finite(value) for value in self._regret(each)],
                }
                for name, each in self.modes.items()
            ],
        }

    def _row(self, each: Rehearsal) -> list[str]:
        early, half, late = (_end(value) for value in each.quantiles().tolist())
        held = float(np.mean([spent.held for spent in each.hours]))
        return [f"{half} ({early} to {late})", f"{held:.3g}", f"{_efficiency(each):.0%}"]

    def _regret(self, each: Rehearsal) -> list[float]:
        found = regrets(each, self.at, self.best, self.minimize)
        middle: list[float] = np.quantile(found, 0.5, axis=0, method="higher").tolist()
        return middle


def modes(plan: Plan, bounds: Bounds) -> dict[str, Shape]:
    """The plan's jobs, as many of them in batches, and one trial after the other, as far as limits let them."""
    best, work = plan.best.shape, plan.work
    loose = bounds._replace(workers=None, walltime=None)
    most = best.workers if best.workers * best.slots > 1 else min(_SIDE, work.trials)
    each = math.ceil(work.trials / (most * best.slots))
    async_ = best if best.mode == "async" and most == best.workers else None
    found = {
        "one after the other": shape(work, loose._replace(mode="sequential"), 1, 1, work.trials),
        f"in batches of {most * best.slots}": shape(work, loose._replace(mode="batch"), best.slots, most, 1),
        f"nobody waits, {most} job{'s' * (most != 1)}": async_
        or shape(work, loose._replace(mode="async"), best.slots, most, each),
    }
    return {name: one for name, one in found.items() if one is not None}


def rehearsed(
    snapshot: Snapshot,
    make: Callable[[Definition, Space], Proposals],
    plan: Plan,
    bounds: Bounds,
    queue: Queue,
    now: float,
    unit: str,
    repeats: int,
    time: Lognormal | None = None,
    past: Past | None = None,
    told: Callable[[str], None] = lambda name: None,
) -> Rehearsed:
    """Rehearse the study of `snapshot`, whose trials say what others would find and how long they take, `repeats` times in each mode.

    make: as for `rehearse`. plan: of all its trials, whose jobs are compared with other modes. time: of a trial, where somebody says it; else trials take as long as those like them have. past: other people's jobs, among which the study's are played; without it
    the waits are drawn from `queue`. told: hears of each mode before it is played.

    Raises `InputError` for a study of several objectives, with too few complete trials, or whose own space has grown with its trials.
    """
    definition = snapshot.definition
    if repeats < 1:
        raise InputError(f"{repeats} must be 1 or more", ("--repeats",))
    nearest, work = Neighbours(snapshot), plan.work
    ended = snapshot.where(State.COMPLETE, State.PRUNED, State.FAILED)
    failing = float((snapshot.state[ended] == State.FAILED).mean())
    trials = Trials(nearest.objective, time or nearest.seconds, failing=failing, saves=work.saves)
    wanted = msgspec.structs.replace(definition, budget=Budget(trials=work.trials))
    horizon = _LONG * min(plan.best.outlook.finish[2], 30 * 86400.0)

    def on(one: Shape) -> Callable[[int], Played]:
        if past is None:
            return lambda seed: DrawnQueue(waits_of(queue, asked(one, bounds.unit), now), seed)
        return lambda seed: Simulation(past.cluster, past.turned(seed, past.lead + horizon), seed)

    found: dict[str, Rehearsal] = {}
    for name, one in modes(plan, bounds).items():
        told(name)
        found |= rehearse(
            wanted,
            make,
            trials,
            {name: one if past is None else one._replace(partition=None)},
            on(one),
            overhead=work.overhead.time,
            repeats=repeats,
            begin=0.0 if past is None else past.lead,
            recall=snapshot.recall,
        )
    objective = definition.objectives[0]
    return Rehearsed(
        found,
        nearest.best,
        _moments(found),
        objective.metric,
        objective.minimize,
        unit,
        work.trials,
        _source(queue, past),
    )


def _source(queue: Queue, past: Past | None) -> str:
    if past is None:
        return f"waits are drawn ({queue.strength})"
    real, again = (in_words(float(np.median(waits))) for waits in (past.waits, past.again))
    size = past.cluster.size
    return f"among {len(past.waits):,} jobs of others on {size:,} units, who wait {again} in the median (in truth {real})"


def _moments(found: dict[str, Rehearsal]) -> tuple[float, ...]:
    """Round moments, the last of them before the slowest is done."""
    first = min(
        float(np.median([ended[0] if len(ended) else math.inf for ended, _ in each.found]))
        for each in found.values()
    )
    finish = [each.quantiles()[1] for each in found.values()]
    last = max((float(each) for each in finish if math.isfinite(each)), default=math.inf)
    nice = [second for second in _NICE if first <= second <= last] or [_NICE[0]]
    places = np.linspace(0, len(nice) - 1, min(len(nice), _COLUMNS)).round().astype(int)
    return tuple(nice[place] for place in places)


def _efficiency(each: Rehearsal) -> float:
    held = sum(spent.held for spent in each.hours)
    return sum(spent.useful for spent in each.hours) / held if held else 0.0


def _cell(column: int, text: str, width: int) -> str:
    return text.ljust(width) if column == 0 else text.rjust(width)


def _end(seconds: float) -> str:
    return in_words(seconds) if math.isfinite(seconds) else "never"


def _regret(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
