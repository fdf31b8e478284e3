"""What became of trials that went on: where all of them fail, having more of them go on is in vain."""

from __future__ import annotations

from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["in_vain"]

_TRIES = 3


def in_vain(snapshot: Snapshot) -> bool:
    """Whether trials that waited go on only to fail: no trial is complete, and since the last one came to wait several others went on and failed.

    To be asked when no new trials will come. Whoever mends what was wrong, and has more trials begin, is not held up by what failed before.
    """
    if snapshot.counts[State.COMPLETE] or snapshot.counts[State.FAILED] < _TRIES:
        return False
    came = (snapshot.releases.last(n, int(snapshot.attempt[n])) for n in snapshot.waiting)
    latest = max((event.t for event in came if event is not None), default=0.0)
    failed = snapshot.where(State.FAILED)
    since = failed[snapshot.finished[failed] > latest].tolist()
    return sum(bool(snapshot.releases.rungs(n)) for n in since) >= _TRIES
