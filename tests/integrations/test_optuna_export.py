"""What is exported for Optuna, opened by Optuna."""

from __future__ import annotations

from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402
from optuna_lab import SPACE, evaluated, facts, loaded  # noqa: E402

import taut  # noqa: E402
from taut.integrations.optuna import TautStorage, export_study  # noqa: E402

KINDS = ["db", "journal"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> taut.Study:
    place = tmp_path_factory.mktemp("exported") / "s"
    return evaluated(
        taut.Study(place, SPACE, minimize="loss", subject_to="memory <= 40", sampler="random", seed=1)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_has_every_trial(kind: str, study: taut.Study, tmp_path: Path) -> None:
    target, said = export_study(study.snapshot, str(tmp_path / f"s.{kind}"), gpu_seconds={0: 2.5})
    assert [path.name for path in tmp_path.iterdir()] == [f"s.{kind}"]
    found = loaded(target)
    live = TautStorage(study.path).get_all_trials(0)
    live[0].user_attrs["taut:gpu_seconds"] = 2.5
    assert [facts(trial) for trial in found.trials] == [facts(trial) for trial in live]
    assert found.study_name == "s" and found.metric_names == ["loss"]
    assert found.best_trial.number == study.best.number
    text = "\n".join(said)
    assert "width: Optuna does not know the order of its values" in text
    assert "decay: Optuna does not know its normal prior" in text
    assert "kind: Optuna does not know 1, 1.0 and true as different values, so they are texts there" in text
    assert "shape: Optuna does not know lists, which are texts there" in text
    assert "trials are running (1)" in text


@pytest.mark.parametrize("kind", KINDS)
def test_optuna_goes_on_with_it(kind: str, study: taut.Study, tmp_path: Path) -> None:
    target, _ = export_study(study.snapshot, str(tmp_path / f"s.{kind}"))
    found = loaded(target)
    offered = study.trials[13].params

    def objective(trial: optuna.Trial) -> float:
        lr: float = trial.suggest_float("model.lr", 1e-5, 1e-1, log=True)
        if trial.number == 13:  # it waited, and has what taut had offered it
            assert lr == offered["model.lr"]
        return lr

    found.optimize(objective, n_trials=2)
    assert [trial.number for trial in found.trials if trial.state == TrialState.COMPLETE][-2:] == [13, 14]


def test_several_objectives(tmp_path: Path) -> None:
    space = taut.Space(x=taut.uniform(0, 1))
    study = taut.Study(None, space, maximize=["a", "b"], sampler="random")
    for trial in study.ask(5):
        trial.report(step=1, a=1.0)
        trial.tell(a=trial.params["x"], b=-trial.params["x"])
    target, said = export_study(study.snapshot, str(tmp_path / "s.db"))
    found = loaded(target)
    assert [trial.values for trial in found.trials] == [[t.values["a"], t.values["b"]] for t in study.trials]
    assert [direction.name for direction in found.directions] == ["MAXIMIZE", "MAXIMIZE"]
    assert said == ["Optuna has no intermediate values with several objectives: reports are left out"]


def test_reports_that_optuna_cannot_hold_are_said(tmp_path: Path) -> None:
    study = taut.Study(None, taut.Space(x=taut.uniform(0, 1)), minimize="loss", sampler="random")
    trial = study.ask()
    trial.report(step=0.5, loss=1.0)
    trial.report(step=1, loss=float("nan"), speed=2.0)
    trial.tell(loss=1.0)
    target, said = export_study(study.snapshot, str(tmp_path / "s.journal"))
    assert facts(loaded(target).trials[0])["intermediate_values"] == {1: "nan"}
    assert said == [
        "Optuna has one intermediate value at a step: reports of speed are left out",
        "Optuna's steps are whole numbers: 1 reports between them are left out",
    ]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("s.xlsx", "does not say which of Optuna's storages"),
        ("taken.db", "taken.db exists"),
        ("nowhere/s.db", "nowhere is not a directory"),
        ("folder.db", "folder.db is a directory"),
    ],
)
def test_a_path_that_cannot_be_is_refused(path: str, told: str, study: taut.Study, tmp_path: Path) -> None:
    (tmp_path / "taken.db").write_text("mine")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(taut.InputError, match=told):
        export_study(study.snapshot, str(tmp_path / path))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder.db", "taken.db"]
    assert (tmp_path / "taken.db").read_text() == "mine"


def test_a_url_and_a_file_that_is_replaced(study: taut.Study, tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("mine")
    target, _ = export_study(study.snapshot, f"sqlite:///{tmp_path / 's.db'}", overwrite=True)
    assert target == tmp_path / "s.db" and len(loaded(target).trials) == 14
