"""Bayesian optimisation with a Gaussian process."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from taut.errors import InputError
from taut.samplers.base import Codes, Numbers, Sampler, begun
from taut.samplers.beliefs import Beliefs
from taut.samplers.geometry import Geometry
from taut.samplers.gp.cost import Price
from taut.samplers.gp.model import Model
from taut.samplers.gp.search import maximise
from taut.samplers.gp.transfer import portfolio
from taut.samplers.history import History
from taut.samplers.untried import part
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.prior import Bools, Floats

__all__ = ["GPSampler", "exhausted"]

_TAG = 0x69  # so that no other sampler's numbers are these
_CANDIDATES = 400  # scattered over the space after 100 trials; more while a look at one costs less, fewer when it costs more
_FEWEST, _MOST = 0.3, 4.0  # times as many
_GOLDEN = (5**0.5 - 1) / 2  # its multiples fill an interval evenly, however many there are
_ELSEWHERE = 200  # looked at where the model expects nothing more
_BEYOND = 0.2  # of the range of costs so far, in logarithms, that a front may grow by
_NOTHING = -5.0  # log expected improvement, in standard deviations of the losses, that is as good as none; for each objective
_PROMISING = 5  # tried points that are looked around


@dataclasses.dataclass(frozen=True)
class GPSampler(Sampler):
    """Bayesian optimisation: a Gaussian process of the losses, and the point whose expected improvement is largest.

    Choose it for trials that are expensive: a few hundred of them, in up to some 20 parameters of any kind. It takes 5 to 50 ms
    a suggestion. For thousands of cheap trials choose `tpe` or `conjugate`.

    startup: trials before the model is asked; the first is the start values, in the middle of the ranges where none are given,
        the others are of a scrambled Halton sequence mapped through the priors, every second one through the beliefs. 2 or more.
    cost: a metric, or "seconds" for how long trials take. Then improvement is divided by what a trial is expected to cost, fully at
        first and less the more of the budget is used (EI-cool; Lee et al., arXiv:2003.10870). None: all trials cost the same.
    aim: "best", or "front" for the best at every cost, as for scaling laws: each trial looks for an improvement among the points
        that cost at most so much, where so much goes evenly through the orders of magnitude met so far, and a bit beyond. The idea
        is that of CARBS (Fetterman et al., arXiv:2306.08055), which follows the Pareto front of loss and cost. Needs `cost`.

    Pending trials are conditioned on. Failed ones are taken for bad values, from the third on for a region to avoid;
    constraints are models of their own, and so are several objectives: the score then is the hypervolume that a point is
    expected to add (`hypervolume.py`).

    Sources: the kernel and its priors as in `kernel.py` and `fit.py`, log expected improvement of Ament et al., arXiv:2310.20708,
    outputs transformed as in HEBO (Cowen-Rivers et al., arXiv:2012.03826).
    """

    uses_history: ClassVar[bool] = True
    uses_past: ClassVar[bool] = True
    startup: int = 5
    cost: str | None = None
    aim: str = "best"

    def __post_init__(self) -> None:
        if isinstance(self.startup, bool) or not isinstance(self.startup, int) or self.startup < 2:
            raise InputError(
                f"startup = {self.startup!r} must be a whole number, 2 or more", ("sampler", "startup")
            )
        if self.cost in ("second", "sec", "secs", "s", "time", "duration"):
            raise InputError(
                f'cost = {self.cost!r} is no metric of taut; write "seconds" for how long trials take',
                ("sampler", "cost"),
            )
        if self.cost is not None and not (isinstance(self.cost, str) and self.cost.isidentifier()):
            raise InputError(
                f'cost = {self.cost!r} is not a metric\'s name; write "seconds" for how long trials take, or a metric that '
                'they report: cost = "gpu_hours"',
                ("sampler", "cost"),
            )
        if self.aim not in ("best", "front"):
            raise InputError(
                f'aim = {self.aim!r} is not known; use "best", or "front" for the best at every cost',
                ("sampler", "aim"),
            )
        if self.aim == "front" and self.cost is None:
            raise InputError(
                'aim = "front" needs to know what trials cost; add cost = "seconds", or a metric that they report',
                ("sampler", "aim"),
            )

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        assert snapshot is not None
        return self.choose(space, seed, numbers, snapshot, explore=True)[0]

    def choose(
        self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot, explore: bool
    ) -> tuple[Codes, Floats]:
        """Codes (k, d), and the logarithm of the improvement that is expected of each, infinite in the design.

        explore: in place of every second point that nothing is expected of, take the one of which the least is known.
        """
        history = History.of(snapshot)
        codes, worth = np.empty((len(numbers), len(space))), np.full(len(numbers), np.inf)
        able = len(history) >= 2 and len(Geometry.of(space).free) > 0
        designed = (numbers < self.startup) | (not able)
        if designed.any():
            good = portfolio(snapshot.past, space)[: self.startup - 2]
            codes[designed] = _design(space, seed, numbers[designed], good)
        chosen = np.empty((0, len(space)))
        for i, number in enumerate(numbers.tolist()):
            if not designed[i]:
                model, rng = self._model(history, number, chosen), np.random.default_rng([seed, number, _TAG])
                codes[i], worth[i] = _best(model, history, rng)
                if explore and exhausted(worth[[i]], numbers[[i]])[0]:
                    codes[i] = _unknown(model, history, rng)
            chosen = np.concatenate((chosen, space.encode(codes[[i]])))
        part(space, seed, numbers, codes, snapshot)
        return codes, worth

    def account(self, snapshot: Snapshot) -> str | None:
        history = History.of(snapshot)
        if self.cost in (None, "seconds") or not len(history):
            return None
        known = int(np.isfinite(self._costs(history)).sum())
        if known == len(history):
            return None
        return f"{self.cost}, what trials cost, is reported by {known} of {len(history)} complete trials" + (
            "" if known > 1 else ", so all count the same"
        )

    def model(self, snapshot: Snapshot, number: int = 0) -> Model:
        """What is known before trial `number` is chosen. Raises `InputError` with less than two complete trials."""
        history = History.of(snapshot)
        if len(history) < 2:
            raise InputError(f"a model needs two complete trials; there are {len(history)}")
        return self._model(history, number, np.empty((0, len(history.space))))

    def _model(self, history: History, number: int, chosen: Floats) -> Model:
        return Model(history, chosen, self._price(history, number), number)

    def _costs(self, history: History) -> Floats:
        """(k,) what each complete trial cost; NaN where that is not known, or no cost.

        Seconds on a laptop or a login node are not known to say what trials take in jobs, where some ran in one.
        """
        if self.cost is None or self.cost == "seconds":
            inside = history.snapshot.in_job(history.done)
            column = np.where(inside | ~inside.any(), history.seconds, np.nan)
        else:
            column = history.snapshot.values(self.cost)[history.done]
        return np.where(column > 0.0, column, np.nan)

    def _price(self, history: History, number: int) -> Price | None:
        if self.cost is None:
            return None
        logs = np.log(self._costs(history))
        if np.isfinite(logs).sum() < 2:
            return None
        if self.aim == "front":
            low, high = float(np.nanmin(logs)), float(np.nanmax(logs))
            reach = high + _BEYOND * (high - low)
            return Price(logs, within=low + (reach - low) * ((number * _GOLDEN) % 1.0))
        budget = history.snapshot.definition.budget.trials
        return Price(logs, thrift=1.0 if budget is None else max(1.0 - len(history) / budget, 0.0))


def exhausted(worth: Floats, numbers: Numbers) -> Bools:
    """(k,) which trials are better spent elsewhere, since the model expects nothing of any point: every second one then.

    Ties are common (accuracies, a choice beside which nothing matters); a model that is sure of them would go on to try them.
    """
    return np.asarray((worth < _NOTHING) & (numbers % 2 == 1))


def _best(model: Model, history: History, rng: np.random.Generator) -> tuple[Codes, float]:
    """(d,) codes of the point with the best score, and the improvement that is expected of any point, for each objective."""
    objectives = history.loss.shape[1]  # what is expected of several is a product
    geometry, effort = Geometry.of(history.space), min(max(100.0 / len(history), _FEWEST), _MOST)
    scattered = _scattered(history.space, int(_CANDIDATES * effort), rng)
    unit, worth = maximise(
        model.score, geometry, scattered, model.best_first[:_PROMISING], model.taken, rng, effort
    )
    if worth < objectives * _NOTHING and model.partial:  # perhaps for what is believed, or what it costs
        worth = float(model.hope(*geometry.settle(np.concatenate((scattered, unit[None])))).max())
    return np.asarray(geometry.codes(unit[None])[0]), worth / objectives


def _unknown(model: Model, history: History, rng: np.random.Generator) -> Codes:
    """(d,) codes of a point of which little is known: of draws, since the least is known of the farthest corners."""
    geometry = Geometry.of(history.space)
    unit, active = geometry.settle(_scattered(history.space, _ELSEWHERE, rng))
    return np.asarray(geometry.codes(unit[[model.ignorance(unit, active).argmax()]])[0])


def _scattered(space: Space, count: int, rng: np.random.Generator) -> Floats:
    """(count, d) draws from the priors and beliefs, in the unit cube."""
    return Beliefs.of(space).scattered(rng.random((count, len(space))))


def _design(space: Space, seed: int, numbers: Numbers, good: Codes) -> Codes:
    """The first trials: start values, or the middle; then good points of earlier studies, as far as they go; then evenly."""
    beliefs = Beliefs.of(space)
    unit = beliefs.evenly(numbers, seed)
    unit[numbers == 0] = 0.5
    drawn = beliefs.drawn(unit, numbers)
    codes = begun(space, drawn, numbers)
    first = 1 if space.start else 0
    for i, k in enumerate((numbers - first).tolist()):
        if 0 <= k < len(good):
            # What the earlier study did not have is drawn.
            codes[i] = space.condition(np.where(np.isnan(good[k]), drawn[[i]], good[k]))[0]
    return codes
