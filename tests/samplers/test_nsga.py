"""NSGA-II and NSGA-III: directions and niches, and that fronts are approached, covered, and kept inside constraints."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from breeding_lab import Lab

import taut
from taut.errors import InputError
from taut.metrics.hypervolume import hypervolume
from taut.samplers.base import Sampler
from taut.samplers.nsga2 import NSGA2Sampler
from taut.samplers.nsga3 import NSGA3Sampler
from taut.samplers.population.ended import Ended
from taut.samplers.population.niches import directions, niched
from taut.samplers.random import RandomSampler
from taut.space import Space, choice, uniform
from taut.standing import fronts

BOTH = pytest.mark.parametrize("kind", [NSGA2Sampler, NSGA3Sampler])


@pytest.mark.parametrize(
    ("m", "most", "count"), [(1, 50, 1), (2, 50, 50), (3, 91, 91), (3, 100, 91), (5, 50, 35 + 15), (3, 2, 3)]
)
def test_directions(m: int, most: int, count: int) -> None:
    rays = directions(m, most)
    assert len(rays) == count and len(np.unique(rays, axis=0)) == count
    assert np.allclose(rays.sum(axis=1), 1.0) and rays.min() >= 0.0
    assert set(map(tuple, np.eye(m).tolist())) <= set(map(tuple, rays.tolist()))
    assert np.allclose(rays.mean(axis=0), 1.0 / m)


def test_directions_of_one_layer_are_a_lattice() -> None:
    rays = directions(3, 91) * 12
    assert np.allclose(rays, rays.round()) and len(rays) == math.comb(14, 12)


def of(loss: Any, slack: Any = None) -> Ended:
    loss = np.asarray(loss, float)
    k = len(loss)
    slack = np.empty((k, 0)) if slack is None else np.asarray(slack, float)[:, None]
    return Ended(np.arange(k), np.full((k, 1), 0.5), np.ones((k, 1), bool), loss, slack)


def kept(loss: Any, count: int, slack: Any = None, seed: int = 0) -> list[int]:
    ended = of(loss, slack)
    ideal = ended.loss.min(axis=0)
    return sorted(niched(ended, count, ideal, np.random.default_rng(seed)).rows.tolist())


def test_of_the_last_front_the_emptiest_niches_are_filled() -> None:
    """Crowds at both ends of a front and one trial in the middle: with directions to the ends and the middle, one of each stays."""
    angle = np.concatenate(
        (np.linspace(0.0, 0.1, 20), [np.pi / 4], np.linspace(np.pi / 2 - 0.1, np.pi / 2, 20))
    )
    loss = np.stack((np.cos(angle), np.sin(angle)), axis=1)
    for seed in range(5):
        stay = kept(loss, 3, seed=seed)
        assert [stay[0] < 20, stay[1], stay[2] > 20] == [True, 20, True]
        assert 20 in kept(loss * [1e6, 1e-6] + [5.0, -3.0], 3, seed=seed)  # units make no difference


def test_better_fronts_stay_whole() -> None:
    loss = np.random.default_rng(0).random((60, 3))
    rank = fronts(loss)
    for count in (5, 20, 41, 60):
        stay = kept(loss, count)
        assert len(stay) == count
        last = rank[stay].max()
        assert set(np.flatnonzero(rank < last)) <= set(stay)


def test_niches_are_filled_evenly() -> None:
    rng = np.random.default_rng(0)
    loss = np.abs(rng.normal(size=(500, 3)))
    loss /= np.linalg.norm(loss, axis=1, keepdims=True)
    stay = loss[kept(loss, 45)]
    rays = directions(3, 45)
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    assert len(set((stay @ rays.T).argmax(axis=1).tolist())) > 38
    assert len(set((loss[:45] @ rays.T).argmax(axis=1).tolist())) < 33


def test_who_breaks_a_constraint_comes_last() -> None:
    loss = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 2.0], [0.0, 0.0]]
    slack = [0.5, -1.0, 0.0, -1.0, 0.1]
    assert kept(loss, 2, slack) == [1, 2] and kept(loss, 3, slack) == [1, 2, 3]
    assert kept(loss, 4, slack) == [1, 2, 3, 4] and kept(loss, 1, [1.0, 2.0, 0.3, 3.0, 0.4]) == [2]


def test_extreme_losses() -> None:
    for scale in (1e300, 1e-300, 0.0):
        loss = np.random.default_rng(0).random((30, 3)) * scale
        loss[::2] *= -1.0
        with np.errstate(all="raise", under="ignore"):
            assert len(kept(loss, 10)) == 10


def test_fronts_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    for m in (1, 2, 3, 4):
        loss = rng.integers(0, 5, (40, m)).astype(float)
        rank, left, expected = fronts(loss), np.ones(40, bool), np.full(40, -1)
        for each in range(40):
            rows = np.flatnonzero(left)
            beaten = [
                ((loss[rows] <= loss[i]).all(axis=1) & (loss[rows] < loss[i]).any(axis=1)).any() for i in rows
            ]
            expected[rows[~np.array(beaten, bool)]] = each
            left[rows[~np.array(beaten, bool)]] = False
            if not left.any():
                break
        assert rank.tolist() == expected.tolist()


SPACE = Space({f"x{i}": uniform(0.0, 1.0) for i in range(6)})


def bowls(params: dict[str, Any]) -> dict[str, float]:
    x = np.array([params[f"x{i}"] for i in range(6)])
    rest = float(((x[1:] - 0.5) ** 2).sum())
    return {"a": x[0] + rest, "b": (1.0 - x[0]) ** 2 + rest}


def volume(sampler: Sampler, trials: int, seed: int, pending: int = 0) -> float:
    lab = Lab(SPACE, sampler, ("a", "b"))
    if isinstance(sampler, RandomSampler):
        for params in SPACE.params(sampler.propose(SPACE, seed, np.arange(trials), None)):
            lab.add(params, bowls(params))
    else:
        lab.run(trials, bowls, seed=seed, pending=pending)
    return hypervolume(np.stack((lab.losses("a"), lab.losses("b")), axis=1), np.array([1.0, 1.0]))


@BOTH
@pytest.mark.parametrize("pending", [0, 10])
def test_a_front_is_approached_and_covered(kind: Any, pending: int) -> None:
    ideal = 1.0 - 1.0 / 3.0  # 1 less the area below b = (1 - a)^2
    for seed in range(2):
        found = volume(kind(), 300, seed, pending)
        assert found > 0.8 * ideal > 0.72 * ideal > volume(RandomSampler(), 300, seed)


@BOTH
def test_constraints_are_kept(kind: Any) -> None:
    lab = Lab(SPACE, kind(), ("a", "b"), subject_to=("a >= 0.5",))
    lab.run(250, bowls)
    late = [y for _, y in lab.trials[125:] if not isinstance(y, str)]
    assert np.mean([y["a"] >= 0.5 for y in late]) > 0.5
    fine = np.array([[y["a"], y["b"]] for y in late if y["a"] >= 0.5])
    assert hypervolume(fine, np.array([1.0, 1.0])) > 0.8 * (0.5 - (0.5**3) / 3.0)


@BOTH
def test_choices_and_conditions_take_part(kind: Any) -> None:
    space = Space(kind=choice(["p", "q", "r"]), x=uniform(0.0, 1.0, when="kind != 'r'"), y=uniform(0.0, 1.0))

    def loss(params: dict[str, Any]) -> dict[str, float]:
        away = abs(params["y"] - 0.5) + (params["kind"] == "r")
        x = params.get("x", 0.5)
        return {"a": (x if params["kind"] == "p" else 0.5 + x) + away, "b": (1.0 - x) + away}

    lab = Lab(space, kind(), ("a", "b"))
    lab.run(200, loss)
    assert np.mean([params["kind"] == "p" for params, _ in lab.trials[150:]]) > 0.6


@BOTH
def test_one_objective_is_a_genetic_algorithm(kind: Any) -> None:
    lab = Lab(SPACE, kind(), ("a",))
    lab.run(300, bowls)
    assert min(lab.losses("a")) < 0.05
    assert "genetic" in (kind().account(lab.snapshot) or "")


def test_accounts() -> None:
    three, five = (Lab(SPACE, NSGA3Sampler(), tuple("abcde"[:m])).snapshot for m in (3, 5))
    assert NSGA2Sampler().account(three) is None and "nsga3" in (NSGA2Sampler().account(five) or "")
    assert (NSGA3Sampler(population=100).account(three) or "").startswith("91 directions")


@BOTH
@pytest.mark.parametrize(
    "options", [{"population": 3}, {"startup": 1}, {"crossover_eta": 1e9}, {"mutation_eta": None}]
)
def test_wrong_options(kind: Any, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(InputError, match=name):
        kind(**options)


@pytest.mark.parametrize("method", ["nsga2", "nsga3", "genetic", "evolution"])
@pytest.mark.parametrize("prefer", [{"a": 0.5, "b": 0.5}, ["a within 10%", "b"]])
def test_preferences(method: str, prefer: Any) -> None:
    study = taut.Study(None, SPACE, minimize=["a", "b"], prefer=prefer, sampler=method, seed=1)
    for _ in range(60):
        trial = study.ask()
        study.tell(trial, **bowls(trial.params))
    assert len(study.snapshot.codes) == 60
