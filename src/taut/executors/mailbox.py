"""Talking with trials that run where no pipe reaches: through files in a directory that both sides see.

    <box>/reports    what a trial says: a JSON line for each report, and for each time that it asks whether to stop
    <box>/answer     how many of these questions are answered, and the answer
    leave            beside the boxes, once all trials have to make way

A box belongs to one attempt, each file has one writer, and nothing is made before it is needed: trials that say nothing cost
nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from taut.executors.base import Asked, Report, Task
from taut.executors.objective import note
from taut.trial import Trial
from taut.verdict import numbers

__all__ = ["LEAVE", "Box", "Letters"]

LEAVE = "leave"
_PATIENCE = 5.0  # seconds that an answer may take; without one a trial goes on
_NAP = (0.002, 0.1)  # seconds between two looks for an answer: at first, and at most
_GLANCE = 0.2  # seconds between two looks whether to leave


class _Line(msgspec.Struct, omit_defaults=True):
    """A report; without a step, a question."""

    step: float | None = None
    values: dict[str, float | None] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode


class Letters:
    """The channel of a trial. reports: all that it has made; they also come with its outcome, so nothing depends on the files."""

    def __init__(self, box: Path, prunes: bool) -> None:
        self.reports: list[Report] = []
        self._box = box if box.parent.is_dir() else None  # otherwise it is on another machine
        self._prunes = prunes
        self._asked = 0
        self._looked = -_GLANCE
        self._leave = False

    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None:
        report = Report(trial.number, trial.attempt, step, numbers(values))
        self.reports.append(report)
        self._write(_Line(step, dict(report.values)))

    def should_stop(self, trial: Trial) -> bool:
        if not self._prunes or self._box is None:
            return False
        self._asked += 1
        self._write(_Line())
        until, nap = time.monotonic() + _PATIENCE, _NAP[0]
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError):
                count, stop = (self._box / "answer").read_text().split()
                if int(count) >= self._asked:
                    return stop == "stop"
            time.sleep(nap)
            nap = min(2 * nap, _NAP[1])
        return False

    def should_checkpoint(self, trial: Trial) -> bool:
        now = time.monotonic()
        if self._box is not None and not self._leave and now - self._looked >= _GLANCE:
            self._looked, self._leave = now, (self._box.parent / LEAVE).exists()
        return self._leave

    def pause(self, trial: Trial) -> None:
        trial.paused = True

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None:
        note(trial, values)

    def _write(self, line: _Line) -> None:
        if self._box is not None:
            try:
                self._box.mkdir(exist_ok=True)
                with open(self._box / "reports", "ab", buffering=0) as file:
                    file.write(_encode(line) + b"\n")
            except OSError:  # what is not read in time comes with the outcome
                self._box = None


class Box:
    """The worker's side of it. heard: how many reports have come."""

    def __init__(self, place: Path, task: Task) -> None:
        self.path = place / f"{task.number}.{task.attempt}"
        self.heard = 0
        self._task = task
        self._read = 0
        self._asked = 0

    def news(self) -> list[Report | Asked]:
        """What has come since the last look."""
        try:
            with open(self.path / "reports", "rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            return []
        data = data[: data.rfind(b"\n") + 1]
        self._read += len(data)
        number, attempt = self._task.number, self._task.attempt
        found: list[Report | Asked] = []
        for text in data.splitlines():
            line = _decode(text)
            if line.step is None:
                self._asked += 1
                found.append(Asked(number, attempt))
            else:
                self.heard += 1
                values = {name: float("nan") if v is None else v for name, v in line.values.items()}
                found.append(Report(number, attempt, line.step, values))
        return found

    def answer(self, stop: bool) -> None:
        """Answer every question so far."""
        beside = self.path / "answer.new"
        with contextlib.suppress(OSError):  # the trial goes on without an answer
            beside.write_text(f"{self._asked} {'stop' if stop else 'go'}")
            beside.replace(self.path / "answer")
