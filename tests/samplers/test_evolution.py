"""Regularised evolution: one mutation of the best of some, of those that ended last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from breeding_lab import Lab

from taut.errors import InputError
from taut.samplers.evolution import EvolutionSampler
from taut.space import Space, choice, uniform

CELL = Space({f"op{i}": choice(["conv", "pool", "skip", "none"]) for i in range(12)})


def different(one: dict[str, Any], other: dict[str, Any]) -> int:
    return sum(one[name] != other[name] for name in one)


def matches(params: dict[str, Any]) -> dict[str, float]:
    wanted = {name: ["conv", "skip"][i % 2] for i, name in enumerate(CELL.names)}
    return {"loss": float(different(wanted, params))}


def test_a_child_is_one_mutation_away_from_the_best_of_those_alive() -> None:
    space = Space(CELL.parameters | {"x": uniform(0.0, 1.0)})  # so that no point is tried twice by chance
    lab = Lab(space, EvolutionSampler(population=10, tournament=10, startup=10))
    lab.run(10, matches)
    for _ in range(30):
        alive = lab.trials[-10:]
        least = min(y["loss"] for _, y in alive)
        (params,) = lab.ask()
        assert 1 in [different(params, x) for x, y in alive if y["loss"] == least]
        lab.add(params, matches(params))


def test_the_oldest_die_however_good() -> None:
    lab = Lab(CELL, EvolutionSampler(population=8, tournament=8, startup=8))
    lab.run(8, lambda params: {"loss": 0.0})
    lucky = lab.trials[0][0]
    for n in range(40):
        (params,) = lab.ask()
        lab.add(params, {"loss": float(n)})  # each worse than all before
        assert n > 8 or different(params, lucky) <= 12
    parents = [x for x, _ in lab.trials[-9:-1]]
    assert min(different(lab.trials[-1][0], x) for x in parents) == 1


def test_a_tournament_of_one_is_a_walk_and_of_all_is_greedy() -> None:
    found = []
    for tournament in (1, 12):
        runs = []
        for seed in range(3):
            lab = Lab(CELL, EvolutionSampler(tournament=tournament))
            lab.run(150, matches, seed=seed)
            runs.append(min(lab.losses()))
        found.append(np.mean(runs))
    assert found[1] <= 1.0 < 3.0 < found[0]


@pytest.mark.parametrize("pending", [0, 30])
def test_it_finds_an_architecture(pending: int) -> None:
    lab = Lab(CELL, EvolutionSampler())
    lab.run(300, matches, pending=pending)
    assert min(lab.losses()) <= 1.0 < 4.0 < np.mean(lab.losses()[:20])
    assert len({repr(x) for x, _ in lab.trials}) == 300  # nothing twice


def test_conditions() -> None:
    space = Space(
        kind=choice(["sgd", "adam"]),
        momentum=uniform(0.0, 1.0, when="kind == 'sgd'"),
        beta=uniform(0.0, 1.0, when="kind == 'adam'"),
    )

    def loss(params: dict[str, Any]) -> dict[str, float]:
        return {"loss": abs(params.get("momentum", 0.0) - 0.9) + (params["kind"] == "adam")}

    lab = Lab(space, EvolutionSampler())
    lab.run(150, loss)
    assert min(lab.losses()) < 0.01
    assert len({x["beta"] for x, _ in lab.trials if "beta" in x}) > 5


def test_failures_are_no_parents_while_others_live() -> None:
    space = Space(x=uniform(0.0, 1.0), y=uniform(0.0, 1.0))
    lab = Lab(space, EvolutionSampler())
    lab.run(150, lambda x: "failed" if x["x"] > 0.3 else {"loss": x["y"]})
    assert sum(outcome == "failed" for _, outcome in lab.trials[75:]) < 25
    assert min(lab.losses()) < 0.01


@pytest.mark.parametrize(
    "options", [{"population": 1}, {"tournament": 0}, {"startup": 0}, {"mutation_eta": float("nan")}]
)
def test_wrong_options(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(InputError, match=name):
        EvolutionSampler(**options)
