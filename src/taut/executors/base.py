"""What every executor offers: `slots` places in which trials run.

An executor starts a task, and says later what became of it. It holds no state of the study: the
worker that owns it decides what to start and writes down what happened.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from taut.wishes import Wish

__all__ = ["HEED", "Asked", "Died", "Executor", "Message", "Outcome", "Paused", "Report", "Task"]

HEED = 0.2
"""Seconds within which a `poll` that waits notices that it was asked for checkpoints."""


class Task(msgspec.Struct, frozen=True):
    """One attempt of one trial, ready to be evaluated."""

    number: int
    attempt: int
    params: dict[str, Any]
    directory: str | None  # absolute path of trials/<number>, not made yet; None for a study in memory
    study_seed: int = 0
    goal: float | None = None  # the step up to which it is to run
    step: float | None = None  # the last that an earlier attempt reported
    parent: int | None = None  # the trial that it descends from
    origin: str | None = None  # that one's checkpoint directory
    offered: dict[str, Any] = {}  # parameters that it has only if it asks for them


class Report(msgspec.Struct, frozen=True, tag="report"):
    """Intermediate values of a running attempt."""

    number: int
    attempt: int
    step: float
    values: dict[str, float]


class Outcome(msgspec.Struct, frozen=True, tag="outcome"):
    """The end of an attempt: `values` if it went well, else `error` (a traceback or the last lines)."""

    number: int
    attempt: int
    values: dict[str, Any]
    error: str | None = None
    pruned: bool = False
    aimed: bool = False  # whether it has looked up to which step it was to run
    wishes: dict[str, Wish] = {}  # the parameters that it has asked for
    constraints: list[str] = []  # metrics that are to be at most 0, by its own account
    took: float | None = None  # seconds that the objective ran, if its process has looked
    used: dict[str, float] = {}  # what meters read of it


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """A running attempt waits to hear whether it should stop; `Executor.answer` tells it."""

    number: int
    attempt: int


class Died(msgspec.Struct, frozen=True, tag="died"):
    """The process of an attempt vanished without a word; the trial may be tried again. blame: whether the trial may be the reason."""

    number: int
    attempt: int
    why: str
    blame: bool = True
    used: dict[str, float] = {}


class Paused(msgspec.Struct, frozen=True, tag="paused"):
    """An attempt has saved itself and ended; a later attempt goes on from its checkpoint."""

    number: int
    attempt: int
    wishes: dict[str, Wish] = {}
    used: dict[str, float] = {}


Message = Report | Outcome | Died | Paused | Asked


class Executor(ABC):
    """`slots` places in which trials run; see `taut.executors` for the kinds."""

    slots: int
    spare: int = 0
    """Tasks that may be started while all slots are taken, so that tiny trials need not wait for us in between; they begin when a slot is free."""
    gpus: bool = False
    """Whether trials here have been given GPUs, as far as that is known."""
    unaware: bool = False
    """Whether trials here cannot ask whether they should stop, and are ended from outside (`end_early`)."""
    asked: bool = False
    """Set it, from a signal handler too, to ask every running trial to checkpoint; `poll` passes it on."""
    stopped: Mapping[tuple[int, int], dict[str, float]] = MappingProxyType({})
    """What meters read of the attempts that `stop` has ended, by trial and attempt."""

    @abstractmethod
    def start(self, task: Task) -> None:
        """Begin `task` in a free slot; with all taken, `spare` more may be given, which begin later."""

    @abstractmethod
    def poll(self, timeout: float) -> Sequence[Message]:
        """What happened since the last poll; waits up to `timeout` seconds for something to happen."""

    def answer(self, number: int, attempt: int, stop: bool) -> None:
        """Tell an attempt that `Asked` whether it should stop."""
        raise NotImplementedError("nobody asks here")

    def end_early(self, number: int, attempt: int, save: bool) -> None:
        """End a running attempt, which the pruner gives up, or has wait (save: let it checkpoint first); its outcome follows."""
        raise NotImplementedError("trials here ask whether they should stop")

    @abstractmethod
    def stop(self, kill: bool = False) -> None:
        """End everything that runs: ask first and kill after at most 1.5 s, or kill at once. Idempotent."""

    @abstractmethod
    def close(self) -> None:
        """Release processes and files once nothing runs."""

    @staticmethod
    def trial_directory(task: Task) -> Path:
        """The task's own directory, made when first needed."""
        if task.directory is None:
            raise RuntimeError("a trial of a study in memory has no directory")
        path = Path(task.directory)
        path.mkdir(parents=True, exist_ok=True)
        return path
