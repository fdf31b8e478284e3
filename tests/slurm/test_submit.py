"""`taut run --on slurm` as a user types it: what it says, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster import Cluster

from taut import allocation
from taut.slurm.rounds import Rounds, Submission
from taut.submission import wind_down

SOURCE = Path(__file__).parents[2] / "src"

TRAIN = """\
import json, os, sys, time
x = float(sys.argv[sys.argv.index("--x") + 1])
time.sleep(0.2)
with open(os.environ["TAUT_REPORT"], "a") as report:
    print(json.dumps({"loss": (x - 0.3) ** 2}), file=report)
"""

STUDY = """\
name = "demo"
command = "python train.py {args}"
minimize = "loss"

[space]
x = { uniform = [0, 1] }

[budget]
trials = 6

[on.slurm]
time = "5m"
cpus = 1
memory = "300M"
workers = 2
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def taut(home: Path, *words: str, code: int = 0, path: str | None = None) -> str:
    """What a command says; errors too."""
    bin_ = os.path.dirname(sys.executable)
    done = subprocess.run(
        [sys.executable, "-m", "taut", *words],
        cwd=home,
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "PATH": path or f"{bin_}:{os.environ['PATH']}",
            "COLUMNS": "100",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def edit(home: Path, old: str, new: str) -> None:
    text = (home / "study.toml").read_text()
    assert text.count(old) == 1
    (home / "study.toml").write_text(text.replace(old, new))


def masked(text: str, home: Path) -> str:
    text = re.sub(r"taut-demo-[0-9a-f]{6}", "taut-demo-NAME", text.replace(str(home), "HOME"))
    text = text.replace(sys.executable, "PYTHON")
    return re.sub(r"\bscancel \d+ \d+", "scancel N N", re.sub(r"\bjob \d+", "job N", text))


def wait(home: Path, trials: int, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while True:
        found = json.loads(taut(home, "trials", "study.toml", "--json"))
        if sum(trial["state"] == "complete" for trial in found) >= trials:
            return
        assert time.monotonic() < until, taut(home, "status", "study.toml", "--jobs")
        time.sleep(0.3)


def says(home: Path, pattern: str, seconds: float = 40.0) -> None:
    """`taut status` says it, once Slurm was asked again: not more often than every 11 s."""
    until = time.monotonic() + seconds
    while not re.search(pattern, status := taut(home, "status", "study.toml"), re.MULTILINE):
        assert time.monotonic() < until, status
        time.sleep(0.5)


# -- without Slurm ------------------------------------------------------------------------------------------


def test_without_slurm_it_says_so_and_leaves_nothing(home: Path) -> None:
    empty = home / "bin"
    empty.mkdir()
    (empty / "python").symlink_to(sys.executable)
    said = taut(home, "run", "study.toml", "--on", "slurm", code=2, path=str(empty))
    assert said == (
        "taut: Slurm is not installed here: there is no sbatch in PATH; use a login node of the cluster, "
        "or leave --on out to run on this machine\n"
    )
    assert not (home / "runs").exists()


# -- with Slurm ---------------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_jobs_and_leaves_nothing(home: Path, slurm: Cluster) -> None:
    said = taut(home, "run", "study.toml", "--on", "slurm", "--dry-run")
    assert masked(said, home) == (
        """\
# HOME/runs/demo/slurm/0000/job.sh, submitted with:
# sbatch --parsable --array=0-5%2 HOME/runs/demo/slurm/0000/job.sh
#!/bin/bash
# A worker of the study in HOME/runs/demo, round 0. Made by taut run --on slurm.

#SBATCH --job-name=taut-demo-NAME.0
#SBATCH --output=HOME/runs/demo/slurm/0000/%a.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=300M
#SBATCH --time=00:05:00
#SBATCH --signal=B:USR1@75
#SBATCH --requeue

# When this job ends, in seconds since 1970; Slurm says so itself from 23.02 on.
export SLURM_JOB_END_TIME=${SLURM_JOB_END_TIME:-$(( $(date +%s) + 300 ))}

# exec: the command takes the shell's place, so that Slurm's signals reach it.
exec PYTHON -m taut worker HOME/runs/demo --workers 1 --mode async --notice 75s --grace 1s

# HOME/runs/demo/slurm/0000/next.sh, submitted with:
# sbatch --parsable --dependency=afterany:JOB-OF-JOB-0 HOME/runs/demo/slurm/0000/next.sh
#!/bin/bash
# Starts when the jobs before have ended, and submits what is left of the study in HOME/runs/demo.

#SBATCH --job-name=taut-demo-NAME.0.next
#SBATCH --output=HOME/runs/demo/slurm/0000/next.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --time=00:05:00
#SBATCH --requeue

# When this job ends, in seconds since 1970; Slurm says so itself from 23.02 on.
export SLURM_JOB_END_TIME=${SLURM_JOB_END_TIME:-$(( $(date +%s) + 300 ))}

# exec: the command takes the shell's place, so that Slurm's signals reach it.
exec PYTHON -m taut run HOME/runs/demo --on slurm

"""
    )
    assert not (home / "runs").exists()
    assert slurm.run("squeue", "-h") == ""


def test_it_submits_and_the_jobs_carry_the_study_to_its_end(
    home: Path, slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = taut(home, "run", "study.toml", "--on", "slurm")
    assert masked(said, home) == (
        "study demo in HOME/runs/demo: 6 trials, 0 of them finished\n"
        "job N: 6 workers, at most 2 at a time, each 1 CPU, 5 min  (HOME/runs/demo/slurm/0000/job.sh)\n"
        "job N follows, and submits what is then left  (HOME/runs/demo/slurm/0000/next.sh)\n"
        "nothing here needs to stay; look at it with: taut status HOME/runs/demo\n"
        "to stop it: scancel N N\n"
    )
    monkeypatch.setenv("SQUEUE_PARTITION", "high")  # a user's filter for the terminal hides nothing from us
    again = taut(home, "run", "study.toml", "--on", "slurm")
    monkeypatch.delenv("SQUEUE_PARTITION")
    assert "has jobs already" in again and "no more are submitted" in again
    wait(home, 6)
    slurm.wait_idle()
    assert slurm.run("squeue", "-h") == "", "what waited in vain was cancelled"
    assert "is finished; nothing is submitted" in taut(home, "run", "study.toml", "--on", "slurm")
    says(home, r"^jobs: .*cancelled.*completed")
    says(home, r"^CPU-hours: 0\.\d\d used; \d+% of it was not spent")
    assert "all 6 suggestions reproduced" in taut(home, "verify", "study.toml")
    # The same study goes on here, and on the queue again.
    taut(home, "run", "study.toml", "--trials", "7")
    taut(home, "run", "study.toml", "--on", "slurm", "--trials", "9")
    wait(home, 9)
    assert len(Rounds(home / "runs/demo/slurm").all()) == 4


@pytest.mark.parametrize(
    ("old", "new", "number"),
    [
        ('time = "5m"', 'time = "5m"\npartition = "gpu"', "'gpu' is not a partition"),
        ('time = "5m"', 'time = "3d"', "1d"),
        ("cpus = 1", "cpus = 64", "4 CPUs"),
        ("cpus = 1", "cpus = 1\ngpus = 3", "has 3 GPUs; the most is 2"),
        ("cpus = 1", 'cpus = 1\nqos = "deny"\n#', "5m"),
    ],
)
def test_what_can_never_start_is_refused_with_the_number(
    home: Path, slurm: Cluster, old: str, new: str, number: str
) -> None:
    if "deny" in new:
        new = new.replace("\n#", "")
        edit(home, 'time = "5m"', 'time = "10m"')
    edit(home, old, new)
    said = taut(home, "run", "study.toml", "--on", "slurm", code=2)
    assert said.startswith("taut: study.toml:"), said
    assert "on.slurm." in said and number in said, said
    assert not (home / "runs").exists()
    assert slurm.run("squeue", "-h") == ""


def test_what_sbatch_refuses_is_refused_without_a_trace(home: Path, slurm: Cluster) -> None:
    edit(home, "cpus = 1", 'cpus = 1\nconstraint = "nope"')
    said = taut(home, "run", "study.toml", "--on", "slurm", code=2)
    assert "on.slurm: sbatch refuses the job" in said and "Invalid feature specification" in said
    assert not (home / "runs").exists()
    edit(home, 'constraint = "nope"', "")
    taut(home, "run", "study.toml", "--on", "slurm")


def test_however_many_submit_at_once_one_does(home: Path, slurm: Cluster) -> None:
    several = [
        subprocess.Popen(
            [sys.executable, "-m", "taut", "run", "study.toml", "--on", "slurm"],
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(6)
    ]
    said = [process.communicate(timeout=60)[0] for process in several]
    assert sorted(process.returncode for process in several)[0] == 0
    assert sum("follows, and submits" in text for text in said) == 1, said
    assert len(slurm.run("sacct", "-X", "-n", "-o", "JobID", f"--name={name_of(home)}").split()) <= 6
    wait(home, 6)


def name_of(home: Path) -> str:
    return Rounds(home / "runs/demo/slurm").prefix("demo") + "0"


def test_a_budget_of_gpu_hours(home: Path, slurm: Cluster) -> None:
    edit(home, "cpus = 1", "cpus = 1\ngpus = 1")
    said = taut(home, "run", "study.toml", "--on", "slurm", "--gpu-hours", "0.05", code=2)
    assert "one job may use 0.0833333 GPU-hours (1 x 5 min), and 0.05 of 0.05 are left" in said
    assert not (home / "runs").exists()
    said = taut(home, "run", "study.toml", "--on", "slurm", "--gpu-hours", "0.2")
    assert "2 workers" in said and "pay for 2 jobs" in said
    wait(home, 6)
    says(home, r"^GPU-hours: 0\.\d\d used of 0\.2; ")
    trials = json.loads(taut(home, "trials", "study.toml", "--json"))
    assert all(0 < trial["gpu_hours"] < 0.01 for trial in trials)


def test_jobs_run_the_copy_that_was_frozen(home: Path, slurm: Cluster) -> None:
    subprocess.run(["git", "init", "-q", str(home)], check=True)
    edit(home, "cpus = 1", "cpus = 1\nsnapshot = true")
    full = slurm.run(
        "sbatch", "--parsable", "--array=0-3", "--exclusive", "-o/dev/null", "--wrap=sleep 99"
    ).strip()
    assert "2 files copied" in taut(home, "run", "study.toml", "--on", "slurm")
    (home / "train.py").write_text("raise SystemExit('edited while the jobs waited')\n")
    slurm.run("scancel", full)
    wait(home, 6)
    slurm.wait_idle()
    said = taut(home, "run", "study.toml", "--on", "slurm", "--trials", "8")
    assert "from which train.py differ now" in said
    wait(home, 8)


def test_a_submission_that_was_cut_off_is_found_again(home: Path, slurm: Cluster) -> None:
    """The record was written, sbatch took the job, and its number was never written down."""
    taut(home, "run", "study.toml", "--on", "slurm")
    rounds = Rounds(home / "runs/demo/slurm")
    known = rounds.all()
    assert {record.kind for record in known} == {"job", "next"}
    for record in known:
        rounds.write(Submission(**{**{f: getattr(record, f) for f in record.__struct_fields__}, "job": None}))
    assert "has jobs already" in taut(home, "run", "study.toml", "--on", "slurm")
    assert [record.job for record in rounds.all()] == [record.job for record in known]


def test_a_round_that_another_process_submits_is_left_to_it(home: Path, slurm: Cluster) -> None:
    taut(home, "run", "study.toml", "--trials", "1")
    rounds = Rounds(home / "runs/demo/slurm")
    rounds.begin(0)
    said = taut(home, "run", "study.toml", "--on", "slurm", "--trials", "3", code=1)
    assert "another taut run is submitting this study just now" in said
    os.utime(rounds.place(0), (time.time() - 100, time.time() - 100))  # it died on the way
    said = taut(home, "run", "study.toml", "--on", "slurm", "--trials", "3")
    assert "slurm/0001/job.sh" in said
    wait(home, 3)


def test_a_dead_controller_is_said_and_nothing_is_left(
    home: Path, monkeypatch: pytest.MonkeyPatch, slurm: Cluster
) -> None:
    config = home / "slurm.conf"
    text = Path(slurm.environment["SLURM_CONF"]).read_text()
    config.write_text(re.sub(r"SlurmctldPort=\d+", "SlurmctldPort=1", text))
    monkeypatch.setenv("SLURM_CONF", str(config))
    said = taut(home, "run", "study.toml", "--on", "slurm", code=1)
    assert "Unable to contact slurm controller" in said
    assert not (home / "runs").exists()


def test_what_is_refused_or_only_shown_changes_no_study(home: Path, slurm: Cluster) -> None:
    taut(home, "run", "study.toml", "--trials", "1")
    before = sorted((home / "runs/demo/definition").iterdir())
    taut(home, "run", "study.toml", "--on", "slurm", "--trials", "9", "--dry-run")
    said = taut(home, "run", "study.toml", "--on", "slurm", "--trials", "9", "--gpu-hours", "0.001", code=2)
    assert "the jobs ask for no GPU" in said
    edit(home, 'time = "5m"', 'time = "50d"')
    taut(home, "run", "study.toml", "--on", "slurm", code=2)
    assert sorted((home / "runs/demo/definition").iterdir()) == before


def test_a_short_partition_has_a_short_successor(home: Path, slurm: Cluster) -> None:
    edit(home, 'time = "5m"', 'time = "2m"\npartition = "short"')
    taut(home, "run", "study.toml", "--on", "slurm")
    record = next(one for one in Rounds(home / "runs/demo/slurm").all() if one.kind == "next")
    assert "TimeLimit=00:02:00" in slurm.run("scontrol", "show", "job", str(record.job))


def test_jobs_without_a_successor_are_given_one(home: Path, slurm: Cluster) -> None:
    full = slurm.run(
        "sbatch", "--parsable", "--array=0-3", "--exclusive", "-o/dev/null", "--wrap=sleep 99"
    ).strip()
    taut(home, "run", "study.toml", "--on", "slurm")
    rounds = Rounds(home / "runs/demo/slurm")
    first = rounds.all()[-1]
    assert first.kind == "next"
    slurm.run("scancel", str(first.job))
    taut(home, "run", "study.toml", "--trials", "1")  # some progress, without which a successor gives up
    said = taut(home, "run", "study.toml", "--on", "slurm", "--trials", "7")
    assert "was missing: it follows" in said
    second = rounds.all()[-1]
    assert second.kind == "next" and second.job != first.job and second.round == first.round
    slurm.run("scancel", full)
    wait(home, 7)


def test_in_an_interactive_job_it_is_nobodys_successor(home: Path, slurm: Cluster) -> None:
    """Rounds that brought nothing keep their successor from going on, and not the user who has mended the cause."""
    edit(home, "cpus = 1", 'cpus = 1\nsetup = ["false"]')
    taut(home, "run", "study.toml", "--on", "slurm")
    slurm.wait_idle()
    assert "rounds 0 to 1 have brought no result" in (home / "runs/demo/slurm/0001/next.log").read_text()
    edit(home, '\nsetup = ["false"]', "")
    words = (sys.executable, "-m", "taut", "run", str(home / "study.toml"), "--on", "slurm")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        ["srun", "-Q", "--mem=300M", "--chdir", str(home), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and "slurm/0002/job.sh" in done.stdout, done.stderr
    wait(home, 6)


def test_a_program_that_is_only_in_the_image_is_not_looked_for_here(home: Path, slurm: Cluster) -> None:
    edit(home, 'command = "python', 'command = "/in/the/image/python')
    assert "does not exist" in taut(home, "run", "study.toml", "--on", "slurm", "--dry-run", code=2)
    edit(home, "cpus = 1", 'cpus = 1\ncontainer = "apptainer exec image.sif"')
    said = taut(home, "run", "study.toml", "--on", "slurm", "--dry-run")
    assert "exec apptainer exec image.sif python3 -m taut worker" in said


def test_a_cancellation_that_fails_is_left_to_the_next_worker(
    home: Path, slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = slurm.run(
        "sbatch", "--parsable", "--array=0-3", "--exclusive", "-o/dev/null", "--wrap=sleep 99"
    ).strip()
    taut(home, "run", "study.toml", "--on", "slurm")
    array, after = (record.job for record in Rounds(home / "runs/demo/slurm").all())
    job = allocation.read(
        {
            "SLURM_JOB_ID": "1",
            "SLURMD_NODENAME": "n",
            "SLURM_ARRAY_JOB_ID": str(array),
            "SLURM_ARRAY_TASK_ID": "0",
        }
    )
    monkeypatch.setattr(allocation, "here", lambda: job)
    config = slurm.environment["SLURM_CONF"]
    dead = home / "slurm.conf"  # a controller that does not answer
    dead.write_text(re.sub(r"SlurmctldPort=\d+", "SlurmctldPort=1", Path(config).read_text()))
    monkeypatch.setenv("SLURM_CONF", str(dead))
    wind_down(home / "runs/demo", done=True)
    assert slurm.run("squeue", "-h", "-r", "-j", f"{array},{after}", "-o", "%A").split()
    monkeypatch.setenv("SLURM_CONF", config)
    wind_down(home / "runs/demo", done=True)
    assert not slurm.run(
        "squeue", "-h", "-r", "--name", f"{name_of(home)},{name_of(home)}.next", "-o", "%A"
    ).split()
    slurm.run("scancel", full)
