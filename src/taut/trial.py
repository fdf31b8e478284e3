"""What a trial is: the live one that an objective holds, and the record that a study keeps."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from taut.errors import InputError

__all__ = ["Channel", "State", "Trial", "TrialPruned", "TrialRecord"]


class State(enum.IntEnum):
    """Where a trial stands. `RESERVED` is a number that a worker holds and has not used yet."""

    RESERVED = 0
    WAITING = 1
    RUNNING = 2
    PAUSED = 3
    COMPLETE = 4
    PRUNED = 5
    FAILED = 6

    @property
    def finished(self) -> bool:
        return self >= State.COMPLETE


class TrialPruned(Exception):
    """Raise it from an objective to end a trial that `trial.should_stop()` gave up on."""


class Channel(Protocol):
    """Where a live trial's words go: straight to the study, or through a pipe to the process that has it."""

    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None: ...

    def should_stop(self, trial: Trial) -> bool: ...

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None: ...


class Trial:
    """One configuration being evaluated: read `params`, `report` on the way, `tell` at the end.

    number: 0, 1, 2, ... in its study. attempt: 0, or more after a worker died.
    seed: a number of this trial's own, derived from the study's seed.
    directory: a place of its own for checkpoints, made when asked for; None for a study in memory.
    """

    __slots__ = ("_channel", "_directory", "attempt", "last", "number", "params", "seed", "told")

    def __init__(
        self,
        number: int,
        attempt: int,
        params: dict[str, Any],
        channel: Channel,
        seed: int = 0,
        directory: str | None = None,
    ) -> None:
        self.number = number
        self.attempt = attempt
        self.params = params
        self.seed = seed
        self.told = False
        self.last: dict[str, float] = {}
        self._channel = channel
        self._directory = directory

    @property
    def directory(self) -> Path | None:
        if self._directory is None:
            return None
        path = Path(self._directory)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def report(self, /, step: float, **values: float) -> None:
        """Say how far the trial is: `step` (epoch, tokens, ...) and any metrics at that step."""
        if not math.isfinite(step):
            raise InputError(f"{step} is not a step; count epochs, tokens or whatever grows", ("step",))
        self._channel.report(self, float(step), values)
        self.last.update(values)

    def should_stop(self) -> bool:
        """Whether the pruner gives this trial up; then `tell` what there is, or raise `TrialPruned`."""
        return self._channel.should_stop(self)

    def tell(self, /, **values: float) -> None:
        """End the trial with its metrics.

        In a `study.work()` loop and after `study.ask()` the result is on the disk when this returns; in an
        objective that `study.run` calls it is kept, and written when the objective returns.
        """
        self._channel.tell(self, values)

    def speaks_to(self, channel: Channel) -> bool:
        """Whether `channel` is the one that handed this trial out."""
        return self._channel is channel

    def is_below(self, study: Path | None) -> bool:
        """Whether this is a trial of the study in the directory `study`."""
        return study is not None and self._directory == f"{study}/trials/{self.number}"

    def __repr__(self) -> str:
        return f"Trial(number={self.number}, attempt={self.attempt}, params={self.params})"


class TrialRecord(msgspec.Struct, frozen=True):
    """What the study knows of one trial.

    values: metrics by name; not finite ones are left out. attempts: how often it was started.
    worker: the writer of its last attempt, as in `log/<worker>.jsonl`. started, finished: seconds since
    the epoch. error: why it failed, or why it waits again.
    """

    number: int
    state: str
    params: dict[str, Any]
    values: dict[str, float]
    attempts: int
    worker: int
    started: float
    finished: float | None
    error: str | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from the last attempt's start to its end."""
        return None if self.finished is None else self.finished - self.started
