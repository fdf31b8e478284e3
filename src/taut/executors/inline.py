"""One slot in this very process: no copies, no pipes, a debugger works."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from taut.executors.base import Executor, Message, Task
from taut.executors.objective import Objective, call, live, note
from taut.metrics.meters.around import Around
from taut.metrics.meters.watch import ANY, Devices
from taut.trial import Trial, own_copy
from taut.verdict import numbers

__all__ = ["InlineExecutor"]


Reporter = Callable[[int, int, float, Mapping[str, float]], None]
Judge = Callable[[int, int], bool]


class _Channel:
    def __init__(self, report: Reporter, stops: Judge, executor: Executor) -> None:
        self._report = report
        self._stops = stops
        self._executor = executor

    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None:
        self._report(trial.number, trial.attempt, step, numbers(values))

    def should_stop(self, trial: Trial) -> bool:
        return self._stops(trial.number, trial.attempt)

    def should_checkpoint(self, trial: Trial) -> bool:
        return self._executor.asked

    def pause(self, trial: Trial) -> None:
        trial.paused = True

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None:
        note(trial, values)


class InlineExecutor(Executor):
    """Calls the objective in `poll`, one trial at a time.

    Choose it for one worker (the default): fastest for tiny objectives. `report` takes what a trial reports, at
    once; `stops` says whether it should stop. Ctrl-C reaches the objective as a KeyboardInterrupt. devices: the GPUs that it may use.
    thrifty: whether the study asks for no meter, so that tiny trials need not be looked at closely.
    """

    slots = 1

    def __init__(
        self,
        objective: Objective,
        with_trial: bool,
        main: Sequence[str],
        report: Reporter,
        stops: Judge,
        devices: Devices = ANY,
        thrifty: bool = False,
    ) -> None:
        self._objective = objective
        self._with_trial = with_trial
        self._main = main
        self._channel = _Channel(report, stops, self)
        self._task: Task | None = None
        self._around = Around(devices, thrifty)
        self.gpus = bool(devices.names)

    def start(self, task: Task) -> None:
        self._task = task

    def poll(self, timeout: float) -> Sequence[Message]:
        task, self._task = self._task, None
        if task is None:
            return ()
        params = own_copy(task.params)
        self._around.begin()
        trial = live(task, params, self._channel)
        outcome = call(self._objective, trial, self._with_trial, self._main)
        del trial  # what its objective has hung on it
        used = {**self._around.end(), **self._around.clean()}
        return (msgspec.structs.replace(outcome, used=used),)

    def stop(self, kill: bool = False) -> None:
        self._task = None

    def close(self) -> None:
        pass
