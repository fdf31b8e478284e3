"""Several ranks train one trial: real torchrun, two processes, gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

import taut
from taut.opening import make_proposals
from taut.verify import verify

pytestmark = pytest.mark.timeout(300)  # five programs import PyTorch; on a busy machine that takes a while

HERE = Path(__file__).parent
SOURCE = Path(taut.__file__).parents[1]


def torchrun(script: str, folder: Path, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    words = ["--standalone", "--nproc-per-node=2", f"--max-restarts={restarts}", "--monitor-interval=0.1"]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{HERE}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", *words, str(HERE / script), str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)


def test_ranks_share_trials_and_decisions_and_survive_a_rank_that_fails(tmp_path: Path) -> None:
    ran = torchrun("ranks_torch.py", tmp_path, restarts=5)
    assert ran.returncode == 0, ran.stderr[-3000:]
    one, other = ((tmp_path / f"rank{rank}").read_text() for rank in (0, 1))
    assert one == other and "stop" in one
    study = taut.Study(tmp_path / "study")
    assert len(study.trials) == 6 and all(trial.attempts == 1 for trial in study.trials)
    failed = study.trials[1]
    assert (
        failed.state == "failed" and "rank 1 of 2" in failed.error and "MemoryError: on one" in failed.error
    )
    assert {trial.state for trial in study.trials} == {"complete", "pruned", "failed"}
    for trial in study.trials:
        assert f"begin {trial.number} {trial.params['rate']} " in one
    assert verify(study.path, make_proposals).good


def test_ranks_that_do_not_do_the_same_hear_why_and_end_together(tmp_path: Path) -> None:
    ran = torchrun("ranks_apart.py", tmp_path)
    assert ran.returncode == 0, ran.stderr[-3000:]
    trials = taut.Study(tmp_path / "study").trials
    assert [trial.state for trial in trials] == ["failed", "complete", "waiting"]
    assert "(should_stop: 3 times here, 2 times there): every rank must ask" in (trials[0].error or "")
    assert "rank 0 is done with this trial and waits for rank 1" in ran.stderr
    assert "rank 0 asked should_stop once, rank 1 0 times: every rank must ask" in ran.stderr
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == ["143", "143"]  # by SIGTERM
    assert trials[2].error == "it was interrupted"


def test_a_trainer_on_several_ranks(tmp_path: Path) -> None:
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    ran = torchrun("ranks_trainer.py", tmp_path)
    assert ran.returncode == 0, ran.stderr[-3000:]
    one, other = ((tmp_path / f"rank{rank}").read_text() for rank in (0, 1))
    assert one == other
    study = taut.Study(tmp_path / "study")
    assert [trial.state == "failed" for trial in study.trials] == [False, True, False, False, False]
    assert "MemoryError: too large" in study.trials[1].error
    assert {"complete", "pruned"} <= {trial.state for trial in study.trials}
    lines = one.splitlines()
    trained = [trial for trial in study.trials if trial.number != 1]
    begins = [f"begin {trial.params['learning_rate']}" for trial in trained]
    ends = [f"end {trial.step:g} /study/trials/{trial.number}/checkpoint" for trial in trained]
    assert lines[:-4] == [line for both in zip(begins, ends, strict=True) for line in both]
    assert lines[-4] == f"best {study.best.number} {study.best.values['objective']}"
    assert "refused trial: 2 ranks train together" in lines[-3] and lines[-1] == "end 3 /out"
    reports = [json.loads(line) for line in (tmp_path / "commanded" / "report").read_text().splitlines()]
    assert [told["step"] for told in reports if "eval_loss" in told] == [2, 3]  # each once
    assert (tmp_path / "commanded" / "checkpoint" / "checkpoint-3" / "trainer_state.json").exists()
