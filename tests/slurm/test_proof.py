"""The proof: a study of 60 trainings over four nodes loses nothing and counts nothing twice, whatever happens to its jobs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cluster import Cluster
from workplace import Workplace

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits" / "train.py"

# Around the unchanged script: hang where the test says so, as on a file system that is away, then train.
HANG = """\
import os, pathlib, runpy, time
hold = pathlib.Path(__file__).with_name("hold-" + os.environ["TAUT_TRIAL"] + "-" + os.environ["TAUT_ATTEMPT"])
while hold.exists():
    time.sleep(0.05)
runpy.run_path(str(pathlib.Path(__file__).with_name("train.py")), run_name="__main__")
"""

STUDY = """\
name = "proof"
command = "python hang.py {args} --epochs 8"
minimize = "val_loss"

[results]
stdout = '(?:step=(?P<step>\\d+) )?val_loss=(?P<val_loss>\\S+) val_accuracy=(?P<val_accuracy>\\S+)'

[space]
learning_rate_init = { loguniform = [3e-4, 1e-1], start = 1e-3 }
alpha = { loguniform = [1e-6, 1.0], start = 1e-4 }
hidden = { loguniform_int = [16, 64], start = 32 }
activation = { choice = ["relu", "tanh"] }

[budget]
trials = 60

[on.slurm]
partition = "low"
cpus = 4
memory = "1G"
time = "2m"
workers = 4
"""


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_sixty_trials_survive_everything_and_go_on_elsewhere(slurm: Cluster, tmp_path: Path) -> None:
    place = Workplace(slurm, tmp_path, "proof")
    place.write("study.toml", STUDY)
    place.write("hang.py", HANG)
    shutil.copyfile(EXAMPLE, tmp_path / "train.py")
    # The first attempts of these hang, so that each disaster meets a trial in its middle.
    lost, late, cancelled, preempted, requeued = (f"{n}-0" for n in range(5))
    place.hold(lost, late, cancelled, preempted, requeued)
    place.submit()

    def job_of(attempt: str) -> str:
        found = place.until(lambda: place.find("started", attempt), 60, f"the start of {attempt}")
        assert found.job is not None
        return found.job

    jobs = {attempt: job_of(attempt) for attempt in (lost, late, cancelled, preempted)}
    nodes = {attempt: slurm.run("squeue", "-h", "-j", job, "-o", "%N") for attempt, job in jobs.items()}
    assert set(nodes.values()) == set(slurm.nodes), "one worker on each node"
    slurm.kill_node(nodes[lost])
    slurm.run("scancel", jobs[cancelled])
    urgent = ("-p", "high", "-w", nodes[preempted], "--exclusive", "--mem=50", "-t", "1", "-o", "/dev/null")
    slurm.run("sbatch", *urgent, "--wrap", "sleep 1")
    jobs[requeued] = job_of(requeued)
    slurm.run("scontrol", "requeue", jobs[requeued])  # `late` is left to run into its time limit

    place.until(lambda: place.find("finished", "0-1"), 110, "the second life of what the lost node had")
    place.let_go(lost)  # its process has lived on, and tells its result, too
    superseded = place.until(lambda: place.find("finished", lost), 30, "the lost node's own result")
    place.until_over(240)

    trials = place.trials()
    assert [trial["number"] for trial in trials] == list(range(60))
    assert {trial["state"] for trial in trials} == {"complete"}
    assert {n: len(ends) for n, ends in place.counted().items()} == dict.fromkeys(range(60), 1)
    assert superseded.event["state"] == "complete" and trials[0]["attempts"] >= 2
    why = {n: trials[n]["interruptions"][0] for n in range(5)}
    assert why[0] == f"attempt 0: {nodes[lost]}, where job {jobs[lost]} ran, failed"
    assert why[1].startswith("attempt 0: the job's time was over after ")
    assert why[2] == f"attempt 0: job {jobs[cancelled]} was cancelled"
    assert why[3] == f"attempt 0: job {jobs[preempted]} was preempted"
    assert why[4] == f"attempt 0: job {jobs[requeued]} was requeued"
    assert len({one.job for one in place.log() if one.kind == "finished"}) > 2, "several jobs have carried it"
    place.taut("verify", str(place.study))

    place.taut("run", str(place.study), "--trials", "70", "--workers", "2", timeout=120)
    trials = place.trials()
    assert [trial["number"] for trial in trials] == list(range(70))
    assert {trial["state"] for trial in trials} == {"complete"}
    assert {n: len(ends) for n, ends in place.counted().items()} == dict.fromkeys(range(70), 1)
    place.taut("verify", str(place.study))
