"""taut's samplers in Optuna's studies: Optuna's own test cases for samplers, and what they do not look at."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402
from optuna.testing.pytest_samplers import (  # noqa: E402
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

import taut  # noqa: E402
from taut.integrations.optuna import TautSampler  # noqa: E402
from taut.integrations.optuna.mirror import Mirror  # noqa: E402
from taut.samplers import registry  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.WARNING)
METHODS = [name for name in registry.names() if name != "grid"]


class TestOptunasOwnCases(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """All that Optuna ships, except `SingleOnlySamplerTestCase`: that a sampler refuses several objectives."""

    @pytest.fixture(params=["auto"])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        return lambda: TautSampler(request.param, seed=1)


def branching(trial: Any) -> float:
    """A loss of at least 0, with a choice that decides on what else there is, and a count."""
    kind = trial.suggest_categorical("kind of curve", ["square", "line", "steps"])
    loss = {"square": 0.0, "line": 0.5, "steps": 1.0}[kind]
    if kind == "square":
        loss += trial.suggest_float("x", -2.0, 2.0) ** 2
    else:
        loss += abs(trial.suggest_float("slope", 1e-3, 10.0, log=True) - 1.0)
    for layer in range(trial.suggest_int("layers", 1, 3)):
        loss += 0.1 * trial.suggest_float(f"layer/{layer}", 0.0, 1.0, step=0.25)
    return loss


@pytest.mark.parametrize("method", METHODS)
def test_every_method_works_with_branches_and_comes_near(method: str) -> None:
    study = optuna.create_study(sampler=TautSampler(method, seed=3))
    study.optimize(branching, n_trials=40)
    assert study.best_value < (0.6 if method in ("random", "quasirandom") else 0.5)
    again = optuna.create_study(sampler=TautSampler(method, seed=3))
    again.optimize(branching, n_trials=40)
    assert [trial.params for trial in study.trials] == [trial.params for trial in again.trials]


def test_conditions_are_read_off_the_trials() -> None:
    sampler = TautSampler("random", seed=3)
    study = optuna.create_study(sampler=sampler)
    study.optimize(branching, n_trials=40)
    mirror = follow(study)
    names = {column: name for name, column in mirror._columns.items()}
    found = {names[column]: text for column, text in mirror._when.items()}
    kind, layers = mirror._columns["kind of curve"], mirror._columns["layers"]
    assert found["x"] == f"{kind} not in [1, 2]"
    assert found["slope"] == f"{kind} not in [0]"
    assert found["layer/1"] == f"{layers} > 1"
    assert found["layer/2"] == f"{layers} > 2"
    assert "layer/0" not in found
    space = mirror.snapshot.space
    codes = space.quantile(np.random.default_rng(0).random((64, len(space))))
    for params in space.params(codes):  # whatever is offered from now on has what its branch asks for
        asked = {"square": {"x"}, "line": {"slope"}, "steps": {"slope"}}[
            ["square", "line", "steps"][params[kind]]
        ]
        asked |= {"kind of curve", "layers", *(f"layer/{i}" for i in range(params[layers]))}
        assert {names[column] for column in params} == asked


def follow(study: Any, several: bool = False) -> Mirror:
    """A mirror that meets all trials at once, or one after the other."""
    mirror = Mirror(study.directions, 5)
    for end in range(1 if several else len(study.trials), len(study.trials) + 1):
        mirror.follow(study.trials[:end])
    return mirror


def seen(mirror: Mirror) -> list[Any]:
    snapshot = mirror.snapshot
    records = snapshot.records(snapshot.known)
    return [(r.number, r.state, r.params, r.values, r.started, r.finished) for r in records]


@pytest.mark.parametrize("storage", ["memory", "journal", "sqlite"])
def test_who_comes_late_sees_the_same_and_proposes_the_same(storage: str, tmp_path: Any) -> None:
    def place() -> Any:
        if storage == "journal":
            backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "log"))
            return optuna.storages.JournalStorage(backend)
        return f"sqlite:///{tmp_path}/study.db" if storage == "sqlite" else None

    study = optuna.create_study(study_name="s", storage=place(), sampler=TautSampler("differential", seed=2))
    study.enqueue_trial({"kind of curve": "line", "slope": 1.0})
    study.optimize(branching, n_trials=25 if storage != "sqlite" else 12)
    first = study.sampler
    late = study if storage == "memory" else optuna.load_study(study_name="s", storage=place())
    late.sampler = TautSampler("differential", seed=2)
    assert seen(follow(study)) == seen(follow(late, several=True))
    space = follow(study).distributions
    trial = late.ask()
    mine, theirs = (
        each.sample_relative(late, late._storage.get_trial(trial._trial_id), space)
        for each in (first, late.sampler)
    )
    assert mine == theirs and mine


def test_a_sampler_can_be_sent_elsewhere() -> None:
    sampler = TautSampler("gp", seed=7, cost=None)
    study = optuna.create_study(sampler=sampler)
    study.optimize(branching, n_trials=4)
    there = pickle.loads(pickle.dumps(sampler))
    again = optuna.create_study(sampler=there)
    again.optimize(branching, n_trials=4)
    assert [trial.params for trial in study.trials] == [trial.params for trial in again.trials]
    assert str(there) == "TautSampler('gp')"


def test_trials_side_by_side_know_of_each_other() -> None:
    study = optuna.create_study(sampler=TautSampler("gp", seed=1))
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=5)
    asked = [study.ask() for _ in range(6)]
    points = [trial.suggest_float("x", -1, 1) for trial in asked]
    assert len(set(points)) == 6
    study.optimize(branching_of_x, n_trials=12, n_jobs=3)
    assert len({trial.params["x"] for trial in study.trials}) == len(study.trials)


def branching_of_x(trial: Any) -> float:
    x: float = trial.suggest_float("x", -1, 1)
    return x**2


@pytest.mark.parametrize("method", ["auto", "nsga2", "tpe"])
def test_constraints_and_several_objectives(method: str) -> None:
    def objective(trial: Any) -> tuple[float, float]:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_user_attr("sum", x + y)
        return x, y

    def constraints(trial: Any) -> Sequence[float]:
        return (0.8 - trial.user_attrs["sum"],)

    sampler = TautSampler(method, seed=1, constraints_func=constraints)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    study.optimize(objective, n_trials=40)
    late = study.trials[20:]
    assert sum(trial.user_attrs["sum"] >= 0.8 for trial in late) > 10
    assert min(trial.values[0] for trial in study.best_trials) < 0.2
    mirror = follow(study)
    assert mirror.snapshot.definition.subject_to == ["c0 <= 0"]
    assert [one.minimize for one in mirror.snapshot.definition.objectives] == [True, False]


def test_trials_that_were_pruned_teach_something() -> None:
    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", 0, 1)
        for step in range(1, 10):
            trial.report(x + 1 / step, step)
            if trial.number > 3 and x > 0.2 and step == 3:
                raise optuna.TrialPruned
        return x + 1 / 9

    study = optuna.create_study(sampler=TautSampler("gp", seed=1))
    study.optimize(objective, n_trials=14)
    mirror = follow(study)
    from taut.samplers.history import History

    history = History.of(mirror.snapshot)
    states = [trial.state.name for trial in study.trials]
    assert "PRUNED" in states and len(history) == 14
    true = np.array([trial.params["x"] + 1 / 9 for trial in study.trials])
    assert np.abs(history.loss[:, 0] - true[history.done]).max() < 0.05
    assert seen(mirror) == seen(follow(study, several=True))


def test_under_hyperband_each_bracket_is_a_study_of_its_own() -> None:
    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", 0, 1)
        for step in range(9):
            trial.report(x, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x

    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    study = optuna.create_study(sampler=TautSampler("tpe", seed=1), pruner=pruner)
    study.optimize(objective, n_trials=20)
    assert study.best_value < 0.2


def test_a_space_that_is_known_begins_with_the_methods_own_design() -> None:
    space = {
        "x": FloatDistribution(0.0, 1.0),
        "kind": CategoricalDistribution(["a", "b"]),
        "n": IntDistribution(1, 3),
    }
    study = optuna.create_study(sampler=TautSampler("grid", search_space=space, resolution=2))

    def objective(trial: Any) -> float:
        trial.suggest_categorical("kind", ["a", "b"])
        return trial.suggest_float("x", 0.0, 1.0) * trial.suggest_int("n", 1, 3)

    study.optimize(objective, n_trials=100)
    points = [tuple(sorted(trial.params.items())) for trial in study.trials]
    assert len(points) == len(set(points)) == 12 or len(points) == len(set(points)) == 8
    for sampler in (TautSampler("grid", resolution=2), TautSampler("grid")):
        with pytest.raises(taut.InputError, match="give search_space"):
            optuna.create_study(sampler=sampler).optimize(objective, n_trials=1)


def test_what_a_parameter_of_ours_cannot_be_is_drawn_by_itself() -> None:
    def objective(trial: Any) -> float:
        return trial.suggest_float("x", 0, 1) + (trial.suggest_int("n", 0, 2**60) > 0)

    study = optuna.create_study(sampler=TautSampler("gp", seed=1))
    study.optimize(objective, n_trials=6)
    assert list(follow(study).distributions) == ["x"]
    assert len({trial.params["n"] for trial in study.trials}) == 6


def test_wrong_methods_and_options_are_told() -> None:
    with pytest.raises(taut.InputError, match="no sampler is named 'gpp'; did you mean 'gp'"):
        TautSampler("gpp")
    with pytest.raises(taut.InputError, match="unknown option of 'tpe'"):
        TautSampler("tpe", startups=3)


def test_failed_trials_are_kept_away_from() -> None:
    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", -1, 1)
        if x < 0:
            raise ValueError("there is nothing here")
        return x + 1.0

    study = optuna.create_study(sampler=TautSampler("gp", seed=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.optimize(objective, n_trials=25, catch=ValueError)
    assert sum(trial.state.name == "FAIL" for trial in study.trials[10:]) < 8
