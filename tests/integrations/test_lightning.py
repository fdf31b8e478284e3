"""`TautCallback` with real trainers of Lightning, on the CPU."""

from __future__ import annotations

import importlib
import logging
import math
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import taut
from taut.integrations.lightning import TautCallback
from taut.opening import make_proposals
from taut.verify import verify

SPACE = taut.Space(lr=taut.loguniform(1e-4, 1.0))
ASHA = {"method": "asha", "eta": 2, "fidelity": {"name": "epoch", "min": 1, "max": 4}}
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore")


def data() -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=generator)
    return DataLoader(TensorDataset(x, x @ torch.tensor([[1.0], [-2.0], [0.5], [0.0]])), batch_size=16)


def module(package: Any, lr: float, validates: bool = True) -> Any:
    class Line(package.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.line = torch.nn.Linear(4, 1)

        def _loss(self, batch: Any) -> Any:
            return torch.nn.functional.mse_loss(self.line(batch[0]), batch[1])

        def training_step(self, batch: Any, index: int) -> Any:
            loss = self._loss(batch)
            self.log("train_loss", loss, on_epoch=True, on_step=False)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val/loss", self._loss(batch))

        def train_dataloader(self) -> DataLoader:
            return data()

        if validates:

            def val_dataloader(self) -> DataLoader:
                return data()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=lr)

    return Line()


def trainer(package: Any, callback: Any, epochs: int = 4, **options: Any) -> Any:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "accelerator": "cpu",
    }
    given = {**quiet, "enable_model_summary": False, "devices": 1, **options}
    return package.Trainer(max_epochs=epochs, callbacks=[callback], **given)


@pytest.mark.parametrize("name", ["lightning", "pytorch_lightning"])
def test_a_trainer_reports_and_is_pruned(name: str) -> None:
    package = importlib.import_module(name) if name == "lightning" else pytest.importorskip(name)
    epochs = []

    def train(trial: taut.Trial) -> None:
        made = trainer(package, TautCallback(trial))
        made.fit(module(package, trial.params["lr"]))
        epochs.append(made.current_epoch)

    study = taut.Study(None, SPACE, minimize="val_loss", pruner=ASHA, sampler="random", seed=1)
    study.run(train, trials=6)
    assert {trial.state for trial in study.trials} == {"complete", "pruned"}
    assert [trial.step for trial in study.trials] == epochs
    assert min(epochs) < 4 and max(epochs) == 4
    assert math.isfinite(study.best.values["val_loss"])
    first = study.snapshot.curves.of(0)[0]
    assert set(first.y) == {"val_loss", "train_loss"}  # both of the same epoch


def test_steps_are_epochs_with_fractions_or_optimiser_steps() -> None:
    study = taut.Study(None, SPACE, minimize="val_loss")
    for step, expected in (("epoch", [0.5, 1.0, 1.5, 2.0]), ("step", [2.0, 4.0, 6.0, 8.0])):
        trial = study.ask()
        trainer(lightning, TautCallback(trial, step=step), 2, val_check_interval=0.5).fit(
            module(lightning, 0.01)
        )
        assert [event.s for event in study.snapshot.curves.of(trial.number)] == expected
    with pytest.raises(taut.InputError, match='"epoch" or "step"'):
        TautCallback(step="batch")


def test_without_validation_epochs_are_reported_at_their_end() -> None:
    study = taut.Study(None, SPACE, minimize="train_loss")
    trial = study.ask()
    trainer(lightning, TautCallback(trial), 2).fit(module(lightning, 0.01, validates=False))
    rows = study.snapshot.curves.of(trial.number)
    assert [event.s for event in rows] == [1.0, 2.0] and "train_loss" in rows[0].y


def test_a_trial_that_is_stopped_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    ran: dict[int, list[int]] = {}

    class Watch(lightning.Callback):
        def __init__(self, number: int) -> None:
            self.number = number

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            ran.setdefault(self.number, []).append(trainer.current_epoch)

    def train(trial: taut.Trial) -> None:
        tuned = TautCallback(trial)
        made = trainer(lightning, tuned)
        made.callbacks.append(Watch(trial.number))
        made.fit(module(lightning, trial.params["lr"]), ckpt_path=tuned.ckpt_path)

    pruner = {**ASHA, "fidelity": {**ASHA["fidelity"], "resume": True}}
    study = taut.Study(
        tmp_path / "study", SPACE, minimize="val_loss", pruner=pruner, sampler="random", seed=1
    )
    study.run(train, trials=6)
    promoted = [trial.number for trial in study.trials if trial.attempts > 1]
    assert promoted
    for number, epochs in ran.items():  # none was trained twice
        assert epochs == list(range(len(epochs))), number
    assert len(ran[study.best.number]) == 4
    assert verify(tmp_path / "study", make_proposals).good


def test_a_trial_makes_way_and_goes_on(tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "study", SPACE, minimize="val_loss", trials=1)
    steps = []
    for trial in study.work():
        tuned = TautCallback(trial)
        made = trainer(lightning, tuned)
        if trial.attempt == 0:

            class Leave(lightning.Callback):
                def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
                    if trainer.global_step == 6:  # in the second epoch
                        study.store.walltime.ask("a test", at_once=False)

            made.callbacks.insert(0, Leave())
        made.fit(module(lightning, 0.01), ckpt_path=tuned.ckpt_path)
        steps.append(made.global_step)
        if trial.attempt == 0:
            assert trial.paused and (trial.checkpoint_dir / "lightning.ckpt").exists()
            break
    later = taut.Study(tmp_path / "study")
    for trial in later.work():
        assert trial.attempt == 1
        tuned = TautCallback(trial)
        assert tuned.ckpt_path is not None
        made = trainer(lightning, tuned)
        made.fit(module(lightning, 0.01), ckpt_path=tuned.ckpt_path)
        steps.append(made.global_step)
    assert steps[0] == 6 and steps[1] == 16
    assert [trial.state for trial in later.trials] == ["complete"]


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
import lightning
from test_lightning import module, trainer
from taut.integrations.lightning import TautCallback

tuned = TautCallback()
made = trainer(lightning, tuned, devices=2, strategy="ddp")
made.fit(module(lightning, float(sys.argv[1].partition("=")[2])), ckpt_path=tuned.ckpt_path)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_script_with_two_ranks_that_taut_runs(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.format(here=str(Path(__file__).parent)))
    (tmp_path / "study.toml").write_text(
        f'name = "s"\ncommand = "{sys.executable} train.py {{args}}"\nminimize = "val_loss"\nstyle = "--k=v"\n'
        "[space]\nlr = { loguniform = [1e-3, 1e-1] }\n[budget]\ntrials = 1\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "taut", "run", "study.toml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(taut.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    study = taut.Study(tmp_path / "runs" / "s")
    (trial,) = study.trials
    assert trial.step == 4.0 and trial.values["val_loss"] > 0
    assert [row.s for row in study.snapshot.curves.heard] == [1.0, 2.0, 3.0, 4.0]  # of one rank alone


def test_elsewhere_it_does_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = trainer(lightning, TautCallback(), 1)
        made.fit(module(lightning, 0.01))
    assert made.current_epoch == 1


@pytest.mark.parametrize("heading", ["Lightning", "PyTorch"])
def test_the_snippets_of_the_page_run(heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text()
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"^```py\n(.*?)^```", section, flags=re.M | re.S)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(code, "docs/integrations.md", "exec"), names)
    assert names["study"].best.values
