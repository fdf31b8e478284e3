"""Optuna's samplers in taut's studies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

import taut  # noqa: E402
from taut.definition import Method  # noqa: E402
from taut.opening import make_proposals  # noqa: E402
from taut.samplers.base import Sampler  # noqa: E402
from taut.samplers.registry import make  # noqa: E402
from taut.verify import verify  # noqa: E402

SPACE = taut.Space(
    lr=taut.loguniform(1e-5, 1e-1),
    width=taut.ordinal([32, 64, 128]),
    kind=taut.choice(["sgd", "adam"]),
    momentum=taut.uniform(0.0, 1.0, when="kind == 'sgd'"),
    decay=taut.normal(3.0, 1.0),
    layers=taut.uniform_int(1, 4),
)

FLAT = taut.Space(x=taut.uniform(0.0, 1.0), y=taut.uniform(0.0, 1.0))


def bowl(trial: taut.Trial) -> float:
    x, y = trial.params["x"], trial.params["y"]
    return float((x - 0.3) ** 2 + (y - 0.6) ** 2)


def slow(trial: taut.Trial) -> float:
    time.sleep(0.02)
    return bowl(trial)


def loss(trial: taut.Trial) -> float:
    p = trial.params
    found = abs(p["layers"] - 2) + (p["decay"] - 4) ** 2 + (p["kind"] == "adam") + p["width"] / 128
    return float(found + abs(p.get("momentum", 0.5) - 0.5))


@pytest.mark.parametrize(
    "sampler",
    [
        {"method": "optuna:TPESampler"},
        {"method": "optuna:GPSampler", "n_startup_trials": 21},
        {"method": "optuna:NSGAIISampler", "population_size": 8},
        {"method": "optuna:RandomSampler"},
        {"method": "optuna:CmaEsSampler"},
        {"method": "optuna:QMCSampler"},
    ],
    ids=lambda sampler: sampler["method"],
)
def test_one_of_optunas_samplers_drives_a_study(sampler: dict[str, Any], tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", SPACE, minimize="loss", sampler=sampler, seed=2)
    study.run(loss, trials=24)
    assert all(trial.state == "complete" for trial in study.trials)
    assert all(("momentum" in t.params) == (t.params["kind"] == "sgd") for t in study.trials)
    assert len({trial.params["decay"] for trial in study.trials}) > 12
    study.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_several_workers_can_be_verified(tmp_path: Path) -> None:
    """What each of them knew follows from the log, also for a sampler that keeps count."""
    study = taut.Study(tmp_path / "s", FLAT, minimize="loss", sampler="optuna:CmaEsSampler", seed=4)
    study.run(slow, trials=24, workers=3)
    study.close()
    assert verify(tmp_path / "s", make_proposals).good


def test_a_course_is_what_it_would_be_if_it_began_now() -> None:
    """Whatever a sampler that keeps count was asked before: other studies, other numbers."""
    studies = [
        taut.Study(None, FLAT, minimize="loss", sampler="random", seed=s).run(bowl, trials=20) for s in (1, 2)
    ]
    method = Method("optuna:CmaEsSampler", {"n_startup_trials": 2})
    used = make(method)

    def proposed(sampler: Sampler, study: taut.Study, *numbers: int) -> list[list[float]]:
        codes: list[list[float]] = sampler.propose(FLAT, 7, np.array(numbers), study.snapshot).tolist()
        return codes

    for study in (*studies, *studies):
        assert proposed(used, study, 20) == proposed(make(method), study, 20)
    assert proposed(used, studies[0], 20, 21) == proposed(make(method), studies[0], 20, 21)
    # Numbers that others have in their hands count, too: two workers do not propose the same.
    points = [proposed(make(Method("optuna:QMCSampler")), studies[0], n)[0] for n in (20, 21, 22)]
    assert proposed(make(Method("optuna:QMCSampler")), studies[0], 20, 21, 22) == points
    assert len({tuple(point) for point in points}) == 3


def test_cma_moves_and_quasirandom_points_are_spread(tmp_path: Path) -> None:
    from scipy.stats import qmc

    sampler = {"method": "optuna:CmaEsSampler", "n_startup_trials": 2}
    study = taut.Study(None, FLAT, minimize="loss", sampler=sampler, seed=1).run(bowl, trials=120)
    assert min(t.values["loss"] for t in study.trials[60:]) < 1e-3
    points = [
        [t.params["x"], t.params["y"]]
        for t in taut.Study(None, FLAT, minimize="loss", sampler="optuna:QMCSampler")
        .run(bowl, trials=33)
        .trials
    ]
    spread = qmc.discrepancy(
        np.array(points[1:])
    )  # the first is drawn before the space is known to the sampler
    assert spread < 0.3 * min(qmc.discrepancy(np.random.default_rng(i).random((32, 2))) for i in range(20))


PACKAGE = """
import numpy
import optuna


class Counting(optuna.samplers.BaseSampler):
    # Remembers in itself how often it was asked.
    def __init__(self, top=1.0, seed=None):
        self.asked, self.top = 0, top

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        self.asked += 1
        return {}

    def sample_independent(self, study, trial, name, distribution):
        return self.top / self.asked
"""


@pytest.mark.parametrize("known", ["hub", "module"])
def test_a_sampler_of_somebody_else(known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as OptunaHub has them, in a folder that the user has; the same as a module that is installed."""
    if known == "hub":
        pytest.importorskip("optunahub")
    package = tmp_path / "samplers" / "counting"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(package.parent))
    method = {"method": f"optuna:{package if known == 'hub' else 'counting'}:Counting", "top": 0.5}
    study = taut.Study(tmp_path / "s", FLAT, minimize="loss", sampler=method).run(bowl, trials=4)
    assert [trial.params["x"] for trial in study.trials] == [0.5, 0.25, 0.5 / 3, 0.125]
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


def test_one_that_breaks_keeps_the_study(tmp_path: Path) -> None:
    """With margins, Optuna's CMA-ES breaks when a parameter turns out to be conditional: see the branch of `SPACE`."""
    sampler = {"method": "optuna:CmaEsSampler", "with_margin": True}
    study = taut.Study(tmp_path / "s", SPACE, minimize="loss", sampler=sampler, seed=2)
    with pytest.raises(
        taut.StudyError, match=r"CmaEsSampler cannot say what to try next \(ValueError: .* another sampler"
    ):
        study.run(loss, trials=24)
    assert 5 < len(study.trials) < 24
    study.close()
    with taut.Study(tmp_path / "s", sampler="tpe") as again:
        assert len(again.run(loss, trials=24).trials) == 24
    assert verify(tmp_path / "s", make_proposals).good


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ("optuna:TPSampler", "has no sampler 'TPSampler'; did you mean 'TPESampler'"),
        ("optuna:GridSampler", "numbers the points of its space, .*use 'grid'"),
        ("optuna:samplers/mine:Mine", "is no package; give the whole path"),
        ("optuna:nowhere.at:All", "No module named 'nowhere'"),
        ({"method": "optuna:TPESampler", "startups": 3}, "cannot be made so: .*startups"),
    ],
)
def test_what_there_is_not_is_told(sampler: Any, told: str) -> None:
    with pytest.raises(taut.InputError, match=told):
        taut.Study(None, SPACE, minimize="loss", sampler=sampler)
