"""A whole study, sampler included, on a simulated queue: how good its best trial is after how many hours, for each shape of its jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from taut.decide import Proposals
from taut.definition import Definition
from taut.errors import InputError
from taut.metrics.pareto import best_first
from taut.queue.simulate.campaign import Campaign, Queue
from taut.queue.simulate.course import Hours, hours
from taut.queue.simulate.desk import Desk
from taut.queue.simulate.plan import Shape, Trials
from taut.queue.simulate.times import NOTHING, Lognormal
from taut.space import Space

__all__ = ["Rehearsal", "regrets", "rehearse", "table"]

Floats = NDArray[np.float64]
_LEVELS = 0.1, 0.5, 0.9


class Rehearsal(NamedTuple):
    """A shape, rehearsed some times. finish: seconds from the first submission to the end of the last trial, for each time; infinite where it
    was cut off. hours: where its hours went. found: when complete trials ended that keep the constraints, in seconds since the first submission, and their values, for each time."""

    shape: Shape
    finish: Floats
    hours: list[Hours]
    found: list[tuple[Floats, Floats]]

    def quantiles(self) -> Floats:
        """The 10, 50 and 90 % quantiles of `finish`."""
        ordered = np.sort(self.finish)
        return ordered[[round(level * (len(ordered) - 1)) for level in _LEVELS]]


def rehearse(
    definition: Definition,
    make: Callable[[Definition, Space], Proposals],
    trials: Trials,
    shapes: Mapping[str, Shape],
    queue: Callable[[int], Queue],
    *,
    overhead: Lognormal = NOTHING,
    repeats: int = 10,
    begin: float = 0.0,
    until: float = math.inf,
    recall: Callable[[str], bytes] | None = None,
) -> dict[str, Rehearsal]:
    """Rehearse the study once for each shape and each of `repeats` seeds; the seeds, and so the queues, are the same for all shapes.

    make: the sampler and the pruner of a definition (`taut.opening.make_proposals`). trials: what they find and how long they take: of a finished
    study (`Neighbours`), or of one of `PROBLEMS`. queue: a new queue for a seed. begin: at which second of the simulation the study is
    submitted. until: at which it is cut off. recall: as in `Desk`. What breaks a constraint is found by nobody.

    Raises `InputError` for a study of several objectives: regret has no meaning there.
    """
    if len(definition.objectives) > 1:
        raise InputError("a rehearsal shows regret, and that needs a single objective", ("minimize",))
    if repeats < 1:
        raise InputError(f"{repeats} must be 1 or more", ("repeats",))
    return {
        name: _rehearsed(definition, make, trials, shape, queue, overhead, repeats, begin, until, recall)
        for name, shape in shapes.items()
    }


def _rehearsed(
    definition: Definition,
    make: Callable[[Definition, Space], Proposals],
    trials: Trials,
    shape: Shape,
    queue: Callable[[int], Queue],
    overhead: Lognormal,
    repeats: int,
    begin: float,
    until: float,
    recall: Callable[[str], bytes] | None,
) -> Rehearsal:
    finish, spent, found = [], [], []
    for seed in range(repeats):
        asked = msgspec.structs.replace(definition, seed=seed)
        desk, on = Desk(asked, make(asked, asked.parsed_space()), recall), queue(seed)
        campaign = Campaign(on, desk, trials._replace(seed=seed), shape, overhead, seed)
        campaign.begin(begin)
        on.run(until)
        finish.append(campaign.finish - begin if campaign.done else math.inf)
        spent.append(hours(campaign))
        snapshot = desk.snapshot
        rows = np.array(best_first(snapshot), np.int64)
        rows = rows[np.argsort(snapshot.finished[rows], kind="stable")]
        values = snapshot.values(definition.objectives[0].metric)
        found.append((snapshot.finished[rows] - begin, values[rows]))
    return Rehearsal(shape, np.array(finish), spent, found)


def regrets(rehearsal: Rehearsal, at: Sequence[float], best: float, minimize: bool = True) -> Floats:
    """(repeats, len(at)) how far the best trial was from `best` after so many seconds; infinite before the first had ended."""
    sign = 1.0 if minimize else -1.0
    rows = []
    for ended, values in rehearsal.found:
        sofar = np.concatenate(([np.inf], np.minimum.accumulate(sign * values)))
        rows.append(sofar[np.searchsorted(ended, at, side="right")] - sign * best)
    return np.array(rows)


def table(
    rehearsals: Mapping[str, Rehearsal], at: Sequence[float], best: float, minimize: bool = True
) -> str:
    """The rehearsals side by side, as Markdown: when they end, what they cost, and the median regret after so many seconds.

    A dash stands where in most cases no trial had ended.
    """
    columns = [
        "shape",
        "finished after, h (p10 / p50 / p90)",
        "unit-h held",
        "efficiency",
        *(f"regret at {second / 3600:g} h" for second in at),
    ]
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    for name, each in rehearsals.items():
        when = " / ".join(f"{second / 3600:.1f}" for second in each.quantiles())
        held = float(np.mean([spent.held for spent in each.hours]))
        useful = float(np.mean([spent.useful for spent in each.hours]))
        middle = np.quantile(regrets(each, at, best, minimize), 0.5, axis=0, method="higher")
        cells = ["-" if math.isinf(value) else f"{value:.3g}" for value in middle]
        share = f"{useful / held:.2f}" if held else "-"
        lines.append("| " + " | ".join([name, when, f"{held:.1f}", share, *cells]) + " |")
    return "\n".join(lines)
