"""Genetic algorithm: what crossover and mutation do to a gene of each kind, who stays, and that it finds what it should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from breeding_lab import Lab

from taut.errors import InputError
from taut.samplers.genetic import GeneticSampler
from taut.samplers.geometry import Geometry
from taut.samplers.population.elite import Stock, best, child
from taut.samplers.population.ended import Ended
from taut.samplers.population.variation import Genes, crossed, finished, mutated, mutated_once
from taut.space import Space, choice, normal, ordinal, uniform, uniform_int

MIXED = Space(
    x=uniform(0.0, 1.0),
    n=uniform_int(1, 4),
    kind=choice(["a", "b", "c"]),
    size=ordinal([8, 16, 32]),
    y=uniform(0.0, 1.0),
    only=choice(["it"]),
)
X, N, KIND, SIZE, Y, ONLY = range(6)
GEOMETRY = Geometry.of(MIXED)
HERE = np.ones(6, bool)


def genes(*values: float, known: Any = HERE) -> Genes:
    return Genes(GEOMETRY.snap(np.array([values]))[0], np.asarray(known))


ONE, OTHER = genes(0.2, 0.1, 0.1, 0.1, 0.7, 0.5), genes(0.6, 0.9, 0.9, 0.9, 0.7, 0.5)


def children(count: int = 4000, eta: float = 15.0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    return np.array([crossed(GEOMETRY, ONE, OTHER, eta, rng).unit for _ in range(count)])


def test_choices_are_inherited_and_numbers_recombined() -> None:
    made = children()
    assert set(made[:, KIND]) == {ONE.unit[KIND], OTHER.unit[KIND]}
    assert np.mean(made[:, KIND] == ONE.unit[KIND]) == pytest.approx(0.75, abs=0.03)
    assert np.mean(made[:, X] == 0.2) == pytest.approx(0.5, abs=0.03)
    assert (made[:, Y] == 0.7).all() and (made[:, ONLY] == 0.5).all()
    assert made.min() >= 0.0 and made.max() <= 1.0 and len(np.unique(made[:, X])) > 1000


def test_crossover_is_binary_crossover_simulated() -> None:
    """Far from bounds: the spread factor has the density (eta + 1) / 2 beta^eta below 1, so P(beta < b) = b^(eta + 1) / 2."""
    space = Space(x=uniform(0.0, 1.0))
    geometry, here = Geometry.of(space), np.ones(1, bool)
    one, other = Genes(np.array([0.4995]), here), Genes(np.array([0.5005]), here)
    rng = np.random.default_rng(1)
    made = np.array([crossed(geometry, one, other, 5.0, rng).unit[0] for _ in range(8000)])
    beta = np.abs(made[made != 0.4995] - 0.5) / 0.0005
    assert np.mean(beta <= 1.0) == pytest.approx(0.5, abs=0.03)
    assert np.mean(beta <= 0.9) == pytest.approx(0.9**6 / 2, abs=0.03)
    assert np.mean(beta > 1.2) == pytest.approx(1.2**-6 / 2, abs=0.03)
    assert np.mean(made < 0.5) == pytest.approx(0.75, abs=0.03)  # half of them are `one`


def test_a_large_eta_keeps_children_near_their_parents() -> None:
    away = [
        np.minimum(abs(children(500, eta)[:, X] - 0.2), abs(children(500, eta)[:, X] - 0.6))
        for eta in (2.0, 50.0)
    ]
    assert away[1].mean() < away[0].mean() / 5


def test_a_gene_that_one_parent_lacks_is_the_other_ones() -> None:
    known = HERE.copy()
    known[[X, KIND]] = False
    rng = np.random.default_rng(0)
    for _ in range(50):
        made = crossed(GEOMETRY, Genes(ONE.unit, known), OTHER, 15.0, rng)
        assert made.unit[X] == 0.6 and made.unit[KIND] == OTHER.unit[KIND] and made.known.all()


def test_a_gene_that_nobody_had_comes_from_its_prior() -> None:
    space = Space(kind=choice(["a", "b"]), x=normal(0.0, 1.0, when="kind == 'a'"))
    snapshot = Lab(space, GeneticSampler()).snapshot
    lacking, rng = Genes(np.array([0.25, 0.5]), np.array([True, False])), np.random.default_rng(0)
    codes = Geometry.of(space).codes(
        np.array([finished(Geometry.of(space), lacking, 20.0, snapshot, rng) for _ in range(2000)])
    )
    assert codes[:, 1].std() == pytest.approx(1.0, abs=0.06) and abs(codes[:, 1].mean()) < 0.08


def test_a_mutation_goes_to_another_value() -> None:
    rng = np.random.default_rng(0)
    made = np.array([mutated_once(GEOMETRY, ONE, 20.0, rng).unit for _ in range(4000)])
    moved = made != ONE.unit
    assert (moved.sum(axis=1) == 1).all() and not moved[:, ONLY].any()
    assert np.allclose(moved[:, :5].mean(axis=0), 0.2, atol=0.03)
    kinds, counts = np.unique(made[moved[:, KIND], KIND], return_counts=True)
    assert len(kinds) == 2 and counts.min() > 0.4 * counts.sum()
    assert set(made[moved[:, N], N]) == {0.375} and set(made[moved[:, SIZE], SIZE]) == {0.5}  # the next ones
    steps = made[moved[:, Y], Y] - 0.7
    assert 0.02 < np.abs(steps).mean() < 0.08 and abs(steps.mean()) < 0.01


def test_each_gene_is_mutated_with_probability_1_of_k() -> None:
    rng = np.random.default_rng(0)
    known = np.array([True, True, True, False, True, True])
    made = np.array(
        [mutated(GEOMETRY, Genes(ONE.unit, known), 20.0, rng).unit != ONE.unit for _ in range(4000)]
    )
    assert np.allclose(made.mean(axis=0), [0.25, 0.25, 0.25, 0.0, 0.25, 0.0], atol=0.03)


def test_a_child_differs_from_its_parents() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        made = child(GEOMETRY, ONE, ONE, (15.0, 20.0), rng)
        assert (made.unit != ONE.unit).any()
    single = Geometry.of(Space(only=choice(["it"])))
    alone = Genes(np.array([0.5]), np.ones(1, bool))
    assert child(single, alone, alone, (15.0, 20.0), rng).unit == 0.5


def ended(losses: Any) -> Ended:
    loss = np.asarray(losses, float)
    loss = loss[:, None] if loss.ndim == 1 else loss
    k = len(loss)
    return Ended(np.arange(k), np.full((k, 1), 0.5), np.ones((k, 1), bool), loss, np.empty((k, 0)))


@pytest.mark.parametrize("m", [1, 2, 3])
def test_it_makes_no_difference_how_many_are_taken_in_at_once(m: int) -> None:
    rng = np.random.default_rng(m)
    losses = rng.random((60, m)).round(1)
    losses[rng.random(60) < 0.2] = np.inf
    found = []
    for step in (1, 3, 4, 12):
        stock = Stock.of_nobody(1)
        for begin in range(0, 60, step):
            rows = ended(losses).rows(slice(begin, begin + step))
            stock = stock.and_(rows, 12, lambda both: best(both, 8))
        found.append(stock.parents.numbers.tolist())
    assert len(found[0]) == 8 and all(each == found[0] for each in found)
    if m == 1:
        assert sorted(losses[found[0], 0]) == sorted(losses[:, 0])[:8]


def test_of_equal_ones_the_newer_stay() -> None:
    stock = Stock.of_nobody(1).and_(ended([1.0, 1.0, np.inf, 1.0, 0.0, 1.0]), 6, lambda both: best(both, 3))
    assert stock.parents.numbers.tolist() == [4, 5, 3] and stock.count == 6


def bowl(params: dict[str, Any]) -> dict[str, float]:
    wrong = params["kind"] != "b"
    return {
        "loss": (params["x"] - 0.3) ** 2
        + (params["y"] - 0.8) ** 2
        + abs(params["n"] - 3)
        + wrong
        + 8 / params["size"]
    }


@pytest.mark.parametrize("pending", [0, 15])
def test_it_finds_the_best_of_a_mixed_space(pending: int) -> None:
    for seed in range(3):
        lab = Lab(MIXED, GeneticSampler())
        lab.run(250, bowl, seed=seed, pending=pending)
        params = lab.trials[int(np.argmin(lab.losses()))][0]
        assert (params["n"], params["kind"], params["size"]) == (3, "b", 32)
        assert min(lab.losses()) < 0.25 + 1e-2


def test_failures_and_broken_constraints_are_no_parents() -> None:
    space = Space(x=uniform(0.0, 1.0), y=uniform(0.0, 1.0))

    def run(params: dict[str, Any]) -> Any:
        if params["y"] > 0.6:
            return "failed"
        return {"loss": -params["x"], "memory": params["x"] + params["y"]}

    lab = Lab(space, GeneticSampler(), subject_to=("memory <= 0.7",))
    lab.run(200, run)
    late = lab.trials[100:]
    assert sum(outcome == "failed" for _, outcome in late) < 10
    kept = [-y["loss"] for _, y in lab.trials if not isinstance(y, str) and y["memory"] <= 0.7]
    assert 0.65 < max(kept) <= 0.7 and np.mean([x["x"] + x["y"] <= 0.7 for x, _ in late]) > 0.4


def test_while_all_fail_it_draws_from_the_prior() -> None:
    lab = Lab(Space(x=uniform(0.0, 1.0)), GeneticSampler(population=4))
    lab.run(40, lambda params: "failed")
    found = sorted(params["x"] for params, _ in lab.trials)
    assert max(np.diff([0.0, *found, 1.0])) < 0.1


@pytest.mark.parametrize(
    "options",
    [{"population": 3}, {"population": 2.5}, {"population": True}, {"tournament": 0}, {"crossover_eta": -1}, {"mutation_eta": "x"}],
)  # fmt: skip
def test_wrong_options(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(InputError, match=name):
        GeneticSampler(**options)
