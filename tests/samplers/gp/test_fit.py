"""Hyperparameters: gradients against finite differences, and that the fit finds what made the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from taut.samplers.gp.fit import JITTER, fit, likelihood, log_prior
from taut.samplers.gp.kernel import Features, Hyper, covariance
from taut.samplers.gp.transform import standardised
from taut.space import Space, choice, uniform

MIXED = Space(
    x=uniform(0, 1),
    kind=choice(["a", "b", "c"]),
    y=uniform(0, 1, when="kind == 'b'"),
    shape=choice([1, 2]),
)
LINES = Space({f"x{j}": uniform(0, 1) for j in range(4)})


def design(space: Space, n: int, seed: int = 0) -> tuple[Any, Any]:
    """Rows of features of random points, and the points."""
    codes = space.quantile(np.random.default_rng(seed).random((n, len(space))))
    unit = space.encode(codes)
    return Features.of(space).rows(unit, ~np.isnan(codes)), unit


def numeric(function: Any, theta: Any) -> Any:
    steps = 1e-5 * np.eye(len(theta))
    return np.array([(function(theta + h)[0] - function(theta - h)[0]) / 2e-5 for h in steps])


@pytest.mark.parametrize("seed", range(5))
def test_gradients_are_those_of_finite_differences(seed: int) -> None:
    features = Features.of(MIXED)
    x, unit = design(MIXED, 25, seed)
    rng = np.random.default_rng(seed)
    y = standardised(np.sin(4 * unit[:, 0]) + rng.normal(size=25))
    starts = np.searchsorted(features.group, np.arange(features.count))
    theta = np.append(rng.normal(size=features.count + 1), -3.0 + rng.normal())

    def evidence(theta: Any) -> Any:
        return likelihood(theta, x, y, features.group, starts)

    assert np.allclose(evidence(theta)[1], numeric(evidence, theta), rtol=1e-4, atol=1e-5)
    assert np.allclose(log_prior(theta)[1], numeric(log_prior, theta), rtol=1e-6, atol=1e-6)


def test_the_likelihood_is_the_density_of_a_normal_distribution() -> None:
    features = Features.of(MIXED)
    x, unit = design(MIXED, 12)
    starts = np.searchsorted(features.group, np.arange(features.count))
    y = standardised(unit[:, 0])
    rng = np.random.default_rng(0)
    for _ in range(3):
        weights, signal, noise = rng.lognormal(size=features.count), rng.lognormal(), 0.1 * rng.lognormal()
        scaled = x * Hyper(weights, signal, noise).scale(features.group)
        k = covariance(scaled, scaled, signal) + (noise + JITTER) * np.eye(12)
        truth = stats.multivariate_normal(np.zeros(12), k).logpdf(y)
        theta = np.log(np.concatenate((weights, [signal, noise])))
        mine = likelihood(theta, x, y, features.group, starts)[0]
        assert mine - 6.0 * np.log(2 * np.pi) == pytest.approx(truth, rel=1e-8)


def test_the_prior_is_as_stated() -> None:
    """Differences of its logarithm are those of the named distributions."""
    at = np.array([[0.3, -1.0, 0.2, -4.0], [2.0, 0.1, -0.4, -2.0]])
    truth = []
    for w0, w1, log_s, log_v in at:
        lengths = stats.norm(np.sqrt(2.0) + np.log(2) / 2, np.sqrt(3.0))
        noise = stats.gamma(1.1, scale=1 / 30).logpdf(np.exp(log_v))
        truth.append(lengths.logpdf([-w0 / 2, -w1 / 2]).sum() + stats.norm(0, 0.5).logpdf(log_s) + noise)
    mine = [log_prior(theta)[0] for theta in at]
    assert mine[1] - mine[0] == pytest.approx(truth[1] - truth[0], rel=1e-9)


def test_the_fit_finds_which_parameter_matters() -> None:
    x, unit = design(LINES, 40)
    hyper = fit(x, standardised(np.sin(6 * unit[:, 2])), Features.of(LINES).group)
    others = np.delete(hyper.weights, 2)
    assert hyper.weights[2] > 10 * others.max()
    assert hyper.noise < 0.01


def test_the_fit_finds_which_choice_matters() -> None:
    space = Space(kind=choice(["a", "b", "c"]), shape=choice(["d", "e", "f"]), x=uniform(0, 1))
    x, unit = design(space, 40)
    features = Features.of(space)
    hyper = fit(x, standardised((unit[:, 1] > 0.5).astype(float)), features.group)
    x_, kind, shape = hyper.weights  # ordered parameters come first
    assert shape > 5 * max(kind, x_)


@pytest.mark.parametrize("variance", [0.05, 0.3])
def test_the_fit_finds_the_noise(variance: float) -> None:
    x, unit = design(LINES, 120)
    rng = np.random.default_rng(4)
    y = np.sqrt(1 - variance) * standardised(np.sin(5 * unit[:, 0])) + np.sqrt(variance) * rng.normal(
        size=120
    )
    assert fit(x, standardised(y), Features.of(LINES).group).noise == pytest.approx(variance, rel=0.5)


def test_the_fit_is_no_worse_than_where_it_began() -> None:
    features = Features.of(LINES)
    x, unit = design(LINES, 30)
    y = standardised(unit[:, 0] ** 2 + np.cos(3 * unit[:, 1]))
    starts = np.arange(4)

    def height(hyper: Hyper, jitter: float = 0.0) -> float:
        theta = np.log(np.concatenate((hyper.weights, [hyper.signal, hyper.noise - jitter])))
        return likelihood(theta, x, y, features.group, starts)[0] + log_prior(theta)[0]

    found = height(fit(x, y, features.group), JITTER)
    assert found > height(Hyper.fixed(4)) and found > height(Hyper(np.ones(4), 1.0, 0.01))


@pytest.mark.parametrize("kind", ["constant", "duplicates", "two"])
def test_hyperparameters_of_poor_data_are_sound(kind: str) -> None:
    x, unit = design(LINES, 2 if kind == "two" else 20)
    y = np.zeros(20) if kind == "constant" else standardised(unit[:, 0])
    if kind == "duplicates":
        x = np.repeat(x[:1], 20, axis=0)
    hyper = fit(x, y, Features.of(LINES).group)
    assert np.isfinite(hyper.weights).all() and (hyper.weights > 0).all()
    assert 0 < hyper.signal < np.inf and 0 < hyper.noise < np.inf
