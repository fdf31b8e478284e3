"""The state of a study, in columns: what samplers, pruners, decisions and reports look at.

Row n of every column is trial n. How it comes of the study's events, and that the order in which writers are read makes no difference,
stands in `fold.py`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from taut.definition import Definition, Earlier
from taut.events import Allocation
from taut.fold import Fold
from taut.past import Content, Past
from taut.readings import READINGS, WALL
from taut.space import Space
from taut.trial import State, TrialRecord

__all__ = ["Snapshot"]

FloatArray = NDArray[np.float64]
Numbers = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


class Snapshot(Fold):
    """What is known of a study. `apply` events to it; read its columns, never write to them.

    recall: what to call for the content of an earlier study, by its digest.
    """

    def __init__(self, definition: Definition, space: Space | None = None) -> None:
        super().__init__(definition, space)
        self.recall: Callable[[str], bytes] | None = None
        self._past: tuple[list[Earlier], tuple[Past, ...]] = [], ()

    @property
    def past(self) -> tuple[Past, ...]:
        """What earlier studies found, in the order of `warm_start`; read when it is first asked for."""
        wanted = self.definition.warm_start
        if wanted != self._past[0]:
            assert self.recall is not None, "a snapshot of a study with earlier ones knows where to find them"
            contents = [Content.from_json(self.recall(each.digest)) for each in wanted]
            first = self.definition.objectives[0]
            self._past = wanted, tuple(Past.of(content, first) for content in contents)
        return self._past[1]

    # ------------------------------------------------------------------ columns

    @property
    def state(self) -> NDArray[np.int8]:
        """(size,) `State` of each trial."""
        return self._view(self._state, np.int8)

    @property
    def attempt(self) -> NDArray[np.int32]:
        """(size,) highest attempt of each trial; -1 before the first."""
        return self._view(self._attempt, np.int32)

    @property
    def writer(self) -> NDArray[np.int32]:
        """(size,) writer of each trial's highest attempt; -1 before the first."""
        return self._view(self._writer, np.int32)

    @property
    def started(self) -> FloatArray:
        """(size,) start of each trial's highest attempt, seconds since the epoch; NaN before the first.

        Of one that stood ready behind another it is known only at its end when it really began.
        """
        return self._view(self._started, np.float64)

    @property
    def finished(self) -> FloatArray:
        """(size,) end of each finished trial, seconds since the epoch; NaN for others."""
        return self._view(self._finished, np.float64)

    def value(self, n: int, metric: str) -> float:
        """`values` of one trial."""
        told = self._outcomes.of(n, metric)
        if told != told and metric in READINGS and metric not in self.theirs:
            return self._used.of(n, metric, self._finished[n] - self._started[n] if metric == WALL else None)
        return told

    @property
    def chosen(self) -> NDArray[np.bool_]:
        """(size,) whether the parameters of each trial are known."""
        return self._view(self._revision, np.int32) >= 0

    def _view(self, column: array[Any], kind: type[Scalar]) -> NDArray[Scalar]:
        if not self.size:
            return np.empty(0, kind)
        view: NDArray[Scalar] = np.frombuffer(column, kind, self.size)
        view.flags.writeable = False
        return view

    @property
    def codes(self) -> FloatArray:
        """(size, d) parameters in the latest space's coding; NaN where inactive or not yet chosen."""
        self._settle_params(self.space)
        return self._codes[: self.size]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics that any finished trial has, the objectives first; of what meters read, only what the study asks for."""
        first = {objective.metric: i for i, objective in enumerate(self.definition.objectives)}
        names = {*self._outcomes.names, *(name for name in self.meters if name in self._named)}
        return tuple(sorted(names, key=lambda name: (first.get(name, len(first)), name)))

    @property
    def meters(self) -> tuple[str, ...]:
        """Names of what meters have read of any finished trial."""
        found = self._used.names | ({WALL} if self.n_finished else set())
        return tuple(name for name in READINGS if name in found)

    def values(self, metric: str) -> FloatArray:
        """(size,) the metric of each finished trial, as it told it, or else as it was measured; NaN where it has none."""
        told = self._outcomes.column(metric, self.size)
        if metric not in READINGS or metric in self.theirs:
            return told
        return np.where(np.isnan(told), self.measured(metric), told)

    def _shown(self, metric: str) -> FloatArray:
        """(size,) as `values`; of a trial that failed, only what it told."""
        found = self.values(metric)
        if metric not in READINGS or not self.counts[State.FAILED]:
            return found
        return np.where(self.state == State.FAILED, self._outcomes.column(metric, self.size), found)

    def measured(self, name: str) -> FloatArray:
        """(size,) what a meter has read of each finished trial, over all its attempts; NaN where it has not."""
        wall = self.finished - self.started if name == WALL else None
        return self._used.column(name, self.size, wall)

    # ------------------------------------------------------------------ questions

    @property
    def n_finished(self) -> int:
        """Trials that are complete, pruned or failed."""
        return self.counts[State.COMPLETE] + self.counts[State.PRUNED] + self.counts[State.FAILED]

    @property
    def progress(self) -> int:
        """A number that grows with whatever the study reaches: results, trials that came to a rung or saved themselves, retries used up."""
        return self.n_finished + len(self.releases.parked) + self.releases.saves + self.releases.blames

    def tally(self) -> dict[State, int]:
        """How many trials are in each state, of those that were ever started; states without any are left out."""
        found = np.bincount(self.state[self.known], minlength=len(State)).tolist()
        return {state: found[state] for state in State if found[state]}

    def where(self, *states: State) -> NDArray[np.int64]:
        """Numbers of the trials in any of `states`, ascending."""
        for state in states:
            if self.counts[state]:
                break
        else:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.state == states[0] if len(states) == 1 else np.isin(self.state, states))

    def params(self, n: int) -> dict[str, Any] | None:
        """The parameters of trial `n`, or None if they were never chosen."""
        if self._revision[n] < 0:
            return None
        fresh = self._fresh_params.get(n)
        return dict(fresh) if fresh is not None else self.space.params(self.codes[n : n + 1])[0]

    @property
    def durations(self) -> FloatArray:
        """Seconds that each complete trial took in all, of those that never had to begin again from their start; see `telling`."""
        whole = (self.state == State.COMPLETE) & (self._view(self._starts, np.int32) == 1)
        took: FloatArray = self.finished - self.started
        for n in filter(self._resumed, sorted(self.releases)):
            whole[n], took[n] = True, self.spent(n)
        return took[self.telling(np.flatnonzero(whole))]

    def telling(self, rows: Numbers) -> Numbers:
        """Those of trials `rows` that say how long others will take in a job: what ran in one, or all if nothing did.

        What was tried on a laptop or a login node before took another time there.
        """
        in_job = self.in_job(rows)
        return rows[in_job] if in_job.any() else rows

    def in_job(self, rows: Numbers) -> NDArray[np.bool_]:
        """(k,) whether each of trials `rows` ran in jobs of a queue only, as far as its attempts are known."""
        inside = self.in_jobs
        found = np.isin(self.writer[rows], list(inside))
        if found.any():
            for i in np.flatnonzero(found & np.isin(rows, list(self.releases))):
                found[i] = all(writer in inside for writer, _ in self.earlier(int(rows[i])))
        return found

    @property
    def in_jobs(self) -> frozenset[int]:
        """The writers that ran in a job of a queue."""
        return frozenset(n for n, opened in self.writers.items() if isinstance(opened.job, Allocation))

    def _resumed(self, n: int) -> bool:
        """Whether trial `n` is complete, and each of its attempts went on where the one before had stopped."""
        if self._state[n] != State.COMPLETE or self._starts[n] == 1:
            return False
        kept = [event.kept is True for _, event in self.earlier(n)]
        return all(kept) and len(kept) == self._starts[n] - 1

    def begun(self, n: int) -> float:
        """When the highest attempt of trial `n` began; NaN before the first."""
        return self._started[n]

    def next_attempt(self, n: int) -> int:
        """The attempt with which trial `n` would begin again."""
        return max(self._attempt[n], self.releases.highest(n)) + 1

    def records(self, numbers: Sequence[int] | NDArray[np.int64]) -> list[TrialRecord]:
        """What is known of the trials `numbers`, all of which were started once."""
        rows = np.asarray(numbers, np.int64)
        if len(rows) < 32:  # no reason yet to turn all that is fresh into codes
            params = [self.params(n) or {} for n in rows.tolist()]
        else:
            params = self.space.params(self.codes[rows])
        metrics = [(name, self._shown(name)[rows].tolist()) for name in self.metrics]
        meters = [(name, self.measured(name)[rows].tolist()) for name in self.meters]
        finished = self.finished[rows].tolist()
        return [
            TrialRecord(
                number=n,
                state=State(self._state[n]).name.lower(),
                params=params[i],
                values={name: column[i] for name, column in metrics if column[i] == column[i]},
                attempts=self._starts[n],
                worker=self._writer[n],
                started=self._started[n],
                finished=finished[i] if finished[i] == finished[i] else None,
                error=self._errors.get(n),
                interruptions=self.releases.why(n),
                spent=self.spent(n),
                parent=self.descents[n].parent if n in self.descents else None,
                step=None if (last := self.curves.last(n)) is None else last.s,
                meters={name: column[i] for name, column in meters if column[i] == column[i]},
            )
            for i, n in enumerate(rows.tolist())
        ]

    @property
    def known(self) -> NDArray[np.int64]:
        """Numbers of the trials that were ever started, ascending."""
        return np.flatnonzero(self.attempt >= 0)
