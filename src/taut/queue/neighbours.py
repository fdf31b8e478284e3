"""Why not half as many jobs, or twice as many, or half as long, or twice as long: what each would bring, or why it cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from taut.duration import in_words
from taut.queue.option import Option
from taut.queue.shapes import MOST, Bounds, walltime, written
from taut.queue.simulate import Shape
from taut.queue.work import Work

__all__ = ["Neighbour", "neighbours"]


class Neighbour(NamedTuple):
    """what: "half as many jobs". option: what it would bring; None where it cannot be, for the reason `why`."""

    what: str
    option: Option | None
    why: str = ""


def neighbours(best: Option, work: Work, bounds: Bounds, play: Callable[[Shape], Option]) -> list[Neighbour]:
    """Those of the best shape, as far as they differ from it. What the study itself says of workers and time is left aside: it may be why."""
    if best.shape.mode == "sequential":
        return []
    return [
        Neighbour(what, None, found) if isinstance(found, str) else Neighbour(what, play(found))
        for what, found in _near(best.shape, work, bounds)
        if found != best.shape
    ]


def _near(shape: Shape, work: Work, bounds: Bounds) -> Iterator[tuple[str, Shape | str]]:
    if shape.workers > 1:
        yield "half as many jobs", shape._replace(workers=math.ceil(shape.workers / 2))
    yield "twice as many jobs", _many(shape, work, bounds)
    if shape.mode == "async" and shape.trials is None:
        yield "half as long", _short(shape, work)
        yield "twice as long", _long(shape, work, bounds)


def _many(shape: Shape, work: Work, bounds: Bounds) -> Shape | str:
    most = math.ceil(work.trials / shape.slots)
    if most <= shape.workers:
        return f"there are {work.trials} trial{'s' * (work.trials != 1)} to begin with"
    if shape.workers >= MOST:
        return f"no more than {MOST} at a time are planned; workers in [on.slurm] may ask for more"
    workers = min(2 * shape.workers, most, MOST, bounds.at_once(shape.walltime, shape.slots))
    if workers <= shape.workers:
        return f"the account's limits let {shape.workers} of them run at a time"
    if workers * shape.units * shape.walltime / 3600.0 > bounds.reserve + 1e-9:
        return "the budget does not pay for so many in full"
    return shape._replace(workers=workers)


def _short(shape: Shape, work: Work) -> Shape | str:
    seconds, least = written(shape.walltime / 2), walltime(work, 1, shape.slots)
    if seconds < least and not work.saves:
        return f"a job of {in_words(seconds)} is too short for a trial that needs {in_words(least)} (95 %)"
    return shape._replace(walltime=seconds)


def _long(shape: Shape, work: Work, bounds: Bounds) -> Shape | str:
    seconds = written(2 * shape.walltime)
    if seconds > max(bounds.longest, shape.walltime):
        asked = bounds.walltime is not None
        return f"{'the study asks for' if asked else 'no job may be longer than'} {in_words(bounds.longest)}"
    workers = min(shape.workers, bounds.at_once(seconds, shape.slots))
    if workers < 1:
        return "the account's limits let none of them run"
    if workers * shape.units * seconds / 3600.0 > bounds.reserve + 1e-9:
        return "the budget does not pay for them in full"
    return shape._replace(walltime=seconds, workers=workers)
