"""Arms: their posteriors against brute force, and what the bandit makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from taut.definition import Definition, Method, Objective
from taut.errors import InputError
from taut.events import Finished, Started
from taut.samplers import registry
from taut.samplers.conjugate.arms import BetaBernoulli, NormalGamma
from taut.samplers.conjugate.bandit import BanditSampler
from taut.snapshot import Snapshot
from taut.space import Space, choice, uniform

# -- posteriors -------------------------------------------------------------------------------------------------


def test_a_beta_counts_successes_and_failures() -> None:
    arms, success = np.array([0, 0, 1, 0, 1]), np.array([1.0, 0.0, 1.0, 1.0, 1.0])
    posterior = BetaBernoulli.prior(3, 0.5, 2.0).update(arms, success)
    assert posterior.successes.tolist() == [2.5, 2.5, 0.5] and posterior.failures.tolist() == [3.0, 2.0, 2.0]
    low, high = posterior.interval(0.8)
    for k in range(3):
        density = stats.beta(posterior.successes[k], posterior.failures[k])
        assert density.cdf(low[k]) == pytest.approx(0.1) and density.cdf(high[k]) == pytest.approx(0.9)
        assert posterior.mean[k] == pytest.approx(density.mean())
    rng = np.random.default_rng(0)
    drawn = np.array([posterior.draw(rng) for _ in range(4000)])
    assert stats.kstest(drawn[:, 0], stats.beta(2.5, 3.0).cdf).pvalue > 1e-3


def test_a_normal_gamma_is_the_product_of_prior_and_likelihood() -> None:
    y = np.array([0.3, 1.9, -0.4])
    k0, m0, a0, b0 = 0.7, 0.2, 1.4, 0.6
    posterior = NormalGamma.prior(2, k0, m0, a0, b0).update(np.ones(3, np.int64), y)
    untouched = [one[0] for one in (posterior.kappa, posterior.mean, posterior.alpha, posterior.beta)]
    assert untouched == pytest.approx([k0, m0, a0, b0])

    mu, log_tau = np.meshgrid(np.linspace(-12, 13, 2001), np.linspace(-9, 4, 1001))
    tau = np.exp(log_tau)
    log_density = (
        stats.gamma.logpdf(tau, a0, scale=1 / b0) + stats.norm.logpdf(mu, m0, 1 / np.sqrt(k0 * tau)) + log_tau
    )
    for one in y:
        log_density += stats.norm.logpdf(one, mu, 1 / np.sqrt(tau))
    density = np.exp(log_density)
    density /= density.sum()
    assert (mu * density).sum() == pytest.approx(posterior.mean[1], abs=1e-3)
    assert (tau * density).sum() == pytest.approx(posterior.alpha[1] / posterior.beta[1], abs=1e-3)
    low, high = posterior.interval(0.9)
    assert density[mu < low[1]].sum() == pytest.approx(0.05, abs=2e-3)
    assert density[mu > high[1]].sum() == pytest.approx(0.05, abs=2e-3)


def test_a_normal_gamma_learns_alike_one_by_one_or_all_at_once() -> None:
    rng = np.random.default_rng(2)
    arms, y = rng.integers(0, 3, 40), rng.normal(3, 2, 40)
    whole = NormalGamma.prior(3).update(arms, y)
    single = NormalGamma.prior(3)
    for i in range(40):
        single = single.update(arms[i : i + 1], y[i : i + 1])
    for name in ("kappa", "mean", "alpha", "beta"):
        np.testing.assert_allclose(getattr(whole, name), getattr(single, name))


def test_draws_of_a_normal_gamma_follow_it() -> None:
    posterior = NormalGamma.prior(1, 2.0, 1.0, 3.0, 2.0)
    rng = np.random.default_rng(1)
    mu, tau = np.array([posterior.draw(rng) for _ in range(5000)])[:, :, 0].T
    assert stats.kstest(tau, stats.gamma(3.0, scale=0.5).cdf).pvalue > 1e-3
    assert stats.kstest(mu, stats.t(6.0, 1.0, np.sqrt(2.0 / (3.0 * 2.0))).cdf).pvalue > 1e-3
    least = [posterior.lowest(rng, 5)[0] for _ in range(4000)]
    assert np.mean(least) < 0.2 < np.mean(mu)


# -- studies ----------------------------------------------------------------------------------------------------

Outcome = Callable[[Mapping[str, Any], np.random.Generator], Mapping[str, float] | None]
MODELS = Space(
    model=choice(["small", "medium", "large"]), lr=uniform(0, 1), optimiser=choice(["sgd", "adam"])
)


def run(space: Space, outcome: Outcome, trials: int, sampler: BanditSampler, **more: Any) -> Snapshot:
    more = {"objectives": [Objective("loss")], **more}
    snapshot = Snapshot(Definition("a study", space.to_json(), seed=3, **more), space)
    rng = np.random.default_rng(7)
    for n in range(trials):
        params = space.params(sampler.propose(space, 3, np.array([n]), snapshot))[0]
        y = outcome(params, rng)
        state = "failed" if y is None else "complete"
        end = Finished(n=n, a=0, state=state, y=dict(y or {}), t=n + 0.5, error="no" if y is None else None)
        snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n)), end])
    return snapshot


def taken(snapshot: Snapshot, name: str, first: int = 0) -> Counter[Any]:
    return Counter((snapshot.params(n) or {}).get(name) for n in range(first, snapshot.size))


def steady(p: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float]:
    """Models differ in all their outcomes."""
    return {"loss": {"small": 2.0, "medium": 1.0, "large": 3.0}[p["model"]] + rng.normal(0, 0.7)}


def daring(p: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float]:
    """A large model is worse on average, and has the best outcomes."""
    spread = 4.0 if p["model"] == "large" else 0.3
    return {"loss": (3.0 if p["model"] == "large" else 2.0) + rng.normal(0, spread)}


@pytest.mark.parametrize("reward", ["beta", "normal"])
def test_the_best_arm_is_taken_most(reward: str) -> None:
    snapshot = run(MODELS, steady, 120, BanditSampler(reward=reward))
    assert taken(snapshot, "model", 40)["medium"] > 50  # of 80, where chance gives 27
    assert min(taken(snapshot, "optimiser").values()) > 25  # where nothing depends on it, all go on


@pytest.mark.parametrize("reward", ["beta", "normal"])
def test_arms_are_judged_by_their_tail(reward: str) -> None:
    snapshot = run(MODELS, daring, 150, BanditSampler(reward=reward))
    counts = taken(snapshot, "model", 50)
    assert counts["large"] > 50  # of 100, where chance gives 33


def test_maximising_is_minimising_the_negative() -> None:
    def negative(p: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float]:
        return {"loss": -steady(p, rng)["loss"]}

    for reward in ("beta", "normal"):
        sampler = BanditSampler(reward=reward)
        up = run(MODELS, negative, 40, sampler, objectives=[Objective("loss", minimize=False)])
        down = run(MODELS, steady, 40, sampler)
        assert np.array_equal(up.codes, down.codes)
        table, other = sampler.arms(MODELS, up), sampler.arms(MODELS, down)
        sign = -1 if reward == "normal" else 1
        assert [arm.values for arm in table] == [arm.values for arm in other]
        assert [sign * arm.mean for arm in table] == pytest.approx([arm.mean for arm in other])
        assert all(arm.low < arm.mean < arm.high for arm in table)


def test_arms_that_fail_or_break_a_constraint_are_left() -> None:
    def fragile(p: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float] | None:
        if p["model"] == "large":
            return None
        return {
            "loss": -5.0 if p["model"] == "small" else rng.normal(),
            "memory": 50.0 if p["model"] == "small" else 8.0,
        }

    for reward in ("beta", "normal"):
        snapshot = run(MODELS, fragile, 100, BanditSampler(reward=reward), subject_to=["memory <= 40"])
        assert taken(snapshot, "model", 40)["medium"] > 30


def test_the_table_of_arms() -> None:
    sampler = BanditSampler(discount=1.0)
    snapshot = run(MODELS, steady, 60, sampler)
    table = sampler.arms(MODELS, snapshot)
    assert [arm.parameters for arm in table] == [("model",)] * 3 + [("optimiser",)] * 2
    assert table[0].values == ("medium",)
    assert Counter({arm.values[0]: arm.trials for arm in table[:3]}) == taken(snapshot, "model")
    loss = snapshot.values("loss")
    best = set(np.argsort(loss)[:12].tolist())
    for arm in table[:3]:
        successes = sum((snapshot.params(n) or {})["model"] == arm.values[0] for n in best)
        assert arm.mean == pytest.approx((1 + successes) / (2 + arm.trials))
    expected = BanditSampler(reward="normal", discount=1.0, strength=1e-6, shape=1e-6, rate=1e-6).arms(
        MODELS, snapshot
    )
    of_medium = [loss[n] for n in range(60) if (snapshot.params(n) or {})["model"] == "medium"]
    found = {arm.values[0]: arm for arm in expected}
    assert found["medium"].mean == pytest.approx(np.mean(of_medium), abs=0.02)


def test_the_past_fades() -> None:
    def turning(p: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float]:
        turning.asked = getattr(turning, "asked", 0) + 1  # type: ignore[attr-defined]
        good = "small" if turning.asked <= 60 else "large"  # type: ignore[attr-defined]
        return {"loss": rng.normal(0 if p["model"] == good else 3, 0.5)}

    sampler = BanditSampler(discount=0.9, reward="normal")
    snapshot = run(MODELS, turning, 140, sampler)
    assert sampler.arms(MODELS, snapshot)[0].values == ("large",)


def test_together_arms_learn_what_goes_well_in_company() -> None:
    space = Space(a=choice([0, 1, 2]), b=choice([0, 1, 2]), x=uniform(0, 1))

    def matching(p: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float]:
        return {"loss": rng.normal(0 if (p["a"] + p["b"]) % 3 == 1 and p["a"] == p["b"] else 2, 0.5)}

    joint = BanditSampler(joint=9)
    snapshot = run(space, matching, 150, joint)
    pairs = Counter((p["a"], p["b"]) for p in (snapshot.params(n) or {} for n in range(60, 150)))
    assert pairs[2, 2] > 40
    table = joint.arms(space, snapshot)
    assert len(table) == 9 and table[0].parameters == ("a", "b") and table[0].values == (2, 2)
    assert len(BanditSampler(joint=8).arms(space, snapshot)) == 6


def test_a_choice_that_is_not_there_says_nothing() -> None:
    space = Space(
        kind=choice(["a", "b"]),
        sort=choice(["x", "y"], when="kind == 'a'"),
        more=choice([1, 2, 3]),
        z=uniform(0, 1),
    )

    def outcome(p: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float]:
        return {"loss": rng.normal() - (p.get("sort") == "y")}

    for sampler in (BanditSampler(), BanditSampler(joint=6)):
        snapshot = run(space, outcome, 60, sampler)
        table = {arm.values: arm for arm in sampler.arms(space, snapshot) if arm.parameters == ("sort",)}
        with_sort = [n for n in range(60) if "sort" in (snapshot.params(n) or {})]
        assert table["x",].trials + table["y",].trials == len(with_sort) < 60
        kinds = {p["kind"] for p in (snapshot.params(n) or {} for n in with_sort)}
        assert kinds == {"a"}


def test_all_points_of_a_small_space() -> None:
    space = Space(a=choice(list("abcd")), b=choice(list("xyz")), c=choice([True, False]))
    snapshot = run(space, lambda p, rng: {"loss": rng.random() + (p["a"] != "b")}, 24, BanditSampler())
    assert len({str(snapshot.params(n)) for n in range(24)}) == 24
    first = taken(snapshot, "a")
    assert first["b"] == 6


def test_no_choice_is_a_warning() -> None:
    space = Space(x=uniform(0, 1))
    assert "no choice" in (BanditSampler().warning(space) or "") and BanditSampler().warning(MODELS) is None
    snapshot = run(space, lambda p, rng: {"loss": p["x"]}, 12, BanditSampler(rest="random"))
    assert len(np.unique(snapshot.codes)) == 12 and BanditSampler().arms(space, snapshot) == []


@pytest.mark.parametrize(
    "name, value, hint",
    [
        ("reward", "gamma", "there are: beta, normal"),
        ("reward", "btea", "did you mean 'beta'"),
        ("rest", "conjugate", "quasirandom, random"),
        ("top", 1.0, "above 0 and at most 0.999"),
        ("discount", 0.0, "above 0"),
        ("discount", 1.5, "at most 1"),
        ("strength", "strong", "give a number"),
        ("ahead", 0, "from 1"),
        ("joint", -1, "whole number"),
        ("initial", 2.5, "whole number"),
        ("rate", None, "give a number"),
    ],
)
def test_options_that_cannot_be(name: str, value: Any, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        registry.make(Method("bandit", {name: value}))
    assert caught.value.at == ("sampler", name)
