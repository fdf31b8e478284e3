"""Thompson sampling over the values of choices: which base model, which optimiser."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.samplers.base import Codes, Numbers, Sampler, draw
from taut.samplers.conjugate.arms import BetaBernoulli, NormalGamma
from taut.samplers.conjugate.candidates import among, keys, unseen
from taut.samplers.conjugate.targets import Rows, Scaling
from taut.samplers.geometry import Geometry
from taut.samplers.history import History
from taut.samplers.options import number, one_of, whole
from taut.samplers.quasirandom import halton
from taut.snapshot import Snapshot
from taut.space import Space, choice
from taut.space.prior import Bools, Floats

__all__ = ["Arm", "BanditSampler"]

_TAG = 0xBA  # marks the random numbers of this sampler
_REACH = 2.0  # outcomes are cut off at their median plus this many times the distance from the median to the best tenth


class Arm(NamedTuple):
    """What is known of one alternative.

    parameters, values: what it stands for. trials: how many have ended there. mean, low, high: with ``reward = "beta"`` the rate
    of success and its 90 % interval; with "normal" the expected outcome and its interval, in the metric's units, or in standard
    deviations where there are several objectives.
    """

    parameters: tuple[str, ...]
    values: tuple[Any, ...]
    trials: int
    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class BanditSampler(Sampler):
    """Each value of a choice is an arm, and the arm that does best in a draw from the posterior is tried.

    Choose it where one or two choices decide (the base model, the data set's mixture) and the other parameters matter little or
    have good priors: it learns about choices only, and takes the rest from their priors. Otherwise a model of all parameters
    ("conjugate", "gp", "tpe") learns more. Thompson, Biometrika 25 (1933); Chapelle & Li, "An empirical evaluation of Thompson
    sampling", NIPS 2011. `arms` shows what is known.

    reward: "beta": a trial is a success if it is among the best so far (`top`), and an arm is as good as its rate of
        successes. "normal": outcomes are normal, and an arm is as good as the best of its next trials (`ahead`). Neither
        judges an arm by its mean, since the best trial is what counts.
    top: which part of all trials are successes, above 0 and below 1.
    discount: what a trial counts less for each trial that ended after it, above 0 and at most 1: the past fades, 0.99 after
        some 100 trials. 1 keeps it whole.
    successes, failures: prior of "beta", above 0: as if each arm had had so many.
    strength, shape, rate: prior of "normal", above 0, outcomes being scaled to mean 0 and variance 1: kappa0, how many
        observations the prior's mean is worth; alpha0 and beta0 of the precision, whose expected value is alpha0/beta0.
    ahead: how many next trials an arm of "normal" is judged by, 1 to 1000; 1 judges a single trial, more the tail.
    joint: choices that are in every trial make arms together if their combinations are at most this many, 0 to 10,000; 0 gives
        each choice arms of its own. Together they learn that two values are good only in company, and take longer.
    rest: where the other parameters come from: "quasirandom" (a Halton sequence through the priors) or "random".
    initial: how many trials must have ended before arms are judged, 0 to 100,000; until then choices come from `rest` too.
    """

    reward: str = "beta"
    top: float = 0.2
    discount: float = 0.99
    successes: float = 1.0
    failures: float = 1.0
    strength: float = 1.0
    shape: float = 1.0
    rate: float = 0.5
    ahead: int = 5
    joint: int = 0
    rest: str = "quasirandom"
    initial: int = 5
    uses_history: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("reward", self.reward, ("beta", "normal"))
        one_of("rest", self.rest, ("quasirandom", "random"))
        number("top", self.top, 0.0, 0.999, open_below=True)
        number("discount", self.discount, 0.0, 1.0, open_below=True)
        for name in ("successes", "failures", "strength", "shape", "rate"):
            number(name, getattr(self, name), 0.0, 1e6, open_below=True)
        whole("ahead", self.ahead, 1, 1000)
        whole("joint", self.joint, 0, 10_000)
        whole("initial", self.initial, 0, 100_000)

    def warning(self, space: Space) -> str | None:
        if len(Geometry.of(space).choices):
            return None
        return (
            'the space has no choice, so there are no arms to learn about; use method = "conjugate" or "gp"'
        )

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        assert snapshot is not None
        geometry, history = Geometry.of(space), History.of(snapshot)
        rows = Rows.of(history)
        unit = self._unit(numbers, geometry.d, seed)
        codes = space.quantile(unit, conditions=False)
        learned = (numbers > 0) & (len(rows) >= self.initial)
        judged = self._judged(geometry, rows, history) if learned.any() else []
        for i in np.flatnonzero(learned).tolist():
            generator = np.random.default_rng([seed, int(numbers[i]), _TAG])
            for group, posterior, _ in judged:
                codes[i, list(group.columns)] = group.levels(self._best(posterior, generator))
        first = numbers == 0
        codes[first] = draw(space, unit[first], numbers[first])
        codes[~first] = space.condition(codes[~first])
        return _different(geometry, seed, numbers, codes, np.sort(keys(history.unit(snapshot.known))))

    def arms(self, space: Space, snapshot: Snapshot) -> list[Arm]:
        """What is known of every arm, group by group, the most promising first."""
        history = History.of(snapshot)
        rows = Rows.of(history)
        table = []
        for group, posterior, trials in self._judged(Geometry.of(space), rows, history):
            mean, (low, high) = posterior.mean, posterior.interval()
            if isinstance(posterior, NormalGamma):
                mean, low, high = _in_units(history, rows, (mean, low, high))
                order = np.argsort(posterior.mean, kind="stable")
            else:
                order = np.argsort(-mean, kind="stable")
            for k in order.tolist():
                names, values = group.words(space, k)
                table.append(Arm(names, values, trials[k], float(mean[k]), float(low[k]), float(high[k])))
        return table

    def _unit(self, numbers: Numbers, d: int, seed: int) -> Floats:
        if self.rest == "quasirandom":
            return halton(numbers, d, seed)
        points = [np.random.default_rng([seed, n, _TAG + 1]).random(d) for n in numbers.tolist()]
        return np.array(points).reshape(-1, d)

    def _groups(self, geometry: Geometry) -> list[_Group]:
        cells = geometry.space.cells
        groups = [_Group((j,), (int(cells[j]),)) for j in geometry.choices.tolist()]
        always = [group for group in groups if group.columns[0] not in geometry.conditional]
        if len(always) > 1 and np.prod([float(group.many) for group in always]) <= self.joint:
            columns, sizes = zip(*((group.columns[0], group.many) for group in always), strict=True)
            groups = [_Group(columns, sizes), *(group for group in groups if group not in always)]
        return groups

    def _judged(
        self, geometry: Geometry, rows: Rows, history: History
    ) -> list[tuple[_Group, BetaBernoulli | NormalGamma, list[int]]]:
        """Posterior of the arms of each group, and how many trials each had; one that lacks the parameter says nothing."""
        unit, active = history.unit(rows.numbers), history.active(rows.numbers)
        weights = np.asarray(self.discount ** np.arange(len(rows))[::-1], np.float64)
        if self.reward == "beta":
            outcome = _successes(rows, self.top)
        else:
            outcome = Scaling.of(rows, len(rows), _REACH).targets(rows)[:, :-1].mean(axis=1)
            outcome = np.where(rows.bad, outcome.max(initial=0.0), outcome)
        found = []
        for group in self._groups(geometry):
            arms, has = group.arms(unit, active)
            arms = arms[has]
            posterior: BetaBernoulli | NormalGamma = (
                BetaBernoulli.prior(group.many, self.successes, self.failures)
                if self.reward == "beta"
                else NormalGamma.prior(group.many, self.strength, 0.0, self.shape, self.rate)
            )
            trials = np.bincount(arms, minlength=group.many).tolist()
            found.append((group, posterior.update(arms, outcome[has], weights[has]), trials))
        return found

    def _best(self, posterior: BetaBernoulli | NormalGamma, generator: np.random.Generator) -> int:
        if isinstance(posterior, BetaBernoulli):
            return int(np.argmax(posterior.draw(generator)))
        return int(np.argmin(posterior.lowest(generator, self.ahead)))


class _Group(NamedTuple):
    """Choices whose combinations are arms; mostly one choice alone."""

    columns: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def many(self) -> int:
        return int(np.prod(self.sizes))

    def levels(self, arm: int) -> NDArray[np.int64]:
        """The codes of an arm's values."""
        return np.array(np.unravel_index(arm, self.sizes))

    def arms(self, unit: Floats, active: Bools) -> tuple[NDArray[np.int64], Bools]:
        """(n,) the arms of trials, and which trials have one."""
        columns, sizes = list(self.columns), np.array(self.sizes)
        levels = np.minimum((unit[:, columns] * sizes).astype(np.int64), sizes - 1)
        arms: NDArray[np.int64] = np.ravel_multi_index(tuple(levels.T), self.sizes)
        return arms, np.asarray(active[:, columns].all(axis=1))

    def words(self, space: Space, arm: int) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Names and values of an arm."""
        pairs = [(j, level) for j, level in zip(self.columns, self.levels(arm).tolist(), strict=True)]
        values = []
        for j, level in pairs:
            parameter = space.columns[j]
            assert isinstance(parameter, choice)
            values.append(parameter.to_python(np.array([float(level)]))[0])
        return tuple(space.searched[j] for j, _ in pairs), tuple(values)


def _successes(rows: Rows, top: float) -> Floats:
    """(n,) 1 for the best part of the trials, 0 for others; of several objectives the mean rank counts."""
    n, m = rows.loss.shape
    ranks = np.zeros(n)
    for j in range(m):
        order = np.sort(rows.loss[:, j])
        ranks += np.searchsorted(order, rows.loss[:, j], side="left")  # equal outcomes have equal ranks
    usable = ~rows.bad & ~np.isnan(rows.loss).any(axis=1)
    ranks[~usable] = np.inf
    if not usable.any():
        return np.zeros(n)
    allowed = max(1, round(top * n))
    bound = np.partition(ranks, min(allowed, n) - 1)[min(allowed, n) - 1]
    success: Floats = ((ranks <= bound) & usable).astype(float)
    return success


def _in_units(
    history: History, rows: Rows, values: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Means and interval ends in the metric's units; as they are where there are several objectives."""
    mean, low, high = values
    if rows.loss.shape[1] > 1:
        return values
    scaling = Scaling.of(rows, len(rows), _REACH)
    mean, low, high = (value * scaling.scale[0] + scaling.centre[0] for value in values)
    return (mean, low, high) if history.objectives[0].minimize else (-mean, -high, -low)


def _different(
    geometry: Geometry, seed: int, numbers: Numbers, codes: Codes, seen: NDArray[np.int64]
) -> Codes:
    """`codes`, those that were tried before replaced, by the same choices with other values where there are any."""
    for i, key in enumerate(keys(geometry.space.encode(codes)).tolist()):
        if numbers[i] > 0 and among(np.array([key]), seen)[0]:
            generator = np.random.default_rng([seed, int(numbers[i]), _TAG + 2])
            points = unseen(geometry, np.empty((0, geometry.d)), 512, 1, seen, generator)
            columns = geometry.choices
            alike = (points.codes[:, columns] == codes[i, columns]) | np.isnan(codes[i, columns])
            codes[i] = points.codes[int(np.argmax(alike.sum(axis=1)))]
            key = int(keys(geometry.space.encode(codes[i : i + 1]))[0])
        seen = np.insert(seen, np.searchsorted(seen, key), key)
    return codes
