"""What the model makes of a study: losses, failures, constraints, costs, beliefs, and trials under way."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from gp_lab import Lab

from taut.samplers.gp.cost import Price
from taut.samplers.gp.model import Model
from taut.samplers.history import History
from taut.space import Space, choice, normal, uniform, uniform_int

LINE = Space(u=uniform(0, 1))
PLANE = Space(u=uniform(0, 1), v=uniform(0, 1))
GRID = np.linspace(0.0, 1.0, 201)[:, None]


def bowl(params: Any) -> dict[str, float]:
    return {"loss": (params["u"] - 0.8) ** 2 + (params.get("v", 0.3) - 0.3) ** 2}


def costed(lab: Lab, cost: Any, thrift: float) -> Model:
    history, price = History.of(lab.snapshot), Price(np.log(np.asarray(cost, float)), thrift)
    return Model(history, np.empty((0, len(lab.space))), price)


# -- losses ---------------------------------------------------------------------------------------------


def test_predictions_follow_the_loss() -> None:
    lab = Lab(PLANE)
    lab.scatter(30, bowl)
    at = np.random.default_rng(1).random((300, 2))
    mean, variance = lab.model().predict(at, None)
    truth = (at[:, 0] - 0.8) ** 2 + (at[:, 1] - 0.3) ** 2
    assert np.corrcoef(np.argsort(np.argsort(mean)), np.argsort(np.argsort(truth)))[0, 1] > 0.97
    assert (variance > 0.0).all() and lab.model().skill > 0.9


def test_the_most_promising_come_first() -> None:
    lab = Lab(PLANE)
    lab.scatter(20, bowl)
    model = lab.model()
    assert len(model.best_first) == 20
    truth = ((model.best_first - [0.8, 0.3]) ** 2).sum(axis=1)
    assert truth[0] <= np.sort(truth)[1] and np.corrcoef(truth, np.arange(20))[0, 1] > 0.9


def test_every_trial_is_taken() -> None:
    lab = Lab(PLANE)
    lab.scatter(5, bowl)
    lab.add({"u": 0.11, "v": 0.5}, "failed")
    lab.add({"u": 0.22, "v": 0.5}, None)
    history = History.of(lab.snapshot)
    model = Model(history, np.array([[0.33, 0.5]]))
    assert {0.11, 0.22, 0.33} <= set(np.round(model.taken[:, 0], 9).tolist()) and len(model.taken) == 8


def test_a_conditional_parameter_counts_where_it_is() -> None:
    space = Space(kind=choice(["a", "b"]), m=uniform(0, 1, when="kind == 'b'"))
    lab = Lab(space)
    lab.scatter(40, lambda p: {"loss": 1.0 if p["kind"] == "a" else 2.0 * (p["m"] - 0.2) ** 2})
    at = np.array([[0.25, 0.5], [0.75, 0.2], [0.75, 0.95]])
    active = np.array([[True, False], [True, True], [True, True]])
    plain, good, bad = lab.model().predict(at, active)[0]
    assert good < plain and good < bad
    score = lab.model().score(at, active)
    assert score.shape == (3,) and score[1] > score[0]


@pytest.mark.parametrize("loss", [0.0, 1e300, -1e-300])
def test_constant_losses_are_explored(loss: float) -> None:
    lab = Lab(LINE)
    for u in (0.1, 0.2, 0.3):
        lab.add({"u": u}, {"loss": loss})
    score = lab.model().score(GRID, None)
    assert np.isfinite(score).all() and GRID[score.argmax(), 0] > 0.4


# -- failures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_a_region_of_failures_is_left(seed: int) -> None:
    """Better and better towards u = 1, but beyond 0.7 every trial fails."""

    def outcome(p: Any) -> Any:
        return "failed" if p["u"] > 0.7 else {"loss": 1.0 - p["u"] + (p["v"] - 0.5) ** 2}

    lab = Lab(PLANE)
    lab.run(37, outcome, seed)
    u = np.array([p["u"] for p in lab.params])
    assert (u[:25] > 0.7).any(), "or nothing was tried"
    assert (u[25:] > 0.7).sum() <= 6, "near the edge it may fail, but not always"
    assert (u[25:] > 0.8).sum() <= 2
    assert u[u <= 0.7].max() > 0.6, "but up to the edge it goes"


def test_failures_far_from_the_best_are_rare() -> None:
    late = []
    for seed in range(4):
        lab = Lab(PLANE)
        lab.run(
            37,
            lambda p: "failed" if p["u"] > 0.7 else {"loss": (p["u"] - 0.4) ** 2 + (p["v"] - 0.5) ** 2},
            seed,
        )
        late += [p["u"] > 0.7 for p in lab.params[25:]]
    assert np.mean(late) < 0.2, "of the space it is 0.3"


def test_one_failure_makes_its_place_unattractive() -> None:
    lab = Lab(LINE)
    for u in (0.1, 0.3, 0.5, 0.9):
        lab.add({"u": u}, {"loss": (u - 0.7) ** 2})
    before = lab.model().predict(np.array([[0.7]]), None)[0][0]
    lab.add({"u": 0.7}, "failed")
    after = lab.model().predict(np.array([[0.7]]), None)[0][0]
    assert after > before + 0.3


def test_a_failed_choice_is_left() -> None:
    space = Space(kind=choice(["a", "b", "c"]), x=uniform(0, 1))
    lab = Lab(space)
    lab.run(30, lambda p: "failed" if p["kind"] == "b" else {"loss": (p["x"] - 0.4) ** 2})
    assert sum(p["kind"] == "b" for p in lab.params[15:]) <= 3


def test_a_pruned_point_is_not_proposed_again_and_again() -> None:
    lab = Lab(LINE)
    for u in (0.05, 0.3, 0.5, 0.95):
        lab.add({"u": u}, {"loss": (u - 0.7) ** 2})
    lab.run(8, lambda p: "pruned")
    tried = sorted(p["u"] for p in lab.params[4:])
    assert sum(b - a < 0.005 for a, b in itertools.pairwise(tried)) <= 3


# -- constraints ------------------------------------------------------------------------------------------


def memory(params: Any) -> dict[str, float]:
    return {"loss": 1.0 - params["u"], "memory": 10.0 + 60.0 * params["u"]}


def test_constraints_are_kept() -> None:
    late = []
    for seed in range(3):
        lab = Lab(PLANE, subject_to=("memory <= 40",))
        lab.run(25, memory, seed)
        u = np.array([p["u"] for p in lab.params])
        assert u[u <= 0.5].max() > 0.45, "and used up to the limit"
        late += u[12:].tolist()
    assert np.mean(np.array(late) > 0.55) < 0.3


def test_the_best_is_among_those_that_are_allowed() -> None:
    lab = Lab(LINE, subject_to=("memory <= 40",))
    for u in (0.1, 0.2, 0.45, 0.6, 0.95):
        lab.add({"u": u}, memory({"u": u}))
    model = lab.model()
    assert (model.best_first[:3, 0] < 0.5).all() and (model.best_first[3:, 0] > 0.5).all()
    score = model.score(GRID, None)
    assert GRID[score.argmax(), 0] < 0.6
    assert score[GRID[:, 0] > 0.7].max() < score.max() - 1.0


def test_without_an_allowed_trial_it_looks_for_one() -> None:
    lab = Lab(LINE, subject_to=("memory <= 40",))
    for u in (0.6, 0.8, 0.95):
        lab.add({"u": u}, memory({"u": u}))
    score = lab.model().score(GRID, None)
    assert np.isfinite(score).all() and GRID[score.argmax(), 0] < 0.5


@pytest.mark.parametrize("known", [0, 1, 3])
def test_a_constraint_that_is_mostly_unknown(known: int) -> None:
    lab = Lab(LINE, subject_to=("memory <= 40",))
    for i, u in enumerate((0.3, 0.6, 0.1, 0.2, 0.45, 0.7, 0.95)):
        lab.add({"u": u}, memory({"u": u}) if i < known else {"loss": 1.0 - u})
    assert np.isfinite(lab.model().score(GRID, None)).all()
    assert 0.0 <= lab.ask()[0]["u"] <= 1.0


# -- costs ------------------------------------------------------------------------------------------------


def test_of_equal_improvements_the_cheap_one() -> None:
    """A loss that is symmetric about 1/2, and a cost that is not."""
    lab = Lab(LINE)
    us = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    for u in us:
        lab.add({"u": u}, {"loss": float(np.cos(4 * np.pi * u))})
    cost = [10.0 ** (2 * u) for u in us]
    plain, thrifty = lab.model().score(GRID, None), costed(lab, cost, 1.0).score(GRID, None)
    assert plain[50] == pytest.approx(plain[150], abs=0.1)
    assert thrifty[50] > thrifty[150] + 1.0
    assert np.allclose(costed(lab, cost, 0.0).score(GRID, None), plain)


def test_improvement_is_divided_by_what_it_costs() -> None:
    """By the cost itself, not by some number that rises with it: costs that hardly differ hardly matter."""
    lab = Lab(LINE)
    us = np.linspace(0, 1, 15)
    for u in us.tolist():
        lab.add({"u": u}, {"loss": (u - 0.6) ** 2})
    at = np.array([[0.2], [0.8]])
    plain = lab.model().score(at, None)
    for base in (1.02, 10.0, 1e4):
        found = (costed(lab, base**us, 1.0).score(at, None) - plain) @ [1.0, -1.0]
        assert found == pytest.approx(0.6 * np.log(base), rel=0.3, abs=0.02)


# -- beliefs ----------------------------------------------------------------------------------------------


def believing(strength: str | None, start: float = 0.2) -> Lab:
    space = Space(u=uniform(0, 1, start=start, belief=strength), v=uniform(0, 1))
    lab = Lab(space)
    rng = np.random.default_rng(0)
    for u, v in rng.random((6, 2)).tolist():
        lab.add({"u": u, "v": v}, {"loss": float(rng.random())})
    return lab


def test_beliefs_pull_towards_the_start_value() -> None:
    def far(strength: str | None) -> float:
        return float(
            np.mean([abs(p["u"] - 0.2) for s in range(6) for p in believing(strength).ask(2, seed=s)])
        )

    assert far("strong") < far("medium") + 0.05 and far("strong") < 0.2
    assert far("strong") < far(None) - 0.1


def test_beliefs_fade() -> None:
    def pull(trials: int) -> float:
        labs = []
        for strength in ("strong", None):
            lab = Lab(Space(u=uniform(0, 1, start=0.2, belief=strength)))
            lab.scatter(trials, lambda p: {"loss": (p["u"] - 0.8) ** 2})
            labs.append(lab.model().score(np.array([[0.2], [0.7]]), None) @ [1.0, -1.0])
        return float(labs[0] - labs[1])

    assert pull(5) > 3 * pull(20) > 0.0


def test_a_wrong_strong_belief_is_overcome() -> None:
    space = Space(
        u=uniform(0, 1, start=0.1, belief="strong"),
        v=uniform(0, 1, start=0.9, belief="strong"),
        kind=choice(["a", "b"], start="a", belief="strong"),
    )
    lab = Lab(space)

    def loss(p: Any) -> dict[str, float]:
        return {"loss": (p["u"] - 0.8) ** 2 + (p["v"] - 0.2) ** 2 + 0.2 * (p["kind"] == "a")}

    lab.run(40, loss)
    assert min(loss(p)["loss"] for p in lab.params) < 0.01


def test_a_bell_is_a_belief_too() -> None:
    """Where nothing was learned, proposals lie where the prior is."""
    lab = Lab(Space(x=normal(0.0, 1.0)))
    for x in (-1.0, 0.0, 1.0):
        lab.add({"x": x}, {"loss": 1.0})
    assert all(abs(p["x"]) < 3.0 for s in range(6) for p in lab.ask(2, seed=s))


# -- trials under way -------------------------------------------------------------------------------------


def test_pending_points_are_worth_less() -> None:
    lab = Lab(LINE)
    for u in (0.0, 0.25, 0.5, 1.0):
        lab.add({"u": u}, {"loss": (u - 0.7) ** 2})
    before = lab.model().score(GRID, None)
    top = float(GRID[before.argmax(), 0])
    lab.add({"u": top}, None)
    after = lab.model().score(GRID, None)
    assert after[before.argmax()] < before.max() - 0.5
    assert abs(GRID[after.argmax(), 0] - top) > 0.01


def test_a_pending_point_that_is_not_allowed_sets_no_level() -> None:
    """However good its loss will be: what improves on the allowed ones is still worth trying."""
    lab = Lab(LINE, subject_to=("memory <= 40",))
    for u in (0.1, 0.2, 0.35, 0.6, 0.8, 1.0):
        lab.add({"u": u}, memory({"u": u}))
    allowed = GRID[:, 0] < 0.49
    before = lab.model().score(GRID, None)[allowed]
    lab.add({"u": 0.9}, None)
    after = lab.model().score(GRID, None)[allowed]
    assert after.max() > before.max() - 1.0


def test_eight_at_once_are_apart() -> None:
    lab = Lab(PLANE)
    lab.scatter(12, bowl)
    at_once = np.array([[p["u"], p["v"]] for p in lab.ask(8)])
    gaps = [np.abs(a - b).max() for a, b in itertools.combinations(at_once, 2)]
    assert min(gaps) > 0.01 and np.median(gaps) > 0.05
    one_by_one = []
    for _ in range(8):  # and so they are if they are asked for one after the other
        (params,) = lab.ask()
        lab.add(params, None)
        one_by_one.append([params["u"], params["v"]])
    assert np.allclose(at_once, one_by_one, atol=1e-6)


def test_pending_points_of_a_discrete_space_are_not_proposed() -> None:
    space = Space(n=uniform_int(0, 7), kind=choice(["a", "b", "c"]))
    lab = Lab(space)
    lab.scatter(3, lambda p: {"loss": float(p["n"])})
    seen = {tuple(p.values()) for p in lab.params}
    proposed = [tuple(p.values()) for p in lab.ask(24 - len(seen))]
    assert len(set(proposed)) == len(proposed) and not seen & set(proposed)
