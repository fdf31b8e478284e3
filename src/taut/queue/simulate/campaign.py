"""A study's jobs on a simulated queue: they start, prepare, take trials, end, and others follow, as those of `taut run --on slurm` do.

    campaign = Campaign(simulation, Desk(definition, proposals), Trials(objective, Lognormal(360, 0.4)), Shape(4 * 3600, workers=8))
    campaign.begin(at=86400)
    simulation.run()
    campaign.finish - campaign.began

A round is an array of tasks that keep their place in the queue from the moment it was submitted; at most `workers` of them run at a time.
In batch mode each batch is a round. What a round leaves is submitted when all its jobs have ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from taut.decide import Claim, Done, Start
from taut.queue.simulate.desk import Desk
from taut.queue.simulate.job import Job, Owner, Ran, Why
from taut.queue.simulate.plan import Shape, Trials
from taut.queue.simulate.times import NOTHING, Lognormal
from taut.queue.simulate.worker import Stretch, Worker

__all__ = ["Campaign", "Queue"]

_FINE = 1000  # steps
_REST = 25  # tasks of a round for each that may run at a time, as in `taut.jobplan`


class Queue(Protocol):
    """What a study needs of a queue: a cluster that is simulated, or waits that are drawn."""

    now: float
    ran: list[Ran]
    running: list[tuple[float, int, Job]]

    @property
    def nodes(self) -> int: ...
    @property
    def units(self) -> int: ...
    def lane(self, node: int, unit: int) -> str: ...
    def at(self, time: float, call: Callable[[Any], None], what: Any = None) -> None: ...
    def submit(
        self,
        size: int,
        walltime: float,
        *,
        owner: Owner,
        partition: str | None,
        since: float | None,
        name: str | None,
    ) -> Job: ...
    def cancel(self, job: Job) -> None: ...
    def finish(self, job: Job) -> None: ...
    def run(self, until: float = ...) -> None: ...
    def stop(self) -> None: ...


class Campaign:
    """The jobs of one study.

    overhead: what each job needs before its first trial: preparing the node, importing, loading. seed: of the overheads.
    began: when the first job was submitted. finish: when the last attempt ended that has. done: whether the study is finished. why: why nothing is
    submitted any more. submitted: when jobs were. stretches: what was done when. saved: how far trials have come that saved themselves, as a part of
    a whole one. steps: those at which trials report.

    Raises `InputError` for a shape or trials that make no sense.
    """

    def __init__(
        self,
        queue: Queue,
        desk: Desk,
        trials: Trials,
        shape: Shape,
        overhead: Lognormal = NOTHING,
        seed: int = 0,
    ) -> None:
        shape.check()
        trials.check()
        overhead.check("overhead")
        self.queue, self.desk, self.trials, self.shape = queue, desk, trials, shape
        self.began = self.finish = math.inf
        self.submitted: list[float] = []
        self.stretches: list[Stretch] = []
        self.done, self.why = False, ""
        self.saved: dict[int, float] = {}
        self.steps = _steps(desk)
        fidelity = desk.snapshot.definition.fidelity
        self._shares = {step: 1.0 if fidelity is None else fidelity.share(step) for step in self.steps}
        self._overhead, self._seed = overhead, seed
        self._jobs: dict[Job, Worker] = {}  # those that wait or run
        self._tasks = 0  # of this round, still to be submitted
        self._since = 0.0
        self._reached: list[int] = []  # by round: what the study had reached when it was submitted
        self._woken = False

    def begin(self, at: float = 0.0) -> None:
        """Submit the first jobs at second `at`."""
        self.queue.at(at, self._submit_round)

    # ------------------------------------------------------------------ what is on the queue

    def _submit_round(self, _: None = None) -> None:
        """The next array, unless the last two brought nothing."""
        snapshot, now = self.desk.snapshot, self.queue.now
        if len(self._reached) >= 2 and snapshot.progress <= self._reached[-2]:
            self._over("the last two rounds brought nothing")
            return
        self._reached.append(snapshot.progress)
        self._since = now
        self.began = min(self.began, now)
        budget = self.desk.snapshot.definition.budget.trials
        left = math.inf if budget is None else max(budget - snapshot.n_finished, 1)
        jobs = math.ceil(left / self.shape.slots) if left < math.inf else math.inf
        workers = int(min(self.shape.workers, jobs))
        self._tasks = workers if self.shape.mode == "batch" else int(min(jobs, _REST * workers))
        self._top_up()

    def _top_up(self) -> None:
        """Have as many tasks on the queue as may run at a time, while there is something to do for them."""
        while self._tasks and len(self._jobs) < self.shape.workers:
            if not isinstance(self.desk.outlook(self.queue.now, self.shape.batch), Claim | Start):
                break
            shape, number = self.shape, len(self.submitted)
            self._tasks -= 1
            self.submitted.append(self.queue.now)
            job = self.queue.submit(
                shape.units,
                shape.walltime,
                owner=self,
                partition=shape.partition,
                since=self._since,
                name=f"job {number}",
            )
            self._jobs[job] = Worker(self, job, number)

    def started(self, job: Job) -> None:
        worker = self._jobs.get(job)
        if worker is not None:
            rng = np.random.default_rng([self._seed, worker.number, job.life, 5])
            worker.prepare(float(self._overhead.draw(rng, ())))

    def ended(self, job: Job, why: Why) -> None:
        worker = self._jobs[job]
        worker.close(why)
        if job.state == "ended":
            del self._jobs[job]
        self._go_on()

    def _go_on(self) -> None:
        if self.why:
            if not self._jobs:
                self.queue.stop()
            return
        ending = self.desk.outlook(self.queue.now)
        if isinstance(ending, Done) and not any(worker.busy for worker in self._jobs.values()):
            self.done = True
            self._over(ending.why)
            return
        self._top_up()
        if not self._jobs:
            self._submit_round()
        if not self._jobs and not self.why:
            self._over("nothing can be started, and nothing runs")

    def _over(self, why: str) -> None:
        """Nothing is left to do: what waits is cancelled, and what runs ends."""
        self.why = why
        for job, worker in list(self._jobs.items()):
            if job.state == "running":
                worker.leave()
            elif job.state != "ended":  # of those that have, we are about to hear
                self.queue.cancel(job)
                del self._jobs[job]
        if not self._jobs:
            self.queue.stop()

    # ------------------------------------------------------------------ what workers ask and tell

    def share(self, step: float) -> float:
        """What a trial up to one of `steps` costs, as a part of a whole one."""
        return self._shares[step]

    def in_vain(self) -> None:
        """A worker has waited long enough for trials that others have: those that still wait on the queue would, too."""
        self._tasks = 0
        for job in [job for job in self._jobs if job.state not in ("running", "ended")]:
            self.queue.cancel(job)
            del self._jobs[job]

    def told(self, ended: bool) -> None:
        """Something is new in the study. ended: an attempt has come to its end."""
        if ended:
            self.finish = self.queue.now
        if not self._woken:
            self._woken = True
            self.queue.at(self.queue.now, self._wake)

    def _wake(self, _: None) -> None:
        self._woken = False
        for worker in list(self._jobs.values()):
            worker.look()
        self._go_on()


def _steps(desk: Desk) -> list[float]:
    """The steps at which trials report: each whole one, if there are not too many; else those at which they are compared."""
    fidelity, pruner = desk.snapshot.definition.fidelity, desk.proposals.pruner
    if fidelity is None or pruner is None:
        return []
    if fidelity.levels:
        return fidelity.levels
    if fidelity.max <= _FINE and float(fidelity.max).is_integer():
        return [float(step) for step in range(1, int(fidelity.max) + 1)]
    return pruner.rungs(desk.snapshot.definition)
