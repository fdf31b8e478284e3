"""The examples run on their real data, to their end, as their pages say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def taut(*words: str, cwd: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "taut", *words],
        cwd=cwd,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_digits_finds_a_good_network_in_under_two_minutes(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn trains the digits example")
    place = tmp_path / "digits"
    place.mkdir()
    for name in ("study.toml", "train.py"):
        shutil.copy(ROOT / "examples" / "digits" / name, place)
    began = time.monotonic()
    out = taut("run", "study.toml", "--workers", "2", cwd=place)
    assert time.monotonic() - began < 110
    assert "all 40 trials are finished (40 complete)" in out
    trials = json.loads(taut("trials", "study.toml", "--json", cwd=place))
    best = json.loads(taut("best", "study.toml", "--json", cwd=place))
    assert [trial["number"] for trial in trials] == list(range(40))
    assert best["values"]["val_loss"] == min(trial["values"]["val_loss"] for trial in trials) < 0.2
    assert f"best: trial {best['number']}" in out
    assert (place / "runs" / "digits" / "trials" / str(best["number"]) / "stdout").read_text().count(
        "val_loss"
    ) > 1
    # the momentum is a parameter of sgd alone, and the script was never given it otherwise
    assert all(("momentum" in t["params"]) == (t["params"]["solver"] == "sgd") for t in trials)
    assert taut("verify", "study.toml", cwd=place) == "all 40 suggestions reproduced\n"


def test_charlm_learns_with_two_warm_workers(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch trains the charlm example")
    script = ROOT / "examples" / "charlm" / "train.py"
    study = tmp_path / "charlm"
    small = ["--dir", str(study), "--trials", "6", "--epochs", "3", "--characters", "60000"]
    workers = [
        subprocess.Popen([sys.executable, str(script), *small], env=ENV, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [worker.communicate(timeout=110)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    trials = json.loads(taut("trials", str(study), "--json", cwd=tmp_path))
    assert [trial["state"] for trial in trials] == ["complete"] * 6
    assert (
        min(trial["values"]["eval_loss"] for trial in trials) < 3.2
    )  # guessing by letter frequency: about 3.1
    assert len({trial["worker"] for trial in trials}) == 2
    assert taut("verify", str(study), cwd=tmp_path) == "all 6 suggestions reproduced\n"
