"""Trials as runs of TensorBoard, MLflow and W&B: read back by their own readers, and written only once."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import taut
from taut.cli import main
from taut.integrations.tracking import mirror, open_tracker
from taut.integrations.tracking.runs import runs

SPACE = taut.Space(
    lr=taut.loguniform(1e-4, 1.0),
    layers=taut.choice([[8], [8, 16]]),
    optim=taut.choice(["adam", "sgd"]),
    momentum=taut.uniform(0.0, 0.9, when="optim == 'sgd'"),
)


@pytest.fixture
def study(tmp_path: Path) -> taut.Study:
    """Eight finished trials, one of which failed and some of which were pruned; and one that runs."""

    def train(trial: taut.Trial) -> float:
        if trial.number == 3:
            raise RuntimeError("out of memory")
        for epoch in range(1, 5):
            trial.report(step=epoch, loss=trial.params["lr"] / epoch)
            if trial.should_stop():
                break
        return trial.params["lr"]

    pruner = {"method": "asha", "eta": 2, "fidelity": {"name": "epoch", "max": 4}}
    made = taut.Study(tmp_path / "runs", SPACE, minimize="loss", pruner=pruner, sampler="random", seed=2)
    made.run(train, trials=8)
    made.budget(9)
    trial = made.ask()
    trial.report(step=1, loss=0.5)
    return made


def export(study: taut.Study, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["export", str(study.path), *words])
    assert ended.value.code == 0, words
    return ""


def test_what_a_tracker_is_given(study: taut.Study) -> None:
    given = list(runs(study.snapshot))
    assert len(given) == len({run.key for run in given}) == 9
    assert {run.trial.state for run in given} == {"complete", "pruned", "failed", "running"}
    assert [run.ended for run in given] == [True] * 8 + [False]
    layers = given[0].params["layers"]
    assert layers in ("[8]", "[8, 16]")
    moved = [run.key for run in runs(taut.Study(study.path).snapshot)]
    assert moved == [run.key for run in given]


def test_fractional_steps_are_counted(tmp_path: Path) -> None:
    study = taut.Study(None, taut.Space(x=taut.uniform(0, 1)), minimize="loss")
    trial = study.ask()
    trial.report(step=0.5, loss=2.0)
    trial.report(step=1.0, loss=1.0)
    (run,) = runs(study.snapshot)
    assert [(p.place, p.values) for p in run.points] == [
        (0, {"step": 0.5, "loss": 2.0}),
        (1, {"step": 1.0, "loss": 1.0}),
    ]


# ---------------------------------------------------------------------- TensorBoard


def read_board(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, Any]]:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    board = EventAccumulator(str(folder))
    board.Reload()
    scalars = {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}
    content = board.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    params = HParamsPluginData.FromString(content).session_start_info.hparams
    return scalars, {name: getattr(v, v.WhichOneof("kind")) for name, v in params.items()}


def test_tensorboard_shows_curves_and_parameters(study: taut.Study, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    board = tmp_path / "board"
    export(study, str(board), "--to", "tensorboard")
    for trial in study.trials:
        if trial.number == 3:
            continue
        scalars, params = read_board(board / str(trial.number))
        assert params["optim"] == trial.params["optim"]
        assert params["lr"] == trial.params["lr"]
        told = [(e.s, e.y["loss"]) for e in study.snapshot.curves.of(trial.number)]
        assert scalars["loss"][: len(told)] == [(s, pytest.approx(v)) for s, v in told]
        if trial.state == "complete":
            assert scalars["loss"][-1] == (4, pytest.approx(trial.params["lr"]))


def test_tensorboard_takes_in_what_is_new(study: taut.Study, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = open_tracker("tensorboard", str(tmp_path / "board"), "s")
    assert mirror(study.snapshot, tracker) == 9
    assert mirror(study.snapshot, tracker) == 0
    watching = EventAccumulator(str(tmp_path / "board" / "8"))
    watching.Reload()
    assert len(watching.Scalars("loss")) == 1
    study.tell(8, loss=0.25)
    assert mirror(study.snapshot, tracker) == 1
    watching.Reload()  # the file grew: whoever watches it need not begin again
    assert [e.value for e in watching.Scalars("loss")] == [0.5, 0.25]
    assert len(list((tmp_path / "board" / "8").iterdir())) == 1


def test_following_ends_with_the_study(
    study: taut.Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    study.tell(8, loss=0.25)
    export(study, str(tmp_path / "board"), "--to", "tensorboard", "--follow")
    assert "9 of 9 trials had something new" in capsys.readouterr().out


def test_what_cannot_be_is_refused(
    study: taut.Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("")
    for words, says in (
        ([str(tmp_path / "file"), "--to", "tensorboard"], "is a file; give a directory"),
        (["--to", "csv", "--follow"], "only mlflow, wandb, tensorboard can follow"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["export", str(study.path), *words])
        assert ended.value.code == 2
        assert says in capsys.readouterr().err


# ---------------------------------------------------------------------- MLflow


def test_mlflow_gets_each_trial_once(study: taut.Study, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("alembic")  # for its database files
    from mlflow.tracking import MlflowClient

    file = tmp_path / "track.db"
    tracker = open_tracker("mlflow", str(file), "sweep")
    assert mirror(study.snapshot, tracker) == 9
    study.tell(8, loss=0.25)
    tracker = open_tracker("mlflow", f"sqlite:///{file}", "sweep")
    assert mirror(study.snapshot, tracker) == 1
    assert mirror(study.snapshot, tracker) == 0
    client = MlflowClient(f"sqlite:///{file}")
    found = client.search_runs([client.get_experiment_by_name("sweep").experiment_id])
    by_number = {int(run.data.tags["taut.trial"]): run for run in found}
    assert sorted(by_number) == list(range(9))
    statuses = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
    for trial in study.trials:
        run = by_number[trial.number]
        assert run.info.status == statuses[trial.state]
        assert run.data.params["optim"] == trial.params["optim"]
        assert run.info.start_time == int(trial.started * 1000)
        if trial.number != 3:
            assert run.data.metrics["loss"] == trial.values["loss"]
    history = client.get_metric_history(by_number[8].info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (1, 0.25)]
    assert "out of memory" in by_number[3].data.tags["taut.error"]
    assert sqlite3.connect(file).execute("select count(*) from runs").fetchone() == (9,)


def test_mlflow_says_what_it_does_not_take(study: taut.Study, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(taut.InputError, match="MLflow does not take"):
        open_tracker("mlflow", "nonsense://x", "s")


# ---------------------------------------------------------------------- W&B


def test_wandb_offline_runs(study: taut.Study, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    place = tmp_path / "offline"
    few = [run for run in runs(study.snapshot) if run.trial.number in (0, 3, 8)]
    tracker = open_tracker("wandb", str(place), "sweep")
    assert [tracker.write(run) for run in few] == [True, True, False]  # the last one runs
    assert [tracker.write(run) for run in few] == [False, False, False]
    assert len(list(place.iterdir())) == 2
    (folder,) = place.glob("offline-run-*-0")
    (file,) = folder.glob("run-*.wandb")
    written = file.read_bytes()
    trial = study.trials[0]
    for text in ("sweep", few[0].key, "optim", trial.params["optim"], "loss", str(trial.params["lr"])[:10]):
        assert text.encode() in written
