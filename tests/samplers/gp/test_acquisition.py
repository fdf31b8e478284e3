"""Log expected improvement against numerical integration, in its far tail too; and the chance to be allowed."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from taut.samplers.gp.acquisition import log_feasible, log_improvement

LEVELS = [-30.0, -20.0, -10.0, -5.0, -2.0, -1.0001, -1.0, -0.9999, -0.3, 0.0, 0.7, 2.0, 5.0]


def improvement(z: float) -> float:
    """Log of the integral of t phi(z - t) over t > 0, with phi(z) taken out, which would be too small."""
    top = max(z, 0.0)
    weight = 0.5 * top * top

    def integrand(t: float) -> float:
        return t * math.exp(z * t - 0.5 * t * t - weight)

    ends = [0.0, top + 1.0, top + 12.0] if z > -2 else [0.0, 5.0 / -z, 60.0 / -z]
    mass = sum(
        integrate.quad(integrand, a, b, epsabs=0.0, epsrel=1e-11)[0] for a, b in itertools.pairwise(ends)
    )
    return math.log(mass) + weight - 0.5 * z * z - 0.5 * math.log(2 * math.pi)


@pytest.mark.parametrize("z", LEVELS)
def test_improvement_is_the_integral(z: float) -> None:
    for scale, best in ((1.0, 0.0), (0.03, 1.5), (40.0, -2.0)):
        mean = best - scale * z
        found = log_improvement(np.array([mean]), np.array([scale**2]), best)[0]
        assert found == pytest.approx(improvement(z) + math.log(scale), rel=1e-7, abs=1e-7)


def test_improvement_rises_from_the_far_tail_on() -> None:
    z = np.concatenate((-np.logspace(6, -3, 4000), [0.0], np.logspace(-3, 1.5, 400)))
    found = log_improvement(-z, np.ones_like(z), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0.0).all()
    assert found[0] == pytest.approx(-0.5e12, rel=1e-6)


@pytest.mark.parametrize("z, error", [(-1e3, 1e-5), (-1e5, 1e-4), (-1e8, 5.0)])
def test_the_far_tail_is_its_asymptote(z: float, error: float) -> None:
    found = log_improvement(np.array([-z]), np.ones(1), 0.0)[0]
    rest = found + 0.5 * z * z + 0.5 * math.log(2 * math.pi)  # what is left is log(1 / z^2 - 3 / z^4 + ...)
    assert rest == pytest.approx(-2.0 * math.log(-z), abs=error)


def test_where_the_formula_changes_it_does_not_jump() -> None:
    for z in (-1.0, -1e4):
        at = z + np.array([-1e-9, 1e-9]) * abs(z)
        low, high = log_improvement(-at, np.ones(2), 0.0)
        assert abs(high - low) < 1e-8 * max(1.0, z * z) * 3 + 1e-7


def test_more_variance_and_a_lower_mean_improve_more() -> None:
    mean, variance = np.meshgrid(np.linspace(-3, 8, 30), np.logspace(-6, 2, 30), indexing="ij")
    found = log_improvement(mean.ravel(), variance.ravel(), 0.0).reshape(mean.shape)
    assert (np.diff(found, axis=0) < 0.0).all()
    assert (np.diff(found, axis=1) > -1e-9).all()


def test_the_chance_to_be_allowed() -> None:
    mean, variance = np.array([-3.0, 0.0, 2.0, 30.0, 1e4]), np.array([1.0, 4.0, 0.25, 1.0, 1.0])
    found = log_feasible(mean, variance)
    assert np.allclose(found, stats.norm(mean, np.sqrt(variance)).logcdf(0.0))
    assert np.isfinite(found).all() and found[1] == pytest.approx(math.log(0.5))
