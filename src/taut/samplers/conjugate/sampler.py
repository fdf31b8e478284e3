"""Thompson sampling with a linear model on random features: constant time for each trial, however many came before."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.samplers.base import Codes, Numbers, Sampler, draw
from taut.samplers.conjugate.candidates import among, keys, unseen
from taut.samplers.conjugate.features import Features
from taut.samplers.conjugate.memory import Memory
from taut.samplers.conjugate.posterior import Posterior
from taut.samplers.conjugate.regression import NormalInverseGamma
from taut.samplers.conjugate.targets import Rows
from taut.samplers.geometry import Geometry
from taut.samplers.history import History
from taut.samplers.options import number, whole
from taut.samplers.quasirandom import halton
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.prior import Bools, Floats

__all__ = ["ConjugateSampler"]

_TAG = 0xC0  # marks the random numbers of this sampler
_TOGETHER = 64  # proposals that are chosen from the same candidates
_PARENTS = 5
_INFEASIBLE = 1e9  # more than any target
_BLEND = 0.05  # of the sum of all objectives beside the largest


@dataclasses.dataclass(frozen=True)
class ConjugateSampler(Sampler):
    """Bayesian linear regression on random Fourier features, in closed form, and Thompson sampling from it.

    Choose it when trials are many and cheap, or when proposals must cost next to nothing: a proposal takes some milliseconds
    after 10 trials and after 10,000, and 1,000 at once take a twentieth of a second. For a few expensive trials ``gp`` learns
    more from each.

    Each proposal is the best of some candidates under a function drawn from the posterior (Thompson, Biometrika 25, 1933), so
    those of parallel workers differ by themselves. Candidates come from the priors and from steps around the five best trials.
    Constraints and failures are learned on the same features: a candidate must be feasible in a draw of its own. Of several
    objectives each draw takes the augmented Chebyshev mixture with weights of its own (Knowles, ParEGO, IEEE TEC 10, 2006).
    `posterior` shows what is known. `belief` of parameters has no influence; their priors have.

    features: number of random features m, 8 to 4096. The model's detail grows with it, the cost of a trial with its square.
    lengthscales: over what part of a range the objective changes, in units of the square root of the number of parameters; one
        to eight numbers from 0.001 to 1000. Each proposal draws one by its evidence, the probability of what was observed.
    shape, rate: a0 and b0 of the prior of the noise's variance, InverseGamma(a0, b0), in units of the outcomes' variance; above
        0, up to 1e6. It expects noise near b0/(a0 + 1), and counts as 2*a0 observations of it.
    ridge: lambda, the variance of the noise beside that of a weight, above 0 up to 1e6: less follows the observations more closely,
        more smooths them.
    reach: outcomes are cut off at their median plus this many times the distance from the median to the best tenth, 0 to 1e6.
    candidates: how many points a proposal is chosen from, 16 to 65536.
    initial: how many trials must have ended before the model is asked, 1 to 100,000; without it the number of parameters plus 3,
        at most 10. Until then a Halton sequence goes through the priors.
    """

    features: int = 256
    lengthscales: tuple[float, ...] = (0.15, 0.35, 0.8)
    shape: float = 1.0
    rate: float = 0.05
    ridge: float = 0.1
    reach: float = 2.0
    candidates: int = 512
    initial: int | None = None
    uses_history: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole("features", self.features, 8, 4096)
        for name in ("shape", "rate", "ridge"):
            number(name, getattr(self, name), 0.0, 1e6, open_below=True)
        number("reach", self.reach, 0.0, 1e6)
        whole("candidates", self.candidates, 16, 65536)
        if self.initial is not None:
            whole("initial", self.initial, 1, 100_000)
        scales = self.lengthscales
        if not isinstance(scales, Iterable) or isinstance(scales, str) or not 1 <= len(tuple(scales)) <= 8:
            raise InputError(
                f"{scales!r} does not fit; give a list of one to eight numbers, for instance [0.15, 0.35, 0.8]",
                ("sampler", "lengthscales"),
            )
        checked = tuple(number("lengthscales", scale, 1e-3, 1e3) for scale in scales)
        object.__setattr__(self, "lengthscales", checked)  # a file gives a list, which could not be a key

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        assert snapshot is not None
        geometry, history = Geometry.of(space), History.of(snapshot)
        rows = Rows.of(history)
        seen = np.sort(keys(history.unit(snapshot.known)))
        codes = np.empty((len(numbers), len(space)))
        first = min(10, len(geometry.free) + 3) if self.initial is None else self.initial
        early = (numbers == 0) | (len(rows) < first)
        if early.any():
            codes[early] = _design(geometry, seed, numbers[early], seen)
            seen = _joined(seen, keys(space.encode(codes[early])))
        late = np.flatnonzero(~early)
        if len(late):
            posterior = self._posterior(space, seed, history, rows)
            parents = _Parents(history, rows, posterior)
        for at in range(0, len(late), _TOGETHER):
            mine = late[at : at + _TOGETHER]
            generator = np.random.default_rng([seed, int(numbers[mine[0]]), _TAG])
            codes[mine] = self._choose(posterior, parents, len(mine), seen, generator)
            seen = _joined(seen, keys(space.encode(codes[mine])))
        return codes

    def posterior(self, space: Space, snapshot: Snapshot) -> Posterior:
        """What the trials of `snapshot` say about all parameters: mean and deviation of every objective."""
        history = History.of(snapshot)
        return self._posterior(space, snapshot.definition.seed, history, Rows.of(history))

    def _posterior(self, space: Space, seed: int, history: History, rows: Rows) -> Posterior:
        geometry = Geometry.of(space)

        def place(part: slice) -> tuple[Floats, Bools | None]:
            numbers = rows.numbers[part]
            return history.unit(numbers), history.active(numbers) if len(geometry.conditional) else None

        memory = self._memory(geometry, seed, history)
        regressions, scaling = memory.posteriors(rows, place)
        return Posterior(
            geometry,
            memory.features,
            memory.lengthscales,
            regressions,
            scaling,
            history.objectives,
            bool(rows.bad.any()),
        )

    def _memory(self, geometry: Geometry, seed: int, history: History) -> Memory:
        """The one that has followed this study so far; what it remembers makes answers quicker and no different."""
        outputs = history.loss.shape[1] + 1
        kept, key = _memories.setdefault(history.snapshot, {}), (self, geometry.space, seed, outputs)
        if key not in kept:
            kept.clear()  # a study has one sampler, one space and one seed at a time
            prior = NormalInverseGamma.prior(
                self.features, outputs, shape=self.shape, rate=self.rate, ridge=self.ridge
            )
            size = float(np.sqrt(max(1, len(geometry.free))))
            features = Features(geometry, self.features, np.random.default_rng([seed, _TAG]))
            kept[key] = Memory(
                features, tuple(scale * size for scale in self.lengthscales), prior, self.reach
            )
        return kept[key]

    def _choose(
        self,
        posterior: Posterior,
        parents: _Parents,
        count: int,
        seen: NDArray[np.int64],
        generator: np.random.Generator,
    ) -> Codes:
        """(count, d) the best candidates, each under a draw of its own; all different as long as there are enough."""
        enough = max(self.candidates, 4 * count)
        points = unseen(posterior.geometry, parents.some(generator), enough, count, seen, generator)
        best = np.empty(count, np.int64)
        free = np.ones(len(points), bool)
        for mine, values in posterior.draws(points, count, generator):  # (n, k, m + 1)
            scores = _scores(values, posterior, generator)
            for i, score in zip(mine.tolist(), scores.T, strict=True):
                best[i] = np.argmin(np.where(free, score, np.inf) if free.any() else score)
                free[best[i]] = False
        return points.codes[best]


_memories: weakref.WeakKeyDictionary[Snapshot, dict[tuple[ConjugateSampler, Space, int, int], Memory]] = (
    weakref.WeakKeyDictionary()
)


class _Parents:
    """The good trials that candidates are near to."""

    def __init__(self, history: History, rows: Rows, posterior: Posterior) -> None:
        self._history, self._rows = history, rows
        self._targets = posterior.scaling.targets(rows)
        self._order: NDArray[np.int64] | None = None

    def some(self, generator: np.random.Generator) -> Floats:
        """(p, d) places of the best by a random mixture of the objectives; of the least bad where none is good."""
        m = self._targets.shape[1] - 1
        if self._order is None or m > 1:
            value = self._targets[:, :m] @ generator.dirichlet(np.ones(m)) if m > 1 else self._targets[:, 0]
            score = np.where(self._rows.bad, _INFEASIBLE + self._targets[:, m], value)
            few = min(_PARENTS, len(score))
            self._order = np.sort(np.argpartition(score, few - 1)[:few])
        return self._history.unit(self._rows.numbers[self._order])


def _joined(seen: NDArray[np.int64], more: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.sort(np.concatenate((seen, more)))


def _scores(values: Floats, posterior: Posterior, generator: np.random.Generator) -> Floats:
    """(n, k) one number for each candidate and draw, less is better; what a draw holds for infeasible comes last."""
    m = values.shape[2] - 1
    score = values[:, :, 0]
    if m > 1:
        weighted = values[:, :, :m] * generator.dirichlet(np.ones(m), size=values.shape[1])
        score = weighted.max(axis=2) + _BLEND * weighted.sum(axis=2)
    if posterior.risky:
        margin = values[:, :, m] + posterior.scaling.offset
        score = np.where(margin <= 0.0, score, _INFEASIBLE + margin)
    return score


def _design(geometry: Geometry, seed: int, numbers: Numbers, seen: NDArray[np.int64]) -> Codes:
    """(k, d) points of a Halton sequence through the priors; others where those were tried before."""
    codes = draw(geometry.space, halton(numbers, geometry.d, seed), numbers)
    mine = keys(geometry.space.encode(codes))
    again = among(mine, seen)
    again[np.setdiff1d(np.arange(len(mine)), np.unique(mine, return_index=True)[1])] = True
    again &= numbers != 0
    if again.any() and geometry.repeats:
        generator = np.random.default_rng([seed, int(numbers[again][0]), _TAG])
        count = int(again.sum())
        others = unseen(
            geometry,
            np.empty((0, geometry.d)),
            max(512, 4 * count),
            count,
            _joined(seen, mine),
            generator,
        )
        codes[again] = others.codes[np.arange(count) % len(others)]
    return codes
