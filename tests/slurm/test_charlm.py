"""examples/charlm under asynchronous successive halving on a real Slurm: one job is cancelled, one is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster import Cluster
from workplace import Workplace

import charlm

TRIALS = 9
JOBS = """
[on.slurm]
cpus = 1
memory = "1G"
time = "10m"
workers = 2
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_lost_jobs_cost_little_and_the_study_finds_the_same(
    slurm: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="PyTorch trains the charlm example")
    place = Workplace(slurm, tmp_path, "charlm")
    charlm.prepare(tmp_path, place.name, TRIALS)
    with (tmp_path / "study.toml").open("a") as file:
        file.write(JOBS)
    place.submit()

    def lose(epochs: int, *how: str) -> str:
        """Take a job away once so many epochs are trained: the one that said the latest."""
        place.until(lambda: len(charlm.trained(place.study)) >= epochs, 90, f"{epochs} epochs")
        running = {
            "_".join(job[:2])
            for job in place.jobs("ArrayJobID", "ArrayTaskID", "State")
            if job[2] == "RUNNING"
        }
        label = next(one.job for one in reversed(place.log()) if one.job in running)
        assert label is not None
        place.cluster.run("scancel", *how, label)
        return label

    lost = {lose(3), lose(8, "--signal=KILL", "--full")}
    place.until_over(200)
    began = {one.job for one in place.log() if one.kind == "started"}
    assert len(lost) == 2 and lost < began, "no other job went on"
    place.taut("run", "full.toml", "--workers", "2", timeout=120)
    told = charlm.compare(place.study, tmp_path / "runs" / "full", kills=2)
    with capsys.disabled():
        print(f"\ncharlm, Slurm: {told}")
