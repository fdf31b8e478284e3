"""Whether a running trial breaks a constraint for good."""

from __future__ import annotations

import math

import numpy as np

from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space.prior import Floats

__all__ = ["broken"]


def broken(snapshot: Snapshot, number: int) -> bool:
    """Whether running trial `number` breaks a constraint of the study, and nothing speaks for its recovery.

    So it is if the last two reports that tell of the constraint both break it, and the last one by no less than the first. ``accuracy >= 0.5``
    is left alone while the accuracy is above that of the first report; ``memory_gb <= 40`` ends a trial that needs 48, and again 48.
    """
    conditions = snapshot.definition.subject_to
    if not conditions:
        return False
    reports = snapshot.curves.of(number)

    def values(name: str) -> Floats:
        told = (event.y.get(name) for event in reports)
        return np.array([math.nan if value is None else value for value in told])

    for column in slacks(conditions, values, len(reports)).T:
        known = column[~np.isnan(column)]
        if len(known) >= 2 and known[-2] > 0.0 and known[-1] > 0.0 and known[-1] >= known[0]:
            return True
    return False
