"""A worker in a simulated job: `taut.worker`, with trials that are events on a virtual clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from taut.decide import Start, Wait
from taut.duration import in_words
from taut.queue.simulate.job import Job, Why
from taut.slurm.settings import usual_notice
from taut.walltime import LAST, WHOLE

if TYPE_CHECKING:
    from taut.queue.simulate.campaign import Campaign

__all__ = ["Attempt", "Stretch", "Worker"]

_LINGER = 15.0  # seconds for which a worker stays while the last trials are with others, as in `taut.reaper`


class Stretch(NamedTuple):
    """What a job did on one of its slots. trial: None for overhead. lost: whether it came to nothing."""

    job: Job
    life: int
    slot: int
    begin: float
    end: float
    trial: int | None
    lost: bool = False


class Attempt(NamedTuple):
    """An attempt that runs, from one share of a whole trial to another. seconds: of a whole trial."""

    number: int
    attempt: int
    params: dict[str, Any]
    slot: int
    begin: float
    seconds: float
    done: float
    goal: float
    step: float | None

    def at(self, share: float) -> float:
        """When it has come so far."""
        return self.begin + self.seconds * (share - self.done)


class Worker:
    """What one job does. number: of the job, as they were submitted."""

    def __init__(self, campaign: Campaign, job: Job, number: int) -> None:
        self.number = number
        self._campaign, self._job = campaign, job
        self._queue, self._desk = campaign.queue, campaign.desk
        self._reset()

    def _reset(self) -> None:
        self._running: dict[int, Attempt] = {}  # by slot
        self._ready = self._leaving = self._waiting = False
        self._within = math.inf
        self._taken = 0
        self._idle = math.inf  # since when it waits in vain

    @property
    def busy(self) -> bool:
        return bool(self._running)

    # ------------------------------------------------------------------ the job's life

    def prepare(self, overhead: float) -> None:
        """The job has started; its first trial may begin after `overhead` seconds."""
        self._reset()
        self._queue.at(self._queue.now + overhead, self._open, self._job.life)

    def _open(self, life: int) -> None:
        if not self._lives(life):
            return
        job, now, shape = self._job, self._queue.now, self._campaign.shape
        for slot in range(shape.slots):
            self._mark(slot, job.start, None)
        self._ready = True
        if self._leaving:  # the study was finished meanwhile
            self.leave()
            return
        self._ends = job.planned
        self._whole = WHOLE * max(self._ends - now - LAST, 0.0)
        notice = usual_notice(int(shape.walltime // 60))
        self._queue.at(max(self._ends - notice, now), self._heed, life)
        self._queue.at(max(self._ends - LAST, now), self._run_out, life)
        self.look(first=True)

    def _lives(self, life: int) -> bool:
        return self._job.state == "running" and self._job.life == life

    def _heed(self, life: int) -> None:
        """The end is near: start nothing more, and have trials save themselves."""
        if not self._lives(life):
            return
        self._leaving = True
        if self._campaign.trials.saves:
            for attempt in list(self._running.values()):
                self._give_back(attempt, "paused with its checkpoint", kept=True)
        if not self._running:
            self.leave()

    def _run_out(self, life: int) -> None:
        """The time is over."""
        if not self._lives(life):
            return
        for attempt in list(self._running.values()):
            had = self._queue.now - attempt.begin
            why = f"the job's time was over after {in_words(had)} of this trial"
            self._give_back(attempt, why, blame=had >= self._whole, short=True)
        self.leave()

    def leave(self) -> None:
        """End the job, as soon as nothing runs in it."""
        self._leaving = True
        if self._ready and not self._running and self._job.state == "running":
            self._queue.finish(self._job)

    def close(self, why: Why) -> None:
        """The job has ended. What still ran is lost, unless it had the time to save itself."""
        if not self._ready:
            for slot in range(self._campaign.shape.slots):
                self._mark(slot, self._job.start, None)
        kept = why == "preempted" and self._campaign.trials.saves
        for attempt in list(self._running.values()):
            self._give_back(attempt, why, kept=kept)
        self._reset()

    # ------------------------------------------------------------------ trials

    def look(self, first: bool = False) -> None:
        """Start what may be started. first: otherwise only where the worker waits for news."""
        if not (first or self._waiting) or self._leaving or not self._ready:
            return
        campaign, now = self._campaign, self._queue.now
        shape = campaign.shape
        self._waiting = False
        for slot in range(shape.slots):
            if slot in self._running:
                continue
            if shape.trials is not None and self._taken >= shape.trials * shape.slots:
                break
            self._desk.writer = self.number
            decision = self._desk.next(now, shape.batch, self._within, self._ends, self._whole)
            if isinstance(decision, Start):
                self._idle = math.inf
                self._begin(decision, slot)
            elif isinstance(decision, Wait):
                self._wait(decision.idle)
                return
            else:
                break
        if not self._running:
            self.leave()

    def _wait(self, idle: bool) -> None:
        self._waiting = True
        if not idle or self._running:
            self._idle = math.inf
        elif self._idle == math.inf:
            self._idle = self._queue.now
            self._queue.at(self._idle + _LINGER, self._give_up, self._idle)

    def _give_up(self, since: float) -> None:
        if self._idle == since and self._waiting and not self._running:
            self._campaign.in_vain()
            self.leave()

    def _begin(self, start: Start, slot: int) -> None:
        campaign, desk, now = self._campaign, self._desk, self._queue.now
        (number,), (suggested,), (goal,) = start.numbers, start.suggested, start.goals
        if campaign.shape.mode == "batch" and start.attempt == 0:
            self._within = (number // campaign.shape.batch + 1) * campaign.shape.batch
        self._taken += 1
        fidelity, params = desk.snapshot.definition.fidelity, suggested.params
        resumed = desk.resumes_at(number, start.attempt)
        share = 0.0 if fidelity is None or not resumed else fidelity.share(resumed)
        done = max(share, campaign.saved.get(number, 0.0))
        far = 1.0 if fidelity is None or goal is None else max(fidelity.share(goal), done)
        seconds = campaign.trials.seconds(number, params)
        attempt = Attempt(number, start.attempt, params, slot, now, seconds, done, far, goal)
        self._running[slot] = attempt
        fails = campaign.trials.fails(number, start.attempt)
        if fails < math.inf:
            self._queue.at(attempt.at(done + fails * (far - done)), self._fail, attempt)
        self._go_on(attempt, done)

    def _go_on(self, attempt: Attempt, share: float) -> None:
        """Until the next report, or the end."""
        for step in self._campaign.steps:
            reached = self._campaign.share(step)
            if share < reached <= attempt.goal + 1e-12:
                self._queue.at(attempt.at(reached), self._report, (attempt, step))
                return
        self._queue.at(attempt.at(attempt.goal), self._finish, attempt)

    def _report(self, what: tuple[Attempt, float]) -> None:
        attempt, step = what
        if self._running.get(attempt.slot) is not attempt:
            return
        self._desk.writer = self.number
        values = dict(self._campaign.trials.objective(attempt.params, step))
        if self._desk.report(attempt.number, attempt.attempt, step, values, self._queue.now):
            self._go_on(attempt, self._campaign.share(step))
        else:
            self._end(attempt, values, None, pruned=True)

    def _finish(self, attempt: Attempt) -> None:
        if self._running.get(attempt.slot) is attempt:
            self._end(attempt, dict(self._campaign.trials.objective(attempt.params, attempt.step)), None)

    def _fail(self, attempt: Attempt) -> None:
        if self._running.get(attempt.slot) is attempt:
            self._end(attempt, {}, "it failed")

    def _end(
        self, attempt: Attempt, values: dict[str, float], error: str | None, pruned: bool = False
    ) -> None:
        number = attempt.number
        self._desk.writer = self.number
        self._desk.finish(number, attempt.attempt, values, error, pruned, self._queue.now)
        self._drop(attempt, lost=error is not None)
        self._campaign.told(True)
        self.look(first=True)

    def _give_back(
        self, attempt: Attempt, why: str, *, blame: bool = False, short: bool = False, kept: bool = False
    ) -> None:
        now = self._queue.now
        self._desk.writer = self.number
        self._desk.release(attempt.number, attempt.attempt, why, now, blame=blame, short=short, kept=kept)
        if kept:
            self._campaign.saved[attempt.number] = self._saved(attempt, now)
        self._drop(attempt, lost=not kept)
        self._campaign.told(False)

    def _saved(self, attempt: Attempt, now: float) -> float:
        """How far an attempt has come that saves itself: where there are steps, to the last whole one."""
        came = attempt.done + (now - attempt.begin) / attempt.seconds if attempt.seconds else attempt.goal
        passed = [share for step in self._campaign.steps if (share := self._campaign.share(step)) <= came]
        if self._campaign.steps:
            return max([attempt.done, *passed[-1:]])
        return min(came, attempt.goal)

    def _drop(self, attempt: Attempt, lost: bool) -> None:
        del self._running[attempt.slot]
        self._mark(attempt.slot, attempt.begin, attempt.number, lost)

    def _mark(self, slot: int, begin: float, trial: int | None, lost: bool = False) -> None:
        now = self._queue.now
        if now > begin:
            self._campaign.stretches.append(Stretch(self._job, self._job.life, slot, begin, now, trial, lost))
