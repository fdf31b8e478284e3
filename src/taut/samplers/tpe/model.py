"""What was learned: densities of good, bad and broken trials, and which points they favour."""

from __future__ import annotations

import math

import numpy as np

from taut.samplers.history import History
from taut.samplers.tpe.axes import Axes
from taut.samplers.tpe.density import Cloud, Density
from taut.samplers.tpe.split import Kernels, split
from taut.space.prior import Bools, Floats

__all__ = ["Model"]

_SHARP = 0.1  # width of kernels around trials that failed, and that did not: borders are sharper than valleys
_RATHER = math.log(2.0)  # of -log probability of being sound
_WALL = 10.0


class Model:
    """The densities for one history; trials that are chosen later can be added to the bad one."""

    def __init__(self, history: History, good: float) -> None:
        self._axes = axes = Axes.of(history.space)
        ended = len(history.done) + len(history.failed) + len(history.pruned)
        parts = split(history, good)
        self._good = Density(axes, axes.prior(ended), _cloud(history, parts.good), adaptive=True)
        self._doubtful = _cloud(history, parts.bad)
        self._bad: Density | None = None
        self._sound: tuple[Density, Density] | None = None
        if len(parts.broken.numbers):
            sound, broken = (_cloud(history, part) for part in (parts.sound, parts.broken))
            self._sound = (
                Density(axes, axes.plain, sound, width=_SHARP),
                Density(axes, axes.plain, broken, width=_SHARP),
            )

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """(count, d) points from the density of good trials."""
        return self._good.sample(count, rng)

    def score(self, unit: Floats, active: Bools | None) -> Floats:
        """(n,) how much likelier points are among good trials than among bad ones, and how likely they are sound; logarithms.

        Expected improvement grows with the first (Bergstra et al., NeurIPS 2011, section 4). The second is the share of
        trials nearby that neither failed nor broke a constraint, with the prior for one trial of either kind (c-TPE, Watanabe &
        Hutter, arXiv:2211.14411, has a ratio of densities for each constraint instead).
        """
        if self._bad is None:
            self._bad = Density(self._axes, self._axes.plain, self._doubtful)
        score = self._good.log(unit, active) - self._bad.log(unit, active)
        if self._sound is not None:
            sound, broken = self._sound
            odds = broken.log(unit, active) - sound.log(unit, active) + math.log(broken.total / sound.total)
            unsound = np.logaddexp(0.0, odds)
            # Where it will rather fail, no ratio is large enough.
            score -= np.where(unsound > _RATHER, _WALL * unsound, unsound)
        return score

    def add(self, codes: Floats) -> None:
        """Take the point `codes` (d,) for a pending trial."""
        unit, active, weights = self._doubtful
        row = codes[None]
        unit = np.concatenate((unit, self._axes.geometry.space.encode(row)))
        active = np.concatenate((active, ~np.isnan(row)))
        self._doubtful = Cloud(unit, active, np.append(weights, 1.0))
        self._bad = None


def _cloud(history: History, kernels: Kernels) -> Cloud:
    cloud = Cloud(history.unit(kernels.numbers), history.active(kernels.numbers), kernels.weights)
    known = cloud.active.any(
        axis=1
    )  # of a trial that another worker ended, the start may not have been read yet
    return cloud if known.all() else Cloud(cloud.unit[known], cloud.active[known], cloud.weights[known])
