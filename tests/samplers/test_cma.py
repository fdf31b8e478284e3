"""Covariance matrix adaptation: the update, the margin, choices, restarts, and that it finds what it should."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from taut.definition import Definition, Objective
from taut.errors import InputError
from taut.events import Finished, Started
from taut.samplers.cma import CMASampler, recall
from taut.samplers.cma.categories import Categories
from taut.samplers.cma.gaussian import Gaussian, Rates
from taut.samplers.cma.margin import corrected
from taut.samplers.cma.restarts import Run, memory, over
from taut.samplers.geometry import Geometry
from taut.snapshot import Snapshot
from taut.space import Space, choice, loguniform, loguniform_int, normal, ordinal, uniform, uniform_int

Params = dict[str, Any]
Floats = NDArray[np.float64]


def cube(d: int) -> Space:
    return Space({f"x{j}": uniform(0.0, 1.0) for j in range(d)})


class Bench:
    """A study in memory: asks, remembers notes as the log does, and tells a loss; None is a failure."""

    def __init__(
        self, space: Space, loss: Callable[..., float | None], seed: int = 1, **options: Any
    ) -> None:
        self.space, self.loss, self.seed = space, loss, seed
        self.sampler = CMASampler(**options)
        self.snapshot = Snapshot(
            Definition("bench", space.to_json(), [Objective("loss", True)], seed=seed), space
        )
        self.under_way: deque[tuple[int, Params]] = deque()
        self.losses: list[float] = []

    def start(self) -> int:
        n = self.snapshot.size
        codes, notes = self.sampler.propose_noted(self.space, self.seed, np.array([n]), self.snapshot)
        memo = {} if notes[0] is None else {"m": notes[0]}
        params = self.space.params(codes)[0]
        self.snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n), **memo)])
        self.under_way.append((n, params))
        return n

    def end(self) -> None:
        n, params = self.under_way.popleft()
        loss, t = self.loss(**params), self.snapshot.size + 0.5
        self.losses.append(math.inf if loss is None else loss)
        y, state = ({}, "failed") if loss is None else ({"loss": loss}, "complete")
        self.snapshot.apply(0, [Finished(n=n, a=0, state=state, y=y, t=t)])  # type: ignore[arg-type]

    def run(self, trials: int, pending: int = 0) -> Bench:
        for _ in range(trials):
            self.start()
            if len(self.under_way) > pending:
                self.end()
        return self

    @property
    def state(self) -> Any:
        return self.sampler.state(self.snapshot)

    @property
    def best(self) -> float:
        return min(self.losses)


# -- the distribution ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d, population", [(1, 4), (2, 6), (5, 8), (5, 21), (20, 12)])
def test_the_update_is_that_of_cmaes(d: int, population: int) -> None:
    cmaes = pytest.importorskip("cmaes")
    theirs = cmaes.CMA(np.full(d, 0.4), 0.2, seed=3, population_size=population)
    ours = Gaussian.begun(np.full(d, 0.4), np.full(d, 0.2))
    for _ in range(50):
        points = np.array([theirs.ask() for _ in range(population)])
        losses = ((points - 0.3) ** 2 * 10.0 ** np.linspace(0, 3, d)).sum(axis=1)
        theirs.tell(list(zip(points, losses.tolist(), strict=True)))
        ours = ours.told(points[np.argsort(losses)])
        # The mean and the distribution of the next draw, through their public face.
        assert np.allclose(ours.mean, theirs.mean, rtol=0.0, atol=1e-9)
    spread = np.cov(np.array([theirs.ask() for _ in range(4000)]).T).reshape(d, d)
    scale = np.sqrt(np.diag(spread))
    assert np.allclose(
        ours.sigma**2 * ours.cov / np.outer(scale, scale), spread / np.outer(scale, scale), atol=0.12
    )


def test_an_update_changes_nothing_that_there_was() -> None:
    before = Gaussian.begun(np.full(3, 0.5), np.array([0.1, 0.2, 0.3]))
    copy = {name: np.copy(value) for name, value in vars(before).items()}
    before.told(np.random.default_rng(0).random((7, 3)))
    assert all(np.array_equal(copy[name], value) for name, value in vars(before).items())


def test_draws_have_the_distribution() -> None:
    cov = np.array([[0.02, 0.012], [0.012, 0.01]])
    squares, axes = np.linalg.eigh(cov)
    root = (axes * np.sqrt(squares)) @ axes.T
    begun = Gaussian.begun(np.array([0.5, 0.4]), np.array([0.1, 0.1]))
    tilted = Gaussian(
        begun.mean, 1.0, cov, root, np.linalg.inv(root), np.array([1.0, 2.0]), begun.mean, begun.mean
    )
    drawn = np.array([tilted.sample(np.random.default_rng([1, i])) for i in range(20_000)])
    stretched = cov * np.outer([1.0, 2.0], [1.0, 2.0])
    assert np.allclose(np.cov(drawn.T), stretched, rtol=0.06)
    assert np.allclose(drawn.mean(axis=0), [0.5, 0.4], atol=0.005)


def test_the_mean_stays_near_the_cube() -> None:
    far = Gaussian.begun(np.array([3.0, -0.015, -2.0]), np.full(3, 0.01)).held(np.array([True, True, False]))
    assert np.allclose(far.mean, [1.02, -0.015, -2.0])


def test_a_step_that_is_too_long_is_cut() -> None:
    narrow = Gaussian.begun(np.full(3, 0.5), np.full(3, 1e-4))
    told = narrow.told(np.vstack((np.ones((1, 3)), np.full((6, 3), 0.5))))
    assert np.abs(told.mean - 0.5).max() < 1e-3 and told.sigma < 3e-4


def test_the_deviation_stays_between_bounds() -> None:
    g = Gaussian.begun(np.full(2, 0.5), np.full(2, 0.2))
    for i in range(3000):  # always the same point: narrower and narrower
        g = g.told(np.full((6, 2), 0.5))
        assert np.isfinite(g.sample(np.random.default_rng(i))).all()
    assert 0.0 < g.deviation.max() < 1e-6
    wide = Gaussian.begun(np.full(2, 0.5), np.full(2, 0.9))
    for _ in range(50):
        wide = wide.told(np.array([wide.mean + 0.9 * (k + 1) * np.array([1.0, 0.3]) for k in range(6)]))
    assert wide.deviation.max() <= 1.0 + 1e-9


# -- discrete parameters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameter",
    [
        uniform_int(0, 9),
        ordinal([8, 16]),
        ordinal([1, 2, 3]),
        loguniform_int(1, 50),
        uniform(0, 1, step=0.02),
    ],
    ids=str,
)
def test_the_margin_is_kept(parameter: Any) -> None:
    geometry, rng, population = Geometry.of(Space(n=parameter, x=uniform(0, 1))), np.random.default_rng(2), 10
    middles, alpha = geometry.middles[0], 1.0 / (2 * population)
    edges = np.concatenate(([-np.inf], (middles[1:] + middles[:-1]) / 2, [np.inf]))
    for _ in range(300):
        mean, deviation = rng.uniform(-0.1, 1.1, 2), 10.0 ** rng.uniform(-9, 0, 2)
        before = Gaussian.begun(mean, deviation)
        after = corrected(before, geometry, population)
        assert after.mean[1] == mean[1] and after.stretch[1] == 1.0
        cell = np.searchsorted(edges, mean[0], side="right") - 1
        assert edges[cell] - 1e-12 <= after.mean[0] <= edges[cell + 1] + 1e-12
        s = after.stretch[0] * after.deviation[0]
        below, above = ndtr((edges[cell] - after.mean[0]) / s), ndtr((after.mean[0] - edges[cell + 1]) / s)
        if 0 < cell < len(middles) - 1:
            assert min(below, above) >= alpha / 2 * (1 - 1e-6)
        else:
            assert below + above >= alpha * (1 - 1e-6)
        if s > 0.5:  # nothing to correct
            assert np.allclose([after.mean[0], after.stretch[0]], [mean[0], 1.0])


def test_integers_are_found_among_numbers() -> None:
    space = Space(
        {f"x{j}": uniform(0, 1) for j in range(2)} | {f"n{j}": uniform_int(0, 20) for j in range(3)}
    )

    def loss(x0: float, x1: float, n0: int, n1: int, n2: int) -> float:
        z = np.array([n0, n1, n2]) - np.array([3, 16, 20])
        return 10 * (x0 - 0.3) ** 2 + 100 * (x1 - 0.7) ** 2 + float((z**2).sum()) / 20

    assert sum(Bench(space, loss, seed=seed).run(400).best < 1e-3 for seed in range(5)) >= 4


def test_probabilities_follow_what_is_good() -> None:
    rng, rates = np.random.default_rng(0), Rates.of(1, 10)
    known = Categories.begun([np.zeros(4), np.array([0.0, math.log(5.0)]), np.zeros(3)])
    assert np.allclose(known.p[1, :2], [1 / 6, 5 / 6]) and np.allclose(known.p.sum(axis=1), 1.0)
    for _ in range(40):
        values = np.array([known.sample(rng) for _ in range(10)])
        assert (values < [4, 2, 3]).all()
        active = np.ones(values.shape, bool)
        active[:, 2] = False
        values = values[
            np.argsort(values[:, 0] != 2, kind="stable")
        ]  # the first choice's third value is best
        before, known = known, known.told(values, active, rates)
        assert np.allclose(known.p.sum(axis=1), 1.0)
        assert (known.p[known.p > 0] >= np.repeat(known.least, [4, 2, 3]) * (1 - 1e-9)).all()
        assert np.allclose(known.p[2], before.p[2])  # nobody had it
    assert known.p[0, 2] > 0.8 and known.p[0, [0, 1, 3]].min() > 0.0
    draws = np.array([known.sample(rng) for _ in range(4000)])
    assert np.allclose([(draws[:, 0] == v).mean() for v in range(4)], known.p[0], atol=0.03)


def test_choices_and_conditions() -> None:
    space = Space(
        kind=choice(["a", "b", "c", "d"]),
        x=uniform(0, 1),
        n=uniform_int(0, 15, when="kind == 'c'"),
        rate=loguniform(1e-6, 1.0, when="kind in ('b', 'c')"),
    )

    def loss(kind: str, x: float, n: int = 0, rate: float = 1.0) -> float:
        own = {"a": 1.0, "b": 0.6, "c": 0.0, "d": 1.2}[kind]
        return own + (x - 0.8) ** 2 + ((n - 11) / 15) ** 2 + ((math.log10(rate) + 4.5) / 6) ** 2

    made = [Bench(space, loss, seed=seed).run(300) for seed in range(5)]
    assert sorted(bench.best for bench in made)[3] < 1e-3  # the last of five may sit elsewhere


def test_what_trials_lack_is_not_narrowed_by_them() -> None:
    space = Space(kind=choice(["with", "without"]), x=uniform(0, 1), y=uniform(0, 1, when="kind == 'with'"))
    bench = Bench(
        space, lambda kind, x, y=0.0: (x - 0.5) ** 2 + (5.0 if kind == "with" else 0.0), restarts="none"
    )
    bench.run(300)
    x, y = bench.state.gaussian.deviation
    assert x < 1e-3 and y > 30 * x  # the step size is one for both, but y stays wide beside x


# -- what is remembered ----------------------------------------------------------------------------------------

NOTED = Space(x=uniform(0, 1), n=uniform_int(0, 9), y=uniform(0, 1, when="n > 4"))


def test_draws_are_found_again() -> None:
    bench = Bench(NOTED, lambda x, n, y=0.0: x).run(1)
    geometry = Geometry.of(NOTED)
    state, number = bench.state, bench.start()
    rng = np.random.default_rng([bench.seed, number, 0x90])
    drawn = state.gaussian.sample(rng)
    assert ((drawn > 0.0) & (drawn < 1.0)).all()
    assert set(bench.snapshot.notes[number]["cma"]["drawn"]) == {"n", "y"}  # the rest is as it was drawn
    bench.end()
    ended = _ended(bench, [number])
    assert np.allclose(recall.points(geometry, state.gaussian, ended, bench.snapshot)[0], drawn, atol=1e-12)


def test_what_was_drawn_outside_counts_for_nearly_where_it_was() -> None:
    space = Space(rate=loguniform(1e-5, 1e-1), many=uniform_int(0, 2**53))
    bench, geometry = Bench(space, lambda rate, many: rate), Geometry.of(space)
    drawn = np.array([1.2, -0.1])
    codes = geometry.codes(drawn[None])
    assert codes.tolist() == [[1e-1, 0.0]]
    params, memo = space.params(codes)[0], recall.note(geometry, drawn, 0)
    bench.snapshot.apply(0, [Started(n=0, a=0, x=params, r=0, c=1, t=0.0, m=memo)])
    bench.under_way.append((0, params))
    bench.end()
    found = recall.points(geometry, bench.state.gaussian, _ended(bench, [0]), bench.snapshot)
    assert np.allclose(found, [[1.18, -0.09]], atol=1e-6)


def test_a_note_that_does_not_fit_is_not_believed() -> None:
    bench = Bench(NOTED, lambda x, n, y=0.0: x)
    for n, wrong in enumerate(
        [
            {"cma": {"drawn": {"n": 0.95}}},
            {"cma": 3},
            {"other": 1},
            {"cma": {"drawn": {"gone": 1.0, "x": 0.9}}},
        ]
    ):
        params = {"x": 0.25, "n": 2}
        bench.snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n), m=wrong)])
        bench.under_way.append((n, params))
        bench.end()
    geometry = Geometry.of(NOTED)
    found = recall.points(geometry, bench.state.gaussian, _ended(bench, [0, 1, 2, 3]), bench.snapshot)
    assert np.allclose(found[:, 0], 0.25) and np.allclose(found[:, 1], geometry.middles[1][2])
    assert len(set(found[:, 2])) == 4  # drawn for each trial


def _ended(bench: Bench, numbers: list[int]) -> Any:
    from taut.samplers.history import History
    from taut.samplers.population.ended import Ended

    history, at = History.of(bench.snapshot), np.array(numbers)
    k = len(at)
    return Ended(at, history.unit(at), history.active(at), np.zeros((k, 1)), np.empty((k, 0)))


# -- the course of a study ---------------------------------------------------------------------------------------


def ellipsoid(**x: float) -> float:
    u = np.array(list(x.values())) - 0.35
    turned = u - 2.0 * u.mean()  # a reflection, so that axes are askew
    return float((10.0 ** np.linspace(0, 4, len(u)) * turned**2).sum())


@pytest.mark.parametrize("pending, d, trials", [(0, 5, 700), (8, 5, 800), (32, 3, 800)])
def test_it_learns_a_valley_that_lies_askew(pending: int, d: int, trials: int) -> None:
    bench = Bench(cube(d), ellipsoid).run(trials, pending)
    assert bench.best < 1e-3


@pytest.mark.parametrize("d", [2, 10])
def test_the_corner_is_found(d: int) -> None:
    bench = Bench(cube(d), lambda **x: sum(x.values())).run(60 * d)
    assert bench.best < 1e-3


def test_regions_that_fail_are_left() -> None:
    bench = Bench(
        cube(3), lambda x0, x1, x2: None if x0 > 0.4 else (x0 - 0.39) ** 2 + (x1 - 0.2) ** 2 + x2**2
    )
    bench.run(300)
    assert bench.best < 1e-4


def test_nothing_is_learned_while_all_fails() -> None:
    bench = Bench(cube(3), lambda **x: None)
    begun = bench.state.gaussian
    bench.run(60)
    assert np.array_equal(bench.state.gaussian.mean, begun.mean) and bench.state.found is False
    spread = bench.snapshot.codes[:60]
    assert (np.sort(spread, axis=0)[30] > 0.4).all() and (spread.max(axis=0) > 0.95).all()  # from the priors
    bench.loss = lambda **x: sum(x.values())
    bench.run(300)
    assert bench.best < 0.01


def test_the_first_draws_are_where_the_user_said() -> None:
    space = Space(
        start=uniform(0, 10, start=8.0),
        leaning=loguniform(1e-6, 1.0, start=1e-4, belief="strong"),
        bell=normal(3.0, 1.0),
        kind=choice(["a", "b", "c", "d"], start="b", belief="strong"),
        free=uniform(0, 1),
    )
    bench = Bench(space, lambda **x: 0.0)
    numbers = np.arange(1, 801)
    codes = bench.sampler.propose(space, 1, numbers, bench.snapshot)
    unit = space.encode(codes)
    assert np.allclose(np.median(unit[:, [0, 1, 4]], axis=0), [0.8, 1 / 3, 0.5], atol=0.05)
    assert 0.05 < unit[:, 1].std() < 0.09 and 0.16 < unit[:, 4].std() < 0.22
    assert abs(np.median(codes[:, 2]) - 3.0) < 0.15 and 0.8 < codes[:, 2].std() < 1.2
    assert (codes[:, 3] == 1).mean() > 0.6  # 20 / 23, less what the margin takes


def test_a_generation_ends_whoever_is_late() -> None:
    """Of the trials that run, the first never ends; the others are enough."""
    bench = Bench(cube(4), ellipsoid)
    bench.start()
    bench.start()
    late = bench.under_way.popleft()
    bench.run(400)
    assert bench.best < 1e-2
    bench.under_way.appendleft(late)
    bench.end()
    assert np.isfinite(bench.state.gaussian.mean).all()


# -- restarts ----------------------------------------------------------------------------------------------------


def two_valleys(x0: float, x1: float) -> float:
    """The wide one in the middle is not the deep one."""
    here, there = (x0 - 0.5) ** 2 + (x1 - 0.5) ** 2, (x0 - 0.9) ** 2 + (x1 - 0.1) ** 2
    return min(0.1 + here, 3 * there)


def test_a_run_that_has_converged_is_followed_by_others() -> None:
    stuck = Bench(cube(2), two_valleys, restarts="none").run(600)
    assert stuck.best > 0.09 and stuck.state.run.index == 0
    found = [
        Bench(cube(2), two_valleys, seed, restarts=kind).run(1200)
        for kind in ("bipop", "ipop")
        for seed in (1, 2)
    ]
    assert sum(bench.best < 1e-3 for bench in found) >= 3
    for bench in found:
        index = bench.state.run.index
        account = bench.sampler.account(bench.snapshot)
        assert index >= 1 and account is not None and account.startswith(f"run {index + 1}, generation ")


def test_trials_of_an_earlier_run_do_not_enter_the_next() -> None:
    bench = Bench(cube(2), lambda x0, x1: (x0 - 0.2) ** 2 + (x1 - 0.2) ** 2)
    for _ in range(6):
        bench.start()
    while not bench.state.run.index:
        bench.start()
        bench.end()
    assert len(bench.under_way) == 6
    before = bench.state
    for _ in range(6):
        bench.end()
    after = bench.state
    assert after.waiting is None and np.array_equal(before.gaussian.mean, after.gaussian.mean)
    assert bench.start() and bench.snapshot.notes[bench.snapshot.size - 1] == {"cma": {"run": 1}}


def test_populations_of_restarts() -> None:
    def course(kind: str, count: int) -> list[Run]:
        run, runs = Run(6), []
        for i in range(count):
            runs.append(run)
            for _ in range(30):
                run = run.told()
            run = run.next(kind, 6, np.random.default_rng(i))
        return runs

    assert [run.population for run in course("ipop", 5)] == [6, 12, 24, 48, 96]
    runs = course("bipop", 40)
    large = [run for run in runs[1:] if not run.small]
    assert [run.population for run in large] == [6 * 2**i for i in range(1, len(large) + 1)] and len(
        large
    ) > 2
    for run in runs[1:]:
        if run.small:
            assert run.little < run.large and 6 <= run.population <= 3 * 2**run.doublings
            assert 0.01 <= run.narrow <= 1.0
        else:
            assert run.little >= run.large and run.narrow == 1.0


def test_when_a_run_is_over() -> None:
    wide = Gaussian.begun(np.full(3, 0.5), np.full(3, 0.2))
    last = memory(3, 7)
    assert not over(wide, 7, (1.0,) * (last - 1), 1.0)
    assert over(wide, 7, (1.0,) * last, 1.0) and over(wide, 7, (0.0,) * last, 0.0)
    assert not over(wide, 7, (1.0,) * last, 1.1) and not over(wide, 7, (1.0,) * last, math.inf)
    assert not over(wide, 7, (-1.7e308, *(1.7e308,) * last), 1.7e308) or last == memory(3, 7)
    assert over(Gaussian.begun(np.full(3, 0.5), np.full(3, 1e-7)), 7, (), 1.0)
    assert over(Gaussian.begun(np.full(2, 0.5), np.array([0.3, 1e-9])), 6, (), 1.0)


# -- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, told",
    [
        ({"population": 3}, "4 or more"),
        ({"population": 8.0}, "whole number"),
        ({"population": True}, "whole number"),
        ({"sigma": 0.0}, "above 0 and at most 1"),
        ({"sigma": "0.3"}, "share of the range"),
        ({"sigma": math.nan}, "share of the range"),
        ({"restarts": "lipop"}, '"bipop", "ipop"'),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        CMASampler(**options)


def test_a_space_of_choices_alone_is_warned_of() -> None:
    only = Space(a=choice(["x", "y", "z"]), b=choice([True, False]))
    assert "tpe" in (CMASampler().warning(only) or "") and CMASampler().warning(cube(1)) is None
    bench = Bench(only, lambda a, b: float((a != "y") + (not b))).run(4)
    assert bench.sampler.account(bench.snapshot) is None
