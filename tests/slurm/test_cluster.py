"""The test cluster does what the tests of Slurm rely on, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import cluster_files
import pytest
from cluster import Cluster, ClusterError
from cluster_processes import MARK, environment, marked

from processes import begin, output, script, until

PROGRAM = Path(__file__).with_name("cluster.py")


def submit(slurm: Cluster, folder: Path, text: str, *options: str) -> str:
    """Submit a job script; its output goes to `folder`, a file for each array task."""
    path = folder / "job.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    standard = ("--parsable", "--open-mode=append", f"--chdir={folder}", "--output=out-%a")
    return slurm.run("sbatch", *standard, *options, str(path))


def account(slurm: Cluster, job: str, field: str, *options: str) -> list[str]:
    """A field of a job's rows in the accounting, which lags behind."""
    return slurm.run("sacct", "-P", "-n", "-D", "-j", job, "-o", field, *options).splitlines()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_an_array_runs_and_is_accounted_for(slurm: Cluster, tmp_path: Path) -> None:
    job = submit(slurm, tmp_path, "echo $SLURM_ARRAY_TASK_ID > done-$SLURM_ARRAY_TASK_ID", "--array=0-5%2")
    until(lambda: account(slurm, job, "State", "-X") == ["COMPLETED"] * 6, timeout=30)
    assert [lines(tmp_path / f"done-{index}") for index in range(6)] == [[str(index)] for index in range(6)]


def test_jobs_on_one_node_get_gpus_of_their_own(slurm: Cluster, tmp_path: Path) -> None:
    text = "echo $CUDA_VISIBLE_DEVICES $SLURM_JOB_GPUS > gpu-$SLURM_ARRAY_TASK_ID; sleep 60"
    submit(slurm, tmp_path, text, "--array=0-1", "--gpus=1", "--nodelist=node2")
    seen = until(
        lambda: [line for index in range(2) for line in lines(tmp_path / f"gpu-{index}")][1:] and True
    )
    assert seen
    assert sorted(lines(tmp_path / "gpu-0") + lines(tmp_path / "gpu-1")) == ["0 0", "1 1"]


def test_a_requeued_job_counts_its_lives(slurm: Cluster, tmp_path: Path) -> None:
    job = submit(slurm, tmp_path, "echo $SLURM_JOB_ID ${SLURM_RESTART_COUNT:-none} >> lives; sleep 60")
    until(lambda: lines(tmp_path / "lives") == [f"{job} none"])
    slurm.run("scontrol", "requeue", job)
    until(lambda: lines(tmp_path / "lives") == [f"{job} none", f"{job} 1"], timeout=30)


def test_low_is_preempted_by_high(slurm: Cluster, tmp_path: Path) -> None:
    text = "echo $SLURM_JOB_PARTITION ${SLURM_RESTART_COUNT:-0} >> order; sleep $1"
    both = ("--nodelist=node1", "--cpus-per-task=4")
    low = submit(slurm, tmp_path, text.replace("$1", "60"), "--partition=low", *both)
    until(lambda: lines(tmp_path / "order") == ["low 0"])
    submit(slurm, tmp_path, text.replace("$1", "1"), "--partition=high", *both)
    until(lambda: lines(tmp_path / "order") == ["low 0", "high 0", "low 1"], timeout=45)
    assert account(slurm, low, "State", "-X")[0] == "PREEMPTED"


@pytest.mark.slow
def test_a_job_outlives_its_killed_node_and_is_requeued(slurm: Cluster, tmp_path: Path) -> None:
    text = "echo $$ ${SLURM_RESTART_COUNT:-0} $SLURMD_NODENAME >> lives; exec sleep 300"
    job = submit(slurm, tmp_path, text, "--nodelist=node3", "--requeue")
    until(lambda: lines(tmp_path / "lives"))
    first, life, node = lines(tmp_path / "lives")[0].split()
    assert (life, node) == ("0", "node3")
    slurm.kill_node("node3")
    until(lambda: "NODE_FAIL" in account(slurm, job, "State", "-X"), timeout=60)
    assert environment(int(first)), "the processes of a lost node live on"
    slurm.tidy()
    assert slurm.status()["node3"]
    assert not environment(int(first))


def test_a_job_that_takes_too_much_memory_is_killed(slurm: Cluster, tmp_path: Path) -> None:
    hog = f"exec {sys.executable} -c 'import time; kept = bytearray(500 << 20); time.sleep(60)'"
    job = submit(slurm, tmp_path, hog, "--mem=50")
    state, code = ("OUT_OF_MEMORY", "0:125") if slurm.confines_memory else ("FAILED", "0:9")
    until(lambda: account(slurm, job, "State", "-X") == [state], timeout=20)
    assert account(slurm, job, "ExitCode", "-X") == [code]
    said = "oom-kill event" if slurm.confines_memory else "exceeded memory limit"
    until(lambda: said in (tmp_path / "out-4294967294").read_text())


def test_limits_refuse_or_hold(slurm: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="QOSMaxCpuPerJobLimit"):
        submit(slurm, tmp_path, "true", "--qos=deny", "--cpus-per-task=2", "--time=1")
    job = submit(slurm, tmp_path, "true", "--partition=short", "--time=10")
    until(lambda: slurm.run("squeue", "-h", "-j", job, "-o", "%r") == "PartitionTimeLimit")


def test_tidy_ends_all_jobs_and_brings_nodes_back(slurm: Cluster, tmp_path: Path) -> None:
    submit(slurm, tmp_path, "echo here >> begun; sleep 60", "--array=0-30%4")
    until(lambda: lines(tmp_path / "begun"))
    slurm.run("scontrol", "update", "NodeName=node4", "State=DRAIN", "Reason=test")
    slurm.kill_node("node2")
    slurm.tidy()
    assert slurm.run("squeue", "-h") == ""
    assert all(slurm.status().values())
    states = slurm.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split()
    assert states == ["idle"] * len(slurm.nodes)


@pytest.mark.usefixtures("slurm_installed")
def test_a_killed_test_run_leaves_no_cluster(tmp_path: Path) -> None:
    """Also: two clusters live side by side."""
    program = script(
        tmp_path,
        f"""
        import sys, time
        sys.path.insert(0, {str(PROGRAM.parent)!r})
        from cluster import temporary
        with temporary() as cluster:
            cluster.run("sbatch", "--output=/dev/null", "--wrap", "sleep 60")
            print(cluster.directory, flush=True)
            time.sleep(600)
        """,
    )
    process = begin(program)
    assert process.stdout is not None
    directory = process.stdout.readline().strip()
    assert marked(f"{MARK}={directory}")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: not Path(directory).exists(), timeout=20)
    assert not marked(f"{MARK}={directory}")
    assert not marked(f"SLURM_CONF={directory}")


@pytest.mark.usefixtures("slurm_installed")
def test_what_does_not_come_up_leaves_nothing() -> None:
    cluster = Cluster(Path("/tmp") / f"taut-slurm-broken-{os.getpid()}")
    for name in ("etc", "gpu"):
        (cluster.directory / name).mkdir(parents=True)
    (cluster.directory / "taut-test-cluster").touch()
    cluster_files.write(cluster.directory)
    with Path(cluster.environment["SLURM_CONF"]).open("a") as file:
        file.write("StateSaveLocation=/proc/nowhere\n")
    try:
        with pytest.raises(ClusterError, match=r"slurmctld has ended: (?s:.*)/proc/nowhere"):
            cluster.up()
        assert not marked(f"{MARK}={cluster.directory}")
    finally:
        cluster.down(wipe=True)


@pytest.mark.usefixtures("slurm_installed")
def test_from_the_command_line_what_is_down_comes_up_again() -> None:
    directory = Path("/tmp") / f"taut-slurm-again-{os.getpid()}"
    cluster = Cluster(directory)
    try:
        assert "it runs" in output(begin(PROGRAM, "up", directory))
        first = cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap", "true")
        assert "node4: runs" in output(begin(PROGRAM, "status", directory))
        output(begin(PROGRAM, "down", directory))
        assert not marked(f"{MARK}={directory}")
        output(begin(PROGRAM, "up", directory))
        assert int(cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap", "true")) > int(first)
    finally:
        output(begin(PROGRAM, "down", directory, "--wipe"))
    assert not directory.exists()
    assert not marked(f"{MARK}={directory}")


@pytest.mark.usefixtures("slurm_installed")
def test_a_directory_that_holds_something_else_is_left_alone() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        (Path(name) / "thesis.tex").touch()
        with pytest.raises(ClusterError, match="something else"):
            Cluster(name).up()
        with pytest.raises(ClusterError, match="something else"):
            Cluster(name).down(wipe=True)
        assert os.listdir(name) == ["thesis.tex"]


def test_a_long_directory_is_refused() -> None:
    with pytest.raises(ClusterError, match="at most 60 characters"):
        Cluster("/tmp/" + "x" * 60)


@pytest.mark.parametrize("needed", [True, False])
def test_without_slurm_tests_are_skipped_or_fail(tmp_path: Path, needed: bool) -> None:
    here = PROGRAM.parent
    for name in ("conftest.py", "cluster.py", "cluster_files.py", "cluster_processes.py"):
        (tmp_path / name).symlink_to(here / name)
    (tmp_path / "test_it.py").write_text("def test_it(slurm): pass\n")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-rs",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        str(tmp_path),
    ]
    surroundings = {**os.environ, "PATH": str(tmp_path), "NEED_SLURM": "1" if needed else ""}
    done = subprocess.run(words, env=surroundings, capture_output=True, text=True, cwd=tmp_path)
    assert ("1 error" if needed else "1 skipped") in done.stdout
    assert "apt-get install slurmctld" in done.stdout
