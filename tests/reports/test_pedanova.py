"""PED-ANOVA: by hand, against Optuna's, and that what a learning sampler does to parameters without effect is seen through."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from courses import definition, fold, random_study

import taut
from taut.events import Event, Reported
from taut.fidelity import Fidelity
from taut.reports.importance import Importance, figure, importance
from taut.reports.pedanova import pedanova

optuna = pytest.importorskip("optuna")


def ages(count: int) -> np.ndarray:
    return np.arange(count) * 10 // count


def test_two_levels_by_hand() -> None:
    """Of 8 trials 4 have each level; the best two have level 0. With one trial spread evenly: (2.5/3, 0.5/3) against (4.5/9, 4.5/9)."""
    units = np.array([[0.25], [0.75]] * 4)
    top = np.zeros(8, bool)
    top[[0, 2]] = True
    found, _ = pedanova(units, np.array([2]), np.array([False]), top, ages(8))
    assert found[0] == pytest.approx(0.5 * (2.5 / 3 / 0.5 - 1) ** 2 + 0.5 * (0.5 / 3 / 0.5 - 1) ** 2)


def test_a_parameter_that_few_have_matters_less() -> None:
    """Baba et al., Theorem 4.2: alpha^2 / beta of what it is among those that have it; here half of the best and a third of all do."""
    units = np.array([[0.25], [0.75]] * 4)
    top = np.array([True, False] * 4)
    whole, _ = pedanova(units, np.array([2]), np.array([False]), top, ages(8))
    units = np.concatenate((units, np.full((16, 1), np.nan)))
    top = np.concatenate((top, [True] * 4, [False] * 12))
    found, _ = pedanova(units, np.array([2]), np.array([False]), top, ages(24))
    assert found[0] == pytest.approx(whole[0] * 0.5**2 / (1 / 3))


def test_order_is_free_of_numbering_and_the_same_every_time() -> None:
    generator = np.random.default_rng(0)
    units, top = generator.random((200, 3)), np.zeros(200, bool)
    top[units[:, 1].argsort()[:20]] = True
    cells, ordered = np.array([0, 0, 5]), np.array([True, True, True])
    first, again = (pedanova(units, cells, ordered, top, ages(200)) for _ in range(2))
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert first[0].argmax() == 1 and first[0][1] > 5 * first[1][1]


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_near_those_of_optuna(seed: int) -> None:
    """On random trials of (x, y, z, c): x matters much, c some, y little, z not at all."""
    generator = np.random.default_rng(seed)
    study = optuna.create_study()
    space = taut.Space(
        x=taut.uniform(0, 1),
        y=taut.uniform(0, 1),
        z=taut.loguniform_int(1, 100),
        c=taut.choice(["a", "b", "c"]),
    )
    ours = taut.Study(None, space, minimize="loss", sampler="random", seed=seed)
    kinds = {
        "x": optuna.distributions.FloatDistribution(0, 1),
        "y": optuna.distributions.FloatDistribution(0, 1),
        "z": optuna.distributions.IntDistribution(1, 100, log=True),
        "c": optuna.distributions.CategoricalDistribution(["a", "b", "c"]),
    }
    for trial in ours.ask(400):
        p = trial.params
        loss = (p["x"] - 0.3) ** 2 + 0.02 * (p["c"] == "b") + 0.01 * p["y"] + 0.001 * generator.random()
        ours.tell(trial, loss=loss)
        study.add_trial(optuna.trial.create_trial(params=p, distributions=kinds, value=loss))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    found = importance(ours.snapshot)
    shares = dict(zip(found.names, found.share.tolist(), strict=True))
    assert found.names[:2] == ["x", "c"] == list(theirs)[:2]
    numbers = (
        "x",
        "y",
        "z",
    )  # among levels Optuna spreads each trial over all of them, which makes c smaller there
    for name in numbers:
        share = theirs[name] / sum(theirs[each] for each in numbers)
        assert shares[name] / sum(shares[each] for each in numbers) == pytest.approx(share, abs=0.02)
    doubtful = dict(zip(found.names, (found.share <= found.chance).tolist(), strict=True))
    assert not doubtful["x"] and doubtful["z"]


def test_a_sampler_that_learns_does_not_make_a_parameter_matter() -> None:
    """Late trials are good, and near each other in z as well; the paper's measure alone gives z a large share."""
    generator = np.random.default_rng(1)
    wrong = plain = 0
    for _ in range(10):
        age = np.arange(300) / 300
        x = 0.3 + (1 - age) * 0.5 * generator.standard_normal(300)
        z = 0.6 + (1 - age) * 0.5 * generator.standard_normal(300)
        units = np.clip(np.column_stack((x, z)), 0, 0.999)
        loss = (units[:, 0] - 0.3) ** 2 + 1e-4 * generator.random(300)
        top = np.zeros(300, bool)
        top[loss.argsort()[:30]] = True
        sorts = np.array([0, 0]), np.array([True, True])
        found, chance = pedanova(units, *sorts, top, ages(300))
        wrong += found[1] > chance[1]
        found, chance = pedanova(units, *sorts, top, np.zeros(300, int))
        plain += found[1] > chance[1]
    assert wrong <= 2 and plain >= 6


def test_importance_is_told_with_what_it_rests_on() -> None:
    found = importance(random_study(200).snapshot)
    assert found.names[0] == "lr" and found.share.sum() == pytest.approx(1)
    assert (found.among, found.best, found.told) == (200, 20, None)
    assert figure(found)["layout"]["xaxis"]["title"]["text"] == "the best 20 of 200 trials"
    few = importance(random_study(8).snapshot)
    assert few.names == [] and "there are 8" in figure(few)["layout"]["annotations"][0]["text"]


def test_where_few_trials_are_whole_a_rung_tells() -> None:
    from courses import T, opened, started

    fidelity = Fidelity("epoch", min=1, max=9)
    events: list[Event] = [opened(0)]
    generator = np.random.default_rng(0)
    for n in range(60):
        x = {
            "lr": float(10 ** generator.uniform(-5, -1)),
            "layers": int(generator.integers(1, 7)),
            "optim": "adam",
        }
        loss = abs(math.log10(x["lr"]) + 3)
        events.append(started(n, n, x=x))
        events += [
            Reported(n=n, a=0, s=float(e), y={"loss": loss}, t=T + n) for e in ((1, 3) if n < 50 else (1,))
        ]
    snapshot = fold(events, of=definition(fidelity=fidelity))
    found = importance(snapshot)
    assert found.told == "epoch 3 of 9" and found.among == 50 and found.names[0] == "lr"


def test_hatching_is_for_what_may_be_chance() -> None:
    data = Importance(["a", "b"], np.array([0.9, 0.1]), np.array([0.2, 0.2]), 100, 10)
    bars = figure(data)["data"][0]
    assert bars["marker"]["pattern"]["shape"] == ["/", ""]  # from the bottom upwards
