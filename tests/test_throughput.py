"""examples/throughput: packing changes nothing but speed, memory is what it says, and the study runs where its page says."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hq.hq_lab import Cluster, missing
from processes import until

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "examples" / "throughput"

torch = pytest.importorskip("torch", reason="PyTorch trains the throughput example")


@pytest.fixture
def objective(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(PLACE))
    threads = torch.get_num_threads()
    yield importlib.import_module("objective")
    torch.set_num_threads(threads)
    for name in ("objective", "model"):  # other examples have modules of these names
        sys.modules.pop(name, None)


def study(folder: Path) -> Path:
    """The example, with one CPU for each of HyperQueue's tasks: the workers of the tests have no more."""
    for path in PLACE.glob("*.py"):
        shutil.copy(path, folder)
    text = (PLACE / "study.toml").read_text()
    assert "cpus = 4" in text
    (folder / "study.toml").write_text(text.replace("cpus = 4", "cpus = 1").replace("[1, 2, 4]", "[1]"))
    return folder


def test_packing_changes_neither_loss_nor_gradients(objective: ModuleType) -> None:
    model = objective.LanguageModel().double()
    data = objective.DATA[:12]
    found = []
    for make in (objective.padded, objective.packed):
        model.zero_grad()
        loss = model.loss(make(data))
        loss.backward()
        found.append((loss.item(), torch.cat([weight.grad.flatten() for weight in model.parameters()])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)  # the scores are rounded to float32
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)


def test_packing_keeps_every_token_once_and_wastes_little(objective: ModuleType) -> None:
    batch = objective.packed(objective.DATA)
    total = sum(map(len, objective.DATA))
    assert int((batch.targets >= 0).sum()) == total - len(objective.DATA)  # the last of each has no next
    assert batch.tokens.shape[1] <= 256 and batch.tokens.numel() < 1.1 * total
    assert objective.padded(objective.DATA).tokens.numel() > 3 * total


def test_memory_grows_with_the_batch_and_shrinks_with_the_type(objective: ModuleType) -> None:
    model = objective.LanguageModel()

    def kept(count: int, dtype: str = "float32") -> int:
        kept: int = objective.kept(model, objective.padded(objective.DATA[:count]), dtype)
        return kept

    assert kept(2) < kept(8) < kept(32)
    assert kept(32) == kept(32)
    fixed = 4 * sum(weight.nbytes for weight in model.parameters())
    assert 0.4 < (kept(32, "bfloat16") - fixed) / (kept(32) - fixed) < 0.8


@pytest.mark.slow
def test_the_study_runs(tmp_path: Path) -> None:
    place = study(tmp_path)
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def taut(*words: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", "taut", *words],
            cwd=place,
            env=env,
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    assert "all 4 trials are finished (4 complete)" in taut("run", "study.toml", "--trials", "4")
    trials = json.loads(taut("trials", "study.toml", "--json"))
    assert trials[0]["params"] == {
        "batch_size": 8,
        "threads": 1,
        "packing": False,
        "dtype": "float32",
        "optimizer": "foreach",
    }
    assert trials[0]["values"]["memory_mb"] == pytest.approx(22.5, rel=0.1)
    assert all(trial["values"]["seq_per_s"] > 0 for trial in trials)
    best = json.loads(taut("best", "study.toml", "--json"))
    fit = [trial["values"] for trial in trials if trial["values"]["memory_mb"] <= 40]
    assert best["values"]["seq_per_s"] == max(values["seq_per_s"] for values in fit)


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_it_runs_under_hyperqueue(tmp_path: Path) -> None:
    place = study(tmp_path)
    cluster = Cluster(tmp_path / "hq", workers=1)
    try:
        env = {**cluster.environment, "HQ_SERVER_DIR": str(cluster.directory)}

        def taut(*words: str) -> str:
            command = [*cluster.enter, sys.executable, "-m", "taut", *words]
            ran = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=60)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            return ran.stdout

        taut("run", "study.toml", "--on", "hyperqueue", "--trials", "3", "--workers", "1")
        told = place / "runs" / "throughput"
        until(lambda: len(json.loads(taut("trials", str(told), "--json"))) == 3, 60)
        until(
            lambda: (
                {trial["state"] for trial in json.loads(taut("trials", str(told), "--json"))} == {"complete"}
            ),
            60,
        )
    finally:
        cluster.close()
