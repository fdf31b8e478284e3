"""How long attempts took that ran from one comparison to another: what a worker should have left for the next stretch of a trial."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.fidelity import Fidelity
from taut.forecast import upper
from taut.pruners.base import Pruner
from taut.releases import had
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["Stretches", "ahead"]

_SAME = 1e-6  # how far the logarithms of two lengths may be apart that are the same


class Stretches(NamedTuple):
    """Attempts that came as far as they were to run. spans: (n,) what of a whole trial's cost each ran; seconds: (n,) how long it took."""

    spans: NDArray[np.float64]
    seconds: NDArray[np.float64]

    @staticmethod
    def of(snapshot: Snapshot, fidelity: Fidelity) -> Stretches:
        share = functools.cache(fidelity.share)
        complete = set(snapshot.where(State.COMPLETE).tolist())
        inside = snapshot.in_jobs
        found: list[tuple[float, float, bool]] = []  # and whether it ran in a job
        for n in sorted(complete.union(snapshot.releases.parked)):
            begin = _born(snapshot, n)
            lengths = {event.a: (had(event), who in inside) for who, event in snapshot.releases.timed(n, -1)}
            for a, at in snapshot.releases.rungs(n):
                if a in lengths:
                    found.append((share(at) - share(begin), *lengths[a]))
                begin = at if fidelity.resume else 0.0
            if n in complete:
                took = float(snapshot.finished[n] - snapshot.started[n])
                found.append((1.0 - share(begin), took, int(snapshot.writer[n]) in inside))
        table = np.array([row for row in found if row[0] > 0.0]).reshape(-1, 3)
        if table[:, 2].any():  # what ran elsewhere took another time there
            table = table[table[:, 2] > 0.0]
        return Stretches(table[:, 0], table[:, 1])

    def needs(self, span: float | None = None) -> float:
        """Seconds that a stretch of length `span` takes less than with 95 % probability, the shortest there were if left out; 0 if nothing is known.

        By those of that very length; where there are none, by those of the nearest, in proportion.
        """
        if not len(self.spans):
            return 0.0
        span = float(self.spans.min()) if span is None else span
        gaps = np.abs(np.log(self.spans / span))
        near = gaps <= gaps.min() + _SAME
        return upper(self.seconds[near] * (span / self.spans[near])) or 0.0


def ahead(snapshot: Snapshot, pruner: Pruner, fidelity: Fidelity, n: int) -> float:
    """What the next attempt of trial `n` is to run, as a part of a whole trial's cost."""
    rungs = snapshot.releases.rungs(n)
    if not fidelity.resume:
        begin = 0.0
    elif rungs:
        begin = rungs[-1][1]
    elif n >= pruner.founders > 0 and n not in snapshot.descents:
        descent = pruner.descent(snapshot, n)
        begin = 0.0 if descent is None else descent.step
    else:
        begin = _born(snapshot, n)
    goal = pruner.goal(snapshot, n)
    return fidelity.share(fidelity.max if goal is None else goal) - fidelity.share(begin)


def _born(snapshot: Snapshot, n: int) -> float:
    """The step from which trial `n` went on at first: another's, in a population."""
    descent = snapshot.descents.get(n)
    return 0.0 if descent is None else descent.step
