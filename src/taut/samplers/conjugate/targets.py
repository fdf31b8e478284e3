"""What the regression learns from: ended trials in one order that all workers agree on, and their outcomes as targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taut.samplers.base import Numbers
from taut.samplers.history import History
from taut.space.prior import Bools, Floats

__all__ = ["Rows", "Scaling"]

_LOWEST = -1e3  # in standard deviations


@dataclass(frozen=True)
class Rows:
    """Trials that have ended, in the order in which they did.

    numbers, attempts: (n,) which they are. loss: (n, m) objectives, less is better; NaN for failed and pruned trials.
    slack: (n, c) constraints, kept where at most 0; NaN where not known. failed: (n,) through their parameters' fault.
    """

    numbers: Numbers
    attempts: Numbers
    loss: Floats
    slack: Floats
    failed: Bools

    @staticmethod
    def of(history: History) -> Rows:
        snapshot = history.snapshot
        ended = (history.done, history.failed, history.pruned)
        numbers = np.concatenate(ended)
        known = np.asarray(~np.isnan(snapshot.codes[numbers]).all(axis=1))
        loss = np.full((len(numbers), history.loss.shape[1]), np.nan)
        slack = np.full((len(numbers), history.slack.shape[1]), np.nan)
        failed = np.zeros(len(numbers), bool)
        k = len(history.done)
        loss[:k], slack[:k] = history.loss, history.slack
        failed[k : k + len(history.failed)] = True
        order = np.lexsort((numbers, snapshot.finished[numbers]))
        order = order[known[order]]
        numbers = numbers[order]
        attempts = snapshot.attempt[numbers].astype(np.int64)
        return Rows(numbers, attempts, loss[order], slack[order], failed[order])

    def __len__(self) -> int:
        return len(self.numbers)

    def same(self, other: Rows) -> int:
        """How many rows from the first on are the same in both."""
        n = min(len(self), len(other))
        if self.loss.shape[1] != other.loss.shape[1] or self.slack.shape[1] != other.slack.shape[1]:
            return 0
        differs = (self.numbers[:n] != other.numbers[:n]) | (self.attempts[:n] != other.attempts[:n])
        differs |= self.failed[:n] != other.failed[:n]
        for mine, its in ((self.loss, other.loss), (self.slack, other.slack)):
            differs |= ~((mine[:n] == its[:n]) | (np.isnan(mine[:n]) & np.isnan(its[:n]))).all(axis=1)
        return int(np.argmax(differs)) if differs.any() else n

    @property
    def bad(self) -> Bools:
        """(n,) failed, or known to break a constraint, or not known to keep it though complete."""
        complete = ~np.isnan(self.loss).all(axis=1)
        return np.asarray(self.failed | (complete & ~(self.slack <= 0.0).all(axis=1)))


@dataclass(frozen=True)
class Scaling:
    """From outcomes to targets; worked out from the first trials of a study, and kept while the next come in.

    An objective is cut off above, at its median plus `reach` times what the best tenth lies below it, so that a diverged
    trial does not flatten all others; then it is centred and scaled. Failed and pruned trials count as the worst.

    centre, scale, top: (m,). units: (c,) what constraints are measured in. offset: the margin's centre.
    """

    centre: Floats
    scale: Floats
    top: Floats
    units: Floats
    offset: float

    @staticmethod
    def of(rows: Rows, count: int, reach: float) -> Scaling:
        """From the first `count` rows."""
        m = rows.loss.shape[1]
        centre, scale, top = np.zeros(m), np.ones(m), np.zeros(m)
        for j in range(m):
            values = rows.loss[:count, j]
            values = values[~np.isnan(values)]
            size = np.abs(values).max(initial=0.0)
            if size == 0.0:
                continue
            values = values / size  # so that nothing overflows
            best, median = np.quantile(values, [0.1, 0.5])
            highest = min(values.max(), median + reach * (median - best))
            cut = np.minimum(values, highest)
            spread = cut.std()
            centre[j], top[j] = size * cut.mean(), size * highest
            scale[j] = size * (spread if spread > 1e-12 else 1.0)
        slack = np.abs(rows.slack[:count])
        known = np.where(np.isfinite(slack) & (slack > 0.0), slack, np.nan)
        units = np.array([_median(column) for column in known.T])
        scaling = Scaling(centre, scale, top, units, 0.0)
        # As if two trials had been good before the first: a failure is the exception until trials say otherwise.
        offset = (scaling.margin(rows)[:count].sum() - 2.0) / (count + 2.0)
        return Scaling(centre, scale, top, units, offset)

    def targets(self, rows: Rows) -> Floats:
        """(n, m + 1) objectives, and how far a trial is from being bad: -1 to 1 before centring."""
        with np.errstate(over="ignore"):
            loss = np.minimum(np.where(np.isnan(rows.loss), self.top, rows.loss), self.top)
            loss = np.maximum((loss - self.centre) / self.scale, _LOWEST)
        return np.column_stack((loss, self.margin(rows) - self.offset))

    def margin(self, rows: Rows) -> Floats:
        """(n,) below 0 for trials that are good, above for others, between -1 and 1."""
        margin = np.full(len(rows), -1.0)
        if rows.slack.shape[1]:
            margin = np.clip(rows.slack / self.units, -1.0, 1.0).max(axis=1)
            margin = np.where(np.isnan(margin), np.where(rows.bad, 1.0, -1.0), margin)
        return np.where(rows.failed, 1.0, margin)


def _median(values: Floats) -> float:
    values = values[~np.isnan(values)]
    return float(np.median(values)) if len(values) else 1.0
