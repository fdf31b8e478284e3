"""The median rule and its kin: a trial stops that is worse than most others were at the same step."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod

import numpy as np

from taut.definition import Definition
from taut.pruners.stopping import StoppingPruner, check_number
from taut.pruners.tracks import Tracks
from taut.snapshot import Snapshot
from taut.space.prior import Floats
from taut.standing import standing

__all__ = ["MedianPruner", "PercentilePruner"]


@dataclasses.dataclass(frozen=True)
class _Percentile(StoppingPruner):
    startup: int = 5
    grace: float | None = None
    every: float = 0.0

    def __post_init__(self) -> None:
        check_number("startup", self.startup, 1, math.inf, "so many others must have come as far", whole=True)
        if self.grace is not None:
            check_number("grace", self.grace, 0.0, math.inf, "the first step at which trials are judged")
        check_number("every", self.every, 0.0, math.inf, "so many steps lie between judgements")

    @property
    @abstractmethod
    def share(self) -> float:
        """Percent of the others that may be better."""

    def begins(self, definition: Definition) -> float:
        if self.grace is not None:
            return self.grace
        return 0.0 if definition.fidelity is None else definition.fidelity.min

    def stops(self, snapshot: Snapshot, tracks: Tracks, number: int, since: float) -> bool:
        if self.every > 0.0 and not self._due(tracks.last[number], since, self.begins(snapshot.definition)):
            return False
        others = tracks.others(number)
        if len(others) < self.startup:
            return False
        mine = tracks.rows(number).stop - 1
        if len(tracks.loss) == 1 and not snapshot.definition.subject_to:
            return bool(tracks.best[0, mine] > _quantile(tracks.mean[0][others], self.share))
        rows = np.append(others, mine)
        losses = tracks.mean[:, rows].T
        if len(tracks.loss) == 1:
            losses[-1] = tracks.best[:, mine]
        merit = standing(losses, tracks.slacks(rows))
        return bool(merit[-1] > _quantile(merit[:-1], self.share))

    def _due(self, step: float, since: float, begin: float) -> bool:
        """Whether one of the steps `begin`, `begin + every`, ... lies after `since`, and not after `step`."""
        return since < begin or (step - begin) // self.every > (since - begin) // self.every


@dataclasses.dataclass(frozen=True)
class MedianPruner(_Percentile):
    """The median rule: stops a trial whose best value so far is worse than the median of the others' averages so far.

    Choose it where `asha` does not fit, as the steps mean nothing to the study (no fidelity is needed), and the values
    of different trials at one step can be compared. It is mild: a trial's best is held against averages of whole curves.

    startup: how many other trials must have come as far. At least 1, 5 by default.
    grace: the first step at which trials are judged. At least 0; the least step of the fidelity by default, or 0 without one.
    every: how many steps lie between judgements of a trial, from `grace` on. At least 0; 0, the default, is after every report.

    Whoever has reached the step counts, with what it had reported at the last step before if it has nothing at this one: running,
    stopped and complete trials alike. An average with a value that was no number is worse than any other. With several objectives, or constraints,
    trials are ranked by `taut.standing`, with several objectives by averages on both sides.

    Source: Golovin et al., "Google Vizier", KDD 2017, section 3.2.2. There only complete trials are compared with.
    """

    @property
    def share(self) -> float:
        return 50.0


@dataclasses.dataclass(frozen=True)
class PercentilePruner(_Percentile):
    """The median rule with another percentile: of 25, a trial goes on while it is among the best quarter, or nearly so.

    Choose it where `median` stops too few (a smaller percentile) or too many (a larger one).

    percentile: from 0, the best of the others, to 100, the worst; 25 by default. Between two of them it is interpolated.
    startup, grace, every: as in `MedianPruner`, whose source it is, too.
    """

    percentile: float = 25.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("percentile", self.percentile, 0.0, 100.0, "so many percent of the others may be better")

    @property
    def share(self) -> float:
        return self.percentile


def _quantile(values: Floats, percentile: float) -> float:
    """The percentile as NumPy has it, of values that may be infinite."""
    place = percentile / 100.0 * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    ordered = np.partition(values, (below, above))
    low, high, part = float(ordered[below]), float(ordered[above]), place - below
    return low if part == 0.0 or low == high else low + part * (high - low)
