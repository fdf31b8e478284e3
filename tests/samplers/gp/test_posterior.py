"""The posterior: the textbook's formulas, its root however it was built, pending rows, and rows that almost coincide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from taut.samplers.gp.kernel import Hyper, covariance
from taut.samplers.gp.posterior import Posterior, Root

GROUP = np.array([0, 1, 2, 2, 2])
HYPER = Hyper(np.array([3.0, 0.4, 1.2]), 1.6, 0.05)


def data(n: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.random((n, len(GROUP)))
    return x, np.sin(3 * x[:, 0]) + x[:, 3] + 0.1 * rng.normal(size=n)


def kernel(a: Any, b: Any, hyper: Hyper = HYPER) -> Any:
    scale = hyper.scale(GROUP)
    return covariance(a * scale, b * scale, hyper.signal)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_mean_and_variance_are_the_textbooks(n: int) -> None:
    (x, y), (at, _) = data(n), data(17, 1)
    k = kernel(x, x) + HYPER.noise * np.eye(n)
    cross = kernel(x, at)
    posterior = Posterior(Root(x, HYPER, GROUP), y)
    mean, variance = posterior.predict(at)
    assert np.allclose(mean, cross.T @ np.linalg.solve(k, y), atol=1e-9)
    assert np.allclose(variance, HYPER.signal - (cross * np.linalg.solve(k, cross)).sum(axis=0), atol=1e-9)
    assert np.allclose(posterior.mean(at), mean, atol=1e-12)
    assert np.allclose(posterior.fitted, posterior.mean(x), atol=1e-9)


@pytest.mark.parametrize("cuts", [(0,), (1,), (10, 11), (5, 5, 20), (29,)])
def test_a_root_extended_is_a_root_built_at_once(cuts: tuple[int, ...]) -> None:
    x, y = data(30)
    whole, parts = Root(x, HYPER, GROUP), np.split(x, cuts)
    parts = [part for part in parts if len(part)]
    root = Root(parts[0], HYPER, GROUP)
    for part in parts[1:]:
        before = root.factor.copy()
        more = root.extended(part)
        assert (root.factor == before).all() and len(more) == len(root) + len(part)
        root = more
    assert len(root) == 30 and np.allclose(root.factor, whole.factor, atol=1e-10)
    assert np.allclose(root.factor @ root.factor.T, kernel(x, x) + HYPER.noise * np.eye(30), atol=1e-10)
    at = data(9, 1)[0]
    for mine, other in zip(Posterior(root, y).predict(at), Posterior(whole, y).predict(at), strict=True):
        assert np.allclose(mine, other, atol=1e-9)


def test_extended_by_nothing() -> None:
    x, _ = data(4)
    root = Root(x, HYPER, GROUP)
    assert np.array_equal(root.extended(x[:0]).factor, root.factor)


@pytest.mark.parametrize("noise", [1e-4, 0.05, 1.0])
def test_left_out_is_brute_force(noise: float) -> None:
    x, y = data(20)
    hyper = HYPER._replace(noise=noise)
    means, variances = Root(x, hyper, GROUP).left_out(y)
    for i in range(20):
        rest = np.delete(np.arange(20), i)
        mean, variance = Posterior(Root(x[rest], hyper, GROUP), y[rest]).predict(x[[i]])
        assert means[i] == pytest.approx(mean[0], abs=1e-6)
        assert variances[i] == pytest.approx(variance[0] + noise, abs=1e-6)  # of the output, not the function


def test_pending_rows_leave_the_mean_and_take_variance() -> None:
    (x, y), (waiting, _), (at, _) = data(15), data(6, 1), data(40, 2)
    root = Root(x, HYPER, GROUP)
    before, after = Posterior(root, y), Posterior(root.extended(waiting), y)
    assert np.allclose(after.mean(at), before.mean(at), atol=1e-10)
    assert np.allclose(after.fitted, before.fitted, atol=1e-10)
    assert (after.predict(at)[1] < before.predict(at)[1]).all()
    assert (after.predict(waiting)[1] < HYPER.noise).all()


def test_rows_whose_value_is_known_exactly() -> None:
    """With a noise of their own: nothing is left to know at them."""
    (x, y), (waiting, _), (at, _) = data(15), data(6, 1), data(40, 2)
    root = Root(x, HYPER, GROUP)
    exact = Posterior(root.extended(waiting, noise=1e-6), y)
    assert (exact.predict(waiting)[1] < 1e-5).all()
    assert np.allclose(exact.mean(at), Posterior(root, y).mean(at), atol=1e-10)
    assert np.allclose(exact.fitted, Posterior(root, y).fitted, atol=1e-10)


def test_pending_rows_are_as_if_they_had_come_out_as_expected() -> None:
    """The Kriging believer, in full."""
    (x, y), (waiting, _), (at, _) = data(15), data(6, 1), data(40, 2)
    root = Root(x, HYPER, GROUP).extended(waiting)
    believed = Posterior(root, np.concatenate((y, Posterior(Root(x, HYPER, GROUP), y).mean(waiting))))
    for mine, other in zip(Posterior(root, y).predict(at), believed.predict(at), strict=True):
        assert np.allclose(mine, other, atol=1e-8)


@pytest.mark.parametrize("apart", [0.0, 1e-15, 1e-9, 1e-6])
@pytest.mark.parametrize("noise", [1e-6, 1e-2])
def test_rows_that_almost_coincide(apart: float, noise: float) -> None:
    x, y = data(10)
    again = x[np.repeat(np.arange(10), 6)] + apart * np.random.default_rng(0).random((60, len(GROUP)))
    hyper = HYPER._replace(noise=noise)
    at = data(25, 1)[0]
    for root in (Root(np.concatenate((x, again)), hyper, GROUP), Root(x, hyper, GROUP).extended(again)):
        mean, variance = Posterior(root, np.concatenate((y, np.repeat(y, 6)))).predict(at)
        assert np.isfinite(mean).all() and (variance > 0.0).all() and (variance <= hyper.signal + 1e-9).all()
        assert np.abs(mean).max() < 10.0
        assert np.isfinite(root.left_out(np.concatenate((y, np.repeat(y, 6))))).all()


def test_long_lengthscales_keep_a_root() -> None:
    """Where all rows look the same the covariance is almost singular."""
    x, y = data(200)
    hyper = Hyper(np.full(3, 1e-8), 5.0, 1e-6)
    mean, variance = Posterior(Root(x, hyper, GROUP), y).predict(data(5, 1)[0])
    assert np.isfinite(mean).all() and (variance > 0.0).all()


def test_far_from_every_row_the_level_is_expected() -> None:
    x, y = data(12)
    far = x[:3] + 100.0
    for level in (-1.0, 0.0, 2.5):
        posterior = Posterior(Root(x, HYPER, GROUP), y - level, level)
        mean, variance = posterior.predict(far)
        assert np.allclose(mean, level) and np.allclose(variance, HYPER.signal)
        assert np.allclose(posterior.mean(x), posterior.fitted) and np.abs(posterior.fitted - y).max() < 0.3
