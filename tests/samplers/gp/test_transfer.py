"""Earlier studies: trusted as far as they order this study's trials, tried first where they were good, never mixed in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gp_lab import Lab

from taut.definition import Objective
from taut.past import Content, Kept, Past
from taut.samplers.gp.sampler import GPSampler
from taut.samplers.gp.transfer import Source, portfolio, weigh
from taut.space import Space, choice, loguniform, uniform

OLD = Space(lr=loguniform(1e-5, 1e-1), width=uniform(0, 1), kind=choice(["a", "b"]), gone=uniform(0, 1))
NEW = Space(lr=loguniform(1e-6, 1e-1), width=uniform(0, 1), kind=choice(["a", "b", "c"]), fresh=uniform(0, 1))


def task(params: dict[str, Any], shift: float = 0.0) -> float:
    loss = (np.log10(params["lr"]) + 3 + shift) ** 2 + 4 * (params["width"] - 0.3) ** 2
    return float(
        loss + {"a": 0.0, "b": 0.5, "c": 0.8}[params["kind"]] + (params.get("fresh", 0.8) - 0.8) ** 2
    )


def earlier(scale: float = 100.0, trials: int = 40, failed: int = 0) -> Past:
    """A study of nearly the same task, in other units; with a negative scale, of the opposite task."""
    codes = OLD.quantile(np.random.default_rng(0).random((trials, len(OLD))))
    kept = [
        Kept(n=n, x=params, y=None if n < failed else [scale * task(params, 0.2) + 7.0])
        for n, params in enumerate(OLD.params(codes))
    ]
    return Past.of(Content("old", OLD.to_json(), [Objective("loss")], kept), Objective("loss"))


def lab_with(*past: Past) -> Lab:
    lab = Lab(NEW)
    lab.snapshot._past = [], past
    return lab


def objective(params: dict[str, Any]) -> dict[str, float]:
    return {"loss": task(params)}


def best(trials: int, *past: Past) -> float:
    """The best of so many trials, on average over some studies."""
    found = []
    for seed in range(4):
        lab = lab_with(*past)
        lab.run(trials, objective, seed)
        found.append(lab.snapshot.values("loss").min())
    return float(np.mean(found))


def test_a_right_one_helps_from_the_start() -> None:
    assert best(8, earlier()) < 0.5 * best(8)


def test_a_wrong_one_is_found_out() -> None:
    assert best(20, earlier(-100.0)) < best(20) + 0.2


def test_trust_follows_the_order_of_our_trials() -> None:
    for past, low, high in ((earlier(), 0.5, 1.0), (earlier(-100.0), 0.0, 0.05), (earlier(1e-9), 0.5, 1.0)):
        lab = lab_with(past)
        lab.scatter(8, objective)
        assert low <= GPSampler().model(lab.snapshot).trust <= high


def test_its_values_do_not_matter_but_their_order_does() -> None:
    """Other units, and a monotone change that keeps the power transform's shape: the same proposals."""
    asked = []
    for scale in (1.0, 1024.0):
        lab = lab_with(earlier(scale))
        lab.scatter(10, objective)
        asked.append(lab.ask()[0])
    assert asked[0]["lr"] == pytest.approx(asked[1]["lr"], rel=0.05)


def test_its_best_are_tried_first() -> None:
    lab = lab_with(earlier())
    first = lab.ask(3)
    assert max(task(params) for params in first) < 1.5
    assert all("fresh" in params and params["kind"] in ("a", "b") for params in first)
    started = Space({**NEW.parameters, "width": uniform(0, 1, start=0.9)})
    lab = Lab(started)
    lab.snapshot._past = [], (earlier(),)
    own, theirs = lab.ask(2)
    assert own["width"] == 0.9 and theirs["width"] != 0.9


def test_portfolio_is_spread_and_takes_turns() -> None:
    codes = portfolio((earlier(), earlier(-1.0)), NEW)
    assert len(codes) == 10 and np.isnan(codes[:, 3]).all()
    unit = NEW.encode(codes[::2])
    gaps = np.abs(unit[:, None] - unit).max(axis=2)[~np.eye(5, dtype=bool)]
    assert gaps.min() > 0.1
    assert portfolio((), NEW).shape == (0, 4)


def test_parameters_that_it_did_not_have_change_nothing() -> None:
    source = Source.of(earlier(), NEW)
    assert source is not None
    unit = np.random.default_rng(0).random((20, 4))
    other = unit.copy()
    other[:, 3] = 0.1
    assert (source.mean(unit, None) == source.mean(other, None)).all()


def test_what_it_did_not_have_is_drawn_by_what_is_believed_of_it() -> None:
    space = Space(lr=loguniform(1e-6, 1e-1), fresh=uniform(0, 1, start=0.9, belief="strong"))
    even = []
    for seed in range(6):
        lab = Lab(space)
        lab.snapshot._past = [], (earlier(),)
        lab.run(5, lambda params: {"loss": params["lr"]}, seed)
        fresh = [params["fresh"] for params in lab.params]
        assert fresh[0] == 0.9 and fresh[1] > 0.6 and fresh[3] > 0.6
        even += [fresh[2], fresh[4]]
    assert min(even) < 0.4


def test_too_little_is_nothing() -> None:
    assert Source.of(earlier(trials=4), NEW) is None
    assert Source.of(earlier(trials=30, failed=27), NEW) is None
    assert Source.of(earlier(trials=30, failed=20), NEW) is not None


def test_weights_by_hand() -> None:
    """One that orders rightly for sure, one wrongly, and our own that says nothing."""
    y = np.arange(12.0)
    sure = np.full(12, 1e-6)
    weights = weigh([(y, sure), (-y, sure)], (np.zeros(12), np.ones(12)), y, np.random.default_rng(0))
    assert weights.tolist() == [1.0, 0.0]
    own = weigh([(np.zeros(12), np.ones(12))], (y, sure), y, np.random.default_rng(0))
    assert own.tolist() == [0.0]


def test_where_there_is_nothing_to_choose() -> None:
    space = Space(kind=choice(["a"]))
    kept = [Kept(n=n, x={"kind": "a"}, y=[float(n)]) for n in range(6)]
    past = Past.of(Content("old", space.to_json(), [Objective("loss")], kept), Objective("loss"))
    assert portfolio((past,), space).tolist() == [[0.0]]
