"""What a pruner has saved: the time that trials spent on each rung, and what those that ended early would have cost.

Time is split by what trials reported: the seconds between two reports belong to the steps between them. The rest is an estimate:
a trial that ended early would have gone on at its own pace.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from taut.events import Reported
from taut.leading import rungs
from taut.pruners.base import Pruner
from taut.releases import had
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["Rung", "Savings", "savings"]

_OPEN = State.WAITING, State.PAUSED
Share = Callable[[float], float]


class Rung(NamedTuple):
    """Trials by the step that they reached.

    step: 0 stands for the beginning, where trials ended before the lowest rung. reached: in a population, by a run of its own. went_on: all that reached it and neither stopped
    there nor wait there. spent: seconds on the way from the rung below, in all attempts; repeated: those of them for steps that
    the trial had run before, since it began again without a checkpoint. saved: seconds that the trials which ended here would
    still have taken; None where that cannot be told.
    """

    step: float
    reached: int
    went_on: int
    stopped: int
    waiting: int
    spent: float
    repeated: float
    saved: float | None


@dataclasses.dataclass(frozen=True)
class Savings:
    """What was spent and what was not; seconds, or GPU-seconds where GPUs are counted.

    rungs: the lowest first; none where the study has no fidelity. trials: how many were started, of which some were stopped and some
    are waiting to be promoted; replaced: of the stopped ones, how many went on as copies of others, which saves nothing. spent: on all steps, of which some were repeated. saved: what the trials that ended early would still have
    taken, about; None where nothing tells. equivalents: in how many whole trials there are as many steps as have run, repeated
    ones included; None where nothing tells how long a whole trial is.
    """

    rungs: Sequence[Rung]
    trials: int
    stopped: int
    waiting: int
    spent: float
    repeated: float
    saved: float | None
    equivalents: float | None
    replaced: int = 0

    @property
    def early(self) -> int:
        """How many trials ended early, for good or until they are promoted, and nobody took their place."""
        return self.stopped + self.waiting - self.replaced

    @property
    def full(self) -> float | None:
        """What the same trials would have cost without a pruner, about."""
        return None if self.saved is None else self.spent - self.repeated + self.saved

    @property
    def net(self) -> float | None:
        """What was saved in the end: less what was repeated since trials stopped and began again."""
        return None if self.saved is None else self.saved - self.repeated


def savings(
    snapshot: Snapshot, pruner: Pruner | None, now: float, gpus: Mapping[int, float] | None = None
) -> Savings:
    """The account of a study up to `now` (seconds since the epoch).

    gpus: for each writer, how many GPUs a trial of its holds; then GPU-seconds are counted instead of seconds.

    Of an attempt whose worker died without a word only the time from its first to its last report is known.
    """
    ledger = _Ledger(snapshot, rungs(snapshot, pruner))
    reports = _by_attempt(snapshot.curves.heard)
    for n in snapshot.known.tolist():
        ledger.enter(n, _attempts(snapshot, n, reports.get(n, {}), now), gpus)
    return ledger.account()


class _Attempt(NamedTuple):
    """begin, end: NaN where its worker died without a word. resumable: whether a later one may have gone on from it."""

    writer: int
    begin: float
    end: float
    reports: list[Reported]
    kept: bool
    resumable: bool
    runs: bool = False


def _by_attempt(heard: Sequence[Reported]) -> dict[int, dict[int, list[Reported]]]:
    found: dict[int, dict[int, list[Reported]]] = {}
    for event in heard:
        found.setdefault(event.n, {}).setdefault(event.a, []).append(event)
    for attempts in found.values():
        for rows in attempts.values():
            rows.sort(key=lambda event: (event.t, event.s))
    return found


def _attempts(
    snapshot: Snapshot, n: int, reports: dict[int, list[Reported]], now: float
) -> list[tuple[int, _Attempt]]:
    """The attempts of trial `n` of which something is known, in their order."""
    last, found = int(snapshot.attempt[n]), dict[int, _Attempt]()
    for a, rows in reports.items():  # whatever is known better replaces it
        found[a] = _Attempt(int(snapshot.writer[n]), math.nan, math.nan, rows, False, True)
    for writer, event in snapshot.earlier(n):
        rows, kept = reports.get(event.a, []), event.kept is True
        resumable = kept or not isinstance(event.at, float)  # who waits has looked for its checkpoint
        found[event.a] = _Attempt(writer, event.t - had(event), event.t, rows, kept, resumable)
    if snapshot.state[n] not in _OPEN:
        rows, end = reports.get(last, []), float(snapshot.finished[n])
        runs = end != end
        if runs:
            end = max([now, *(event.t for event in rows)])
        found[last] = _Attempt(int(snapshot.writer[n]), snapshot.begun(n), end, rows, False, True, runs)
    return sorted(found.items())


class _Ledger:
    """Adds up trial by trial."""

    def __init__(self, snapshot: Snapshot, steps: list[float]) -> None:
        self._snapshot, self._steps = snapshot, steps
        fidelity, whole = snapshot.definition.fidelity, _usual_end(snapshot)
        if fidelity is not None:
            whole = fidelity.max
        self._whole = whole
        self._share: Share = _share(whole) if fidelity is None else functools.cache(fidelity.share)
        self._spent, self._repeated = np.zeros(max(len(steps), 1)), np.zeros(max(len(steps), 1))
        self._reached: dict[int, float] = {}
        self._first: dict[int, tuple[float, float]] = {}  # by trial: time up to first reports, and shares
        self._later: dict[int, tuple[float, float]] = {}  # the same for what came between reports
        self._ran = 0.0

    def enter(
        self, n: int, attempts: Sequence[tuple[int, _Attempt]], gpus: Mapping[int, float] | None
    ) -> None:
        complete = self._snapshot.state[n] == State.COMPLETE
        last = int(self._snapshot.attempt[n])
        descent = self._snapshot.descents.get(n)
        begun = 0.0 if descent is None else descent.step
        before = (
            [begun] if begun else []
        )  # steps that earlier attempts reported, or those that it descends from
        kept, resumable = bool(begun), False
        self._reached[n] = begun
        first, later = (0.0, 0.0), (0.0, 0.0)
        for a, attempt in attempts:
            weight = 1.0 if gpus is None else gpus.get(attempt.writer, 0.0)
            known = attempt.begin == attempt.begin
            at = _begins(attempt.reports, before, kept, resumable)
            top = _end(attempt.reports, at, self._whole) if complete and a == last else None
            for i, (low, high, seconds) in enumerate(_pieces(attempt, at, self._whole, top)):
                cost, share = seconds * weight, self._share(high) - self._share(low)
                self._book(low, high, cost, self._reached[n], attempt.runs)
                self._ran += share
                if share > 0.0 and i == 0 and known:
                    first = first[0] + cost, first[1] + share
                elif share > 0.0 and i > 0:
                    later = later[0] + cost, later[1] + share
                at = high
            self._reached[n] = max(self._reached[n], at)
            before = sorted({*before, *(event.s for event in attempt.reports)})
            kept, resumable = kept or attempt.kept, resumable or attempt.resumable
        if n in self._snapshot.waiting:  # it may have gone that far without a word
            self._reached[n] = max(self._reached[n], self._snapshot.waiting[n])
        self._first[n], self._later[n] = first, later

    def _book(self, low: float, high: float, cost: float, before: float, runs: bool) -> None:
        """Enter the time from one step to another under their rungs. before: how far earlier attempts had come."""
        cuts = [step for step in {*self._steps, before} if low < step < high]
        points = [low, *sorted(cuts), high]
        total = self._share(high) - self._share(low)
        for start, end in itertools.pairwise(points):
            part = (self._share(end) - self._share(start)) / total if total > 0.0 else 1 / (len(points) - 1)
            under = bisect.bisect_right if runs and start == end else bisect.bisect_left
            rung = min(under(self._steps, end), len(self._spent) - 1)
            self._spent[rung] += part * cost
            if start < before and end <= before:
                self._repeated[rung] += part * cost

    def account(self) -> Savings:
        snapshot, steps = self._snapshot, self._steps
        heights = {n: bisect.bisect_right(steps, step) for n, step in self._reached.items()}
        stopped = [n for n in heights if snapshot.state[n] == State.PRUNED]
        waiting = [n for n in heights if n in snapshot.waiting]
        replaced = {n for n in stopped if n in snapshot.heirs}
        saved = self._saved([n for n in (*stopped, *waiting) if n not in replaced])
        begun = {n: bisect.bisect_right(steps, descent.step) for n, descent in snapshot.descents.items()}
        rows: list[Rung] = []
        for rung in range(-1, len(steps)):
            ended, wait = ([n for n in group if heights[n] - 1 == rung] for group in (stopped, waiting))
            if rung < 0 and not ended + wait:
                continue
            reached = sum(min(begun.get(n, -1), height - 1) <= rung < height for n, height in heights.items())
            went_on = reached - len(ended) - len(wait) if rung < len(steps) - 1 else 0
            spent, repeated = (
                (float(self._spent[rung]), float(self._repeated[rung])) if rung >= 0 else (0.0, 0.0)
            )
            spared = None if saved is None else math.fsum(saved.get(n, 0.0) for n in ended + wait)
            step = steps[rung] if rung >= 0 else 0.0
            rows.append(Rung(step, reached, went_on, len(ended), len(wait), spent, repeated, spared))
        return Savings(
            rungs=rows if steps else [],
            trials=len(heights),
            stopped=len(stopped),
            waiting=len(waiting),
            spent=float(self._spent.sum()),
            repeated=float(self._repeated.sum()),
            saved=None if saved is None else math.fsum(saved.values()),
            equivalents=None if self._whole is None else self._ran,
            replaced=len(replaced),
        )

    def _saved(self, early: list[int]) -> dict[int, float] | None:
        """What each of the trials that ended early would still have taken."""
        pace = self._pace()
        if early and (self._whole is None or not pace):
            return None
        usual = float(np.median(list(pace.values()))) if pace else 0.0
        return {n: (1.0 - self._share(self._reached[n])) * pace.get(n, usual) for n in early}

    def _pace(self) -> dict[int, float]:
        """Seconds that a whole trial takes, by trial where it can be told.

        It is told by what lies between two reports. Before the first there is the start, too, which would not come again
        with each step: how much of that time it is, is taken from the trials that reported more often.
        """
        first = {n: cost / share for n, (cost, share) in self._first.items() if share > 0.0 < cost}
        later = {n: cost / share for n, (cost, share) in self._later.items() if share > 0.0 < cost}
        both = [min(later[n] / first[n], 1.0) for n in later if n in first]
        steps = float(np.median(both)) if both else 1.0
        return {**{n: steps * pace for n, pace in first.items()}, **later}


def _begins(reports: Sequence[Reported], before: list[float], kept: bool, resumable: bool) -> float:
    """The step from which an attempt began, as its first report tells. before: the steps that were reported before it."""
    if not before or not (kept or resumable):
        return 0.0
    if not reports:
        return before[-1]
    return before[found - 1] if (found := bisect.bisect_left(before, reports[0].s)) else 0.0


def _end(reports: Sequence[Reported], at: float, whole: float | None) -> float | None:
    """The step at which a complete trial ended: that of a whole one, unless it stopped more than one of its reports before that.

    at: the step from which its last attempt began.
    """
    if whole is None or not reports:
        return whole
    steps = sorted({at, *(event.s for event in reports)})
    usual = max((high - low for low, high in itertools.pairwise(steps)), default=0.0)
    return steps[-1] if whole - steps[-1] > usual > 0.0 else whole


def _pieces(
    attempt: _Attempt, at: float, whole: float | None, top: float | None
) -> Iterator[tuple[float, float, float]]:
    """From which step to which, and the seconds of that; the last one is what came after the last report."""
    known = attempt.begin == attempt.begin
    time = attempt.begin if known else attempt.reports[0].t
    for event in attempt.reports:
        step = max(at, event.s if whole is None else min(event.s, whole))
        yield at, step, max(event.t - time, 0.0)
        at, time = step, max(time, event.t)
    if known:
        yield at, at if top is None else max(at, top), max(attempt.end - time, 0.0)


def _usual_end(snapshot: Snapshot) -> float | None:
    """The last step that complete trials report, where the study names no fidelity."""
    last = [snapshot.curves.last(n) for n in snapshot.where(State.COMPLETE).tolist()]
    steps = [event.s for event in last if event is not None and event.s > 0.0]
    return float(np.median(steps)) if steps else None


def _share(whole: float | None) -> Share:
    return lambda step: 0.0 if whole is None else min(max(step, 0.0) / whole, 1.0)
