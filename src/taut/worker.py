"""A worker: reads what is known, decides, claims, evaluates, writes down. The loop that carries taut."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Literal

from taut.decide import Done, Start, Wait
from taut.endings import Ended, arrived
from taut.errors import InputError, LogError, StudyError, TautError
from taut.executors.base import Asked, Died, Executor, Message, Outcome, Paused, Report, Task
from taut.metrics.meters.lacking import unmeasured
from taut.metrics.meters.leaks import Leaks
from taut.pruners.base import Judgement
from taut.reaper import Reaper
from taut.store import Store
from taut.trial import State
from taut.verdict import Verdict, verdict
from taut.wishes import parted

__all__ = ["Mode", "Worker"]

Mode = Literal["sequential", "batch", "async"]

_PATIENCE = 0.5  # seconds at most between two looks while waiting for others
_POLL = 0.25  # seconds at most that a request to stop waits for


class Worker:
    """Keeps the slots of `executor` busy with trials of `store` until there is nothing to start.

    mode: ``async`` starts a trial whenever a slot is free; ``batch`` starts as many as there are
    slots once all before are finished; ``sequential`` runs one at a time over all workers.
    idle: whether the last `run` ended since all that was left to do was with others.
    batch: the size of a batch, where several workers share it. once: end when the batch is complete in which
    the first new trial was started. linger: seconds to stay while the last trials are with other workers, all of which
    live; where one may be dead, its trial is waited for. finish: end when so many trials have been finished here. begin: begin no more than so many.
    deadline: monotonic time after which no trial is started. told: called at least four times a second
    with the numbers of the trials that just finished or went back to the queue, often none.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        *,
        mode: Mode = "async",
        deadline: float | None = None,
        told: Callable[[Sequence[int]], None] | None = None,
        batch: int | None = None,
        once: bool = False,
        linger: float = math.inf,
        finish: float = math.inf,
        begin: float = math.inf,
    ) -> None:
        self.store = store
        self.executor = executor
        self._batch = {"async": 0, "sequential": 1, "batch": batch or executor.slots}[mode]
        self._once = once
        self._within = math.inf  # new trials from this number on belong to a later batch
        self._linger = linger
        self._to_finish, self._to_begin = finish, begin
        self._walltime = store.walltime
        self._deadline = float("inf") if deadline is None else deadline
        self._told = told
        self._unsaid: list[int] = []  # trials that nobody was told of yet, since they may not be on the disk
        self._said = -math.inf
        self._running: dict[tuple[int, int], Task] = {}
        self._ahead: set[tuple[int, int]] = set()  # those of them that were started behind another one
        self._reaper = Reaper(store)
        self._stopping = False
        self._leaks = Leaks()
        self._lack: str | None = None  # why no trial can be judged on this machine
        self.idle = False

    def run(self) -> str:
        """Work until the study is done; returns why it ended.

        A KeyboardInterrupt (or any other exception) ends what runs, gives it back to the queue and is
        raised again: the study can be resumed.
        """
        self._walltime.begin()
        self._walltime.hooks.append(self._ask_to_save)
        try:
            return self._loop()
        except BaseException:
            self._abort()
            raise
        finally:
            self._walltime.hooks.remove(self._ask_to_save)
            self.executor.close()
            self.store.give_back("its worker ended before it began")

    def stop(self) -> None:
        """Start nothing more; `run` returns when what runs is finished."""
        self._stopping = True

    def _loop(self) -> str:
        pause = 0.0
        while True:
            self._reaper.look()
            ending = self._fill()
            if self._running and self._walltime.leaving() and self._walltime.over:
                self._leave()
            elif self._running:
                messages = self.executor.poll(_POLL)
                self._record(messages)
                self._reaper.busy()
                pause = 0.0
            elif isinstance(ending, Done):
                self.store.journal.flush()
                self._tell()
                return ending.why
            else:
                if self._unsaid:
                    self._tell()
                self.idle = self._reaper.in_vain(isinstance(ending, Wait) and ending.idle, self._linger)
                if self.idle:
                    return "nothing is left to start: the last trials are with other workers"
                self.store.check_progress()
                pause = min(pause * 2 or 0.01, _PATIENCE)
                time.sleep(pause)

    def _fill(self) -> Wait | Done | None:
        """Start trials while slots are free."""
        while len(self._running) < self._room():
            if self._stopping:
                return Done("it was asked to stop")
            if self._to_finish <= len(self._running):
                return None if self._running else Done("it has finished the trials that it was to finish")
            if self._to_begin <= 0:
                return None if self._running else Done("it has begun the trials that it was to begin")
            if time.monotonic() > self._deadline:
                return Done("the time given to this run is over")
            decision = self.store.next(self._batch, within=self._within)
            if not isinstance(decision, Start):
                return decision
            if self._once and decision.attempt == 0:
                self._within = (decision.numbers[0] // self._batch + 1) * self._batch
            self._start(decision)
        return None

    def _room(self) -> int:
        """How many trials may run or stand ready at once. Whose parameters depend on the results of others is not chosen before its turn."""
        hasty = not self._batch and self.store.pace.hasty and not self.store.proposals.informed
        return self.executor.slots + (self.executor.spare if hasty else 0)

    def _start(self, start: Start) -> None:
        study_seed = self.store.snapshot.definition.seed
        self._to_begin -= len(start.numbers)
        for number, suggested, goal in zip(start.numbers, start.suggested, start.goals, strict=True):
            store, attempt = self.store, start.attempt
            directory, step = store.trial_directory(number), store.step_before(number, attempt)
            parent, origin = store.origin(number)
            params, offered = parted(suggested.params, store.snapshot.space.asked)
            task = Task(number, attempt, params, directory, study_seed, goal, step, parent, origin, offered)
            if len(self._running) >= self.executor.slots:
                self._ahead.add((number, attempt))
            self._running[number, attempt] = task
            self.executor.start(task)

    def _record(self, messages: Sequence[Message]) -> None:
        ended: list[Ended] = []
        lost: list[int] = []
        for message in messages:
            if isinstance(message, Report) and math.isfinite(message.step):
                self._take(message)
            elif isinstance(message, Asked):
                stop = self.store.referee.stops(message.number, message.attempt)
                self.executor.answer(message.number, message.attempt, stop)
            elif isinstance(message, Outcome):
                if (end := self._ended(message)) is not None:
                    ended.append(end)
            elif isinstance(message, Paused):
                self.store.discovery.settle(message.number, message.attempt, message.wishes)
                self.store.handback.pause(message.number, message.attempt, message.used)
                del self._running[message.number, message.attempt]
                lost.append(message.number)
            elif isinstance(message, Died):
                attempt = message.number, message.attempt
                used = {attempt: message.used}
                if self._walltime.leaving():  # the queue ends all that runs in a job, not the worker alone
                    self.store.handback.cut_short([attempt], used)
                else:
                    self.store.handback.release([attempt], message.why, message.blame, used)
                del self._running[attempt]
                lost.append(message.number)
        behind = self.store.pace.tiny
        if ended:
            self.store.finish(ended, behind=behind)
            for end in ended:
                del self._running[end.number, end.attempt]
                self._to_finish -= State(self.store.snapshot.state[end.number]).finished
        self._unsaid += [*lost, *(end.number for end in ended)]
        if self._lack is not None:
            raise StudyError(self._lack)
        if not behind or time.monotonic() - self._said >= _POLL:
            self._tell(behind)

    def _tell(self, behind: bool = True) -> None:
        """Tell of what has ended. behind: some of it may not be on the disk yet, and nothing is said to be there before it is."""
        if self._told is not None:
            if behind and self._unsaid:
                self.store.journal.flush()
            self._told(self._unsaid)
        self._unsaid, self._said = [], time.monotonic()

    def _take(self, report: Report) -> None:
        self.store.report(report.number, report.attempt, report.step, report.values)
        if self.executor.unaware and not self.store.referee.ends_early(report.number, report.attempt):
            judgement = self.store.referee.judge(report.number, report.attempt)
            if judgement is not Judgement.GO:
                self.executor.end_early(report.number, report.attempt, judgement is Judgement.PAUSE)

    def _ended(self, outcome: Outcome) -> Ended | None:
        """How a trial has ended; None if it has to run again elsewhere, and nothing more here (`_lack`)."""
        ahead = (outcome.number, outcome.attempt) in self._ahead
        self._ahead.discard((outcome.number, outcome.attempt))
        if (leak := self._leaks.note(outcome.number, outcome.used)) is not None:
            warnings.warn(leak, stacklevel=2)
        judged = self._judge(outcome)
        if judged is None:
            return None
        return Ended(
            outcome.number, outcome.attempt, judged, outcome.aimed, outcome.took, ahead, outcome.used
        )

    def _judge(self, outcome: Outcome) -> Verdict | None:
        try:
            self.store.discovery.settle(
                outcome.number, outcome.attempt, outcome.wishes, outcome.constraints, outcome.error is None
            )
        except InputError as problem:  # it contradicts what others asked for
            return Verdict("failed", {}, str(problem))
        pruned = outcome.pruned or (
            outcome.error is None and self.store.referee.ends_early(outcome.number, outcome.attempt)
        )
        had = arrived(self.store.snapshot, outcome.number, outcome.attempt)
        told = {**had, **outcome.values}
        if outcome.error is None and not pruned:
            asked = [name for name in self.store.must if name not in self.store.snapshot.theirs]
            lack = unmeasured(asked, {*told, *outcome.used}, self.executor.gpus)
            if lack is not None and lack.never:
                self._lack = f"trial {outcome.number} has ended well, but {lack.why}"
                return None
            if lack is not None:
                return verdict(self.store.must, told, lack.why)
        try:
            theirs = self.store.snapshot.theirs
            return verdict(self.store.must, told, outcome.error, pruned, outcome.used, theirs)
        except InputError as problem:  # the objective returned something that is not a number
            return Verdict("failed", {}, str(problem))

    def _ask_to_save(self) -> None:
        self.executor.asked = True

    def _leave(self) -> None:
        """The time is over: end what runs and give it back."""
        self._record(self.executor.poll(0.0))
        self.executor.stop()
        self.store.handback.cut_short(list(self._running), self.executor.stopped)
        self._unsaid += [number for number, _ in self._running]
        self._running.clear()
        self._tell()

    def _abort(self) -> None:
        with contextlib.suppress(TautError, OSError):  # what is wrong is being raised already
            self._record(self.executor.poll(0.0))  # what has ended need not run again
        try:
            self.executor.stop()
        except KeyboardInterrupt:  # asked twice
            self.executor.stop(kill=True)
        used = self.executor.stopped
        self.store.handback.release(list(self._running), "it was interrupted", blame=False, used=used)
        self._running.clear()
        with contextlib.suppress(LogError):  # what is already wrong is being raised
            self.store.journal.flush()
