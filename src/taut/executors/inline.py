"""One slot in this very process: no copies, no pipes, a debugger works."""

from __future__ import annotations

from collections.abc import Sequence

from taut.executors.base import Executor, Message, Task
from taut.executors.objective import Objective, call
from taut.trial import Channel, Trial

__all__ = ["InlineExecutor"]


class InlineExecutor(Executor):
    """Calls the objective in `poll`, one trial at a time.

    Choose it for one worker (the default): fastest for tiny objectives. `channel` takes what the trial
    says while it runs. Ctrl-C reaches the objective as a KeyboardInterrupt.
    """

    slots = 1

    def __init__(self, objective: Objective, with_trial: bool, main: str, channel: Channel) -> None:
        self._objective = objective
        self._with_trial = with_trial
        self._main = main
        self._channel = channel
        self._task: Task | None = None

    def start(self, task: Task) -> None:
        self._task = task

    def poll(self, timeout: float) -> Sequence[Message]:
        task, self._task = self._task, None
        if task is None:
            return ()
        trial = Trial(
            task.number, task.attempt, task.params, self._channel, seed=task.seed, directory=task.directory
        )
        return (call(self._objective, trial, self._with_trial, self._main),)

    def stop(self, kill: bool = False) -> None:
        self._task = None

    def close(self) -> None:
        pass
