"""The sampler: generations told to a distribution, and draws from it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from taut.errors import InputError
from taut.samplers.base import Note
from taut.samplers.beliefs import Beliefs
from taut.samplers.cma import recall
from taut.samplers.cma.categories import Categories
from taut.samplers.cma.gaussian import Gaussian, Rates
from taut.samplers.cma.margin import corrected
from taut.samplers.cma.restarts import Run, memory, over
from taut.samplers.geometry import Geometry
from taut.samplers.population.base import PopulationSampler
from taut.samplers.population.ended import Ended
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.prior import Floats

__all__ = ["CMASampler"]

_TAG = 0xC3  # so that no other sampler's numbers are these
_DRAWS = 3  # until all continuous parameters are inside of the cube; more, and corners are found late
_INWARDS = 1e-3  # of the distance from the border
_RESTARTS = ("bipop", "ipop", "none")


@dataclasses.dataclass(frozen=True)
class State:
    """What the trials so far have come to.

    bests: the best loss of each generation of this run, as far back as they matter. waiting: trials of a generation that is not complete
    yet. found: whether any trial had a result; None before any has ended.
    """

    run: Run
    gaussian: Gaussian
    categories: Categories
    bests: tuple[float, ...] = ()
    waiting: Ended | None = None
    found: bool | None = None


@dataclasses.dataclass(frozen=True)
class CMASampler(PopulationSampler[State]):
    """Covariance matrix adaptation: draws from a normal distribution that learns where losses are low, and along which directions.

    Choose it for hundreds to thousands of cheap trials over numbers whose effects depend on each other, with few workers or many.
    For less than some 20 trials a parameter `gp` finds better values; where most parameters are choices, `tpe`.

    population: trials in a generation, 4 or more; 4 + 3 ln(parameters) by default. More look further around in a rugged loss, and
        come nearer more slowly.
    sigma: the first standard deviation, as a share of each parameter's range; above 0, at most 1. Where a prior or a belief is
        narrower, that counts.
    restarts: what follows when a run has converged. "bipop": runs with twice the population, in turn with runs of small populations in smaller
        regions, each kind for as many trials as the other; "ipop": twice the population each time; "none": it goes on.

    Integers and ordinals keep a probability of leaving their cell (`margin.py`), choices have a probability for each value
    (`categories.py`). What a trial does not have is drawn all the same (`recall.py`): it had no part in the loss, so it cannot
    be selected, and its distribution stays.

    Sources: Hansen, arXiv:1604.00772; for the rest see the modules. Departures: a generation is made of the next trials that end,
    whichever distribution they were drawn from; steps that are far too long for the present one are cut.
    """

    population: int | None = None
    sigma: float = 0.2
    restarts: str = "bipop"

    def __post_init__(self) -> None:
        size, sigma = self.population, self.sigma
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 4):
            raise InputError(
                f"population = {size!r} must be a whole number, 4 or more; leave it out for 4 + 3 ln(parameters)",
                ("sampler", "population"),
            )
        if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0 < sigma <= 1:
            raise InputError(
                f"sigma = {sigma!r} must be a share of the range, above 0 and at most 1", ("sampler", "sigma")
            )
        if self.restarts not in _RESTARTS:
            raise InputError(
                f'restarts = {self.restarts!r} is not known; use "bipop", "ipop", or "none" to go on after convergence',
                ("sampler", "restarts"),
            )

    def size(self, geometry: Geometry) -> int:
        return self.population or 4 + math.floor(3 * math.log(max(len(geometry.free), 1)))  # eq. 48

    def designed(self, geometry: Geometry) -> int:
        return 1  # the start values; the first distribution knows the priors, too

    def begun(self, geometry: Geometry, snapshot: Snapshot) -> State:
        mean, deviation = _believed(geometry)
        return _started(geometry, Run(self.size(geometry)), mean, np.minimum(deviation, self.sigma))

    def ready(self, state: State) -> bool:
        return state.found is not False

    def grown(self, geometry: Geometry, state: State, ended: Ended, snapshot: Snapshot) -> State:
        found = bool(state.found) or bool(np.isfinite(ended.loss).any())
        while len(ended):
            runs = np.array([recall.run(snapshot, number) for number in ended.numbers.tolist()])
            missing = state.run.population - (0 if state.waiting is None else len(state.waiting))
            # What is left of an earlier run would draw this one to where that one was.
            taken = np.flatnonzero(runs == state.run.index)[:missing]
            if len(taken):
                more = ended.rows(taken)
                waiting = more if state.waiting is None else state.waiting.and_(more)
                state = dataclasses.replace(state, waiting=waiting)
            if len(taken) < missing:
                break
            assert state.waiting is not None
            state = self._told(geometry, dataclasses.replace(state, waiting=None), state.waiting, snapshot)
            ended = ended.rows(slice(int(taken[-1]) + 1, None))
        return dataclasses.replace(state, found=found)

    def child(
        self, geometry: Geometry, state: State, number: int, snapshot: Snapshot, rng: np.random.Generator
    ) -> tuple[Floats, Note | None]:
        unit = np.full(geometry.d, 0.5)
        within = recall.continuous(geometry)
        for _ in range(_DRAWS):
            drawn = state.gaussian.sample(rng)
            if (((drawn >= 0.0) & (drawn <= 1.0)) | ~within).all():
                break
        unit[geometry.ordered] = _inside(drawn, state.gaussian.mean)
        for j, value in zip(geometry.choices.tolist(), state.categories.sample(rng).tolist(), strict=True):
            unit[j] = geometry.middles[j][value]
        return unit, recall.note(geometry, drawn, state.run.index)

    def warning(self, space: Space) -> str | None:
        if len(Geometry.of(space).ordered):
            return None
        return "cma adapts a normal distribution over numbers, and this space has none to adapt; tpe or bandit suit choices better"

    def account(self, snapshot: Snapshot) -> str | None:
        state = self.state(snapshot)
        if not state.gaussian.generation or not len(state.gaussian.mean):
            return None
        width = float(np.median(state.gaussian.stretch * state.gaussian.deviation))
        return (
            f"run {state.run.index + 1}, generation {state.gaussian.generation + 1} of {state.run.population} trials; "
            f"typical deviation {width:.2g} of the range"
        )

    def _told(self, geometry: Geometry, state: State, generation: Ended, snapshot: Snapshot) -> State:
        """After a whole generation."""
        standing = generation.standing()
        if np.isinf(standing).all():  # failures alone show no direction
            return state
        ranked = generation.rows(np.argsort(standing, kind="stable"))
        points = recall.points(geometry, state.gaussian, ranked, snapshot)
        gaussian = state.gaussian.told(points).held(recall.continuous(geometry))
        gaussian = corrected(gaussian, geometry, len(ranked))
        categories = state.categories
        if len(geometry.choices):
            values = [geometry.nearest(j, ranked.unit[:, j]) for j in geometry.choices.tolist()]
            rates = Rates.of(len(geometry.ordered), len(ranked))
            categories = categories.told(np.stack(values, axis=1), ranked.active[:, geometry.choices], rates)
        run, bests = state.run.told(), state.bests
        if ranked.loss.shape[1] == 1:  # of several objectives there is no best loss
            kept = memory(len(geometry.ordered), run.population)
            bests = (*bests, float(ranked.loss[0, 0]))[-kept:]
        if self.restarts == "none" or not over(gaussian, run.population, bests, float(ranked.loss[-1, 0])):
            return State(run, gaussian, categories, bests)
        rng = np.random.default_rng([snapshot.definition.seed, run.index, _TAG])
        run = run.next(self.restarts, self.size(geometry), rng)
        space = geometry.space
        place = space.encode(space.quantile(rng.random((1, geometry.d)), conditions=False))[0]
        deviation = np.full(len(geometry.ordered), self.sigma * run.narrow)
        return _started(geometry, run, place[geometry.ordered], deviation)


def _started(geometry: Geometry, run: Run, mean: Floats, deviation: Floats) -> State:
    """At the beginning of a run."""
    odds = Beliefs.of(geometry.space).odds
    tables = [odds.get(j, np.zeros(geometry.cells[j])) for j in geometry.choices.tolist()]
    gaussian = corrected(Gaussian.begun(mean, deviation), geometry, run.population)
    return State(run, gaussian, Categories.begun(tables))


def _inside(drawn: Floats, mean: Floats) -> Floats:
    """(n,) where a draw is evaluated: from outside of the cube at the border if the mean is outside, too. Otherwise close to the
    border, not on it, so that trials differ: the distribution may just be wide."""
    border = np.clip(drawn, 0.0, 1.0)
    return np.asarray(border + np.where((mean >= 0.0) & (mean <= 1.0), _INWARDS * (border - drawn), 0.0))


def _believed(geometry: Geometry) -> tuple[Floats, Floats]:
    """(n,) mean and deviation of the ordered parameters by what the user said: start values, beliefs and priors."""
    beliefs = Beliefs.of(geometry.space)
    mean, deviation = np.empty(len(geometry.ordered)), np.full(len(geometry.ordered), np.inf)
    for i, j in enumerate(geometry.ordered.tolist()):
        parameter = geometry.space.columns[j]
        mean[i], precision = beliefs.bell(j, 1.0)
        if parameter.start is not None and parameter.belief is None:
            mean[i] = parameter.encode(np.array([parameter.code(parameter.start)]))[0]
        if precision:
            deviation[i] = precision**-0.5
    return np.clip(mean, 0.0, 1.0), deviation
