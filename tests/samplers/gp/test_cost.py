"""What cost takes from a point's worth, and the search along the front of cost and loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gp_lab import Lab

from handmade import hello
from taut.definition import Method
from taut.errors import InputError
from taut.events import Allocation
from taut.samplers import registry
from taut.samplers.gp.cost import Price, Purse
from taut.samplers.gp.kernel import Features
from taut.samplers.gp.sampler import GPSampler
from taut.samplers.history import History
from taut.space import Space, loguniform, uniform

SCALE = Space(size=loguniform(1, 1000), lr=uniform(0, 1))


def trained(params: dict[str, Any]) -> dict[str, float]:
    """A power law in the size, of which the best learning rate depends; cost is the size."""
    size, lr = params["size"], params["lr"]
    return {"loss": 3 * size**-0.3 + (lr - 0.8 + 0.2 * np.log10(size)) ** 2, "flops": size}


def purse(within: float) -> tuple[Purse, np.ndarray[Any, Any]]:
    x = np.random.default_rng(0).random((30, 2))
    return Purse(Price(6.9 * x[:, 0], within=within), Features.of(SCALE), x), np.array(
        [[0.1, 0.5], [0.9, 0.5]]
    )


def test_what_is_too_dear_is_worth_nothing() -> None:
    model, at = purse(within=3.45)
    cheap, dear = model.log_worth(at)
    assert cheap > np.log(0.99) and dear < np.log(0.01)
    model, at = purse(within=np.inf)
    assert (model.log_worth(at) == 0.0).all()


def test_improvement_per_cost() -> None:
    x = np.random.default_rng(0).random((30, 2))
    model = Purse(Price(6.9 * x[:, 0], thrift=0.5), Features.of(SCALE), x)
    cheap, dear = model.log_worth(np.array([[0.1, 0.5], [0.9, 0.5]]))
    assert cheap - dear == pytest.approx(0.5 * 6.9 * 0.8, rel=0.1)


def test_costs_that_are_all_the_same_change_nothing() -> None:
    x = np.random.default_rng(0).random((8, 2))
    assert Purse(Price(np.zeros(8), thrift=1.0), Features.of(SCALE), x).log_worth(x) == pytest.approx(0.0)


def excess(**options: Any) -> tuple[float, float]:
    """How far the best at each cost lies above what is possible, and the cost of it all."""
    lab = Lab(SCALE)
    lab.run(40, trained, **options)
    flops, loss = lab.snapshot.values("flops"), lab.snapshot.values("loss")
    at = np.logspace(0.3, 3, 28)
    best = np.array([loss[flops <= limit].min(initial=4.0) for limit in at])
    return float(np.mean(best - 3 * at**-0.3)), float(flops.sum())


def test_the_front_is_found_and_costs_less() -> None:
    found = [
        [excess(seed=seed, **options) for seed in range(2)]
        for options in ({}, {"cost": "flops", "aim": "front"})
    ]
    (plain, much), (front, little) = np.mean(found, axis=1)
    assert front < 0.6 * plain and little < 0.6 * much


@pytest.mark.parametrize(
    "options, match, at",
    [
        ({"aim": "cheapest", "cost": "flops"}, "'cheapest' is not known", "aim"),
        ({"aim": "front"}, "needs to know what trials cost", "aim"),
        ({"cost": "a b"}, "is not a metric's name", "cost"),
    ],
)
def test_wrong_options_say_what_is_missing(options: dict[str, Any], match: str, at: str) -> None:
    with pytest.raises(InputError, match=match) as error:
        registry.make(Method("gp", options))
    assert error.value.at == ("sampler", at)


def test_a_dear_trial_under_way_does_not_hide_what_is_cheap() -> None:
    lab = Lab(Space(x=uniform(0, 1)))
    for x in np.linspace(0.05, 0.95, 9).tolist():
        lab.add({"x": x}, {"loss": (x - 1.0) ** 2, "hours": 1000.0**x})
    lab.add({"x": 0.99}, None)
    asked = [lab.ask(1, seed, cost="hours", aim="front")[0]["x"] for seed in range(3)]
    lab.add({"x": 0.98}, None)
    asked += [lab.ask(1, seed, cost="hours", aim="front")[0]["x"] for seed in range(3)]
    assert min(asked) > 0.1, "the worst corner is nobody's best at any cost"


def wave(x: float) -> dict[str, float]:
    return {"loss": float(np.cos(4 * np.pi * x))}


def test_times_on_a_laptop_are_no_cost_once_trials_ran_in_jobs() -> None:
    def asked(laptop: float) -> list[float]:
        lab = Lab(Space(x=uniform(0, 1)))
        lab.snapshot.apply(1, [hello(t=0.0, job=Allocation("lab", 7, 0, "7", "node1", 1, 4))])
        for x in np.linspace(0.05, 0.45, 5).tolist():
            lab.add({"x": x}, wave(x), seconds=laptop)
        for x in np.linspace(0.55, 0.95, 5).tolist():
            lab.add({"x": x}, wave(x), seconds=10.0 * 100.0**-x, writer=1)
        return [p["x"] for seed in range(5) for p in lab.ask(2, seed, cost="seconds")]

    assert asked(1e-3) == asked(1e6)


def test_costs_of_some_trials_say_what_others_cost() -> None:
    lab = Lab(Space(x=uniform(0, 1)))
    for x in np.linspace(0.02, 0.98, 16).tolist():
        lab.add({"x": x}, wave(x) | ({} if 0.3 < x < 0.7 else {"dollars": 10.0 ** (6 * x)}))
    history = History.of(lab.snapshot)
    price = GPSampler(cost="dollars")._price(history, 16)
    assert price is not None
    model = Purse(price._replace(within=3 * np.log(10)), Features.of(lab.space), history.unit(history.done))
    assert model.affords(np.array([[0.4], [0.6]])).tolist() == [True, False], "between those that are known"


def test_one_cost_says_nothing() -> None:
    lab = Lab(Space(x=uniform(0, 1)))
    for i, x in enumerate(np.linspace(0.02, 0.98, 16).tolist()):
        lab.add({"x": x}, wave(x) | ({} if i else {"dollars": 1.0}))
    assert lab.ask(3, cost="dollars") == lab.ask(3)
    account = GPSampler(cost="dollars").account(lab.snapshot)
    assert account is not None and account.endswith("by 1 of 16 complete trials, so all count the same")


def test_a_cost_that_nobody_reports_is_said() -> None:
    lab = Lab(SCALE)
    lab.scatter(6, lambda params: {"loss": params["lr"]})
    account = GPSampler(cost="huors").account(lab.snapshot)
    assert account == "huors, what trials cost, is reported by 0 of 6 complete trials, so all count the same"
    assert (
        GPSampler().account(lab.snapshot) is None and GPSampler(cost="seconds").account(lab.snapshot) is None
    )
