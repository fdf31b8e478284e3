"""Talking with trials that run where no pipe reaches: through files in a directory that both sides see.

    <box>/reports    what a trial says: a JSON line for each report, and for each time that it asks whether to stop
    <box>/answer     how many of these questions are answered, and the answer
    leave            beside the boxes, once all trials have to make way

A box belongs to one attempt, each file has one writer, and nothing is made before it is needed: trials that say nothing cost
nothing. A trial makes the empty file that its answers will be in before it asks: a network file system may remember for half a minute
that there was none.
"""

from __future__ import annotations

import contextlib
import os
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
        self._place = box.parent
        self._shared = os.path.isdir(self._place)  # otherwise it is on another machine
        self._box = box if self._shared else None
        self._prunes = prunes
        self._asked = self._before() if prunes else 0
        self._looked = -_GLANCE
        self._leave = False

    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None:
        report = Report(trial.number, trial.attempt, step, numbers(values))
        self.reports.append(report)
        self._write(_Line(step, dict(report.values)))

    def should_stop(self, trial: Trial) -> bool:
        if not self._prunes or not self._shared:
            return False
        self._asked += 1
        self._write(_Line())
        until, nap = time.monotonic() + _PATIENCE, _NAP[0]
        while self._box is not None and time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError):
                count, stop = (self._box / "answer").read_text().split()
                if int(count) >= self._asked:
                    return stop == "stop"
            time.sleep(nap)
            nap = min(2 * nap, _NAP[1])
        return self._deserted()

    def should_checkpoint(self, trial: Trial) -> bool:
        now = time.monotonic()
        if self._shared and not self._leave and now - self._looked >= _GLANCE:
            self._looked, self._leave = now, os.path.exists(self._place / LEAVE) or self._deserted()
        return self._leave

    def _deserted(self) -> bool:
        """Whether nobody waits for the trial any more: the place of all boxes is removed in the end."""
        return self._shared and not os.path.exists(self._place)

    def _before(self) -> int:
        """Questions of an earlier run of the same attempt: engines such as Dask repeat what they lost without asking."""
        if self._box is None:
            return 0
        try:
            return sum(b'"step"' not in line for line in (self._box / "reports").read_bytes().splitlines())
        except OSError:
            return 0

    def pause(self, trial: Trial) -> None:
        trial.paused = True

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None:
        note(trial, values)

    def _write(self, line: _Line) -> None:
        if self._box is not None:
            try:
                self._box.mkdir(exist_ok=True)
                if line.step is None:
                    (self._box / "answer").touch()
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
            try:
                line = _decode(text)
            except (
                msgspec.DecodeError
            ):  # torn, by a full disk or a killed run; reports come again with the outcome
                continue
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
        with contextlib.suppress(OSError):  # the trial goes on without an answer
            (self.path / "answer").write_text(f"{self._asked} {'stop' if stop else 'go'}")
