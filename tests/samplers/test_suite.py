"""What every sampler must keep, whatever it proposes: one suite for all that the registry lists."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from taut.definition import Definition, Method, Objective
from taut.events import Finished, Started
from taut.samplers import registry
from taut.samplers.base import Codes, Sampler
from taut.snapshot import Snapshot
from taut.space import (
    Parameter,
    Space,
    choice,
    expr,
    lognormal,
    loguniform,
    loguniform_int,
    normal,
    ordinal,
    uniform,
    uniform_int,
)

OPTIONS: dict[str, dict[str, Any]] = {"grid": {"resolution": 3}}


def one(rng: random.Random) -> Parameter:
    """A parameter of any kind, some with a start value."""
    low, width = round(rng.uniform(-9, 9), 3), round(rng.uniform(0.1, 50), 3)
    first, cells, step = rng.randint(-50, 50), rng.randint(1, 40), rng.randint(1, 7)
    levels: list[Any] = rng.sample(
        [1, 1.0, True, None, "a", "b", "", [1, 2], [], -0.5, 2**40], rng.randint(1, 8)
    )
    makers: list[Callable[[], Parameter]] = [
        lambda: uniform(low, low + width),
        lambda: uniform(low, low + width, start=low + width / 4, belief="weak"),
        lambda: uniform(low, low),
        lambda: uniform(0, round(0.1 * cells, 1), step=0.1),
        lambda: loguniform(10.0**first, 10.0 ** (first + cells)),
        lambda: loguniform(1e-5, 1e-3, start=2e-4),
        lambda: normal(low, width),
        lambda: normal(low, width, low=low + width, high=low + 2 * width),
        lambda: lognormal(low / 3, 0.5),
        lambda: uniform_int(first, first + cells * step, step=step),
        lambda: uniform_int(first, first, start=first),
        lambda: uniform_int(0, 2**53),
        lambda: loguniform_int(1, cells),
        lambda: loguniform_int(3, 3 + cells * 1000, start=3 + cells),
        lambda: choice(levels),
        lambda: choice(levels, start=levels[-1]),
        lambda: choice(["only"]),
        lambda: ordinal(levels),
        lambda: ordinal([8, 16, 32, 64], start=16, belief="strong"),
    ]
    return rng.choice(makers)()


def random_space(seed: int) -> Space:
    rng = random.Random(seed)
    parameters = {f"p{i}": one(rng) for i in range(rng.randint(1, 3))}
    if seed % 3 == 0:  # conditions, one below the other
        parameters["kind"] = choice(["sgd", "adam", "none"], start="sgd")
        parameters["momentum"] = uniform(0.0, 0.99, start=0.9, when="kind == 'sgd'")
        parameters["nesterov"] = choice([True, False], start=False, when="momentum > 0.5")
    if seed % 4 == 0:
        parameters["r"] = uniform_int(1, 9, start=7)
        parameters["alpha"] = expr("2 * r")
        parameters["big"] = loguniform_int(1, 100, when="alpha >= 10")
    return Space(parameters)


SPACES = [random_space(seed) for seed in range(60)]
MIXED = Space(
    lr=loguniform(1e-5, 1e-1),
    layers=uniform_int(1, 12),
    kind=choice(["sgd", "adam"]),
    momentum=uniform(0.0, 0.99, when="kind == 'sgd'"),
    width=lognormal(3, 1),
)


def history(space: Space) -> Snapshot:
    """Some trials that others began: most complete, one failed, some under way."""
    objective = [Objective("loss", True)]
    snapshot = Snapshot(Definition("a study", space.to_json(), objective, seed=3), space)
    rng = np.random.default_rng(5)
    for n, params in enumerate(space.params(space.quantile(rng.random((12, len(space)))))):
        snapshot.apply(n % 2, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n))])
        if n < 8:
            y = {"loss": float(rng.random())}
            snapshot.apply(n % 2, [Finished(n=n, a=0, state="complete", y=y, t=n + 0.5)])
        elif n == 8:
            snapshot.apply(n % 2, [Finished(n=n, a=0, state="failed", y={}, t=n + 0.5, error="no")])
    return snapshot


class Case:
    """A sampler in a space: asks it as `Proposals` would."""

    def __init__(self, name: str, space: Space) -> None:
        self.name, self.space = name, space
        self.snapshot = history(space)

    @property
    def fresh(self) -> Sampler:
        return registry.make(Method(self.name, OPTIONS.get(self.name, {})))

    @property
    def end(self) -> int:
        """Numbers below this one may be asked for."""
        limit = self.fresh.limit(self.space)
        return 700 if limit is None else min(limit, 700)

    @property
    def exhaustive(self) -> bool:
        return self.fresh.limit(self.space) is not None

    def ask(self, numbers: Any, seed: int = 3, sampler: Sampler | None = None) -> Codes:
        sampler = self.fresh if sampler is None else sampler
        snapshot = self.snapshot if sampler.uses_history else None
        return sampler.propose(self.space, seed, np.array(numbers, np.int64), snapshot)


def same(one: Codes, other: Codes) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


every_sampler = pytest.mark.parametrize("name", registry.names())


@pytest.fixture(params=range(len(SPACES)), ids=lambda i: f"space{i}")
def case(name: str, request: pytest.FixtureRequest) -> Case:
    return Case(name, SPACES[request.param])


@every_sampler
def test_proposals_are_valid(case: Case) -> None:
    first = case.snapshot.size if case.fresh.uses_history else 0
    numbers = np.arange(first, max(first + 5, min(case.end, 300)))
    numbers = numbers[: case.end] if case.exhaustive else numbers
    codes = case.ask(numbers)
    assert codes.shape == (len(numbers), len(case.space)) and codes.dtype == np.float64
    params = case.space.params(codes)
    assert same(case.space.codes(params), codes)  # checks every value, presence and condition


@every_sampler
def test_the_same_arguments_give_the_same_answer(case: Case) -> None:
    numbers = np.array([0, 1, 2, 5, 255, 256, 257, 511, 12])
    numbers = numbers[numbers < case.end]
    asked = numbers.copy()
    old = case.fresh
    before, state = case.ask(numbers, sampler=old), np.random.get_state()[1].tolist()
    case.ask(numbers[::-1], seed=8, sampler=old)  # another question in between
    again = case.ask(numbers, sampler=old)
    assert same(before, again)
    again[:] = -1  # what is handed out is the caller's
    assert same(case.ask(numbers, sampler=old), before) and same(case.ask(numbers), before)
    assert np.array_equal(numbers, asked)
    assert np.random.get_state()[1].tolist() == state, "the global generator was used"
    if old.uses_history:
        assert case.snapshot.size == 12 and case.snapshot.counts == history(case.space).counts


@every_sampler
def test_without_history_each_number_has_its_own_answer(case: Case) -> None:
    if case.fresh.uses_history:
        return
    end = case.end
    table = case.ask(np.arange(end))
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(end)
    assert same(case.ask(shuffled), table[shuffled])
    for n in {0, end // 2, end - 1, min(255, end - 1), min(256, end - 1)}:
        assert same(case.ask([n]), table[[n]])
    for first in range(0, end, 97):
        block = np.arange(first, min(first + 97, end))
        assert same(case.ask(block), table[block])
    assert same(case.ask([end - 1, 0, end - 1]), table[[end - 1, 0, end - 1]])
    assert case.ask([]).shape == (0, len(case.space))


@every_sampler
def test_the_seed_decides(case: Case) -> None:
    if case.exhaustive:
        assert same(case.ask(np.arange(case.end), seed=1), case.ask(np.arange(case.end), seed=2))
        return
    one, other = case.ask(np.arange(12, 40), seed=1), case.ask(np.arange(12, 40), seed=2)
    for j, parameter in enumerate(case.space.columns):
        constant = parameter.quantile(np.array([0.0])) == parameter.quantile(np.array([1.0]))
        if case.space.cells[j] == 0 and parameter.when is None and not constant:
            assert not (one[:, j] == other[:, j]).any(), case.space.searched[j]
    large = case.ask([12], seed=2**63 - 1)
    assert same(large, case.ask([12], seed=2**63 - 1))


@every_sampler
def test_trial_0_has_the_start_values(case: Case) -> None:
    if case.exhaustive:
        return
    if case.fresh.uses_history:
        case.snapshot = Snapshot(case.snapshot.definition, case.space)
    first = case.space.params(case.ask([0, 1]))[0]
    start = case.space.start
    for name, value in start.items():
        parameter = case.space.parameters[name]
        if getattr(parameter, "when", None) is None:
            assert name in first
        if name in first:
            assert repr(first[name]) == repr(value)
    if "momentum" in case.space.names:  # its parent starts with "sgd", it starts with 0.9
        assert first["momentum"] == 0.9 and first["nesterov"] is False
    if start and not case.fresh.uses_history:  # and nobody else gets them by the same way
        numbers = np.arange(1, 60)
        for name, value in start.items():
            parameter = case.space.parameters[name]
            if case.space.cells[case.space.searched.index(name)] == 0:
                assert all(params.get(name) != value for params in case.space.params(case.ask(numbers)))


@every_sampler
def test_the_ends_are_bounds(name: str) -> None:
    """A limit is a whole number, and the last number below it can be had."""
    for space in SPACES:
        case = Case(name, space)
        limit = case.fresh.limit(space)
        if limit is None:
            if not case.fresh.uses_history:
                assert case.ask([10**12, 10**12 + 1]).shape == (2, len(space))
            continue
        assert isinstance(limit, int) and limit >= 1
        assert case.ask([limit - 1]).shape == (1, len(space))
        with pytest.raises(ValueError, match=f"no trial {limit}"):
            case.ask([limit])


@every_sampler
def test_a_warning_is_a_sentence_or_nothing(name: str) -> None:
    warning = Case(name, MIXED).fresh.warning(MIXED)
    assert warning is None or (len(warning) > 20 and "\n" not in warning)


# -- how points are spread ------------------------------------------------------------------------------

CUBE = {d: Space({f"x{j}": uniform(0, 1) for j in range(d)}) for d in (1, 2, 5)}


def discrepancy(points: Codes) -> float:
    """Centred L2 discrepancy (Hickernell, 1998), squared."""
    k, d = points.shape
    z = np.abs(points - 0.5)
    single = np.prod(1 + 0.5 * z - 0.5 * z**2, axis=1).sum()
    pairs = 1 + 0.5 * z[:, None] + 0.5 * z[None] - 0.5 * np.abs(points[:, None] - points[None])
    return float((13 / 12) ** d - 2 / k * single + np.prod(pairs, axis=2).sum() / k**2)


@pytest.mark.parametrize("d, ratio", [(1, 0.05), (2, 0.2), (5, 0.7)])
def test_quasirandom_is_more_even_than_random(d: int, ratio: float) -> None:
    mean = {
        name: np.mean([discrepancy(Case(name, CUBE[d]).ask(np.arange(64), seed=s)) for s in range(8)])
        for name in ("quasirandom", "random")
    }
    assert mean["quasirandom"] < ratio * mean["random"]
    worst = max(discrepancy(Case("quasirandom", CUBE[d]).ask(np.arange(64), seed=s)) for s in range(8))
    assert worst < mean["random"]


@pytest.mark.parametrize("seed", range(5))
def test_quasirandom_puts_one_point_into_each_stratum(seed: int) -> None:
    case = Case("quasirandom", CUBE[5])
    for j, base in enumerate((2, 3, 5, 7, 11)):
        for strata in (base, base**2):
            for first in (0, strata, 3 * strata):  # every whole run of the base, not only the first
                x = case.ask(np.arange(first, first + strata), seed)[:, j]
                assert sorted(np.floor(x * strata).astype(int)) == list(range(strata))


def test_quasirandom_is_even_over_choices_and_where_a_condition_holds() -> None:
    space = Space(kind=choice(["a", "b", "c", "d"]), x=uniform(0, 1, when="kind == 'b'"))
    codes = Case("quasirandom", space).ask(np.arange(4 * 81))
    assert np.bincount(codes[:, 0].astype(int)).tolist() == [81] * 4
    x = codes[codes[:, 0] == 1, 1]
    assert len(x) == 81 and stats.kstest(x, "uniform").statistic < 0.06


def test_scrambles_of_other_seeds_are_uniform() -> None:
    case = Case("quasirandom", CUBE[5])
    points = np.concatenate([case.ask([7], seed) for seed in range(400)])
    for j in range(5):
        assert stats.kstest(points[:, j], "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(points.T) - np.eye(5)).max() < 0.2


def fits(counts: Any, expected: Any = None) -> None:
    """The counts are what chance would give: not too far off, and not too close either."""
    p = stats.chisquare(counts, expected).pvalue
    assert 1e-4 < p < 1 - 1e-4


N = 8000


def test_random_draws_follow_the_priors() -> None:
    space = Space(
        flat=uniform(-2, 6),
        log=loguniform(1e-5, 1e-1),
        bell=normal(3, 2, low=1, high=9),
        logbell=lognormal(1, 0.5),
        whole=uniform_int(0, 20, step=2),
        logwhole=loguniform_int(1, 12),
        kind=choice(["a", "b", "c", "d", "e", "f", "g"]),
        size=ordinal([8, 16, 32]),
    )
    codes = Case("random", space).ask(np.arange(N))
    flat, log, bell, logbell, whole, logwhole, kind, size = codes.T
    fits(np.bincount(((flat + 2) / 8 * 25).astype(int), minlength=25))
    fits(np.bincount(((np.log10(log) + 5) / 4 * 25).astype(int), minlength=25))
    normal_ = stats.truncnorm((1 - 3) / 2, (9 - 3) / 2, 3, 2)
    fits(np.bincount((normal_.cdf(bell) * 25).astype(int), minlength=25))
    fits(
        np.bincount((stats.truncnorm(-4, 4).cdf((np.log(logbell) - 1) / 0.5) * 25).astype(int), minlength=25)
    )
    fits(np.bincount((whole / 2).astype(int), minlength=11))
    values = np.arange(1, 13)
    mass = np.log((values + 0.5) / (values - 0.5)) / np.log(12.5 / 0.5)
    fits(np.bincount(logwhole.astype(int), minlength=13)[1:], mass * N)
    fits(np.bincount(kind.astype(int), minlength=7))
    fits(np.bincount(size.astype(int), minlength=3))


def test_random_draws_are_independent() -> None:
    u = Case("random", CUBE[2]).ask(np.arange(1, N + 1))
    other = Case("random", CUBE[2]).ask(np.arange(1, N + 1), seed=4)
    cells = (u * 8).astype(int)
    pairs = {
        "parameters": cells[:, 0] * 8 + cells[:, 1],
        "neighbours": cells[:-1, 0] * 8 + cells[1:, 0],
        "blocks": cells[:-256, 0] * 8 + cells[256:, 0],
        "seeds": cells[:, 0] * 8 + (other[:, 0] * 8).astype(int),
    }
    for both in pairs.values():
        fits(np.bincount(both, minlength=64))


def test_random_draws_of_one_trial_are_uniform_over_seeds() -> None:
    for n in (0, 1, 300):
        points = np.concatenate([Case("random", CUBE[1]).ask([n], seed) for seed in range(1500)])
        fits(np.bincount((points[:, 0] * 15).astype(int), minlength=15))
