"""Optuna's samplers in taut's studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

import taut  # noqa: E402
from taut.opening import make_proposals  # noqa: E402
from taut.verify import verify  # noqa: E402

SPACE = taut.Space(
    lr=taut.loguniform(1e-5, 1e-1),
    width=taut.ordinal([32, 64, 128]),
    kind=taut.choice(["sgd", "adam"]),
    momentum=taut.uniform(0.0, 1.0, when="kind == 'sgd'"),
    decay=taut.normal(3.0, 1.0),
    layers=taut.uniform_int(1, 4),
)


def loss(trial: taut.Trial) -> float:
    p = trial.params
    found = abs(p["layers"] - 2) + (p["decay"] - 4) ** 2 + (p["kind"] == "adam") + p["width"] / 128
    return float(found + abs(p.get("momentum", 0.5) - 0.5))


@pytest.mark.parametrize("name", ["TPESampler", "NSGAIISampler", "RandomSampler"])
def test_one_of_optunas_samplers_drives_a_study(name: str, tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", SPACE, minimize="loss", sampler=f"optuna:{name}", seed=2)
    study.run(loss, trials=24)
    assert all(trial.state == "complete" for trial in study.trials)
    assert all(("momentum" in t.params) == (t.params["kind"] == "sgd") for t in study.trials)
    assert len({trial.params["decay"] for trial in study.trials}) > 12
    study.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_options_constraints_and_wishes() -> None:
    def objective(trial: Any) -> float:
        x: float = trial.suggest_float("x", 0.0, 1.0)
        trial.set_constraint("low", 0.5 - x)
        return x

    sampler = {"method": "optuna:TPESampler", "n_startup_trials": 5, "multivariate": True}
    study = taut.Study(None, minimize="value", sampler=sampler, seed=1).run(objective, trials=30)
    assert 0.5 <= study.best.values["value"] < 0.6
    assert sum(t.params["x"] >= 0.5 for t in study.trials[10:]) > 10


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ("optuna:TPSampler", "has no sampler 'TPSampler'; did you mean 'TPESampler'"),
        ("optuna:QMCSampler", "keeps count in its study, .*use 'quasirandom'"),
        ("optuna:nowhere.at:All", "No module named 'nowhere'"),
        ({"method": "optuna:TPESampler", "startups": 3}, "cannot be made so: .*startups"),
    ],
)
def test_what_there_is_not_is_told(sampler: Any, told: str) -> None:
    with pytest.raises(taut.InputError, match=told):
        taut.Study(None, SPACE, minimize="loss", sampler=sampler)
