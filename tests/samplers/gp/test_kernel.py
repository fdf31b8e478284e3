"""The covariance: against its definition, pair by pair, and positive definite whatever the space."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from taut.samplers.geometry import Geometry
from taut.samplers.gp.kernel import Features, Hyper, covariance, distances, matern
from taut.space import Space, choice, loguniform, loguniform_int, ordinal, uniform, uniform_int

MIXED = Space(
    rate=loguniform(1e-5, 1e-1),
    layers=uniform_int(1, 12),
    kind=choice(["sgd", "adam", "none"]),
    momentum=uniform(0.0, 0.99, when="kind == 'sgd'"),
    size=ordinal([8, 16, 32]),
    shape=choice(["flat", "deep"]),
    only=choice(["one"]),
)
SPACES = [
    MIXED,
    Space(x=uniform(0, 1), y=uniform(-3, 5)),
    Space(kind=choice(["a", "b", "c", "d"])),
    Space(n=uniform_int(0, 9), m=loguniform_int(1, 100)),
    Space(on=choice([True, False]), x=uniform(0, 1, when="on == True"), y=loguniform(1, 9, when="x > 0.5")),
    Space(x=uniform(1, 1), kind=choice(["a", "b"])),
]


def points(space: Space, n: int, seed: int) -> tuple[Any, Any, Any]:
    """Points as dicts, and what `rows` is given of them."""
    unit = np.random.default_rng(seed).random((n, len(space)))
    settled, active = Geometry.of(space).settle(unit)
    return space.params(space.decode(unit)), settled, active


def rows(space: Space, n: int, seed: int) -> Any:
    _, unit, active = points(space, n, seed)
    return Features.of(space).rows(unit, active)


def test_covariance_is_its_definition_pair_by_pair() -> None:
    rng = np.random.default_rng(1)
    params, unit, active = points(MIXED, 40, 2)
    features = Features.of(MIXED)
    weight = dict(
        zip(
            ("rate", "layers", "momentum", "size", "kind", "shape", "flag"),
            rng.lognormal(size=7),
            strict=True,
        )
    )
    assert features.count == 7  # what has one value alone does not count
    hyper = Hyper(np.array(list(weight.values())), 1.7, 0.0)
    x = features.rows(unit, active) * hyper.scale(features.group)
    found = covariance(x, x, hyper.signal)
    where = {name: MIXED.searched.index(name) for name in MIXED.searched}
    for a, one in enumerate(params):
        for b, other in enumerate(params):
            square = 0.0
            for name in ("rate", "layers", "momentum", "size"):  # where there is none it lies in the middle
                square += weight[name] * (unit[a, where[name]] - unit[b, where[name]]) ** 2
            square += weight["kind"] * (one["kind"] != other["kind"])
            square += weight["shape"] * (one["shape"] != other["shape"])
            square += weight["flag"] * (("momentum" in one) != ("momentum" in other))
            r = math.sqrt(5.0 * square)
            assert found[a, b] == pytest.approx(1.7 * (1 + r + r * r / 3) * math.exp(-r), abs=1e-7)


@pytest.mark.parametrize("space", SPACES, ids=range(len(SPACES)))
def test_covariance_is_positive_definite(space: Space) -> None:
    features = Features.of(space)
    for seed in range(8):
        weights = np.random.default_rng(seed).lognormal(0.0, 2.0, features.count)
        x = rows(space, 40, seed) * Hyper(weights, 1.0, 0.0).scale(features.group)
        k = covariance(x, x, 2.0)
        assert np.allclose(k, k.T, atol=1e-12) and np.allclose(k.diagonal(), 2.0, atol=1e-6)
        assert (k > -1e-12).all() and (k <= 2.0 + 1e-6).all()
        assert np.linalg.eigvalsh((k + k.T) / 2).min() > -1e-6


@pytest.mark.parametrize("space", SPACES, ids=range(len(SPACES)))
def test_every_free_parameter_has_a_group(space: Space) -> None:
    features, geometry = Features.of(space), Geometry.of(space)
    assert features.count == len(geometry.free) + len(geometry.conditional)
    assert rows(space, 5, 0).shape == (5, len(features.group))
    assert sorted(set(features.group.tolist())) == list(range(features.count))
    assert (np.diff(features.group) >= 0).all()


def test_unequal_choices_are_equally_far() -> None:
    space = Space(kind=choice(list("abcde")))
    unit = space.encode(np.arange(5.0)[:, None])
    square = distances(*[Features.of(space).rows(unit, None)] * 2)
    assert np.allclose(square, 1.0 - np.eye(5), atol=1e-12)


def test_the_slope_is_the_derivative() -> None:
    square = np.array([[0.01, 0.5, 2.0, 9.0, 60.0]])
    correlation, slope = matern(square.copy())
    assert np.allclose(correlation, covariance(np.zeros((1, 1)), np.sqrt(square).T, 1.0), atol=1e-9)
    h = 1e-5
    numeric = (matern(square + h)[0] - matern(square - h)[0]) / (2 * h)
    assert np.allclose(-slope / 6.0, numeric, atol=1e-8)
    assert np.allclose(matern(np.zeros((1, 1))), 1.0)


def test_distances_are_never_negative() -> None:
    x = 1e4 + np.random.default_rng(0).random((30, 4)) * 1e-6
    assert (distances(x, x) >= 0.0).all()


def test_without_activity_every_parameter_is_there() -> None:
    unit = Geometry.of(MIXED).snap(np.random.default_rng(0).random((6, len(MIXED))))
    features = Features.of(MIXED)
    assert np.array_equal(features.rows(unit, None), features.rows(unit, np.ones_like(unit, bool)))


def test_no_choice_is_nearer_than_another_to_none() -> None:
    space = Space(on=choice([False, True]), kind=choice(["a", "b", "c"], when="on == True"))
    codes = np.array([[0.0, np.nan], [1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    x = Features.of(space).rows(space.encode(codes), ~np.isnan(codes))
    to_none = distances(x, x)[0, 1:]
    assert np.allclose(to_none, to_none[0]) and to_none[0] > 0.0
