"""Expected hypervolume against integration on a grid and against drawing, and what it must not depend on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from taut.samplers.gp.hypervolume import Front

RNG = np.random.default_rng(0)
REFERENCE = np.array([1.0, 1.5])


def front(levels: Any, reference: Any = REFERENCE, seed: int = 0) -> Front:
    return Front(np.reshape(levels, (-1, len(reference))), np.asarray(reference), np.random.default_rng(seed))


def gain(levels: Any, mean: Any, deviation: Any, reference: Any = REFERENCE, seed: int = 0) -> np.ndarray:
    mean = np.reshape(mean, (-1, len(reference)))
    variance = np.broadcast_to(np.square(deviation), mean.shape)
    return np.exp(front(levels, reference, seed).log_gain(mean, variance))


def integrated(levels: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> float:
    """The chance to be below a place, summed over a fine grid of those that no level dominates."""
    edges = [np.linspace(m - 6 * s, r, 1501) for m, s, r in zip(mean, deviation, REFERENCE, strict=True)]
    axes = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    chance = [stats.norm(m, s).cdf(axis) for m, s, axis in zip(mean, deviation, axes, strict=True)]
    free = np.ones([len(axis) for axis in axes], bool)
    for level in levels:
        free &= ~((axes[0] >= level[0])[:, None] & (axes[1] >= level[1])[None, :])
    return float(chance[0] @ free @ chance[1] * np.prod([edge[1] - edge[0] for edge in edges]))


def held(levels: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which places some level dominates."""
    found = np.zeros(len(places), bool)
    for level in levels:
        found |= (level <= places).all(axis=1)
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 7, 30])
def test_of_two_objectives_it_is_the_integral(count: int) -> None:
    levels = RNG.normal(size=(count, 2))
    for mean in ([-0.5, -0.5], [0.3, -1.0], [0.9, 1.4], [-2.0, 1.0]):
        for deviation in ([0.2, 0.2], [0.7, 0.1]):
            truth = integrated(levels, np.array(mean), np.array(deviation))
            assert gain(levels, mean, deviation)[0] == pytest.approx(truth, rel=0.02, abs=1e-4)


def test_it_is_what_a_point_adds_on_average() -> None:
    levels, places = np.array([[0.1, 0.9], [0.5, 0.2]]), RNG.uniform(-1.5, REFERENCE, size=(20_000, 2))
    mean, deviation = np.array([0.2, 0.4]), 0.3
    free = places[~held(levels, places)]
    draws = mean + deviation * RNG.standard_normal((2_000, 2))
    share = np.mean([(draw <= free).all(axis=1).sum() for draw in draws]) / len(places)
    assert gain(levels, mean, deviation)[0] == pytest.approx(share * 2.5 * 3.0, rel=0.05)


@pytest.mark.parametrize("m", [3, 4])
def test_of_more_objectives_it_is_the_integral_on_average(m: int) -> None:
    rng = np.random.default_rng(m)
    reference = np.ones(m)
    levels, mean, deviation = rng.random((12, m)), 0.8 * rng.random((40, m)), 0.1
    found = np.mean([gain(levels, mean, deviation, reference, seed) for seed in range(40)], axis=0)
    places = 1.0 - 1.6 * rng.random((100_000, m))
    free = places[~held(levels, places)]
    truth = np.array([stats.norm(each, deviation).cdf(free).prod(axis=1).sum() for each in mean])
    found, truth = found / found.sum(), truth / truth.sum()  # it is known up to a constant
    assert np.corrcoef(found, truth)[0, 1] > 0.99
    big = truth > 0.1 * truth.max()
    assert big.sum() > 10 and np.allclose(found[big], truth[big], rtol=0.15)


@pytest.mark.parametrize("m", [2, 3])
def test_dominated_and_useless_levels_change_nothing(m: int) -> None:
    reference = np.ones(m)
    levels = np.array([[0.2, 0.6, 0.1][:m], [0.6, 0.2, 0.5][:m]])
    worse = np.concatenate((levels, levels, levels + 0.1, [[-1.0] + [1.0] * (m - 1)], [[2.0] * m]))
    mean = np.random.default_rng(1).random((20, m))
    plain = gain(levels, mean, 0.3, reference)
    assert np.allclose(gain(worse, mean, 0.3, reference), plain, rtol=1e-12)
    assert np.allclose(gain(worse[::-1], mean, 0.3, reference), plain, rtol=1e-12)


@pytest.mark.parametrize("m", [2, 3, 5])
def test_it_rises_as_any_objective_falls_and_stays_finite(m: int) -> None:
    reference = np.ones(m)
    levels = np.random.default_rng(2).random((9, m))
    mean = np.full((60, m), 0.4)
    mean[:, 0] = np.linspace(2.0, -2.0, 60)
    for deviation in (0.3, 1e-5):
        found = front(levels, reference).log_gain(mean, np.full(mean.shape, deviation**2))
        assert np.isfinite(found).all() and (np.diff(found) >= -1e-9).all() and found[-1] > found[0] + 5.0


def test_more_of_the_front_leaves_less_to_gain() -> None:
    mean, levels = RNG.normal(size=(30, 2)), RNG.normal(size=(8, 2))
    gains = np.array([gain(levels[:k], mean, 0.4) for k in range(9)])
    assert (np.diff(gains, axis=0) <= 1e-12).all() and gains[8].sum() < 0.9 * gains[0].sum()


def test_the_middle_of_a_gap_is_worth_more_than_beside_a_trial() -> None:
    levels = [[-1.0, 1.0], [-0.9, 0.8], [1.0 - 0.1, -1.0]]
    beside, gap = gain(levels, [[-0.95, 0.85], [0.0, 0.0]], 0.1)
    assert gap > 5 * beside


def test_blocks_of_points_are_points_one_by_one() -> None:
    levels, mean = RNG.random((6, 3)), RNG.random((1500, 3))
    whole = front(levels, np.ones(3)).log_gain(mean, np.full(mean.shape, 0.04))
    one = [front(levels, np.ones(3)).log_gain(mean[[i]], np.full((1, 3), 0.04))[0] for i in (0, 700, 1499)]
    assert np.allclose(whole[[0, 700, 1499]], one, rtol=1e-12)
