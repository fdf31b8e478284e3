"""examples/optuna-exercise: the same objective comes to the same under Optuna and under taut, and its number is what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import exercise
import taut

SOURCE = Path(taut.__file__).parents[1]

# In a process of its own: its modules have names that others have, too, and it sets PyTorch's threads.
SAME = """
import json

import optuna
import torch

import objective
import taut

made = []


class Kept(objective.Trainer):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        made.append(self)


objective.Trainer = Kept
study = taut.Study("runs/taut", minimize="eval_loss", sampler="random").run(objective.objective, trials=2)
first = study.trials[0]
alone = objective.objective(optuna.trial.FixedTrial(first.params))
codes = torch.tensor([block["input_ids"] for block in objective.HELD_OUT])
with torch.no_grad():
    scores = made[-1].model.eval()(codes).logits[:, :-1].flatten(0, 1)
mean = torch.nn.functional.cross_entropy(scores, codes[:, 1:].flatten()).item()
print(json.dumps({"params": first.params, "taut": first.values["eval_loss"], "optuna": alone, "mean": mean}))
"""


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=110,
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_objective_is_the_same_in_both(tmp_path: Path) -> None:
    exercise.required()
    exercise.prepare(tmp_path)
    early = run(tmp_path, "-m", "taut", "run", "study.toml")
    assert early.returncode == 2 and "python pretrain.py makes it" in early.stderr
    assert not (tmp_path / "runs").exists()
    assert run(tmp_path, *exercise.command("python pretrain.py")[1:]).returncode == 0
    ran = run(tmp_path, "-c", SAME)
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert told["params"].keys() == {"learning_rate", "weight_decay"}
    assert told["taut"] == told["optuna"]
    assert told["optuna"] == pytest.approx(told["mean"], rel=1e-5)
