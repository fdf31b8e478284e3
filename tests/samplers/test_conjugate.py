"""The conjugate sampler: its regression against brute force, its memory against a fresh start, what it finds and avoids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from taut.definition import Definition, Method, Objective
from taut.errors import InputError
from taut.events import Finished, Started
from taut.samplers import registry
from taut.samplers.conjugate.features import Features
from taut.samplers.conjugate.regression import NormalInverseGamma
from taut.samplers.conjugate.sampler import ConjugateSampler
from taut.samplers.geometry import Geometry
from taut.snapshot import Snapshot
from taut.space import Space, choice, loguniform, uniform, uniform_int

# -- the regression ---------------------------------------------------------------------------------------------


def observations(seed: int, n: int, m: int, q: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, m)), rng.normal(size=(n, q)) * 2 + 1


def same(one: NormalInverseGamma, other: NormalInverseGamma) -> None:
    for name in ("covariance", "log_det", "moments", "squares", "mean", "b", "count"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(one.evidence(), other.evidence(), rtol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_one_by_one_or_all_at_once(seed: int) -> None:
    n, m, q = 1 + 7 * seed, 2 + seed, 1 + seed % 3
    phi, y = observations(seed, n, m, q)
    prior = NormalInverseGamma.prior(
        m, q, shape=0.5 + seed, rate=0.1 * (seed + 1), ridge=10.0 ** (seed % 5 - 2)
    )
    single = prior
    for row, outcome in zip(phi, y, strict=True):
        single = single.update(row, outcome)
    same(single, prior.batch(phi, y))
    cut = n // 3
    same(prior.batch(phi[:cut], y[:cut]).batch(phi[cut:], y[cut:]), single)
    precision = prior.ridge * np.eye(m) + phi.T @ phi  # by the formulas of the textbook
    mean = np.linalg.solve(precision, phi.T @ y)
    np.testing.assert_allclose(single.mean, mean, atol=1e-9)
    b = prior.rate + 0.5 * ((y * y).sum(0) - np.einsum("mq,mk,kq->q", mean, precision, mean))
    np.testing.assert_allclose(single.b, b, rtol=1e-8)
    assert prior.count == 0 and (prior.moments == 0).all()  # what it came from is as it was


def test_the_evidence_is_the_integral_over_all_weights_and_noises() -> None:
    phi, y = observations(3, 4, 1)
    a0, b0, ridge = 1.5, 0.7, 0.6
    posterior = NormalInverseGamma.prior(1, shape=a0, rate=b0, ridge=ridge).batch(phi, y)

    def joint(beta: float, log_variance: float) -> float:
        variance = np.exp(log_variance)
        density = stats.invgamma.pdf(variance, a0, scale=b0) * stats.norm.pdf(
            beta, 0, np.sqrt(variance / ridge)
        )
        return float(density * stats.norm.pdf(y[:, 0], phi[:, 0] * beta, np.sqrt(variance)).prod() * variance)

    total, _ = integrate.dblquad(joint, -5, 7, -15, 15)
    assert posterior.evidence()[0] == pytest.approx(np.log(total), abs=1e-6)


def test_the_evidence_is_that_of_a_multivariate_t() -> None:
    phi, y = observations(4, 9, 3, 2)
    posterior = NormalInverseGamma.prior(3, 2, shape=2.0, rate=0.3, ridge=0.5).batch(phi, y)
    shape = 0.3 / 2.0 * (np.eye(9) + phi @ phi.T / 0.5)
    for j in range(2):
        assert posterior.evidence()[j] == pytest.approx(
            stats.multivariate_t.logpdf(y[:, j], shape=shape, df=4.0)
        )


def test_a_prediction_is_what_one_more_observation_adds_to_the_evidence() -> None:
    phi, y = observations(5, 12, 4, 2)
    before = NormalInverseGamma.prior(4, 2).batch(phi[:11], y[:11])
    freedom, mean, scale = before.predict(phi[11:])
    added = before.update(phi[11], y[11]).evidence() - before.evidence()
    np.testing.assert_allclose(stats.t.logpdf(y[11], freedom, mean[0], scale[0]), added)
    assert (before.predict(phi[11:], noise=False)[2] < scale).all()


def test_draws_follow_the_posterior() -> None:
    phi, y = observations(6, 15, 3, 2)
    posterior = NormalInverseGamma.prior(3, 2).batch(phi, y)
    sigma2, beta = posterior.draw(np.random.default_rng(0), 40_000)
    assert sigma2.shape == (40_000, 2) and beta.shape == (3, 40_000, 2)
    for j in range(2):
        assert (
            stats.kstest(sigma2[:5000, j], stats.invgamma(posterior.a, scale=posterior.b[j]).cdf).pvalue
            > 1e-3
        )
        np.testing.assert_allclose(beta[:, :, j].mean(axis=1), posterior.mean[:, j], atol=0.01)
        expected = posterior.covariance * posterior.b[j] / (posterior.a - 1)
        np.testing.assert_allclose(np.cov(beta[:, :, j]), expected, rtol=0.06, atol=0.003)
    spread = (beta[0, :, 0] - posterior.mean[0, 0]) / np.sqrt(posterior.covariance[0, 0] * sigma2[:, 0])
    assert stats.kstest(spread[:5000], "norm").pvalue > 1e-3  # normal given the variance, not by itself


# -- features ---------------------------------------------------------------------------------------------------


def test_features_stand_for_a_matern_kernel() -> None:
    space = Space(
        x=uniform(0, 1), y=uniform(-4, 4), kind=choice(["a", "b", "c"]), z=uniform(0, 1, when="kind == 'a'")
    )
    features = Features(Geometry.of(space), 40_000, np.random.default_rng(1))
    params = [
        {"x": 0.2, "y": 0.0, "kind": "b"},
        {"x": 0.7, "y": 0.0, "kind": "b"},
        {"x": 0.2, "y": 1.0, "kind": "c"},
        {"x": 0.2, "y": 0.0, "kind": "a", "z": 0.5},
    ]
    codes = space.codes(params)
    phi = features.cosines(features.angles(space.encode(codes), ~np.isnan(codes)), 0.6)
    squared = np.array([0.0, 0.25, 0.125**2 + 0.98, 0.98 + 0.49])  # choices differ by 0.98, presence by 0.49
    r = np.sqrt(5 * squared) / 0.6
    np.testing.assert_allclose(phi @ phi[0], (1 + r + r**2 / 3) * np.exp(-r), atol=0.02)


# -- studies ----------------------------------------------------------------------------------------------------

Outcome = Callable[[Mapping[str, Any]], Mapping[str, float] | None]
PLANE = Space(x=uniform(0, 1), y=uniform(0, 1))


def study(space: Space, objectives: tuple[Objective, ...] = (Objective("loss"),), **more: Any) -> Snapshot:
    return Snapshot(Definition("a study", space.to_json(), list(objectives), seed=3, **more), space)


def events(n: int, params: dict[str, Any], outcome: Mapping[str, float] | None) -> list[Any]:
    state = "failed" if outcome is None else "complete"
    end = Finished(
        n=n, a=0, state=state, y=dict(outcome or {}), t=n + 0.5, error="no" if outcome is None else None
    )
    return [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n)), end]


def run(
    snapshot: Snapshot, outcome: Outcome, trials: int, sampler: Any = None, seed: int = 3
) -> list[dict[str, Any]]:
    sampler = ConjugateSampler() if sampler is None else sampler
    tried = []
    for n in range(snapshot.size, snapshot.size + trials):
        codes = sampler.propose(
            snapshot.space, seed, np.array([n]), snapshot if sampler.uses_history else None
        )
        params = snapshot.space.params(codes)[0]
        snapshot.apply(0, events(n, params, outcome(params)))
        tried.append(params)
    return tried


def told(space: Space, outcome: Outcome, trials: int, **more: Any) -> Snapshot:
    """A study of random trials."""
    snapshot = study(space, **more)
    drawn = space.params(space.quantile(np.random.default_rng(1).random((trials, len(space)))))
    for n, params in enumerate(drawn):
        snapshot.apply(0, events(n, params, outcome(params)))
    return snapshot


def bowl(p: Mapping[str, Any]) -> dict[str, float]:
    return {"loss": (p["x"] - 0.3) ** 2 + 3 * (p["y"] - 0.8) ** 2}


def test_it_finds_the_bottom_of_a_bowl() -> None:
    best = [min(bowl(p)["loss"] for p in run(study(PLANE), bowl, 50, seed=seed)) for seed in range(3)]
    by_chance = [
        min(bowl(p)["loss"] for p in run(study(PLANE), bowl, 50, registry.make(Method("random")), seed=seed))
        for seed in range(3)
    ]
    assert max(best) < 1e-3 and np.mean(best) < np.mean(by_chance) / 10


def test_maximising_is_minimising_the_negative() -> None:
    up = run(study(PLANE, (Objective("loss", minimize=False),)), lambda p: {"loss": -bowl(p)["loss"]}, 25)
    assert up == run(study(PLANE), bowl, 25)


@pytest.mark.parametrize("factor", [1e-30, 1e30, 1.7e307])
def test_the_unit_of_the_objective_makes_no_difference(factor: float) -> None:
    space = Space(x=uniform(0, 1))
    plain = told(space, lambda p: {"loss": (p["x"] - 0.3) ** 2}, 30)
    scaled = told(space, lambda p: {"loss": factor * (p["x"] - 0.3) ** 2}, 30)
    sampler, numbers = ConjugateSampler(), np.arange(30, 40)
    one, other = (sampler.propose(space, 3, numbers, s) for s in (plain, scaled))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_outlier_hides_nothing() -> None:
    def with_outliers(p: Mapping[str, Any]) -> dict[str, float]:
        return {"loss": 1e12 if p["x"] > 0.9 else bowl(p)["loss"]}

    tried = run(study(PLANE), with_outliers, 50)
    assert min(bowl(p)["loss"] for p in tried) < 3e-3


# -- memory -----------------------------------------------------------------------------------------------------

MIXED = Space(
    lr=loguniform(1e-5, 1e-1),
    layers=uniform_int(1, 12),
    kind=choice(["a", "b"]),
    m=uniform(0, 1, when="kind == 'a'"),
)


def rough(p: Mapping[str, Any]) -> dict[str, float] | None:
    if p["layers"] == 12:
        return None
    return {"loss": float(np.sin(1e6 * p["lr"])) + p["layers"] / 7 + (p["kind"] == "a")}


def test_what_it_remembers_changes_no_answer() -> None:
    sampler = ConjugateSampler(features=64)
    growing = study(MIXED)
    whole = told(MIXED, rough, 210)
    asked = np.array([500, 501, 900])
    for n in range(210):
        drawn = whole.params(n)
        assert drawn is not None
        growing.apply(0, events(n, drawn, rough(drawn)))
        answer = sampler.propose(MIXED, 3, asked, growing)
        if n in {9, 30, 63, 64, 65, 127, 128, 140, 191, 200, 209}:
            fresh = told(MIXED, rough, 210 if n == 209 else 0)
            for i in range(n + 1 if n < 209 else 0):
                fresh.apply(0, events(i, whole.params(i) or {}, rough(whole.params(i) or {})))
            assert np.array_equal(answer, sampler.propose(MIXED, 3, asked, fresh), equal_nan=True)


@pytest.mark.parametrize("late", [2, 100, 199])
def test_the_order_in_which_lines_are_read_makes_no_difference(late: int) -> None:
    sampler, asked = ConjugateSampler(features=64), np.array([500, 501])
    whole = told(MIXED, rough, 200)
    halting = study(MIXED)
    for n in [*(n for n in range(200) if n != late), late]:  # another worker's result is read last
        halting.apply(n % 3, events(n, whole.params(n) or {}, rough(whole.params(n) or {})))
        if n > 190:
            sampler.propose(MIXED, 3, asked, halting)
    one, other = (sampler.propose(MIXED, 3, asked, snapshot) for snapshot in (whole, halting))
    assert np.array_equal(one, other, equal_nan=True)


def test_an_attempt_that_replaces_another_is_learned_anew() -> None:
    sampler, asked = ConjugateSampler(features=64), np.array([500, 501])
    snapshot = told(MIXED, rough, 150)
    before = sampler.propose(MIXED, 3, asked, snapshot)
    again = [
        Started(n=5, a=1, x=snapshot.params(5) or {}, r=0, c=150, t=5.0),
        Finished(n=5, a=1, state="complete", y={"loss": -40.0}, t=5.5),
    ]
    snapshot.apply(1, again)
    after = sampler.propose(MIXED, 3, asked, snapshot)
    fresh = told(MIXED, rough, 150)
    fresh.apply(1, again)
    assert np.array_equal(after, sampler.propose(MIXED, 3, asked, fresh), equal_nan=True)
    assert not np.array_equal(before, after, equal_nan=True)


# -- what is avoided --------------------------------------------------------------------------------------------


def test_what_fails_is_avoided() -> None:
    def fragile(p: Mapping[str, Any]) -> dict[str, float] | None:
        return (
            None if p["x"] > 0.5 else {"loss": -p["x"] - 0.1 * p["y"]}
        )  # better the nearer it comes to failing

    tried = run(study(PLANE), fragile, 60)
    late = [p for p in tried[25:] if p["x"] > 0.5]
    assert len(late) < 15 and max(p["x"] for p in tried if p["x"] <= 0.5) > 0.46  # by chance 17 fail


def test_constraints_are_learned() -> None:
    def heavy(p: Mapping[str, Any]) -> dict[str, float]:
        return {"loss": -p["x"] - p["y"], "memory": 30 * (p["x"] + p["y"])}

    tried = run(study(PLANE, subject_to=["memory <= 30"]), heavy, 60)
    kept = [heavy(p) for p in tried[25:] if heavy(p)["memory"] <= 30]
    # The best points lie on the border, so every other step across it breaks the constraint.
    assert len(kept) > 8 and min(outcome["loss"] for outcome in kept) < -0.99


@pytest.mark.parametrize("together", [1, 5, 40])
def test_no_point_twice_while_there_are_others(together: int) -> None:
    space = Space(a=uniform_int(1, 20), b=choice(list("uvwxy")), c=uniform_int(0, 5), d=choice([True, False]))
    snapshot, sampler, seen = study(space), ConjugateSampler(features=16), set()
    for first in range(0, 1200, together):
        numbers = np.arange(first, first + together)
        if first > 40 and together == 1:
            break
        for n, p in zip(numbers, space.params(sampler.propose(space, 3, numbers, snapshot)), strict=True):
            assert str(p) not in seen
            seen.add(str(p))
            snapshot.apply(0, events(int(n), p, {"loss": p["a"] + p["c"] * p["d"]}))
    assert together == 1 or len(seen) == 1200
    assert sampler.propose(space, 3, np.arange(1200, 1203), snapshot).shape == (3, 4)


def test_pending_trials_are_not_proposed_again() -> None:
    space = Space(a=uniform_int(1, 40))
    snapshot = told(space, lambda p: {"loss": abs(p["a"] - 7)}, 6)
    done = {(snapshot.params(n) or {})["a"] for n in range(6)}
    for n in range(6, 6 + 40 - len(done)):
        params = space.params(ConjugateSampler(features=16).propose(space, 3, np.array([n]), snapshot))[0]
        assert params["a"] not in done
        done.add(params["a"])
        snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n))])
    assert done == set(range(1, 41))


def test_a_thousand_at_once_are_all_different() -> None:
    codes = ConjugateSampler().propose(PLANE, 3, np.arange(100, 1100), told(PLANE, bowl, 40))
    assert len(np.unique(codes, axis=0)) == 1000
    near = (np.abs(codes - [0.3, 0.8]) < 0.2).all(axis=1)
    assert near.mean() > 0.6  # of the plane it is a sixth


def test_several_objectives_are_spread_along_the_front() -> None:
    def both(p: Mapping[str, Any]) -> dict[str, float]:
        return {"cost": p["x"] ** 2 + p["y"], "loss": (p["x"] - 1) ** 2 + p["y"]}

    tried = run(study(PLANE, (Objective("cost"), Objective("loss"))), both, 60)[20:]
    on_front = [p["x"] for p in tried if p["y"] < 0.1]
    assert len(on_front) > 20
    assert min(on_front) < 0.25 and max(on_front) > 0.75


# -- the posterior ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minimize", [True, False])
def test_the_posterior_is_in_the_units_of_the_metric(minimize: bool) -> None:
    space = Space(x=uniform(0, 10))
    sign = 1 if minimize else -1
    snapshot = study(space, (Objective("loss", minimize),))
    for n, x in enumerate(np.linspace(0, 5, 30).tolist()):
        snapshot.apply(0, events(n, {"x": x}, {"loss": sign * (100 + (x - 3) ** 2)}))
    posterior = ConjugateSampler(ridge=0.01).posterior(space, snapshot)
    mean, deviation = posterior.predict([{"x": x} for x in (2.0, 3.0, 4.5, 9.5)])
    assert mean.shape == deviation.shape == (4, 1)
    np.testing.assert_allclose(mean[:3, 0], sign * np.array([101, 100, 102.25]), atol=0.35)
    assert deviation[:3].max() < 0.5 < deviation[3, 0]
    assert (posterior.predict([{"x": 3.0}], noise=True)[1] > deviation[1]).all()
    assert posterior.weights.sum() == pytest.approx(1.0)
    with pytest.raises(InputError, match="space has no such parameter"):
        posterior.predict([{"y": 1.0}])


def test_the_posterior_of_nothing() -> None:
    mean, deviation = ConjugateSampler().posterior(PLANE, study(PLANE)).predict([{"x": 0.5, "y": 0.5}])
    assert np.isfinite(mean).all() and (deviation > 0).all()


# -- options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value, hint",
    [
        ("features", 4, "from 8 to 4096"),
        ("features", 12.5, "whole number"),
        ("features", True, "whole number"),
        ("shape", 0, "above 0"),
        ("rate", -1.0, "above 0"),
        ("ridge", "much", "give a number"),
        ("ridge", float("nan"), "give a number"),
        ("reach", -0.1, "from 0"),
        ("candidates", 3, "from 16"),
        ("initial", 0, "from 1"),
        ("lengthscales", [], "one to eight numbers"),
        ("lengthscales", 0.3, "one to eight numbers"),
        ("lengthscales", "0.3", "one to eight numbers"),
        ("lengthscales", [0.3, 0.0], "from 0.001"),
    ],
)
def test_options_that_cannot_be(name: str, value: Any, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        registry.make(Method("conjugate", {name: value}))
    assert caught.value.at == ("sampler", name) and repr(value[-1] if value == [0.3, 0.0] else value) in str(
        caught.value
    )


def test_options_as_a_file_gives_them() -> None:
    options = {"lengthscales": [0.2, 1], "ridge": 1, "initial": 4, "features": 32}
    sampler = registry.make(Method("conjugate", options))
    assert isinstance(sampler, ConjugateSampler) and sampler.lengthscales == (0.2, 1.0)
    assert len(run(study(PLANE), bowl, 8, sampler)) == 8


@pytest.mark.parametrize("value", [None, 1.0, float("nan"), -0.0])
def test_histories_that_say_little(value: float | None) -> None:
    outcome = None if value is None else {"loss": value}
    for space in (PLANE, MIXED, Space(x=uniform_int(3, 3), y=uniform(0, 1))):
        for trials in (1, 70):
            snapshot = told(space, lambda p: outcome, trials)
            for i in range(100):  # and many under way
                params = space.params(space.quantile(np.full((1, len(space)), i / 100)))[0]
                n = snapshot.size
                snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n))])
            codes = ConjugateSampler(initial=1).propose(space, 3, np.arange(500, 520), snapshot)
            assert len(np.unique(codes, axis=0)) == 20
            space.codes(space.params(codes))
