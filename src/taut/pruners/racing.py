"""Racing: a trial that is evaluated again and again stops once it has surely lost."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from taut.pruners.stopping import StoppingPruner, check_chance, check_number
from taut.pruners.tracks import Tracks
from taut.snapshot import Snapshot
from taut.space.prior import Floats
from taut.standing import standing

__all__ = ["RacingPruner"]

_FLOOR = 0.25  # of the usual variance of a difference: by chance a few folds may differ by nearly the same
_ROUNDING = 1e-9  # in units of the values


@dataclasses.dataclass(frozen=True)
class RacingPruner(StoppingPruner):
    """Stops a trial that is surely worse than the best one, where steps are repeated evaluations of equal worth.

    Choose it for cross-validation and for several random seeds: each report is the value of one fold or seed, the steps 1, 2, 3, ...
    mean the same one in every trial, and a trial's result is the mean. Not for learning curves.

    confidence: how sure one must be, over all looks at a trial, that it is worse than the one it is compared with. Between 0.5 and
        1, 0.95 by default.
    least: with how many values a trial is looked at first. At least 2, 3 by default.

    A trial is compared with the one of the best mean among those that have all of its folds, fold by fold: a one-sided paired t
    test. What is particular here:

    * Each look spends a part of the error allowed: look j may err with ``(1 - confidence) / (j (j + 1))``, which sums to at most
      ``1 - confidence`` however many there are. Maron & Moore divide by the number of looks in the same way (Bonferroni), but must know it; F-race
      does not correct for looks.
    * The variance of the differences is taken for at least a quarter of what is usual among all trials with these folds, since few
      folds may agree by chance, and values that are rounded often do.
    * That the best of many others owes its place to luck, too, is not corrected for.

    With several objectives a trial stops that is surely worse in each of them than one and the same other; of those that are better in
    each on average, the one that stands best (`taut.standing`). A fold without a number is lost to any number.

    Source: Maron & Moore, "Hoeffding races", NIPS 1993, and "The racing algorithm", Artif. Intell. Review 11, 1997 (paired, looks);
    Birattari et al., "A racing algorithm for configuring metaheuristics", GECCO 2002 (F-race); Lopez-Ibanez et al., "The irace package",
    Oper. Res. Perspectives 3, 2016 (the paired t test).
    """

    confidence: float = 0.95
    least: int = 3

    def __post_init__(self) -> None:
        check_chance(self.confidence)
        check_number("least", self.least, 2, math.inf, "with so many values a trial is looked at", whole=True)

    def stops(self, snapshot: Snapshot, tracks: Tracks, number: int, since: float) -> bool:
        mine = tracks.rows(number)
        folds = mine.stop - mine.start
        if folds < self.least:
            return False
        others = tracks.together(number)
        if not len(others):
            return False
        mean = _means(tracks.loss[:, mine])
        means = _means(tracks.loss[:, others])
        ahead = np.flatnonzero((means <= mean).all(axis=1))
        rows = np.append(others[ahead, -1], mine.stop - 1)
        merit = standing(np.concatenate((means[ahead], mean[None])), tracks.slacks(rows))
        best = int(merit.argmin())
        if not merit[best] < merit[-1]:
            return False
        look = folds - self.least + 1
        error = (1.0 - self.confidence) / (look * (look + 1))
        return all(
            _chance(losses[mine], losses[others], int(ahead[best])) <= error
            for losses, value in zip(tracks.loss, mean, strict=True)
            if np.isfinite(value)  # otherwise it is lost
        )


def _means(losses: Floats) -> Floats:
    """(..., m) from (m, ..., k)."""
    return np.moveaxis(losses.mean(axis=-1), 0, -1)


def _chance(mine: Floats, others: Floats, rival: int) -> float:
    """The chance of a difference as large as that of `mine`, (k,), and row `rival` of `others`, (j, k), if there is none."""
    from scipy.special import stdtr  # loads with the first race that is judged

    k = len(mine)
    difference = mine - others[rival]
    table = np.concatenate((others[np.isfinite(others).all(axis=1)], mine[None]))
    with np.errstate(over="ignore"):
        rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
        usual = 2.0 * float((rest**2).sum()) / ((len(table) - 1) * (k - 1))
        rounding = float(np.square(_ROUNDING * np.abs(table).max()))
        variance = max(float(difference.var(ddof=1)), _FLOOR * usual, rounding)
    if variance == 0.0:
        return 1.0  # all are 0
    return float(stdtr(k - 1, -difference.mean() / math.sqrt(variance / k)))
