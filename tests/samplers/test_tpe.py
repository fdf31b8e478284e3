"""TPE: what its densities are, whom it takes for good, and that it finds, leaves and avoids what it should."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from taut.definition import Definition, Objective
from taut.errors import InputError
from taut.events import Finished, Started
from taut.samplers.history import History
from taut.samplers.tpe import TPESampler
from taut.samplers.tpe.axes import Axes
from taut.samplers.tpe.density import Cloud, Density
from taut.samplers.tpe.fronts import best_by_fronts
from taut.samplers.tpe.model import Model
from taut.samplers.tpe.split import split, thin
from taut.samplers.untried import Tried
from taut.snapshot import Snapshot
from taut.space import Space, choice, loguniform_int, normal, ordinal, uniform, uniform_int

Outcome = Mapping[str, float] | str | None  # metrics, the state it ended in, or None while it runs


class Lab:
    """A study as its snapshot: trials are added with what became of them."""

    def __init__(
        self, space: Space, objectives: tuple[str, ...] = ("loss",), subject_to: tuple[str, ...] = ()
    ) -> None:
        self.space = space
        wanted = [Objective(name, True) for name in objectives]
        self.snapshot = Snapshot(
            Definition("a study", space.to_json(), wanted, subject_to=list(subject_to)), space
        )

    def add(self, params: Mapping[str, Any], outcome: Outcome) -> None:
        n = self.snapshot.size
        self.snapshot.apply(0, [Started(n=n, a=0, x=dict(params), r=0, c=n + 1, t=float(n))])
        if isinstance(outcome, str):
            self.snapshot.apply(0, [Finished(n=n, a=0, state=outcome, y={}, t=n + 0.5, error="no")])
        elif outcome is not None:
            self.snapshot.apply(0, [Finished(n=n, a=0, state="complete", y=dict(outcome), t=n + 0.5)])

    def ask(self, count: int = 1, seed: int = 0, **options: Any) -> list[dict[str, Any]]:
        numbers = np.arange(self.snapshot.size, self.snapshot.size + count)
        return self.space.params(TPESampler(**options).propose(self.space, seed, numbers, self.snapshot))

    def run(
        self, trials: int, objective: Callable[[dict[str, Any]], Outcome], seed: int = 0, **options: Any
    ) -> None:
        for _ in range(trials):
            (params,) = self.ask(seed=seed, **options)
            self.add(params, objective(params))

    @property
    def params(self) -> list[dict[str, Any]]:
        return self.space.params(self.snapshot.codes)


# -- densities ------------------------------------------------------------------------------------------

DENSE = Space(
    x=uniform(0, 1),
    y=normal(0.0, 1.0, low=-1.0, high=3.0),
    size=ordinal([8, 16, 32, 64]),
    width=loguniform_int(1, 6),
    kind=choice(["a", "b", "c"], start="b", belief="strong"),
)


def density(space: Space, trials: int, seed: int = 0) -> Density:
    axes = Axes.of(space)
    codes = space.quantile(np.random.default_rng(seed).random((trials, len(space))))
    return Density(axes, axes.prior(trials), Cloud(space.encode(codes), ~np.isnan(codes), np.ones(trials)))


@pytest.mark.parametrize("trials", [0, 1, 7])
def test_a_density_has_the_mass_1(trials: int) -> None:
    line = (np.arange(40) + 0.5) / 40
    middles = [Axes.of(DENSE).geometry.middles[j] for j in (2, 3, 4)]
    grid = np.array(list(itertools.product(line, line, *middles)))
    assert np.exp(density(DENSE, trials).log(grid)).sum() / 40**2 == pytest.approx(1.0, abs=2e-3)


def test_points_come_from_the_density_that_is_evaluated() -> None:
    """The mean of 1 / density over draws is the volume, of the space and of its parts."""
    found = density(DENSE, 5)
    unit = found.sample(100_000, np.random.default_rng(1))
    weight = 1.0 / np.exp(found.log(unit))
    cells = Axes.of(DENSE).cells(unit)
    for column, count in enumerate((4, 6, 3)):
        for cell in range(count):
            assert weight[cells[:, column] == cell].sum() / 1e5 == pytest.approx(72 / count, rel=0.1)
    for j, quarters in ((0, 4), (1, 3)):  # of y, the last is the tail of its prior
        for quarter in range(quarters):
            assert weight[unit[:, j] // 0.25 == quarter].sum() / 1e5 == pytest.approx(18, rel=0.1)


def test_the_prior_is_that_of_the_space() -> None:
    """Without trials, and without beliefs, points are spread as the priors say."""
    space = Space(y=normal(0.0, 1.0, low=-1.0, high=3.0), n=loguniform_int(1, 6), many=uniform_int(1, 1000))
    axes = Axes.of(space)
    none = np.empty((0, 3))
    unit = Density(axes, axes.plain, Cloud(none, none > 0, none[:, 0])).sample(
        20_000, np.random.default_rng(0)
    )
    mine, prior = space.decode(unit), space.quantile(np.random.default_rng(1).random((20_000, 3)))
    for j in range(3):
        levels = np.quantile(prior[:, j], [0.1, 0.25, 0.5, 0.75, 0.9])
        assert np.allclose(
            [(mine[:, j] <= v).mean() for v in levels], [(prior[:, j] <= v).mean() for v in levels], atol=0.02
        )


def test_far_prior_tails_are_sampled_and_finite() -> None:
    space = Space(x=normal(0.0, 1.0, low=5.0, high=6.5), y=normal(0.0, 1.0, low=-6.5, high=-5.0))
    axes = Axes.of(space)
    none = np.empty((0, 2))
    found = Density(axes, axes.plain, Cloud(none, none > 0, none[:, 0]))
    unit = found.sample(4000, np.random.default_rng(0))
    assert np.isfinite(found.log(unit)).all() and ((unit > 0) & (unit < 1)).mean() > 0.99
    truth = space.encode(space.quantile(np.random.default_rng(1).random((4000, 2))))
    assert np.allclose(unit.mean(axis=0), truth.mean(axis=0), atol=0.02)


def test_cells_far_from_every_trial_keep_a_logarithm() -> None:
    space = Space(
        n=uniform_int(0, 31, start=0, belief="strong"), m=uniform_int(0, 31, start=31, belief="strong")
    )
    axes = Axes.of(space)
    codes = np.tile([0.0, 31.0], (1000, 1))
    found = Density(axes, axes.prior(0), Cloud(space.encode(codes), codes >= 0, np.ones(1000)), adaptive=True)
    assert np.isfinite(found.log(space.encode(np.array([[31.0, 0.0], [0.0, 31.0], [31.0, 31.0]])))).all()


def test_a_belief_narrows_the_prior_and_fades() -> None:
    space = Space(
        x=uniform(0, 1, start=0.2, belief="medium"),
        kind=choice(["a", "b", "c", "d"], start="c", belief="medium"),
    )
    axes = Axes.of(space)
    early, late = axes.prior(0), axes.prior(1000)
    assert early.mean[0] == pytest.approx(0.2, abs=0.01) and early.std[0] == pytest.approx(0.15, abs=0.01)
    assert late.std[0] > 1.0
    assert early.tables[0].argmax() == 2 and early.tables[0][2] == pytest.approx(5 / 8)
    assert np.allclose(late.tables[0], 0.25, atol=0.01)


CONDITIONAL = Space(
    kind=choice(["sgd", "adam"]),
    lr=uniform(0, 1),
    momentum=uniform(0, 1, when="kind == 'sgd'"),
)


def test_a_set_of_active_parameters_has_a_density_of_its_own() -> None:
    axes = Axes.of(CONDITIONAL)
    params = [{"kind": "sgd", "lr": 0.2, "momentum": 0.9}] * 10 + [{"kind": "adam", "lr": 0.8}] * 10
    codes = CONDITIONAL.codes(params)
    found = Density(axes, axes.plain, Cloud(CONDITIONAL.encode(codes), ~np.isnan(codes), np.ones(20)))
    momenta = np.array([[0.0, lr, m] for lr in (0.2, 0.8) for m in (0.9, 0.1)])
    seen, other, far, _ = found.log(CONDITIONAL.encode(momenta), np.ones((4, 3), bool))
    assert seen > other + 1 and seen > far + 1
    adam = CONDITIONAL.codes([{"kind": "adam", "lr": 0.8}, {"kind": "adam", "lr": 0.2}])
    good, bad = found.log(CONDITIONAL.encode(adam), ~np.isnan(adam))
    assert good > bad + 1
    # Both sets together have the mass 1: what is inactive is integrated over, not scored.
    line = (np.arange(50) + 0.5) / 50
    sgd = np.array([[0.25, lr, m] for lr in line for m in line])
    rest = np.array([[0.75, lr, 0.5] for lr in line])
    without = np.ones((50, 3), bool)
    without[:, 2] = False
    mass = np.exp(found.log(sgd, np.ones((2500, 3), bool))).mean() + np.exp(found.log(rest, without)).mean()
    assert mass == pytest.approx(1.0, abs=2e-3)


# -- good and bad ---------------------------------------------------------------------------------------

LINE = Space(x=uniform(0, 1))


def places(lab: Lab, numbers: Any) -> list[int]:
    return sorted(np.asarray(numbers).tolist())


def test_the_best_are_good_and_all_others_bad() -> None:
    lab = Lab(LINE)
    losses = [5.0, 1.0, 4.0, 1.0, 1.0, 7.0]
    for i, loss in enumerate(losses):
        lab.add({"x": i / 10}, {"loss": loss})
    lab.add({"x": 0.7}, "failed")
    lab.add({"x": 0.8}, "pruned")
    lab.add({"x": 0.9}, None)
    found = split(History.of(lab.snapshot), 0.25)
    assert places(lab, found.good.numbers) == [1, 3]  # two of seven, the earlier ones of equal losses
    assert places(lab, found.bad.numbers) == [0, 2, 4, 5, 6, 7, 8]


def test_breaking_a_constraint_counts_before_the_loss() -> None:
    lab = Lab(LINE, subject_to=("memory <= 40", "hours <= 1"))
    for loss, memory, hours in [(1, 400, 0), (9, 10, 0), (2, 41, 0), (3, 10, 1.1), (4, 10, 90), (8, 10, 0)]:
        lab.add({"x": loss / 10}, {"loss": loss, "memory": memory, "hours": hours})
    lab.add({"x": 0.0}, {"loss": 0.0})  # neither is known

    def good(share: float) -> list[int]:
        return places(lab, split(History.of(lab.snapshot), share).good.numbers)

    assert good(1 / 7) == [5] and good(2 / 7) == [1, 5]
    # 1 GB and 0.1 h are small beside what others exceed; the trial that says nothing comes last.
    assert good(4 / 7) == [1, 2, 3, 5] and 6 not in good(6 / 7)


def test_bad_trials_are_bounded_and_stand_for_all() -> None:
    kept = thin(np.arange(10_000))
    assert len(kept.numbers) == len(set(kept.numbers.tolist())) <= 128
    assert kept.weights.sum() == pytest.approx(10_000)
    assert kept.numbers[-32:].tolist() == list(range(9968, 10_000))
    assert abs(np.average(kept.numbers, weights=kept.weights) - 5000) < 100
    assert thin(np.arange(100)).weights.tolist() == [1.0] * 100


@pytest.mark.parametrize("m", [2, 3, 4])
def test_fronts_come_one_after_the_other(m: int) -> None:
    loss = np.random.default_rng(m).integers(0, 12, (80, m)).astype(float)
    dominates = (loss[:, None] <= loss[None]).all(-1) & (loss[:, None] < loss[None]).any(-1)
    first = np.flatnonzero(~dominates.any(axis=0))
    distinct = len(np.unique(loss[first], axis=0))
    some = best_by_fronts(loss, distinct - 1)
    assert len(set(some.tolist())) == distinct - 1 and set(some.tolist()) <= set(first.tolist())
    assert set(map(tuple, loss[best_by_fronts(loss, distinct)].tolist())) == set(
        map(tuple, loss[first].tolist())
    )
    assert sorted(best_by_fronts(loss, 80).tolist()) == list(range(80))


def test_of_a_front_those_apart_are_taken() -> None:
    x = np.concatenate((np.linspace(0.0, 1.0, 5), 0.5 + 1e-3 * np.arange(1, 20)))
    loss = np.stack((x, 1.0 - x), axis=1)
    assert np.allclose(np.sort(x[best_by_fronts(loss, 5)]), [0, 0.25, 0.5, 0.75, 1], atol=0.03)


# -- proposals ------------------------------------------------------------------------------------------


def test_it_finds_what_random_search_does_not() -> None:
    space = Space({f"x{j}": uniform(0, 1) for j in range(4)} | {"kind": choice(["a", "b", "c", "d"])})

    def loss(params: dict[str, Any]) -> dict[str, float]:
        return {"loss": sum((params[f"x{j}"] - 0.3) ** 2 for j in range(4)) + 0.2 * (params["kind"] != "c")}

    best = {}
    for name, startup in (("tpe", 10), ("design", 10**6)):
        runs = []
        for seed in range(3):
            lab = Lab(space)
            lab.run(60, loss, seed, startup=startup)
            runs.append(lab.snapshot.values("loss").min())
        best[name] = np.mean(runs)
    assert best["tpe"] < 0.5 * best["design"]


def test_it_learns_what_goes_together() -> None:
    """Good where x and y are equal: one density for each parameter could not tell."""
    lab = Lab(Space(x=uniform(0, 1), y=uniform(0, 1)))
    rng = np.random.default_rng(0)
    for x, y in rng.random((300, 2)).tolist():
        lab.add({"x": x, "y": y}, {"loss": abs(x - y)})
    asked = lab.ask(20)
    assert np.mean([abs(p["x"] - p["y"]) for p in asked]) < 0.12
    assert np.std([p["x"] for p in asked]) > 0.1


def test_regions_that_fail_are_left() -> None:
    def failures(loss: Callable[[dict[str, Any]], float]) -> float:
        lab = Lab(Space(x=uniform(0, 1), y=uniform(0, 1)))
        lab.run(50, lambda p: "failed" if p["x"] > 0.5 else {"loss": loss(p)})
        return float(np.mean([p["x"] > 0.5 for p in lab.params[20:]]))

    assert failures(lambda p: p["y"]) < 0.15
    assert failures(lambda p: 1.0 - p["x"]) < 0.4  # though it gets better up to where it fails
    hopeless = Lab(Space(x=uniform(0, 1)))
    for x in np.linspace(0.3, 1.0, 30).tolist():
        hopeless.add({"x": x}, "failed")
    assert np.mean([p["x"] < 0.35 for p in hopeless.ask(10)]) > 0.6


def test_constraints_that_are_broken_are_left() -> None:
    lab = Lab(Space(x=uniform(0, 1), y=uniform(0, 1)), subject_to=("memory <= 0.3",))
    lab.run(50, lambda p: {"loss": -p["x"] - p["y"], "memory": p["x"]})
    late = lab.params[25:]
    assert np.mean([p["x"] <= 0.3 for p in late]) > 0.6
    assert max(p["y"] for p in late if p["x"] <= 0.3) > 0.9


def test_pending_trials_keep_others_away() -> None:
    lab = Lab(LINE)
    for x in np.linspace(0.0, 1.0, 41).tolist():
        lab.add({"x": x}, {"loss": min(abs(x - 0.25), abs(x - 0.75))})

    def share() -> float:  # of proposals that are near the first of two places equally good
        return float(np.mean([p["x"] < 0.5 for p in (lab.ask(seed=seed)[0] for seed in range(40))]))

    alone = share()
    for x in np.linspace(0.15, 0.35, 12).tolist():
        lab.add({"x": x}, None)
    assert share() < 0.5 * alone
    assert np.std([p["x"] for p in lab.ask(30)]) > 0.1  # those asked together are pending for each other


def test_points_asked_together_are_those_asked_one_by_one() -> None:
    lab, other = (Lab(Space(x=uniform(0, 1), n=uniform_int(0, 9))) for _ in range(2))
    for x in np.linspace(0, 1, 12).tolist():
        for each in (lab, other):
            each.add({"x": x, "n": int(9 * x)}, {"loss": x})
    single = []
    for _ in range(5):
        (params,) = other.ask(seed=4)
        single.append(params)
        other.add(params, None)
    assert lab.ask(5, seed=4) == single


SMALL = Space(
    kind=choice(["a", "b", "c"]),
    n=loguniform_int(1, 9),
    deep=choice([True, False], when="kind == 'a'"),
    only=choice([1]),
)


def test_no_point_of_a_discrete_space_is_tried_twice() -> None:
    lab = Lab(SMALL)
    points = 9 * (2 + 1 + 1)
    lab.run(points, lambda p: {"loss": p["n"] + (p["kind"] == "a")})
    assert len({repr(sorted(p.items())) for p in lab.params}) == points
    lab.run(3, lambda p: {"loss": 1.0})  # nothing is left: it goes on all the same
    assert lab.snapshot.size == points + 3
    together = Lab(SMALL).ask(points, startup=5)
    assert len({repr(sorted(p.items())) for p in together}) == points


def test_the_last_points_of_a_large_discrete_space_are_draws() -> None:
    space = Space({f"n{j}": uniform_int(0, 99) for j in range(3)})
    tried = Tried(space, np.zeros((1, 3)))
    others = tried.others(np.random.default_rng(0))
    assert len(others) > 200 and tried.fresh(others).all() and not tried.fresh(np.zeros((1, 3)))[0]


def test_a_right_belief_helps_and_a_wrong_one_is_overcome() -> None:
    def best(start: float | None, trials: int) -> float:
        found = []
        for seed in range(4):
            belief = {} if start is None else {"start": start, "belief": "strong"}
            lab = Lab(Space({f"x{j}": uniform(0, 1, **belief) for j in range(4)}))
            lab.run(trials, lambda p: {"loss": sum(abs(x - 0.7) for x in p.values())}, seed)
            found.append(lab.snapshot.values("loss").min())
        return float(np.mean(found))

    assert best(0.65, 20) < 0.6 * best(None, 20)
    assert best(0.1, 60) < 2.0 * best(None, 60) + 0.05


def test_two_objectives_find_both_ends() -> None:
    lab = Lab(Space(x=uniform(0, 1), y=uniform(0, 1)), objectives=("one", "two"))
    lab.run(60, lambda p: {"one": p["x"] + p["y"], "two": 1 - p["x"] + p["y"]})
    late = lab.params[30:]
    assert np.mean([p["y"] for p in late]) < 0.25
    assert min(p["x"] for p in late) < 0.2 and max(p["x"] for p in late) > 0.8


def test_an_extended_space_uses_what_older_trials_know() -> None:
    lab = Lab(Space(x=uniform(0, 1)))
    for x in np.linspace(0, 1, 30).tolist():
        lab.add({"x": x}, {"loss": x})
    wider = Space(x=uniform(0, 1), extra=uniform(0, 1))
    lab.snapshot.revise(Definition("a study", wider.to_json(), [Objective("loss", True)]))
    lab.space = lab.snapshot.space
    asked = [lab.ask(seed=seed)[0] for seed in range(20)]
    assert np.mean([p["x"] for p in asked]) < 0.3
    assert np.std([p["extra"] for p in asked]) > 0.2


def test_what_a_model_is_told_later_lowers_scores_there() -> None:
    lab = Lab(LINE)
    for x in np.linspace(0, 1, 20).tolist():
        lab.add({"x": x}, {"loss": abs(x - 0.5)})
    model = Model(History.of(lab.snapshot), 0.1)
    here = np.array([[0.5]])
    before = model.score(here, None)[0]
    model.add(np.array([0.5]))
    assert model.score(here, None)[0] < before


@pytest.mark.parametrize("count", [1, 12])
def test_flat_and_broken_histories(count: int) -> None:
    outcomes: list[Outcome] = [
        {"loss": 1.0},
        {"loss": float("nan")},
        {"loss": float("inf")},
        "failed",
        "pruned",
    ]
    for outcome in outcomes:
        lab = Lab(SMALL)
        for _ in range(count):
            lab.add({"kind": "b", "n": 3, "only": 1}, outcome)
        asked = lab.ask(4, startup=1)
        assert len({repr(p) for p in asked}) == 4 and {"kind": "b", "n": 3, "only": 1} not in asked


def test_a_thousand_pending_trials() -> None:
    lab = Lab(CONDITIONAL)
    for params in CONDITIONAL.params(CONDITIONAL.quantile(np.random.default_rng(0).random((1020, 3)))):
        lab.add(params, {"loss": params["lr"]} if lab.snapshot.size < 20 else None)
    assert len(lab.ask(3)) == 3


@pytest.mark.parametrize(
    "options",
    [{"startup": 0}, {"startup": 2.5}, {"candidates": 0}, {"candidates": True}, {"candidates": 10**5}]
    + [{"good": good} for good in (0, 1, -0.1, "much", True, float("nan"))],
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        TPESampler(**options)
    assert error.value.at == ("sampler", *options)
