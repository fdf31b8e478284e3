"""A study of taut as a storage of Optuna: its figures, its best trial, what is new in it, and nothing that could be written."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

from optuna.storages import BaseStorage  # noqa: E402
from optuna.trial import TrialState  # noqa: E402
from optuna_lab import SPACE, evaluated, loaded  # noqa: E402

import taut  # noqa: E402
from taut.integrations.optuna import TautStorage, export_study  # noqa: E402
from taut.integrations.optuna.frozen import Trials  # noqa: E402


@pytest.fixture
def study(tmp_path: Path) -> taut.Study:
    fresh = taut.Study(
        tmp_path / "s", SPACE, minimize="loss", subject_to="memory <= 40", sampler="random", seed=1
    )
    return evaluated(fresh)


def test_optuna_reads_the_study_while_it_runs(study: taut.Study) -> None:
    storage = TautStorage(study.path)
    seen = optuna.load_study(study_name="s", storage=storage)
    states = [trial.state for trial in seen.trials]
    assert [states.count(state) for state in TrialState] == [1, 8, 2, 2, 1]  # in Optuna's order
    assert seen.best_trial.number == study.best.number
    assert seen.metric_names == ["loss"]
    assert seen.trials[12].intermediate_values == {1: 4.0}
    assert seen.trials[3].user_attrs["taut:error"] == "no memory is left"
    assert seen.trials[0].user_attrs["twice"] == 2 * seen.trials[0].params["layers"]
    again, more = study.ask(2)
    assert again.number == 13 and seen.trials[13].state == TrialState.RUNNING
    assert seen.trials[13].user_attrs["taut:attempts"] == 2
    assert len(seen.trials) == 15 and seen.trials[-1].state == TrialState.RUNNING
    more.tell(loss=0.0, memory=1.0)
    assert seen.best_trial.number == more.number
    study.ask().tell(loss=-1.0, memory=50.0)  # better, and not allowed
    assert storage.get_best_trial(0).number == more.number
    assert all(storage.get_trial(at) == seen.trials[at] for at in range(3))


def test_figures_and_importances_are_made_of_it(study: taut.Study) -> None:
    pytest.importorskip("plotly")
    seen = optuna.load_study(study_name=None, storage=TautStorage(study.path))
    for name in (
        "optimization_history",
        "slice",
        "contour",
        "parallel_coordinate",
        "rank",
        "edf",
        "timeline",
    ):
        assert getattr(optuna.visualization, f"plot_{name}")(seen).data, name
    assert optuna.visualization.plot_intermediate_values(seen).data
    assert set(optuna.importance.get_param_importances(seen)) <= set(SPACE.searched)
    assert len(seen.trials_dataframe()) == 14


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    space = taut.Space(x=taut.uniform(0, 1))
    study = taut.Study(tmp_path / "s", space, minimize="loss", maximize="speed", sampler="random")
    study.run(lambda trial: {"loss": trial.params["x"], "speed": trial.params["x"]}, trials=6)
    seen = optuna.load_study(study_name=None, storage=TautStorage(tmp_path / "s"))
    assert [d.name for d in seen.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert {t.number for t in seen.best_trials} == {t.number for t in study.pareto}


def test_only_what_has_changed_is_made_anew(study: taut.Study) -> None:
    trials = Trials(study.snapshot)
    before = trials.all()
    study.ask(2)[1].tell(loss=1.0, memory=1.0)
    after = trials.all()
    assert len(after) == 15
    assert [n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one is not other] == [13]
    study.tell(12, loss=9.0, memory=9.0)
    assert trials.all()[12].state == TrialState.COMPLETE and trials.all()[11] is before[11]


def test_nothing_can_be_written(study: taut.Study, tmp_path: Path) -> None:
    storage = TautStorage(study.path)
    before = {path: path.lstat().st_mtime_ns for path in study.path.rglob("*")}
    writes = [name for name in vars(BaseStorage) if name.startswith(("set_", "create_", "delete_"))]
    assert len(writes) == 10
    for name in writes:
        method = getattr(storage, name)
        arguments: list[Any] = [0] * len(inspect.signature(method).parameters)
        with pytest.raises(taut.StudyError, match="can read here and not change; run it with"):
            method(*arguments)
    seen = optuna.load_study(study_name=None, storage=storage)
    with pytest.raises(taut.StudyError, match="can read here and not change"):
        seen.ask()
    assert before == {path: path.lstat().st_mtime_ns for path in study.path.rglob("*")}


def test_what_is_not_there(study: taut.Study, tmp_path: Path) -> None:
    with pytest.raises(taut.InputError, match="nowhere holds no study"):
        TautStorage(tmp_path / "nowhere")
    storage = TautStorage(study.path)
    for ask in (
        lambda: storage.get_study_id_from_name("t"),
        lambda: storage.get_all_trials(1),
        lambda: storage.get_trial(99),
    ):
        with pytest.raises(KeyError):
            ask()


def test_it_can_be_sent_to_another_process(study: taut.Study) -> None:
    again = pickle.loads(pickle.dumps(TautStorage(study.path)))
    assert again.get_all_trials(0) == TautStorage(study.path).get_all_trials(0)


def test_numbers_that_nobody_has_begun_wait(tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", taut.Space(x=taut.uniform(0, 1)), minimize="loss", sampler="random")
    trials = study.ask(3)
    other = taut.Study(tmp_path / "s")
    other.store.write(())
    assert other.store.journal.claim(2, 9) is not None
    late = taut.Study(tmp_path / "s").ask()
    assert late.number > trials[-1].number + 1
    seen = TautStorage(tmp_path / "s").get_all_trials(0)
    assert [trial.number for trial in seen] == list(range(late.number + 1))
    assert seen[3].state == TrialState.WAITING and not seen[3].params
    target, _ = export_study(study.snapshot, str(tmp_path / "s.journal"))
    assert [trial.number for trial in loaded(target).trials] == list(range(late.number + 1))
