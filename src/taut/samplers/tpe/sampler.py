"""The sampler: a design first, then points that are likelier among good trials than among bad ones."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np

from taut.errors import InputError
from taut.samplers.base import Codes, Numbers, Sampler, begun
from taut.samplers.beliefs import Beliefs
from taut.samplers.geometry import Geometry
from taut.samplers.history import History
from taut.samplers.tpe.model import Model
from taut.samplers.untried import Tried
from taut.snapshot import Snapshot
from taut.space import Space

__all__ = ["TPESampler"]

_TAG = 0x7E  # so that no other sampler's numbers are these


@dataclasses.dataclass(frozen=True)
class TPESampler(Sampler):
    """Tree-structured Parzen estimator: proposes what is likelier among the good trials than among the bad ones.

    Choose it for spaces with conditions or many choices, for many workers, and for thousands of trials: a suggestion takes
    about a millisecond, after 10,000 trials as after 100. For few and expensive trials, with one objective or several, a Gaussian
    process (`gp`) finds better values.

    Both densities are joint over all parameters and know conditions (`density.py`); constraints, failures, pending trials
    and several objectives enter where trials are split into good and bad (`split.py`); priors and beliefs through one
    component of each density (`axes.py`). In a discrete space no point is tried twice while others are left.

    startup: trials that must have ended before the densities are used; until then points are those of a scrambled Halton
        sequence, mapped through the priors, every second one through the beliefs. 1 or more, 10 by default.
    candidates: points drawn from the good density, of which the best is proposed. More follow the densities more
        greedily. 1 to 10,000, 64 by default.
    good: share of the trials that are good, rounded up and at most 25 trials. Above 0, below 1, 0.1 by default.

    Sources: Bergstra, Bardenet, Bengio & Kegl, NeurIPS 2011, section 4; for joint kernels Watanabe, arXiv:2304.11127.
    Departures: all kernels of a density are equally wide, those of the good density by how far its trials agree; the bad
    density is built on some hundred trials that stand for all; a score counts how likely a point is not to fail.
    """

    uses_history: ClassVar[bool] = True
    startup: int = 10
    candidates: int = 64
    good: float = 0.1

    def __post_init__(self) -> None:
        _check_whole("startup", self.startup, "1 or more", 1, math.inf)
        _check_whole("candidates", self.candidates, "from 1 to 10000", 1, 10_000)
        if isinstance(self.good, bool) or not isinstance(self.good, int | float) or not 0 < self.good < 1:
            raise InputError(
                f"good = {self.good!r} must be a share of the trials, above 0 and below 1",
                ("sampler", "good"),
            )

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        assert snapshot is not None
        history = History.of(snapshot)
        ended = len(history.done) + len(history.failed) + len(history.pruned)
        model = Model(history, self.good) if ended >= self.startup else None
        tried = Tried.of(snapshot) if Geometry.of(space).repeats else None
        codes = np.empty((len(numbers), len(space)))
        # Trial 0 is for the start values, whenever it is asked.
        designed = np.ones(len(numbers), bool) if model is None else numbers == 0
        if designed.any():
            beliefs, first = Beliefs.of(space), numbers[designed]
            codes[designed] = begun(space, beliefs.drawn(beliefs.evenly(first, seed), first), first)
        if model is None and tried is None:
            return codes
        for i, number in enumerate(numbers.tolist()):
            if number > 0:
                rng = np.random.default_rng([seed, number, _TAG])
                if model is not None:
                    codes[i] = self._best(model, space, rng, tried)
                elif tried is not None:
                    codes[i] = tried.instead(codes[i], rng)
            if tried is not None:
                tried.add(codes[i])
            if model is not None and i + 1 < len(numbers):
                model.add(codes[i])
        return codes

    def _best(self, model: Model, space: Space, rng: np.random.Generator, tried: Tried | None) -> Codes:
        """The candidate with the best score, of those that are untried if there are any."""
        geometry = Geometry.of(space)
        unit = model.sample(self.candidates, rng)
        if tried is None and not len(geometry.conditional):
            best = int(model.score(unit, None).argmax())
            return np.asarray(geometry.codes(unit[best : best + 1])[0])
        codes = geometry.codes(unit)
        if tried is not None:
            fresh = tried.fresh(codes)
            others = codes[fresh] if fresh.any() else tried.others(rng)
            codes = others if len(others) else codes
            unit = space.encode(codes)
        best = int(model.score(unit, ~np.isnan(codes)).argmax())
        return np.asarray(codes[best])


def _check_whole(name: str, value: object, allowed: str, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name} = {value!r} must be a whole number {allowed}", ("sampler", name))
