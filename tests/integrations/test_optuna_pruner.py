"""taut's pruners in Optuna's studies."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

import taut  # noqa: E402
from taut.integrations.optuna import TautPruner, TautSampler  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.WARNING)
STEPS = {"min": 1, "max": 27}
PRUNERS: dict[str, dict[str, Any]] = {
    "asha": {"fidelity": STEPS},
    "curve": {"fidelity": STEPS},
    "median": {},
    "patient": {"patience": 3},
    "percentile": {"percentile": 25.0},
    "racing": {},
    "threshold": {"upper": 2.1},
}


def loss(x: float, step: int) -> float:
    """Falls to `x`, but for the worst, which never get better."""
    return x + 1.0 / step if x < 0.7 else 2.2


def curve(trial: Any, steps: int = 27) -> float:
    x = trial.suggest_float("x", 0.0, 1.0)
    for step in range(1, steps + 1):
        trial.report(loss(x, step), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss(x, steps)


@pytest.mark.parametrize("name", sorted(PRUNERS))
def test_bad_trials_stop_and_good_ones_do_not(name: str) -> None:
    pruner = pickle.loads(pickle.dumps(TautPruner(name, **PRUNERS[name])))
    study = optuna.create_study(sampler=TautSampler("random", seed=1), pruner=pruner)
    study.optimize(curve, n_trials=40)
    pruned = [trial.params["x"] for trial in study.trials if trial.state.name == "PRUNED"]
    best = min(study.trials, key=lambda trial: trial.params["x"])
    assert best.state.name == "COMPLETE"
    assert len(pruned) >= 5
    assert sum(pruned) / len(pruned) > 0.5


def test_a_study_in_a_database_is_pruned_alike(tmp_path: Any) -> None:
    found = []
    for place in (None, f"sqlite:///{tmp_path}/study.db"):
        pruner = TautPruner("asha", fidelity={"min": 1, "max": 5})
        study = optuna.create_study(storage=place, sampler=TautSampler("random", seed=1), pruner=pruner)
        study.optimize(lambda trial: curve(trial, 5), n_trials=6)
        found.append([(trial.state, trial.last_step) for trial in study.trials])
    assert found[0] == found[1]


def test_asking_twice_changes_no_answer() -> None:
    study = optuna.create_study(pruner=TautPruner("asha", fidelity=STEPS))
    for value in (1.0, 2.0, 3.0):
        trial = study.ask()
        trial.report(value, 1)
    trial = study.ask()
    assert not trial.should_prune()  # nothing was reported
    trial.report(9.0, 1)
    assert trial.should_prune() and trial.should_prune()


def test_as_in_taut() -> None:
    """The same trials, told one after the other, meet the same end in both."""
    study = optuna.create_study(
        sampler=TautSampler("random", seed=1), pruner=TautPruner("asha", fidelity=STEPS)
    )
    study.optimize(curve, n_trials=30)
    points = iter([trial.params["x"] for trial in study.trials])

    def same(trial: taut.Trial) -> float:
        x = next(points)
        for step in range(1, 28):
            trial.report(step, loss=loss(x, step))
            if trial.should_stop():
                raise taut.TrialPruned
        return loss(x, 27)

    ours = taut.Study(
        None,
        taut.Space(x=taut.uniform(0.0, 1.0)),
        minimize="loss",
        sampler="random",
        pruner={"method": "asha", "fidelity": {"name": "epoch", **STEPS}},
    )
    ours.run(same, trials=30)
    theirs = [(trial.state.name.lower(), trial.last_step) for trial in study.trials]
    assert theirs == [(trial.state, trial.step) for trial in ours.trials]
    assert {state for state, _ in theirs} == {"complete", "pruned"}


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("asha", {}, "fidelity="),
        ("asha", {"fidelity": STEPS, "variant": "promotion"}, "does not know"),
        ("hyperband", {"fidelity": STEPS}, "does not know"),
        ("pbt", {"fidelity": STEPS, "size": 4}, "does not know|unknown option"),
        ("ashes", {}, "did you mean 'asha'"),
        ("median", {"grade": 3}, "unknown option"),
        ("asha", {"fidelity": {"min": 3, "max": 1}}, "min = 3 is above max = 1"),
    ],
)
def test_what_does_not_work_is_told(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(taut.InputError, match=told):
        TautPruner(name, **options)
