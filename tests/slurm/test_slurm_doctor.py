"""`taut doctor` on a login node: the cluster's findings, and visits to its nodes by real jobs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cluster import Cluster

import taut
from taut.doctor import Finding, examine, nodes
from taut.doctor.cluster import judge_accounting, judge_site
from taut.doctor.visitor import throw
from taut.errors import InputError
from taut.slurm.calls import call
from taut.slurm.site import Config, Site

SOURCE = str(Path(taut.__file__).parents[1])


@pytest.fixture
def doctor(slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to look at; jobs import taut from where this process does."""
    monkeypatch.setenv("PYTHONPATH", SOURCE)
    return tmp_path


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def left_behind(directory: Path) -> list[str]:
    """Files and jobs that are still there."""
    jobs = call("squeue", "-h", "-n", "taut-doctor", "-t", "PD,R", "-o", "%i").split()
    return [*os.listdir(directory), *jobs]


def test_the_cluster(slurm: Cluster, tmp_path: Path) -> None:
    found = by_name(examine(tmp_path))
    assert found["Slurm"].state == "ok" and "; arrays of up to 1001 jobs" in found["Slurm"].text
    assert found["partition short"].text.startswith("up; jobs of at most 2m (usually 1m); ")
    assert "4 CPUs, 2 GPUs, 3.91 GiB" in found["partition main"].text
    assert found["partition main"].text.startswith("up, the default; ")
    assert found["partition down"].text.startswith("down; ")
    assert found["account cpurun"].text.endswith("; GrpTRESRunMins cpu=10")
    assert found["account tuning"].text.endswith("(the usual one); no limits of its own")
    assert found["QOS fewjobs"].text == "MaxJobsPU 2, MaxSubmitJobsPU 4"
    assert found["accounting"].text == "answers; the cluster enforces associations, limits, qos"


def test_two_nodes(doctor: Path) -> None:
    command = [sys.executable, "-m", "taut", "doctor", str(doctor), "--nodes", "2"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert said.returncode == 0, said.stdout + said.stderr
    there = [line for line in said.stdout.splitlines() if line.startswith("ok    node node")]
    assert len(there) == 2 and there[0] != there[1]
    assert "sees the directory, can write there, and imports taut" in there[0]
    for name in ("exclusive files, two nodes", "symbolic links, two nodes"):
        (line,) = (line for line in said.stdout.splitlines() if name in line)
        assert "raced for 100 names, each had one winner" in line
    assert "seen on the other node after" in said.stdout
    assert left_behind(doctor) == []


def test_a_partition_with_one_node(doctor: Path) -> None:
    found = by_name(nodes.visit(doctor, 2, "one"))
    assert found["two nodes"].state == "warn"
    assert found["two nodes"].text.startswith("the partition gave node1 twice")
    assert found["exclusive files, two nodes"].state == "ok"
    assert left_behind(doctor) == []


def test_one_node_with_little_time(doctor: Path) -> None:
    """The partition allows less than such a job would ask for elsewhere."""
    found = nodes.visit(doctor, 1, "short")
    assert [finding.state for finding in found] == ["ok", "ok"]
    assert [finding.name.split(" node")[0] for finding in found] == ["node", "clock of"]


def test_jobs_that_do_not_start(doctor: Path, slurm: Cluster) -> None:
    held = [
        "sbatch",
        "--parsable",
        "-J",
        "full",
        "-o",
        "/dev/null",
        "-N4",
        "--exclusive",
        "--wrap",
        "sleep 60",
    ]
    call(*held)
    (finding,) = nodes.visit(doctor, 2, wait=6.0)
    assert finding.state == "warn"
    assert "did not start in time: " in finding.text
    assert finding.advice == "try again later, or in another partition (-p)"
    assert left_behind(doctor) == []


@pytest.mark.parametrize(
    ("partition", "account", "at"), [("down", None, "--partition"), (None, "tunin", "--account")]
)
def test_what_can_never_start_is_not_submitted(
    doctor: Path, partition: str | None, account: str | None, at: str
) -> None:
    with pytest.raises(InputError) as caught:
        nodes.visit(doctor, 2, partition, account)
    assert caught.value.at == (at,)
    assert left_behind(doctor) == []


def on_a_mount_of_ones_own(directory: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script where `directory` is a memory disk that no node sees."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    program = f"mount -t tmpfs none {directory} && {script}"
    said = subprocess.run(["unshare", "-m", "sh", "-c", program], capture_output=True, text=True, timeout=100)
    if "unshare failed" in said.stderr or "mount:" in said.stderr:
        pytest.skip("mounts are not allowed here")
    return said


def test_a_directory_that_the_nodes_do_not_see(doctor: Path) -> None:
    doctor_command = f"{sys.executable} -m taut doctor {doctor} --nodes 2"
    said = on_a_mount_of_ones_own(doctor, doctor_command)
    assert said.returncode == 1, said.stdout + said.stderr
    assert f"left no trace: {doctor} is not seen there, or cannot be written" in said.stdout
    assert "keep the study on a file system that the nodes share (--dir)" in said.stdout
    assert left_behind(doctor) == []


def test_nodes_that_do_not_know_taut(doctor: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    hidden = tmp_path_factory.mktemp("hidden")
    script = f"cp -r {SOURCE}/taut {hidden} && PYTHONPATH={hidden} {sys.executable} -P -m taut doctor {doctor} --nodes 1"
    isolated = subprocess.run(
        [sys.executable, "-c", "import taut"], env={**os.environ, "PYTHONPATH": str(hidden)}, cwd=hidden
    )
    if isolated.returncode == 0:
        pytest.skip("taut is installed in this interpreter")
    said = on_a_mount_of_ones_own(hidden, script.replace(" -P ", " "))
    assert said.returncode == 1, said.stdout + said.stderr
    assert "cannot import taut there: " in said.stdout
    assert "No module named" in said.stdout


# ---------------------------------------------------------------------- without a cluster


def test_no_cluster_answers() -> None:
    (finding,) = judge_site(Site("ada"))
    assert (finding.name, finding.state) == ("Slurm", "warn")


def test_accounting_that_is_not_there() -> None:
    finding = judge_accounting(
        Site("ada", Config("lab", "22.05.8")), "sacct: Slurm accounting storage is disabled"
    )
    assert finding.state == "warn"
    assert finding.text == "does not answer (sacct: Slurm accounting storage is disabled)"
    enforcing = Config("lab", "22.05.8", enforced=frozenset({"associations"}))
    finding = judge_accounting(Site("ada", enforcing, mine=()), "")
    assert (finding.state, finding.text) == ("warn", "answers, and knows no account of ada")


def test_throws_take_turns(tmp_path: Path) -> None:
    for name in ("ball-0", "ball-1"):
        (tmp_path / name).touch()
    other = threading.Thread(target=throw, args=(tmp_path, 1, 3, 10.0))
    other.start()
    assert len(throw(tmp_path, 0, 3, 10.0)) == 3
    other.join()
    assert (tmp_path / "ball-0").read_bytes() == b"..."


def test_throws_that_nobody_answers(tmp_path: Path) -> None:
    for name in ("ball-0", "ball-1"):
        (tmp_path / name).touch()
    assert throw(tmp_path, 0, 3, 0.1) == []
    assert nodes.judge_throws([], 5).state == "fail"
    assert nodes.judge_throws([0.02, 0.04], 5).text == (
        "seen on the other node after 20 ms (median), 20 ms (longest); 2 of 5 in time"
    )
    assert nodes.judge_throws([30.0] * 5, 5).state == "warn"
    assert nodes.judge_throws([0.02] * 5, 5).state == "ok"
