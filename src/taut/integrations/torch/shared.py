"""A trial that several ranks train together: each has one of these, and all hear what rank 0's real one says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taut.integrations.torch.ranks import Ranks
from taut.trial import Trial
from taut.wishes import Form

__all__ = ["SharedTrial"]

_AGAIN = 0.25  # seconds between two questions whether to checkpoint


class SharedTrial(Trial):
    """The same trial on every rank: the same parameters, the same seed, and the same answers to the same questions.

    `report` and `tell` count on rank 0, and do nothing on the others. `should_stop`, `should_checkpoint` and `suggest_*` have to be
    asked by all ranks, in the same order.

    real: the study's trial, on rank 0; None on the others.
    """

    __slots__ = ("_asked", "_ranks", "_real", "_resumed", "_seed", "_silent", "_skip")

    def __init__(self, ranks: Ranks, told: Mapping[str, Any], real: Trial | None = None) -> None:
        super().__init__(
            told["number"],
            told["attempt"],
            dict(told["params"]),
            _Channel(),
            directory=told["directory"],
            goal=told["goal"],
            resumed_step=told["resumed_step"],
            parent=told["parent"],
            offered=told["offered"],
            main=told["main"],
        )
        self._ranks = ranks
        self._real = real
        self._seed = told["seed"]
        self._resumed = told["resumed_from"]
        self._silent = 0  # further questions whether to checkpoint that are answered without asking
        self._skip = 0
        self._asked = time.monotonic()

    @staticmethod
    def described(trial: Trial) -> dict[str, Any]:
        """What the other ranks need to know of `trial`."""
        resumed = trial.resumed_from
        return {
            "number": trial.number,
            "attempt": trial.attempt,
            "params": trial.params,
            "seed": trial.seed,
            "directory": trial._directory,
            "goal": trial._goal,
            "resumed_step": trial.resumed_step,
            "resumed_from": None if resumed is None else str(resumed),
            "parent": trial.parent,
            "offered": dict(trial.offered),
            "main": list(trial.main),
        }

    @property
    def leads(self) -> bool:
        return self._ranks.leads

    @property
    def seed(self) -> int:
        return int(self._seed)

    @property
    def resumed_from(self) -> Path | None:
        return None if self._resumed is None else Path(self._resumed)

    @property
    def fidelity(self) -> int | float | None:
        return self._goal if self._real is None else self._real.fidelity

    def _wish(self, name: str, form: Form) -> Any:
        real = self._real
        self.params[name] = self._ranks.agree(
            "suggest_*", lambda: None if real is None else real._wish(name, form)
        )
        return self.params[name]

    def set_user_attr(self, key: str, value: Any) -> None:
        if self._real is not None:
            self._real.set_user_attr(key, value)

    def set_constraint(self, key: str, value: float) -> None:
        if self._real is not None:
            self._real.set_constraint(key, value)

    def _leaves(self) -> tuple[bool, int]:
        """Whether to checkpoint, and how many further questions may go unasked: they come in every step."""
        now = time.monotonic()
        apart, self._asked = (now - self._asked) / (self._skip + 1), now
        asked = self._real is not None and self._real.should_checkpoint()
        return asked, min(int(_AGAIN / max(apart, 1e-6)), 2 * self._skip + 1)


class _Channel:
    """Hands rank 0's words on to the real trial, and its answers to the others."""

    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None:
        real = _shared(trial)._real
        if real is not None:
            real.report(step, **values)

    def should_stop(self, trial: Trial) -> bool:
        real = _shared(trial)._real
        return _shared(trial)._ranks.agree("should_stop", lambda: real is not None and real.should_stop())

    def should_checkpoint(self, trial: Trial) -> bool:
        shared = _shared(trial)
        if shared._silent:
            shared._silent -= 1
            return False
        asked, shared._skip = shared._ranks.agree("should_checkpoint", shared._leaves)
        shared._silent = shared._skip
        return asked

    def pause(self, trial: Trial) -> None:
        real = _shared(trial)._real
        if real is not None:
            real.pause()
        trial.paused = True

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None:
        real = _shared(trial)._real
        if real is not None:
            real.tell(**values)
        trial.told = True


def _shared(trial: Trial) -> SharedTrial:
    assert isinstance(trial, SharedTrial)
    return trial
