"""What a study still has to do: how many trials, how long each takes, and what a job needs before its first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.events import Allocation
from taut.queue.lengths import Trend
from taut.queue.simulate.times import Lognormal
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["Known", "Work", "ended", "ended_in_job"]

Floats = NDArray[np.float64]
_SPREAD = 0.3  # what is assumed of a spread before anything is known ...
_WEIGHT = 3  # ... and for how many values that counts
_VAGUE = 0.35  # standard deviation of the logarithm of a mean that somebody has guessed
_USUAL_OVERHEAD = (
    120.0  # seconds, where no job has run yet: a node is prepared, Python and the model are loaded
)
_RECENT = 10  # trials, or a quarter of all, by whose parameters those to come are judged
_CLEARLY = 2.0  # standard errors by which these have to differ from all
_FOLLOWS = 0.5  # of the variance that parameters must explain for that


class Known(NamedTuple):
    """How long something takes, and how well that is known.

    time: as it probably is. values: how many it is from; 0: somebody said so, or it is assumed. source: where it comes from, in words.
    """

    time: Lognormal
    values: int
    source: str

    @staticmethod
    def of(seconds: Floats, source: str) -> Known:
        """From values, of which there is at least one. Few of them are not taken to say all of how they spread."""
        seconds = np.maximum(seconds, 1e-3)
        logs, n = np.log(seconds), len(seconds)
        variance = (_WEIGHT * _SPREAD**2 + float(((logs - logs.mean()) ** 2).sum())) / (_WEIGHT + n - 1)
        return Known(Lognormal(float(seconds.mean()), math.sqrt(math.expm1(variance))), n, source)

    @staticmethod
    def said(mean: float, spread: float = _SPREAD) -> Known:
        return Known(Lognormal(mean, spread), 0, "as given")

    @property
    def doubt(self) -> float:
        """Standard deviation of the logarithm of the mean; of few values it is that of Student's t, since their spread is not well known either."""
        if not self.time.mean:
            return 0.0
        if not self.values:
            return _VAGUE
        freedom = _WEIGHT + self.values - 1
        return math.sqrt(math.log1p(self.time.spread**2) / self.values * freedom / (freedom - 2))


class Work(NamedTuple):
    """What is left of a study. trials: to be finished. trial: how long a slot is busy with one of them, early ends included.

    overhead: seconds from the start of a job to its first trial. saves: whether trials checkpoint when their job ends.
    """

    trials: int
    trial: Known
    overhead: Known
    saves: bool = False

    @staticmethod
    def of(
        snapshot: Snapshot,
        begun: Mapping[tuple[int, int], float] | None = None,
        *,
        trials: int | None = None,
        trial: Known | None = None,
        overhead: Known | None = None,
    ) -> Work:
        """What the study's own trials and jobs say; `trials`, `trial` and `overhead` are what somebody said instead.

        begun: when jobs started, by number and life, in seconds since the epoch; without it an overhead counts from a worker's first word.

        Raises `InputError` where that is not enough: there must be a number of trials, and some of them finished, or a time for one.
        """
        trials = snapshot.definition.budget.trials if trials is None else trials
        if trials is None:
            raise InputError(
                "a plan needs to know how many trials are wanted; add [budget] trials = 100, or give --trials",
                ("budget", "trials"),
            )
        if trial is None:
            trial = _trial(snapshot)
        if trial is None:
            raise InputError(
                "nothing is known of how long a trial takes; say it (--trial-time 6m), or let some run first, which count for the study: "
                "taut run ... --trials 3"
            )
        if overhead is None:
            before = _before(snapshot, begun or {})
            overhead = Known(Lognormal(_USUAL_OVERHEAD, 0.5), 0, "assumed")
            if len(before):
                overhead = Known.of(before, f"from {len(before)} job{'s' * (len(before) > 1)}")
        # Trials that wait on a rung have had their place in the budget, and may go on yet.
        left = max(trials - snapshot.n_finished - len(snapshot.waiting), min(len(snapshot.waiting), 1), 0)
        return Work(left, trial, overhead, snapshot.releases.saves > 0)


def ended(snapshot: Snapshot) -> bool:
    """Whether some trial has shown how long one takes, be it outside of jobs."""
    return len(_took(snapshot)[0]) > 0


def ended_in_job(snapshot: Snapshot) -> bool:
    """Whether some trial has shown how long one takes in a job."""
    return _took(snapshot)[2]


def _trial(snapshot: Snapshot) -> Known | None:
    """How long a slot is busy with one trial to come; None while none has ended."""
    rows, took, in_job = _took(snapshot)
    if not len(rows):
        return None
    source = f"from {len(rows)} trial{'s' * (len(rows) > 1)}"
    known = Known.of(took, source if in_job else f"{source} outside of jobs")
    shares = _shares(snapshot, rows)
    trend = Trend.of(snapshot.space, snapshot.codes[rows], took / shares)
    if trend is None:
        return known
    known = known._replace(source=f"{known.source}; it goes with {trend}")
    return _to_come(snapshot, rows, shares, trend, known) if trend.explains >= _FOLLOWS else known


def _took(snapshot: Snapshot) -> tuple[NDArray[np.int64], Floats, bool]:
    """Trials that have ended, or wait on a rung, seconds that slots were busy with each, and whether in jobs; attempts that came to nothing count.

    Only those in jobs, as soon as these show how long a trial takes: another machine takes another time.
    """
    rows = snapshot.where(State.COMPLETE, State.PRUNED, State.FAILED)
    waiting = np.array(sorted(snapshot.waiting), np.int64)
    took = snapshot.finished[rows] - snapshot.started[rows]
    for i in np.flatnonzero(np.isin(rows, list(snapshot.releases))):
        took[i] = snapshot.spent(int(rows[i]))
    rows = np.concatenate((rows, waiting))
    took = np.concatenate((took, [snapshot.spent(n) for n in waiting.tolist()]))
    there = (took > 0.0) & snapshot.chosen[rows]
    failed, in_job = snapshot.state[rows] == State.FAILED, snapshot.in_job(rows)
    for which in (there & in_job, there & ~in_job):
        if (which & ~failed).any():  # how soon trials fail does not say how long one takes
            return rows[which], took[which], bool(in_job[which].all())
    return rows[:0], took[:0], False


def _shares(snapshot: Snapshot, rows: NDArray[np.int64]) -> Floats:
    """How far trials came, as a part of the cost of a whole one; 1 where there are no fidelities."""
    fidelity, found = snapshot.definition.fidelity, np.ones(len(rows))
    if fidelity is None:
        return found
    for i, n in enumerate(rows.tolist()):
        last = snapshot.curves.last(n)
        if snapshot.state[n] != State.COMPLETE and last is not None:
            found[i] = max(fidelity.share(last.s), 1e-3)
    return found


def _to_come(
    snapshot: Snapshot, rows: NDArray[np.int64], shares: Floats, trend: Trend, known: Known
) -> Known:
    """As far as trials follow their parameters: those to come will be like the latest, where the latest differ clearly from all."""
    count = max(_RECENT, len(rows) // 4)
    recent = np.flatnonzero(snapshot.chosen)[-count:]
    of_all = trend.at(snapshot.codes[rows])
    latest = trend.at(snapshot.codes[recent])
    error = float(of_all.std()) / math.sqrt(len(recent))
    if abs(float(latest.mean() - of_all.mean())) <= _CLEARLY * error:
        return known
    seconds = np.exp(latest + trend.rest**2 / 2) * float(shares[-count:].mean())
    mean = float(seconds.mean())
    rest = math.expm1(trend.rest**2)  # squared, relative to the mean
    spread = math.sqrt((1.0 + float(seconds.var()) / mean**2) * (1.0 + rest) - 1.0)
    source = f"{known.source}; judged by the parameters of the latest {len(recent)}"
    return Known(Lognormal(mean, spread), known.values, source)


def _before(snapshot: Snapshot, begun: Mapping[tuple[int, int], float]) -> Floats:
    """Seconds before the first trial of each worker that runs in a job."""
    started, writer = snapshot.started, snapshot.writer
    found = []
    for number, opened in snapshot.writers.items():
        first = started[writer == number]
        first = first[first >= opened.t]
        if not isinstance(opened.job, Allocation) or not len(first):
            continue
        begin = min(begun.get((opened.job.id, opened.job.life), opened.t), opened.t)
        found.append(float(first.min()) - begin)
    return np.array(found)
