"""Why trials failed and attempts were lost, grouped by reason, the most frequent first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["Failure", "failures", "interruptions"]

_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_LONGEST = 4000  # letters of an example


class Failure(NamedTuple):
    """reason: the last line of what was said; trials that differ in numbers only are one group. trials: their numbers. example: the whole text of the last of them."""

    reason: str
    trials: list[int]
    example: str


def failures(snapshot: Snapshot) -> list[Failure]:
    """The trials that failed."""
    records = snapshot.records(snapshot.where(State.FAILED))
    return _grouped((record.number, record.error or "no reason was given") for record in records)


def interruptions(snapshot: Snapshot) -> list[Failure]:
    """The attempts that ended without a result, whatever became of their trials later; pauses on a rung are none."""
    found = []
    for n in sorted(snapshot.releases):
        paused = {f"attempt {a}" for a, _ in snapshot.releases.rungs(n)}
        for text in snapshot.releases.why(n):
            attempt, _, why = text.partition(": ")
            if attempt not in paused:
                found.append((n, why))
    return _grouped(found)


def _grouped(said: Iterable[tuple[int, str]]) -> list[Failure]:
    groups: dict[str, Failure] = {}
    for n, text in said:
        lines = [line for line in text.splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else "no reason was given"
        key = _NUMBER.sub("#", reason)
        known = groups.setdefault(key, Failure(reason, [], ""))
        known.trials.append(n)
        groups[key] = known._replace(example=text if len(text) <= _LONGEST else f"…{text[-_LONGEST:]}")
    return sorted(groups.values(), key=lambda group: (-len(group.trials), group.reason))
