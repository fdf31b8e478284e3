"""What freeze-thaw expects of every trial: its losses on pause steps that it has not come to, with how sure that is.

Two sources, multiplied as normal distributions: the trial's own curve, continued by `taut.pruners.powerlaw`, once it has a few values; and
a line through the losses of the trials that have been on both of the steps. The line needs a single value of the trial, and keeps the law
from taking a pause of a curve for its end.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from taut.ladder import Ladder
from taut.pruners.powerlaw import forecast
from taut.pruners.tracks import Tracks
from taut.snapshot import Snapshot
from taut.space.prior import Bools, Floats
from taut.standing import standing
from taut.trial import State

__all__ = ["Outlook", "chances"]

Numbers = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

_LEAST = 3  # values of a curve that are continued by a law
_MOST = 1e70  # values beyond are treated like no numbers
_ENOUGH = 4  # trials that tell how far apart trials are on a step
_PAIRS = 3.0  # trials that the slope of 1 is worth
_STEEPEST = 2.0
_TINY = 1e-6  # of the values: how sure one can be at most


class Outlook:
    """Made for one look at a snapshot. What was worked out is kept for later looks, as long as nothing changes that it came from.

    steps: R steps at which trials pause. top: (n,) the highest that each trial is on, -1 before the first. latest: (n, m) its losses
    there, of those objectives that any trial tells; NaN where it has none. alive: (n,) not failed, not stopped, and with numbers.
    kept: (n,) breaks no constraint, as far as that is known.
    """

    _kept: ClassVar[weakref.WeakKeyDictionary[Tracks, dict[object, _Memory]]] = weakref.WeakKeyDictionary()

    def __init__(self, snapshot: Snapshot, steps: Sequence[float]) -> None:
        ladder, tracks = Ladder.of(snapshot, steps), Tracks.of(snapshot)
        self.steps = ladder.rungs
        size = min(len(ladder), snapshot.size)
        rows = np.arange(size)
        self.top: Numbers = ladder.heights[:size] - 1
        begun = self.top >= 0
        losses = ladder.losses[:size]
        latest = np.where(begun[:, None], losses[rows, self.top], np.nan)
        told = np.flatnonzero(~np.isnan(latest).all(axis=0))
        self._losses, self.latest = losses[:, :, told], latest[:, told]
        gone = np.isin(snapshot.state[:size], (State.FAILED, State.PRUNED))
        numbers = (np.abs(self.latest) <= _MOST).all(axis=1)
        self.alive: Bools = np.asarray(begun & ~gone & numbers & bool(len(told)))
        self._slack = np.full((size, 0), np.nan)
        if snapshot.definition.subject_to:
            every = np.stack([ladder.slacks(rung)[:size] for rung in range(len(self.steps))], axis=1)
            self._slack = every[rows, self.top]
        self.kept: Bools = np.asarray(~(self._slack > 0.0).any(axis=1))
        key = tuple(steps), tuple(told.tolist())
        memories = self._kept.setdefault(tracks, {})
        memory = memories.get(key)
        if memory is None:
            memory = memories[key] = _Memory(self.steps, told)
        self._memory = memory
        memory.read(np.where(np.abs(self._losses) <= _MOST, self._losses, np.nan))
        self._tracks = tracks

    @functools.cached_property
    def merit(self) -> Floats:
        """(n,) how the latest losses stand among each other, less is better; infinite for those that are not alive."""
        found = np.full(len(self.top), np.inf)
        found[self.alive] = standing(self.latest[self.alive], self._slack[self.alive])
        return found

    @property
    def whole(self) -> Bools:
        """(n,) alive and on the last step."""
        return np.asarray(self.alive & (self.top == len(self.steps) - 1))

    def at(self, target: Numbers) -> tuple[Floats, Floats]:
        """(n, m) mean and standard deviation of each trial's losses on step `target` (n,); 0 for what is known. NaN for those that are not alive."""
        mean = np.full(self.latest.shape, np.nan)
        spread = np.full(self.latest.shape, np.nan)
        there = np.flatnonzero(self.alive & (target <= self.top))
        known = self._losses[there, target[there]]
        mean[there], spread[there] = np.where(np.isfinite(known), known, self.latest[there]), 0.0
        ahead = np.flatnonzero(self.alive & (target > self.top))
        if len(ahead):
            low, high = self.top[ahead], target[ahead]
            led, doubt = self._memory.led(low, high, self.latest[ahead])
            law, unsure = self._memory.laws(self._tracks, ahead, high)
            believed, trusted = 1.0 / doubt, 1.0 / unsure
            total = believed + trusted
            mean[ahead] = (law * trusted + led * believed) / total
            spread[ahead] = np.sqrt(1.0 / total)
        return mean, spread


class _Memory:
    """What was worked out at earlier looks, and from what.

    By step: losses (n, R, m), and how far trials are apart; the line to the next step (R - 1, 5, m). By trial and step: where its own curve
    leads (n, R, m), and when its reports had last changed by then.
    """

    def __init__(self, steps: Sequence[float], told: Numbers) -> None:
        self._steps, self._told = list(steps), told
        r, m = len(steps), len(told)
        self._losses = np.full((0, r, m), np.nan)
        self._few, self._spread = np.arange(r) > 0, np.zeros((r, m))
        self._apart = np.zeros((r, m))
        self._line, self._alone = np.zeros((r - 1, 5, m)), np.ones(r - 1, bool)
        self._law, self._unsure = np.zeros((0, r, m)), np.ones((0, r, m))
        self._stamp = np.zeros((0, r), np.int64)  # `Tracks.changed` by then

    def read(self, losses: Floats) -> None:
        """Take the losses that are known now (n, R, m)."""
        size = len(losses)
        if size > len(self._law):
            more = 2 * size - len(self._law)
            self._law, self._unsure = (_longer(each, more, 0.0) for each in (self._law, self._unsure))
            self._stamp = _longer(self._stamp, more, -1)
        before, self._losses = self._losses, losses
        changed, redrawn = _changed(before, losses), False
        for step in range(len(self._steps)):
            if changed[step]:
                values = losses[np.isfinite(losses[:, step]).all(axis=1), step]
                self._few[step] = step > 0 and len(values) < _ENOUGH
                self._spread[step] = _apart(values)
            # Where only few have been, trials are taken to be as far apart as on the step before.
            apart = self._apart[step - 1] if self._few[step] else self._spread[step]
            changed[step] |= bool((apart != self._apart[step]).any())
            self._apart[step] = apart
        for step in range(len(self._steps) - 1):
            redrawn = bool(changed[step] or changed[step + 1] or (redrawn and self._alone[step]))
            if redrawn:
                self._line[step] = self._drawn(step)

    def led(self, low: Numbers, high: Numbers, losses: Floats) -> tuple[Floats, Floats]:
        """(k, m) where losses (k, m) on steps `low` lead on steps `high` (k,) from step to step, as other trials tell; and the variance of that."""
        mean, variance = losses.copy(), np.zeros(losses.shape)
        for step in range(int(low.min(initial=0)), int(high.max(initial=0))):
            on = (low <= step) & (step < high)
            before, after, slope, misses, doubt = self._line[step]
            away = mean[on] - before
            mean[on] = after + slope * away
            variance[on] = slope**2 * variance[on] + misses + doubt * away**2
        return mean, variance

    def _drawn(self, low: int) -> Floats:
        """(5, m) the line from one step to the next: a point on it, its slope, and the variance there and further away.

        The slope is held near 1 while those that were on both steps are few or alike. The variance is that of their distances from the line, as if there
        were one more that has gained nothing and is as far off as trials are apart.
        """
        before, after = self._losses[:, low], self._losses[:, low + 1]
        there = np.isfinite(before).all(axis=1)
        both = there & np.isfinite(after).all(axis=1)
        apart, count = self._apart[low], int(both.sum())
        least = (_TINY * np.abs(before[there]).max(axis=0, initial=0.0) + 1e-150) ** 2
        self._alone[low] = not count
        if not count:  # as unsure as before, and of gains like those before
            wide = apart**2
            if low:
                x0, y0, _, wide, _ = self._line[low - 1]
                wide = wide + (y0 - x0) ** 2
            zero = np.zeros(len(self._told))
            return np.stack((zero, zero, zero + 1.0, np.maximum(wide, least), zero))
        x, y = before[both], after[both]
        y = np.where(apart > 0.0, np.minimum(y, x + apart), y)  # one that diverges says little of the others
        x0, y0 = x.mean(axis=0), y.mean(axis=0)
        spread = ((x - x0) ** 2).sum(axis=0) + _PAIRS * apart**2
        known = spread > least
        slope = (((x - x0) * (y - y0)).sum(axis=0) + _PAIRS * apart**2) / np.where(known, spread, 1.0)
        slope = np.where(known, np.clip(slope, 0.0, _STEEPEST), 1.0)
        misses = y - y0 - slope * (x - x0)
        variance = ((misses**2).sum(axis=0) + apart**2 + (y0 - x0) ** 2) / (count + 1.0)
        doubt = np.where(known, variance / np.where(known, spread, 1.0), 0.0)
        return np.stack((x0, y0, slope, np.maximum(variance * (1.0 + 1.0 / count), least), doubt))

    def laws(self, tracks: Tracks, who: Numbers, high: Numbers) -> tuple[Floats, Floats]:
        """(k, m) where the curves of trials `who` lead at steps `high` (k,), and the variance of that; infinite for too short a curve."""
        changed = np.zeros(len(who), np.int64)
        inside = who < len(tracks.changed)
        changed[inside] = tracks.changed[who[inside]]
        for i in np.flatnonzero(self._stamp[who, high] != changed).tolist():
            n, step = int(who[i]), int(high[i])
            self._stamp[n, step] = changed[i]
            self._law[n, step], self._unsure[n, step] = self._continued(tracks, n, self._steps[step])
        return self._law[who, high], self._unsure[who, high]

    def _continued(self, tracks: Tracks, n: int, at: float) -> tuple[Floats, Floats]:
        mean, variance = np.zeros(len(self._told)), np.full(len(self._told), np.inf)
        rows = tracks.rows(n)
        steps, losses = tracks.step[rows], tracks.loss[self._told, rows]
        kept = (steps > 0.0) & (steps < at) & (np.abs(losses) <= _MOST).all(axis=0)
        if kept.sum() >= _LEAST:
            for j, column in enumerate(losses[:, kept]):
                found = forecast(steps[kept], column, at)
                mean[j], variance[j] = found.mean, max(found.variance, 1e-300)
        return mean, variance


def chances(mean: Floats, spread: Floats, rivals: Floats) -> Floats:
    """(n,) the chance of each of n trials not to stay behind that one of k rivals behind which it will most probably stay.

    mean, spread: (n, m) of normal losses; spread may be 0. rivals: (k, m). Being behind is to be better in no objective; with one objective this
    is the chance to get below the best rival. Without rivals it is 1. NaN where the mean is.
    """
    from scipy.special import ndtr  # loads with the first curve

    unknown = np.isnan(mean).any(axis=1)
    if not len(rivals):
        return np.where(unknown, np.nan, 1.0)
    ahead = rivals[None] - mean[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below = np.where(spread[:, None] > 0.0, ndtr(ahead / spread[:, None]), ahead > 0.0)
    found: Floats = 1.0 - (1.0 - below).prod(axis=2).max(axis=1)
    return np.where(unknown, np.nan, found)


def _changed(before: Floats, after: Floats) -> Bools:
    """(R,) on which steps losses (n, R, m) are not what they were, or trials have come."""
    same = min(len(before), len(after))
    old, new = before[:same], after[:same]
    equal = np.asarray(((old == new) | (np.isnan(old) & np.isnan(new))).all(axis=(0, 2)))
    gone, come = np.isnan(before[same:]).all(axis=(0, 2)), np.isnan(after[same:]).all(axis=(0, 2))
    return ~(equal & gone & come)


def _apart(values: Floats) -> Floats:
    """(m,) how far apart values (k, m) usually are: the standard deviation, by the middle half of them."""
    if len(values) < 2:
        return np.zeros(values.shape[1])
    ordered = np.sort(values, axis=0)
    low, high = (len(values) - 1) // 4, len(values) - 1 - (len(values) - 1) // 4
    middle: Floats = ordered[high] - ordered[low]
    return middle / 1.35


def _longer(old: NDArray[Scalar], more: int, fill: float) -> NDArray[Scalar]:
    return np.concatenate((old, np.full((more, *old.shape[1:]), fill, old.dtype)))
