"""The times of a plan in many cases at once: no sampler, no cluster, only how long things take.

A planner compares hundreds of shapes, each in hundreds of cases. All cases advance together here, one event at a time each, as columns of
arrays; a study of 200 trials takes some tens of microseconds a case. `Campaign` is the same with everything in it, case by case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.queue.simulate.drawn import Waits
from taut.queue.simulate.plan import Shape
from taut.queue.simulate.times import NOTHING, Lognormal
from taut.slurm.settings import usual_notice
from taut.walltime import LAST, WHOLE

__all__ = ["Times", "play"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LATE = 1.6448536269514722  # 95th percentile of the standard normal distribution
_BARREN = 25, 2  # jobs that bring nothing, and so many more for each worker, before nobody submits any more
_HOPELESS = 10  # trials that are given up, and more than are wanted: then a case does not come to its end
_AHEAD = 4  # waits that are drawn at once for each case, after those of the first jobs


class Times(NamedTuple):
    """What came of a plan, one value for each case.

    finish: seconds from the submission to the end of the last trial; infinite where a case does not come to its end. requested, held, overhead, useful, lost:
    unit-hours, as in `Hours`. jobs: how many started. given_up: trials that no job was long enough for; others were run in their place.
    """

    finish: Floats
    requested: Floats
    held: Floats
    overhead: Floats
    useful: Floats
    lost: Floats
    jobs: Ints
    given_up: Ints

    @property
    def efficiency(self) -> Floats:
        """The part of what was held that was useful."""
        return np.divide(self.useful, self.held, out=np.zeros_like(self.held), where=self.held > 0)


def play(
    shape: Shape,
    trials: int,
    time: Lognormal,
    waits: Waits,
    *,
    overhead: Lognormal = NOTHING,
    runs: int = 400,
    seed: int = 0,
    failing: float = 0.0,
    saves: bool = False,
    retries: int = 3,
    doubt: tuple[float, float] = (0.0, 0.0),
    running: Sequence[tuple[float, float]] = (),
) -> Times:
    """Play `runs` cases of a study of `trials` trials in jobs of this shape.

    waits: of jobs that are submitted together. A job that follows another waits anew, alone. failing, saves: as in `Trials`; retries: how often a trial
    is begun again for which all of a job's time was too short; then it is given up, and another one takes its place, since so many results are wanted.
    doubt: how little the means of `time` and `overhead` are known, as standard deviations of their logarithms; in each case they are others.
    running: of the first jobs those that run already: how long they have run, and how long the trials in them have; `waits` is asked for all the same.

    The rules are those of real workers: no trial begins in what is left of a job if it would not fit with 95 % probability, or within the notice
    that a job is given before its end; a fresh job always begins one; one whose time ran out goes back, and is begun again where there is twice the time.
    The 95 % are those of the distribution, where real workers learn them from trials.

    Raises `InputError` for a plan that makes no sense.
    """
    shape.check()
    time.check("time")
    overhead.check("overhead")
    for name, value in (("trials", trials), ("runs", runs)):
        if value < 1:
            raise InputError(f"{value} must be 1 or more", (name,))
    rng = np.random.default_rng([seed, 7])
    course = _Course(shape, time, waits, overhead, failing, saves, retries, runs, rng, doubt)
    size = shape.batch if shape.mode == "batch" else trials
    for first in range(0, trials, size):
        course.play(min(size, trials - first), running if first == 0 else ())
    return course.times()


class _Course:
    """All cases. Shapes: R cases, W workers, S slots of each."""

    def __init__(
        self,
        shape: Shape,
        time: Lognormal,
        waits: Waits,
        overhead: Lognormal,
        failing: float,
        saves: bool,
        retries: int,
        runs: int,
        rng: np.random.Generator,
        doubt: tuple[float, float],
    ) -> None:
        self._slow, self._heavy = (np.exp(size * rng.standard_normal(runs)) for size in doubt)
        self._shape, self._time, self._waits, self._overhead = shape, time, waits, overhead
        self._failing, self._saves, self._retries, self._rng = failing, saves, retries, rng
        self._r = np.arange(runs)
        self._need = 0.0 if saves else float(time.at(_LATE))
        self._notice = float(usual_notice(int(shape.walltime // 60)))
        self._most = math.inf if shape.trials is None else shape.trials * shape.slots
        self._finish = np.zeros(runs)
        self._held, self._prepared, self._useful, self._lost = (np.zeros(runs) for _ in range(4))
        self._late = np.full((runs, shape.workers), np.inf)  # when jobs start that a batch has left
        self._jobs, self._given_up = np.zeros(runs, np.int64), np.zeros(runs, np.int64)
        self._later = np.empty((runs, 0))  # waits of jobs that follow others
        self._used = np.zeros(runs, np.int64)

    def times(self) -> Times:
        hour, units = 3600.0, self._shape.units
        slot: float = units / self._shape.slots / hour  # unit-hours of a second of a slot
        requested: Floats = self._jobs.astype(np.float64) * (self._shape.walltime * units / hour)
        return Times(
            self._finish,
            requested,
            self._held * (units / hour),
            self._prepared * (units / hour),
            self._useful * slot,
            self._lost * slot,
            self._jobs,
            self._given_up,
        )

    def play(self, trials: int, running: Sequence[tuple[float, float]]) -> None:
        """So many trials, in jobs that are submitted when all before have ended."""
        shape, runs = self._shape, len(self._r)
        workers = min(shape.workers, -(-trials // shape.slots))
        one, many = (runs, shape.workers), (runs, shape.workers * shape.slots)
        self._start = np.full(one, np.inf)
        self._start[:, :workers] = self._finish[:, None] + self._waits(self._rng, workers, runs)
        # Jobs of the batch before that were still waiting at its end take this one, and no others are submitted before they have ended.
        carried = np.isfinite(self._late).any(axis=1)
        self._start[carried] = self._late[carried]
        self._free = np.full(
            (runs, shape.workers, shape.slots), np.inf
        )  # when each can take a trial; infinite once it takes none any more
        self._closing = np.zeros(one)  # when the last of a job's slots ended that take none any more
        self._whole, self._taken, self._before = np.empty(one), np.zeros(one, np.int64), np.empty(one)
        self._left = np.full(runs, trials)  # to be begun for the first time
        # Trials that go back: from when they can be had, the seconds they take, those that must be left, how often they were to blame.
        self._from, self._takes = np.full(many, np.inf), np.zeros(many)
        self._wants, self._blamed = np.zeros(many), np.zeros(many, np.int64)
        self._back = np.zeros(runs, np.int64)  # how many of them there are
        self._tasks = np.full(
            runs, -(-trials // shape.slots) - workers
        )  # of the round, still to be submitted
        self._barren = np.zeros(runs, np.int64)  # jobs since one has brought something
        ran = np.array(running[:workers]).reshape(-1, 2)
        self._start[:, : len(ran)] = -ran[:, 0]
        self._prepare(*np.nonzero(np.isfinite(self._start)))
        self._free[:, : len(ran)] = -ran[:, 1, None]
        active, gone = np.isfinite(self._finish), self._given_up.copy()
        while active.any():
            self._step(np.flatnonzero(active))
            hopeless = self._given_up - gone > max(trials, _HOPELESS)
            stuck = (self._barren > _BARREN[0] + _BARREN[1] * shape.workers) | hopeless
            self._finish[stuck & active] = np.inf
            active &= (self._left + self._back > 0) & ~stuck
        self._end_jobs()

    # ------------------------------------------------------------------ one event in each case

    def _step(self, r: Ints) -> None:
        """The next slot that is free, in each of the cases `r`, begins a trial, waits, or ends."""
        shape = self._shape
        flat = self._free.reshape(len(self._r), -1)[r]
        s = flat.argmin(axis=1)
        w, now = s // shape.slots, flat[np.arange(len(r)), s]
        room = self._start[r, w] + shape.walltime - now
        may = (room > self._notice) & (self._taken[r, w] < self._most)
        fits = (room >= self._need) | (room >= self._whole[r, w])
        fresh = may & fits & (self._left[r] > 0)
        again, which = np.zeros(len(r), np.bool_), np.zeros(len(r), np.int64)
        if self._back[r].any():
            can = (self._from[r] <= now[:, None]) & (
                room[:, None] >= np.minimum(self._wants[r], self._whole[r, w][:, None])
            )
            again, which = may & can.any(axis=1), can.argmax(axis=1)
        begins = fresh | again
        if begins.any():
            self._begin(r[begins], s[begins], now[begins], again[begins], which[begins])
        if not begins.all():
            self._rest(r[~begins], s[~begins], now[~begins])

    def _begin(self, r: Ints, s: Ints, now: Floats, again: NDArray[np.bool_], which: Ints) -> None:
        shape, w = self._shape, s // self._shape.slots
        seconds = self._time.draw(self._rng, r.shape) * self._slow[r]
        blamed = np.zeros(len(r), np.int64)
        if again.any():
            old, place = r[again], which[again]
            seconds[again], blamed[again] = self._takes[old, place], self._blamed[old, place]
            self._from[old, place] = np.inf
            self._back[old] -= 1
        self._left[r[~again]] -= 1
        self._taken[r, w] += 1
        fails = self._rng.random(len(r)) < self._failing if self._failing else np.zeros(len(r), np.bool_)
        runs = np.where(fails, seconds * self._rng.random(len(r)), seconds) if self._failing else seconds
        limit = self._start[r, w] + shape.walltime - (self._notice if self._saves else LAST)
        over = now + runs > limit
        end = np.where(over, limit, now + runs)
        counts = np.ones(len(r), np.bool_) if self._saves else ~over
        np.add.at(self._useful, r, np.where(counts & ~(fails & ~over), end - now, 0.0))
        np.add.at(self._lost, r, np.where(counts & ~(fails & ~over), 0.0, end - now))
        self._free.reshape(len(self._r), -1)[r, s] = end
        self._finish[r] = np.maximum(self._finish[r], end)
        self._barren[r[~over]] = 0
        if over.any():
            had = (end - now)[over]
            self._put_back(r[over], w[over], limit[over], runs[over], had, blamed[over])

    def _put_back(self, r: Ints, w: Ints, at: Floats, seconds: Floats, had: Floats, blamed: Ints) -> None:
        """Trials whose job ends before them; for one that is given up, another one."""
        blamed = blamed + ((had >= self._whole[r, w]) & (not self._saves))
        takes, wants = (np.maximum(seconds - had, 0.0), 0.0 * had) if self._saves else (seconds, 2.0 * had)
        gone = blamed > self._retries
        if gone.any():
            lost = r[gone]
            np.add.at(self._given_up, lost, 1)
            takes[gone] = self._time.draw(self._rng, lost.shape) * self._slow[lost]
            wants[gone], blamed[gone] = self._need, 0
        place = np.isinf(self._from[r]).argmax(axis=1)
        self._from[r, place], self._blamed[r, place] = at, blamed
        self._takes[r, place], self._wants[r, place] = takes, wants
        self._back[r] += 1

    def _rest(self, r: Ints, s: Ints, now: Floats) -> None:
        """Nothing can begin on these slots: they wait for a trial that comes back soon, or end, and with the last of them their job."""
        w, flat = s // self._shape.slots, self._free.reshape(len(self._r), -1)
        flat[r, s] = np.inf
        self._closing[r, w] = np.maximum(self._closing[r, w], now)
        over = np.isinf(self._free[r, w]).all(axis=1)
        r, w = r[over], w[over]
        if r.size:
            self._follow(r, w)

    def _follow(self, r: Ints, w: Ints) -> None:
        """Jobs have ended: each is followed by the next task of its round, and the last job of a round by another round."""
        ended = self._closing[r, w]
        self._held[r] += ended - self._start[r, w]
        self._closing[r, w], self._start[r, w] = 0.0, np.inf
        idle = (self._taken[r, w] == 0) & (self._left[r] == 0) & (self._from[r].min(axis=1) > ended)
        np.add.at(self._barren, r[~idle], 1)
        last = (self._tasks[r] == 0) & np.isinf(self._start[r]).all(axis=1)
        if last.any():
            self._tasks[r[last]] = -(-(self._left + self._back)[r[last]] // self._shape.slots)
        # Where all that is left runs elsewhere and will come back, the next job is submitted when it does.
        soonest = np.where(self._left[r] > 0, -np.inf, self._from[r].min(axis=1))
        at = np.maximum(ended, soonest)
        while r.size:
            goes = self._tasks[r] > 0
            r, w, at, last = r[goes], w[goes], at[goes], last[goes]
            self._start[r, w] = at + self._wait(r)
            self._tasks[r] -= 1
            self._prepare(r, w)
            # The other jobs of a round that has just been submitted.
            r, w, at, last = r[last], (w[last] + 1) % self._start.shape[1], at[last], last[last]
            idle = np.isinf(self._start[r, w])
            r, w, at, last = r[idle], w[idle], at[idle], last[idle]

    # ------------------------------------------------------------------ jobs

    def _prepare(self, r: Ints, w: Ints) -> None:
        """Jobs start: when their slots are ready, and what is a whole job."""
        start, walltime = self._start[r, w], self._shape.walltime
        before = np.minimum(self._overhead.draw(self._rng, r.shape) * self._heavy[r], walltime)
        self._before[r, w] = before
        self._free[r, w] = (start + before)[:, None]
        self._whole[r, w] = WHOLE * np.maximum(walltime - before - LAST, 0.0)
        self._taken[r, w] = 0
        np.add.at(self._prepared, r, before)
        np.add.at(self._jobs, r, 1)

    def _wait(self, r: Ints) -> Floats:
        """What a job waits that follows another."""
        if (self._used[r] >= self._later.shape[1]).any():
            runs, more_of = len(self._r), max(_AHEAD, self._later.shape[1])
            more = self._waits(self._rng, 1, runs * more_of).reshape(runs, more_of)
            self._later = np.concatenate((self._later, more), axis=1)
        found: Floats = self._later[r, self._used[r]]
        self._used[r] += 1
        return found

    def _end_jobs(self) -> None:
        """All trials have ended: so do the jobs that run. Those that wait are not counted, unless another batch follows."""
        busy = np.where(np.isinf(self._free), -np.inf, self._free).max(axis=2)
        end = np.maximum(busy, self._closing)
        finish = np.where(np.isfinite(self._finish), self._finish, np.inf)[:, None]
        ran = np.isfinite(self._start) & (self._start <= finish)
        waits = ~ran & np.isfinite(self._start)
        self._held += np.where(ran, end - np.where(ran, self._start, 0.0), 0.0).sum(axis=1)
        self._prepared -= np.where(waits, self._before, 0.0).sum(axis=1)
        self._jobs -= waits.sum(axis=1)
        self._late = np.where(waits, self._start, np.inf)
