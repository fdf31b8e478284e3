"""A study's trials as runs: what every tracker is given, and what it has to do with it."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

from taut.snapshot import Snapshot
from taut.trial import State, TrialRecord

__all__ = ["Point", "Run", "Tracker", "mirror", "runs"]


class Point(NamedTuple):
    """What a run reported at one step. place: that step as a whole number, which trackers want."""

    place: int
    time: float
    values: dict[str, float]


class Run(NamedTuple):
    """A trial for a tracker. key: the same whenever the study is read, and no other study's."""

    key: str
    study: str
    trial: TrialRecord
    points: list[Point]

    @property
    def name(self) -> str:
        return f"{self.study}-{self.trial.number}"

    @property
    def ended(self) -> bool:
        return self.trial.state in ("complete", "pruned", "failed")

    @property
    def params(self) -> dict[str, bool | int | float | str]:
        """Parameters as trackers take them: what is no number, text or truth value is written as JSON."""
        given = self.trial.params.items()
        return {k: v if isinstance(v, bool | int | float | str) else json.dumps(v) for k, v in given}

    @property
    def metrics(self) -> dict[str, float]:
        """What the trial came to, and what meters read of it."""
        return {**self.trial.meters, **self.trial.values}

    @property
    def result(self) -> Point | None:
        """The metrics of a run that has ended, as far as its last report does not say the same."""
        if not self.ended:
            return None
        last = self.points[-1] if self.points else None
        said = last.values if last else {}
        values = {name: v for name, v in self.metrics.items() if said.get(name) != v}
        return Point(last.place if last else 0, self.trial.finished or 0.0, values) if values else None


class Tracker(ABC):
    """Writes runs somewhere. Writing a run again adds what is new, and nothing that is there."""

    def __init__(self, place: str | None, study: str) -> None:
        self.place = place
        self.study = study

    @abstractmethod
    def write(self, run: Run) -> bool:
        """Bring what is written of `run` up to date. Returns whether anything was new."""


def runs(snapshot: Snapshot) -> Iterator[Run]:
    """The trials of a study that were started, by number."""
    study = snapshot.definition.name
    # When its first trial began tells a study from others of its name, wherever its directory is moved.
    mark = hashlib.blake2b(f"{study} {snapshot.first_start!r}".encode(), digest_size=4).hexdigest()
    for trial in snapshot.records(snapshot.known):
        if trial.state != State.WAITING.name.lower():
            yield Run(f"{mark}-{trial.number}", study, trial, _points(snapshot, trial.number))


def mirror(snapshot: Snapshot, tracker: Tracker) -> int:
    """Write all runs of a study; returns how many had anything new."""
    return sum(tracker.write(run) for run in runs(snapshot))


def _points(snapshot: Snapshot, number: int) -> list[Point]:
    """What a trial has reported; where its steps are no whole numbers, they are counted, and are a metric."""
    rows: list[Any] = snapshot.curves.of(number)
    whole = all(float(row.s).is_integer() and abs(row.s) < 2**53 for row in rows)
    return [
        Point(
            int(row.s) if whole else count,
            row.t,
            {
                **({} if whole else {"step": row.s}),
                **{name: value for name, value in row.y.items() if value is not None},
            },
        )
        for count, row in enumerate(rows)
    ]
