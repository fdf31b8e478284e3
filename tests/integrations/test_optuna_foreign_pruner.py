"""Optuna's pruners in taut's studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

import taut  # noqa: E402
from taut.opening import make_proposals  # noqa: E402
from taut.verify import verify  # noqa: E402

SPACE = taut.Space(x=taut.uniform(0.0, 1.0))


def objective(trial: Any) -> float:
    """Serves both programs."""
    x: float = trial.suggest_float("x", 0.0, 1.0)
    for step in range(6):
        trial.report(x + 1 / (step + 1), step)
        if trial.should_prune():
            raise taut.TrialPruned if isinstance(trial, taut.Trial) else optuna.TrialPruned
    return x


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MedianPruner", {"n_startup_trials": 3, "n_warmup_steps": 1}),
        ("PercentilePruner", {"percentile": 60.0}),
        ("ThresholdPruner", {"upper": 1.4}),
        ("WilcoxonPruner", {"p_threshold": 0.2}),
    ],
)
def test_it_prunes_the_trials_that_it_prunes_in_optuna(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    pruner = {"method": f"optuna:{name}", **options}
    with taut.Study(tmp_path / "s", minimize="value", sampler="random", pruner=pruner, seed=3) as study:
        study.run(objective, trials=25)
        trials = study.trials
    there = optuna.create_study(pruner=getattr(optuna.pruners, name)(**options))
    for trial in trials:
        there.enqueue_trial(trial.params)
    there.optimize(objective, n_trials=25)
    ended = {"complete": "COMPLETE", "pruned": "PRUNED"}
    assert [ended[trial.state] for trial in trials] == [trial.state.name for trial in there.trials]
    assert {"pruned"} <= {trial.state for trial in trials}
    assert verify(tmp_path / "s", make_proposals).good


def test_a_study_file_may_name_one(tmp_path: Path) -> None:
    from taut import studyfile
    from taut.pruners.registry import names

    (tmp_path / "study.toml").write_text(
        'name = "a"\nfunction = "train:objective"\nminimize = "value"\n'
        '[pruner]\nmethod = "optuna:WilcoxonPruner"\np_threshold = 0.2\n'
    )
    definition = studyfile.read(tmp_path / "study.toml", pruners=names())
    assert make_proposals(definition, definition.parsed_space()).pruner is not None


@pytest.mark.parametrize(
    ("pruner", "told"),
    [
        ("optuna:MedanPruner", "has no pruner 'MedanPruner'; did you mean 'MedianPruner'"),
        ("optuna:SuccessiveHalvingPruner", "keeps notes in its trials, .*use 'asha'"),
        ("optuna:HyperbandPruner", "keeps notes in its trials, .*use 'hyperband'"),
        ("optuna:PatientPruner", "cannot be made so: .*wrapped_pruner"),
        ({"method": "optuna:MedianPruner", "startup": 3}, "cannot be made so: .*startup"),
    ],
)
def test_what_there_is_not_is_told(pruner: Any, told: str) -> None:
    with pytest.raises(taut.InputError, match=told):
        taut.Study(None, SPACE, minimize="loss", pruner=pruner)


def test_several_objectives_are_not_for_optunas_pruners() -> None:
    with pytest.raises(
        taut.InputError, match="MedianPruner knows one objective, and there are 2; use median"
    ):
        taut.Study(None, SPACE, minimize=["a", "b"], pruner="optuna:MedianPruner")
