"""What `[on.hyperqueue]` may say, the script that a task runs, what is said where there is no server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from processes import SOURCE
from taut.doctor.hyperqueue import judge
from taut.errors import InputError
from taut.hyperqueue import server
from taut.hyperqueue.rounds import Rounds, Submitted
from taut.hyperqueue.script import task_script, worker_words
from taut.hyperqueue.server import Access
from taut.hyperqueue.settings import Settings
from taut.machine import Answer
from taut.study import Study
from taut.studyfile.hyperqueue import settings
from taut.trial import State

STUDY = """\
name = "demo"
function = "objective:evaluate"
minimize = "loss"
[space]
x = { uniform = [0, 1] }
[budget]
trials = 5
[sampler]
method = "random"
"""
OBJECTIVE = """\
import time

def evaluate(x):
    time.sleep(0.05)
    return {"loss": x}
"""


def taut(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    with start(folder, *words, **variables) as process:
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def start(folder: Path, *words: str, program: str = "", **variables: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAUT_", "HQ_", "SLURM_"))}
    begin = ["-c", program] if program else ["-m", "taut"]
    return subprocess.Popen(
        [sys.executable, *begin, *words],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(SOURCE), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "objective.py").write_text(OBJECTIVE)
    return tmp_path


# ---------------------------------------------------------------------- settings


def test_what_is_left_out_is_a_worker_with_one_cpu() -> None:
    assert settings({}) == Settings()
    assert settings({}).amounts == {"cpus": 1}


def test_everything_that_can_be_said() -> None:
    asked = settings(
        {
            "server_dir": "~/hq",
            "workers": 3,
            "mode": "batch",
            "cpus": 0.5,
            "gpus": 2,
            "resources": {"gpus/amd": 1, "mem": 4000},
            "min_time": "30m",
            "setup": ["module load X"],
            "python": "/env/bin/python",
        }
    )
    assert asked.amounts == {"cpus": 0.5, "gpus/nvidia": 2, "gpus/amd": 1, "mem": 4000}
    assert (asked.min_time, asked.workers, asked.mode, asked.python) == (
        1800.0,
        3,
        "batch",
        "/env/bin/python",
    )


@pytest.mark.parametrize(
    ("table", "at", "text"),
    [
        ({"worker": 2}, "worker", "did you mean 'workers'?"),
        ({"partition": "gpu"}, "partition", "hq alloc add slurm -- --partition=..."),
        ({"seed": 1}, "seed", "put the line of seed above the first [table]"),
        ({"tasks": "trials"}, "tasks", '"worker", "trial" are allowed; did you mean \'trial\'?'),
        ({"tasks": "trial", "workers": 2}, "workers", 'take it out, or write tasks = "worker"'),
        ({"tasks": "trial", "mode": "batch"}, "mode", 'take it out, or write tasks = "worker"'),
        ({"workers": 0}, "workers", "0 is too small"),
        ({"cpus": 0}, "cpus", "a number above 0 is allowed"),
        ({"cpus": 1e-6}, "cpus", "at least 0.0001 is allowed"),
        ({"gpus": "2"}, "gpus", '"2" is not a number'),
        ({"server_dir": "hq"}, "server_dir", "a path from / or ~ is allowed"),
        ({"resources": {"cpus": 2}}, "resources.cpus", "write cpus = 2 below [on.hyperqueue]"),
        ({"resources": {"gpus/nvidia": 2}}, "resources.gpus/nvidia", "write gpus = 2 below"),
        ({"resources": {"a b": 2}}, "resources.a b", "cannot be a resource"),
        ({"resources": {"mem": -1}}, "resources.mem", "a number above 0 is allowed"),
        ({"resources": 3}, "resources", "write [on.hyperqueue.resources]"),
        ({"min_time": "30"}, "min_time", "write 30s, 30m or 30h"),
        ({"setup": ["a\0b"]}, "setup.0", "control character"),
        ({"python": "a\nb"}, "python", "text on one line"),
    ],
)
def test_mistakes_are_named(table: dict[str, Any], at: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(table)
    assert caught.value.at == ("on", "hyperqueue", *at.split("."))
    assert text in caught.value.message


def test_a_mistake_is_found_when_the_file_is_read(home: Path) -> None:
    (home / "study.toml").write_text(STUDY + "[on.hyperqueue]\ncpus = 1\npartition = 'gpu'\n")
    ran = taut(home, "run", "study.toml")
    assert (ran.returncode, ran.stderr.partition(";")[0]) == (
        2,
        "taut: study.toml:12: on.hyperqueue.partition: unknown key of [on.hyperqueue]",
    )


# ---------------------------------------------------------------------- the script


def test_the_script_of_a_task(tmp_path: Path) -> None:
    folder = Path("/home/me/a b")
    asked = Settings(mode="batch", python="py", setup=["export A=1"])
    script = task_script(asked, remark="hello", command=worker_words(asked, folder, 4))
    head, setup, end = script.split("\n\n", 1)[0], "export A=1", script.splitlines()[-1]
    assert head == "#!/bin/bash\n# hello"
    assert setup in script.splitlines()
    assert end == "exec py -m taut worker '/home/me/a b' --mode batch --batch 4"
    (tmp_path / "task.sh").write_text(script)
    assert subprocess.run(["bash", "-n", tmp_path / "task.sh"]).returncode == 0


def test_a_task_of_one_trial() -> None:
    words = worker_words(Settings(tasks="trial"), Path("/s"), 4, present="py")
    assert words == ["py", "-m", "taut", "worker", "/s", "--finish", "1"]


def test_a_dry_run_shows_the_script_and_writes_nothing(home: Path) -> None:
    ran = taut(home, "run", "study.toml", "--on", "hyperqueue", "--dry-run", HQ_SERVER_DIR="/nowhere")
    assert ran.returncode == 0 and ran.stdout.startswith(
        "# 5 tasks, each asking for cpus = 1, run:\n#!/bin/bash\n"
    )
    assert sorted(path.name for path in home.iterdir()) == ["objective.py", "study.toml"]


# ---------------------------------------------------------------------- a worker's part


def test_a_worker_ends_after_the_trials_that_it_was_to_finish(home: Path) -> None:
    taut(home, "run", "study.toml", "--trials", "1")
    Path(home / "study.toml").write_text(STUDY)
    with Study.of(home / "runs/demo") as study:
        assert study.store.snapshot.n_finished == 1
    assert taut(home, "run", "study.toml", "--trials", "6", "--for", "0.000001s").returncode in (0, 1)
    ran = taut(home, "worker", "runs/demo", "--finish", "2", HQ_JOB_ID="1", HQ_TASK_ID="0")
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (
        0,
        "it has finished the trials that it was to finish; 3 trials are finished",
    )
    ran = taut(
        home, "worker", "runs/demo", "--finish", "20", HQ_JOB_ID="1", HQ_TASK_ID="0", HQ_INSTANCE_ID="3"
    )
    assert ran.stdout.splitlines()[-1] == "all 6 trials are finished; 6 trials are finished"
    assert taut(home, "worker", "runs/demo", "--finish", "0").returncode == 2


def test_near_the_end_of_its_job_a_task_waits_to_be_started_elsewhere(home: Path) -> None:
    """HyperQueue starts a task again whose worker ends before it does, and none that has ended by itself."""
    (home / "objective.py").write_text(OBJECTIVE.replace("0.05", "0.3"))
    (home / "study.toml").write_text(STUDY.replace("trials = 5", "trials = 500"))
    taut(home, "run", "study.toml", "--for", "0.1s")
    job = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": socket.gethostname(), "PATH": "/usr/bin:/bin"}
    ends = {"SLURM_JOB_END_TIME": str(int(time.time()) + 20)}
    words = ("worker", "runs/demo", "--notice", "17s")
    process = start(home, *words, HQ_JOB_ID="1", HQ_TASK_ID="0", **job, **ends)
    try:
        assert process.stdout is not None
        said = "what is left goes on when HyperQueue starts this task again"
        assert "its job ends in" in next(line for line in process.stdout if said in line)
        time.sleep(0.5)
        assert process.poll() is None
        with Study.of(home / "runs/demo") as study:
            counts = study.store.snapshot.counts
            assert counts[State.COMPLETE] > 1 and not counts[State.RUNNING]
        process.send_signal(signal.SIGINT)  # what HyperQueue sends
        assert process.wait(5) == 130
    finally:
        process.kill()
        process.communicate()


# ---------------------------------------------------------------------- no server


def test_no_server_was_ever_started(home: Path) -> None:
    pytest.importorskip("hyperqueue")
    ran = taut(home, "run", "study.toml", "--on", "hyperqueue", HQ_SERVER_DIR=str(home / "hq"))
    assert ran.returncode == 2
    assert (
        f"no HyperQueue server has been started in {home}/hq; start it with `hq server start`" in ran.stderr
    )
    assert not (home / "runs").exists()


def test_the_server_has_ended(home: Path) -> None:
    pytest.importorskip("hyperqueue")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    leave_access(home / "hq", port)
    ran = taut(home, "run", "study.toml", "--on", "hyperqueue", HQ_SERVER_DIR=str(home / "hq"))
    assert ran.returncode == 2 and f"does not answer (127.0.0.1:{port}: Connection refused)" in ran.stderr


def leave_access(folder: Path, port: int) -> None:
    """What a server leaves behind."""
    (folder / "002").mkdir(parents=True)
    (folder / "hq-current").symlink_to(folder / "002")
    client = {"host": "127.0.0.1", "port": port, "secret_key": None}
    said = {"version": "v0.27.0", "server_uid": "abc", "client": client, "worker": client}
    (folder / "002" / "access.json").write_text(json.dumps(said))


def test_something_else_answers_there(home: Path) -> None:
    pytest.importorskip("hyperqueue")
    with socket.create_server(("127.0.0.1", 0)) as other:
        leave_access(home / "hq", other.getsockname()[1])
        with start(
            home, "run", "study.toml", "--on", "hyperqueue", HQ_SERVER_DIR=str(home / "hq")
        ) as process:
            for _ in range(2):
                other.accept()[0].close()
            _, err = process.communicate(timeout=30)
    assert process.returncode == 2 and "(version v0.27.0) refuses us: " in err and "backtrace" not in err


def test_the_package_is_not_there(home: Path) -> None:
    program = "import sys; sys.modules['hyperqueue'] = None; from taut.cli import main; main()"
    with start(home, "run", "study.toml", "--on", "hyperqueue", program=program) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2 and "pip install 'taut[hyperqueue]'" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--for 2h", "--for: it counts from a worker's start, and tasks start when the queue lets them"),
        ("--gpu-hours 3", "--gpu-hours: it goes with --on slurm; use --trials"),
        ("--workers 2", '--workers: it is for tasks = "worker"'),
    ],
)
def test_options_that_mean_nothing_here(home: Path, words: str, text: str) -> None:
    (home / "study.toml").write_text(STUDY + '[on.hyperqueue]\ntasks = "trial"\n')
    ran = taut(home, "run", "study.toml", "--on", "hyperqueue", *words.split())
    assert ran.returncode == 2 and text in ran.stderr


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ("hours = 1", 'on.hyperqueue.tasks: with tasks = "trial" the number of trials is that of the tasks'),
        (
            "trials = 100001",
            "on.hyperqueue.tasks: 100001 tasks are more than HyperQueue should be given at once",
        ),
        ("gpu_hours = 1", "no end is in sight"),
    ],
)
def test_budgets_that_give_no_number_of_tasks(home: Path, budget: str, text: str) -> None:
    (home / "study.toml").write_text(
        STUDY.replace("trials = 5", budget) + '[on.hyperqueue]\ntasks = "trial"\n'
    )
    ran = taut(home, "run", "study.toml", "--on", "hyperqueue", "--dry-run")
    assert ran.returncode == 2 and text in ran.stderr, ran
    assert not (home / "runs").exists()


# ---------------------------------------------------------------------- records and the doctor


def test_records_come_back_in_order(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path / "hyperqueue")
    assert rounds.all() == []
    written = []
    for tasks in (3, 5):
        number = rounds.begin()
        written.append(Submitted(number, "uid", "/hq", 10 - number, "worker", tasks, 1.5))
        rounds.write(written[-1])
    assert rounds.begin() == 2  # begun, and never submitted
    assert rounds.all() == written
    for name in ("0.0.log", "0.1.log", "12.0.log", "x.log"):
        (rounds.place(1) / name).touch()
    assert rounds.begun(1) == {0, 12}


def test_the_server_directory_is_the_one_asked_for_or_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("HQ_SERVER_DIR", "/shared/hq")
    assert server.place("~/hq") == Path("/home/me/hq")
    assert server.place(None) == Path("/shared/hq")
    monkeypatch.delenv("HQ_SERVER_DIR")
    assert server.place(None) == Path("/home/me/.hq-server")


HQ = Answer(True, "hq v0.27.0")
FOUND = Access("abc", "v0.27.0", "login1", 4711)


@pytest.mark.parametrize(
    ("answer", "package", "found", "problem", "state", "text"),
    [
        (None, None, None, None, "ok", "not here"),
        (HQ, None, None, None, "warn", "hq v0.27.0, no Python package"),
        (None, "0.27.0", None, None, "ok", "Python package 0.27.0"),
        (HQ, "0.27.0", FOUND, None, "ok", "hq v0.27.0, Python package 0.27.0, a server (v0.27.0) answers at login1:4711"),
        (HQ, "0.27.0", FOUND, "refused", "warn", "hq v0.27.0, Python package 0.27.0, the last server (v0.27.0) does not answer"),
        (HQ, "0.28.0", FOUND, None, "warn", "hq v0.27.0, Python package 0.28.0, a server (v0.27.0) answers at login1:4711"),
        (Answer(False, "hq: broken"), "0.27.0", None, None, "warn", "hq: broken, Python package 0.27.0"),
    ],
)  # fmt: skip
def test_what_the_doctor_says(
    answer: Answer | None,
    package: str | None,
    found: Access | None,
    problem: str | None,
    state: str,
    text: str,
) -> None:
    finding = judge(answer, package, found, problem)
    assert (finding.state, finding.text, bool(finding.advice)) == (state, text, state == "warn")
