"""The job script and its submission: to the letter, in bash, and as the real sbatch reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taut.errors import InputError
from taut.slurm.calls import call
from taut.slurm.script import (
    job_script,
    log_pattern,
    python_words,
    submit_environment,
    submit_words,
    worker_words,
)
from taut.slurm.settings import Settings

STUDY = Path("/home/me/runs/lora")
PYTHON = "/home/me/env/bin/python"

PLAIN = Settings(time=30, cpus=2)
SLOTS = Settings(
    partition="main",
    gpus=2,
    cpus=4,
    memory="2G",
    time=360,
    trial_gpus=0.5,
    trial_cpus=1,
    setup=["module load PyTorch/2.3", "source ~/env/bin/activate"],
    notice=300,
)
CONTAINER = Settings(gpus=1, container=["apptainer", "exec", "--nv", "my image.sif"], time=60)
EVERYTHING = Settings(
    partition="main",
    account="tuning",
    qos="normal",
    constraint="a100|h100",
    gpus=2,
    gpu_type="a100",
    cpus=4,
    memory="1000M",
    time=30 * 60,
    workers=4,
    mode="sequential",
    setup=["if true; then\n  export NCCL_DEBUG=INFO\nfi"],
    extra=["--mail-type=NONE", "--comment=it is # mine"],
    python="/opt/my env/bin/python",
    requeue=False,
)

GOLDEN_PLAIN = """\
#!/bin/bash
# Made by taut for the study lora.

#SBATCH --job-name=lora-0
#SBATCH --output=/home/me/runs/lora/slurm/0000/%a.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --time=00:30:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue

# When this job ends, in seconds since 1970; Slurm says so itself from 23.02 on.
export SLURM_JOB_END_TIME=${SLURM_JOB_END_TIME:-$(( $(date +%s) + 1800 ))}

# exec: the command takes the shell's place, so that Slurm's signals reach it.
exec /home/me/env/bin/python -m taut worker /home/me/runs/lora --workers 1 --mode async
"""

GOLDEN_SLOTS = """\
#!/bin/bash
# Made by taut for the study lora.

#SBATCH --job-name=lora-0
#SBATCH --output=/home/me/runs/lora/slurm/0000/%a.log
#SBATCH --open-mode=append
#SBATCH --partition=main
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --gres=gpu:2
#SBATCH --mem=2G
#SBATCH --time=06:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue

# When this job ends, in seconds since 1970; Slurm says so itself from 23.02 on.
export SLURM_JOB_END_TIME=${SLURM_JOB_END_TIME:-$(( $(date +%s) + 21600 ))}

# Setup. If a line of it fails, the job ends and says so, rather than going on with, say, the wrong Python.
setup_failed() {
  [[ $2 -gt 1 ]] && return  # inside a file that is sourced: only its end counts
  echo "taut: setup failed with exit code $1, so the job ends: $3" >&2
  exit "$1"
}
trap 'setup_failed $? ${#BASH_SOURCE[@]} "$BASH_COMMAND"' ERR
module load PyTorch/2.3
source ~/env/bin/activate

# exec: the command takes the shell's place, so that Slurm's signals reach it.
exec /home/me/env/bin/python -m taut worker /home/me/runs/lora --workers 4 --trial-gpus 0.5 --mode async
"""

GOLDEN_CONTAINER = """\
#!/bin/bash
# Made by taut for the study lora.

#SBATCH --job-name=lora-0
#SBATCH --output=/home/me/runs/lora/slurm/0000/%a.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gres=gpu:1
#SBATCH --time=01:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue

# When this job ends, in seconds since 1970; Slurm says so itself from 23.02 on.
export SLURM_JOB_END_TIME=${SLURM_JOB_END_TIME:-$(( $(date +%s) + 3600 ))}

# exec: the command takes the shell's place, so that Slurm's signals reach it.
exec apptainer exec --nv 'my image.sif' python3 -m taut worker /home/me/runs/lora --workers 1 --mode async
"""

GOLDEN_EVERYTHING = """\
#!/bin/bash
# Made by taut for the study lora.

#SBATCH --job-name=lora-0
#SBATCH --output=/home/me/runs/lora/slurm/0000/%a.log
#SBATCH --open-mode=append
#SBATCH --partition=main
#SBATCH --account=tuning
#SBATCH --qos=normal
#SBATCH --constraint="a100|h100"
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --gres=gpu:a100:2
#SBATCH --mem=1000M
#SBATCH --time=1-06:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --no-requeue
#SBATCH --mail-type=NONE
#SBATCH --comment="it is # mine"

# When this job ends, in seconds since 1970; Slurm says so itself from 23.02 on.
export SLURM_JOB_END_TIME=${SLURM_JOB_END_TIME:-$(( $(date +%s) + 108000 ))}

# Setup. If a line of it fails, the job ends and says so, rather than going on with, say, the wrong Python.
setup_failed() {
  [[ $2 -gt 1 ]] && return  # inside a file that is sourced: only its end counts
  echo "taut: setup failed with exit code $1, so the job ends: $3" >&2
  exit "$1"
}
trap 'setup_failed $? ${#BASH_SOURCE[@]} "$BASH_COMMAND"' ERR
if true; then
  export NCCL_DEBUG=INFO
fi

# exec: the command takes the shell's place, so that Slurm's signals reach it.
exec '/opt/my env/bin/python' -m taut worker /home/me/runs/lora --workers 1 --mode sequential
"""

GOLDEN = {
    "plain": (PLAIN, GOLDEN_PLAIN),
    "slots": (SLOTS, GOLDEN_SLOTS),
    "container": (CONTAINER, GOLDEN_CONTAINER),
    "everything": (EVERYTHING, GOLDEN_EVERYTHING),
}


def script(settings: Settings, study: Path = STUDY, **given: Any) -> str:
    texts: dict[str, Any] = {
        "name": "lora-0",
        "log": log_pattern(study / "slurm" / "0000", "%a.log"),
        "remarks": ["Made by taut for the study lora."],
        "command": worker_words(settings, study, present=PYTHON),
    }
    return job_script(settings, **{**texts, **given})


@pytest.mark.parametrize("name", GOLDEN)
def test_script(name: str) -> None:
    settings, golden = GOLDEN[name]
    assert script(settings) == golden


def test_more_words_for_the_worker_come_last_and_quoted() -> None:
    words = worker_words(PLAIN, STUDY, "--round", "it's 0", present=PYTHON)
    last = script(PLAIN, command=words).splitlines()[-1]
    assert last == f"exec {PYTHON} -m taut worker {STUDY} --workers 1 --mode async --round 'it'\"'\"'s 0'"


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--exclusive", "--exclusive"),
        ("--mail-type=END,FAIL", "--mail-type=END,FAIL"),
        ("--comment=a b", '--comment="a b"'),
        ("--comment=it is # mine", '--comment="it is # mine"'),
        ('--comment="a b"', '--comment="a b"'),  # the user's own quotes
        ("--comment=a\\ b", "--comment=a\\ b"),
        ("--exclude node1", "--exclude node1"),
        ("-x node1", "-x node1"),
        ("--mail-type=END --mail-user=me@here.org", "--mail-type=END --mail-user=me@here.org"),
    ],
)
def test_extra_options_as_sbatch_reads_them(option: str, line: str) -> None:
    assert f"#SBATCH {line}" in script(Settings(extra=[option])).splitlines()


@pytest.mark.parametrize(("part", "text"), [(1.0, "1"), (2.0, "2"), (0.5, "0.5"), (1 / 6, "0.166666666667")])
def test_the_worker_is_told_what_a_trial_gets(part: float, text: str) -> None:
    words = worker_words(Settings(gpus=4, trial_gpus=part), STUDY)
    assert words[words.index("--trial-gpus") + 1] == text
    assert "--trial-gpus" not in worker_words(Settings(gpus=4), STUDY)


@pytest.mark.parametrize(("minutes", "notice"), [(1, 30), (3, 120), (10, 540), (10, 0), (None, 0)])
def test_no_job_is_ended_by_a_signal_that_comes_before_it_listens(minutes: int | None, notice: int) -> None:
    """Slurm's may come a minute early; the worker watches the clock as well. A successor has nothing to save."""
    assert "--signal" not in script(Settings(time=minutes, notice=notice))


@pytest.mark.parametrize(("minutes", "notice"), [(2, 30), (5, 75), (30, 120), (None, 120)])
def test_the_signal_before_the_end(minutes: int | None, notice: int) -> None:
    assert f"#SBATCH --signal=B:USR1@{notice}\n" in script(Settings(time=minutes, notice=notice))


def test_interpreter() -> None:
    assert python_words(PLAIN) == [sys.executable]
    assert python_words(CONTAINER, present=PYTHON) == ["python3"]
    assert python_words(EVERYTHING, present=PYTHON) == ["/opt/my env/bin/python"]


def test_submission() -> None:
    job = Path("/s/job.sh")
    assert submit_words(job, tasks=32, at_once=8) == ["sbatch", "--parsable", "--array=0-31%8", "/s/job.sh"]
    assert submit_words(job, tasks=8, at_once=8) == ["sbatch", "--parsable", "--array=0-7", "/s/job.sh"]
    assert submit_words(job, tasks=1) == ["sbatch", "--parsable", "--array=0-0", "/s/job.sh"]
    assert submit_words(job, dependency="afterany:17") == [
        *("sbatch", "--parsable", "--dependency=afterany:17", "/s/job.sh")
    ]


def test_the_environment_of_a_submission() -> None:
    present = {
        "PATH": "/bin",
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_RESTART_COUNT": "3",
        "SBATCH_OUTPUT": "x",
        "SBATCH_PARTITION": "mine",
        "SBATCH_RESERVATION": "course",
    }
    stay = {"PATH": "/bin", "SLURM_CONF": "/etc/slurm.conf", "SBATCH_RESERVATION": "course"}
    assert submit_environment(Settings(partition="gpu"), present) == stay
    assert submit_environment(Settings(), present) == {**stay, "SBATCH_PARTITION": "mine"}


@pytest.mark.parametrize("folder", ["/runs/back\\slash", "/runs/two\nlines", "/runs/\x1b"])
def test_a_directory_that_slurm_cannot_name_is_refused(folder: str) -> None:
    with pytest.raises(InputError, match="choose another directory for the study"):
        log_pattern(Path(folder), "%a.log")


@pytest.mark.parametrize(
    "given", [{"name": "a\n#SBATCH --wrap=x"}, {"remarks": ["a\nrm -r x"]}, {"log": "a\nb"}]
)
def test_nothing_breaks_out_of_its_line(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="text on one line is allowed"):
        script(PLAIN, **given)


# What the shell makes of a setup: the lines of setup, the exit code, what is printed, what is complained about.
SETUPS: list[tuple[list[str], int, str, str]] = [
    (["export WORD=x", "echo $WORD"], 0, "x\nthe worker\n", ""),
    (["false", "echo on"], 1, "", "setup failed with exit code 1, so the job ends: false"),
    (["echo a\n(exit 3)\necho b"], 3, "a\n", "setup failed with exit code 3, so the job ends: ( exit 3 )"),
    (["no-such-program load x"], 127, "", "so the job ends: no-such-program load x"),
    (["false || true", "if false; then echo a; fi"], 0, "the worker\n", ""),
    (["source ./tries.sh"], 0, "sourced\nthe worker\n", ""),
    (["source ./fails.sh"], 4, "", "setup failed with exit code 4, so the job ends:"),
    (["f() { false; true; }", "f"], 0, "the worker\n", ""),
    (["cat <<end\n$((1 + 1))\nend"], 0, "2\nthe worker\n", ""),
]


@pytest.mark.parametrize(
    ("setup", "code", "printed", "complaint"), SETUPS, ids=[str(n) for n in range(len(SETUPS))]
)
def test_a_setup_that_fails_ends_the_job(
    tmp_path: Path, setup: list[str], code: int, printed: str, complaint: str
) -> None:
    (tmp_path / "tries.sh").write_text("false\n[ -n '' ]\necho sourced\n")
    (tmp_path / "fails.sh").write_text("(exit 4)\n")
    job = tmp_path / "job.sh"
    job.write_text(script(Settings(setup=setup), command=["echo", "the worker"]))
    done = subprocess.run(["bash", job], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, printed)
    assert complaint in done.stderr
    assert bool(complaint) == bool(done.stderr)


def test_the_worker_takes_the_place_of_the_shell(tmp_path: Path) -> None:
    code = "import os; print(os.getpid())"
    job = tmp_path / "job.sh"
    job.write_text(script(Settings(setup=["true"]), command=[sys.executable, "-c", code]))
    with subprocess.Popen(["bash", job], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid


# With the real Slurm from here on. Its nodes have neither types of GPUs nor features.


@pytest.mark.parametrize("name", GOLDEN)
def test_sbatch_accepts_the_script(slurm: Any, tmp_path: Path, name: str) -> None:
    plain = msgspec.structs.replace(GOLDEN[name][0], constraint=None, gpu_type=None)
    job = tmp_path / "job.sh"
    job.write_text(script(plain, tmp_path))
    program, *words = submit_words(job, tasks=32, at_once=8)
    call(program, "--test-only", *words)


def test_sbatch_understands_what_the_script_asks_for(slurm: Any, tmp_path: Path) -> None:
    job = tmp_path / "job.sh"
    plain = msgspec.structs.replace(EVERYTHING, constraint=None, gpu_type=None)
    job.write_text(script(plain, tmp_path, name="lora # 0"))
    program, *words = submit_words(job)
    number = call(program, "--hold", *words).strip()
    said = subprocess.run(
        ["scontrol", "show", "job", number], capture_output=True, text=True, check=True
    ).stdout
    call("scancel", number)
    for field in (
        "JobName=lora # 0",
        "Partition=main",
        "Account=tuning",
        "QOS=normal",
        "TimeLimit=1-06:00:00",
        "Requeue=0",
        "NumNodes=1",
        "CPUs/Task=4",
        "MinMemoryNode=1000M",
        "Comment=it is # mine",
        "gres:gpu:2",
    ):
        assert field in said, said


def test_a_script_runs_below_a_directory_with_any_name(slurm: Any, tmp_path: Path) -> None:
    study = tmp_path / 'it\'s "my" $HOME 50%a; #1 é & `x`'
    logs = study / "slurm" / "0000"
    logs.mkdir(parents=True)
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    settings = Settings(time=1, setup=["echo ready"], notice=30)
    job = logs / "job.sh"
    job.write_text(script(settings, study, command=[sys.executable, "-c", code, str(study)]))
    number = call(*submit_words(job, tasks=2)).strip()
    try:
        wait_until(lambda: all(text.endswith("\n") and "[" in text for text in texts(logs)))
    finally:
        call("scancel", number)
    assert texts(logs) == [f"ready\n{json.dumps([str(study)])}\n"] * 2


def test_a_job_does_not_inherit_the_life_of_the_one_that_submitted_it(slurm: Any, tmp_path: Path) -> None:
    settings = Settings(time=1, notice=30)
    log = log_pattern(tmp_path, "%j.log")
    job = tmp_path / "job.sh"
    names = ("SLURM_RESTART_COUNT", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_END_TIME")
    code = f"import os; print([os.environ.get(name) for name in {names}])"
    job.write_text(script(settings, log=log, command=[sys.executable, "-c", code]))
    handed_on = {**os.environ, **dict.fromkeys(names, "3"), "SBATCH_OUTPUT": str(tmp_path / "elsewhere")}
    environment = submit_environment(settings, handed_on)
    done = subprocess.run(submit_words(job), env=environment, capture_output=True, text=True, check=True)
    try:
        wait_until(lambda: text(tmp_path / f"{done.stdout.strip()}.log").endswith("\n"))
    finally:
        call("scancel", done.stdout.strip())
    restarts, task, end = literal_eval(text(tmp_path / f"{done.stdout.strip()}.log"))
    assert (restarts, task) == (None, None)
    assert end != "3"


@pytest.mark.slow
def test_the_signal_before_the_end_reaches_the_command(slurm: Any, tmp_path: Path) -> None:
    code = (
        "import signal; usr1 = [signal.SIGUSR1]; signal.pthread_sigmask(signal.SIG_BLOCK, usr1); "
        "signal.sigwait(usr1); print('asked')"
    )
    soon = ["--signal=B:USR1@90"]  # instead of waiting for the last minute
    settings = Settings(time=2, notice=30, requeue=False, setup=["true"], extra=soon)
    job = tmp_path / "job.sh"
    log = log_pattern(tmp_path, "%a.log")
    job.write_text(script(settings, log=log, command=[sys.executable, "-c", code]))
    number = call(*submit_words(job, tasks=1)).strip()
    try:
        wait_until(lambda: "asked" in "".join(text(tmp_path / "0.log")))
    finally:
        call("scancel", number)


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def texts(logs: Path) -> list[str]:
    return [text(logs / f"{task}.log") for task in range(2)]


def wait_until(happened: Callable[[], bool], seconds: float = 100.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
