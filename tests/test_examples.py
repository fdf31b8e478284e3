"""The examples run on their real data, to their end, as their pages say."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from taut.metrics.language import kl_divergence

ROOT = Path(__file__).parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def taut(*words: str, cwd: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "taut", *words],
        cwd=cwd,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_digits_finds_a_good_network(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn trains the digits example")
    place = tmp_path / "digits"
    place.mkdir()
    for name in ("study.toml", "train.py"):
        shutil.copy(ROOT / "examples" / "digits" / name, place)
    out = taut("run", "study.toml", "--workers", "2", cwd=place)
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
    said = [worker.communicate(timeout=280)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    trials = json.loads(taut("trials", str(study), "--json", cwd=tmp_path))
    assert [trial["state"] for trial in trials] == ["complete"] * 6
    assert (
        min(trial["values"]["eval_loss"] for trial in trials) < 3.2
    )  # guessing by letter frequency: about 3.1
    assert len({trial["worker"] for trial in trials}) == 2
    assert taut("verify", str(study), cwd=tmp_path) == "all 6 suggestions reproduced\n"


def module(path: Path) -> Any:
    """A script of an example, under a name of its own: several are called train.py."""
    torch = pytest.importorskip("torch", reason="PyTorch trains the examples of language models")
    threads = torch.get_num_threads()
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    torch.set_num_threads(threads)
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has hardly learned anything, and little text."""
    for name in ("torch", "transformers"):
        pytest.importorskip(name, reason="the examples of language models train with transformers")
    place = tmp_path_factory.mktemp("pretrained") / "base"
    flags = ["--characters", "20000", "--hidden", "32", "--layers", "1", "--steps", "20"]
    subprocess.run(
        [sys.executable, str(ROOT / "examples" / "pretrain.py"), "--out", str(place), *flags],
        env=ENV,
        check=True,
        timeout=280,
    )
    return place


def run_small(name: str, place: Path, base: Path, **sizes: int) -> list[dict[str, Any]]:
    """The first three trials of an example, with smaller sizes than its own."""
    for path in (ROOT / "examples" / name).iterdir():
        if path.suffix in {".py", ".toml"}:
            shutil.copy(path, place)
    file = place / "study.toml"
    fixed = "".join(f'{key} = {{ expr = "{value}" }}\n' for key, value in sizes.items())
    file.write_text(file.read_text().replace("[budget]\n", f"{fixed}\n[budget]\n"))
    (place / "runs").mkdir()
    (place / "runs" / "base").symlink_to(base)
    out = taut("run", "study.toml", "--trials", "3", cwd=place)
    assert "all 3 trials are finished (3 complete)" in out
    assert taut("verify", "study.toml", cwd=place) == "all 3 suggestions reproduced\n"
    return json.loads(taut("trials", "study.toml", "--json", cwd=place))


def test_lora_trains_adapters_of_the_rank_that_was_asked_for(tmp_path: Path, base: Path) -> None:
    pytest.importorskip("peft", reason="peft makes the adapters")
    trials = run_small("lora", tmp_path, base, characters=2000, held_out=1000)
    for trial in trials:
        params, values = trial["params"], trial["values"]
        assert params["lora_alpha"] == 2 * params["lora_r"]
        # a layer of width 32 has two adapted squares (q, v), or these and two more, and three of 32 x 64
        each = {"attention": 2 * 64, "all": 4 * 64 + 3 * 96}[params["target"]]
        assert values["trained_weights"] == params["lora_r"] * each
        assert 1.0 < values["eval_loss"] < 10.0
    shown = taut("status", "study.toml", cwd=tmp_path)
    assert re.search(r"front: \d trials?, eval_loss", shown) and "within 1%, then wall_seconds" in shown


def test_inference_continues_texts_in_the_way_that_was_asked_for(tmp_path: Path, base: Path) -> None:
    trials = run_small("inference", tmp_path, base, texts=12, batch_size=6)
    for trial in trials:
        sampled = trial["params"]["mode"] == "sample"
        assert ("temperature" in trial["params"]) == ("top_k" in trial["params"]) == sampled
        assert ("num_beams" in trial["params"]) != sampled
        assert 0.0 <= trial["values"]["chrf"] < 100.0 and 0.0 <= trial["values"]["repeated"] < 1.0
        assert trial["values"]["seq_per_s"] > 0.0
    decode = module(tmp_path / "decode.py")
    found, true = ["the cat sat on a mat", "no dog"], ["a cat sat on the mat", "one dog barks"]
    text = pytest.importorskip("torchmetrics.functional.text")
    expected = text.chrf_score(found, [[each] for each in true], n_word_order=0)
    assert decode.chrf(found, true) == pytest.approx(100 * float(expected), rel=1e-5)
    assert decode.repeated(["abcdefgh"]) == 0.0 and decode.repeated(["a" * 17]) == pytest.approx(0.9)


def test_distill_teaches_in_the_direction_that_was_asked_for(tmp_path: Path, base: Path) -> None:
    trials = run_small("distill", tmp_path, base, characters=2000, held_out=1000, passes=2)
    for trial in trials:
        taught = trial["params"]["soft_weight"] > 0
        assert ("temperature" in trial["params"]) == ("direction" in trial["params"]) == taught
        assert trial["values"]["kl"] > 0 and trial["values"]["reverse_kl"] > 0
    train = module(tmp_path / "train.py")
    torch = pytest.importorskip("torch")
    teacher, student = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    for reverse, direction in ((False, "forward"), (True, "reverse")):
        expected = 4 * kl_divergence(teacher, student, temperature=2.0, reverse=reverse)
        assert float(train.soft_loss(teacher, student, 2.0, direction)) == pytest.approx(expected, rel=1e-5)
