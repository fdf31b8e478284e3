"""The queue's history from a real accounting, as we ask for it and as users are told to print it elsewhere."""

from __future__ import annotations

import math
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from cluster import Cluster

from processes import until
from taut.queue import reading, sacct
from taut.queue.records import UNITS, Jobs
from taut.queue.waits import Ask, Waits


def submit(slurm: Cluster, folder: Path, *options: str) -> str:
    script = folder / "job.sh"
    script.write_text("#!/bin/sh\nsleep 1\n")
    return slurm.run("sbatch", "--parsable", "--output=/dev/null", *options, str(script))


def ours(slurm: Cluster, since: float) -> Jobs:
    jobs = sacct.live(days=1).jobs
    return jobs.take(jobs.submit >= since)


def account(slurm: Cluster) -> str:
    return "\n".join(
        slurm.run(*words)
        for words in (
            ("sacct", "-X", "-o", "JobID%20,Partition,State,Submit,Start,End"),
            ("squeue", "-r"),
            ("sinfo", "-N"),
        )
    )


def test_jobs_of_all_kinds_are_read_from_accounting(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = float(math.ceil(time.time()))
    time.sleep(began - time.time())  # what was submitted before has an earlier second
    submit(slurm, tmp_path, "--gpus=1", "--cpus-per-task=2", "--time=5", "--partition=main")
    array = submit(slurm, tmp_path, "--array=0-1", "--time=23:00:00", "--partition=low")
    # The partition ends jobs after two minutes, so these are eligible and wait for ever; sacct shows no held ones.
    held = submit(slurm, tmp_path, "--array=3,5-8", "--partition=short", "--time=10")
    gone = submit(slurm, tmp_path, "--partition=short", "--time=7")
    slurm.run("scancel", gone)
    until(lambda: np.isfinite(ours(slurm, began).end).sum() == 4, timeout=40, account=lambda: account(slurm))
    jobs = ours(slurm, began)
    assert len(jobs) == 1 + 2 + 5 + 1
    with_gpu = jobs.take(jobs.gpus > 0)
    assert (len(with_gpu), with_gpu.size[0], UNITS[with_gpu.unit[0]], with_gpu.walltime[0]) == (
        1,
        1,
        "gpus",
        300,
    )
    assert with_gpu.cpus[0] == 2
    tasks = jobs.take(jobs.array == int(array))
    assert tasks.walltime.tolist() == [82_800.0] * 2
    assert np.isfinite(tasks.start).all()
    assert (tasks.wait >= 0).all() and (tasks.wait < 40).all()
    waiting = jobs.take(jobs.array == int(held))
    assert len(waiting) == 5 and np.isnan(waiting.start).all() and np.isnan(waiting.end).all()
    cancelled = jobs.take(jobs.walltime == 420)
    assert np.isnan(cancelled.start).all() and np.isfinite(cancelled.end).all()
    assert all(began - 1 <= moment <= time.time() + 1 for moment in jobs.submit), (
        "whatever zone this machine is in"
    )

    # As users are told to: in a shell, where the time zone and a format of their own are set.
    monkeypatch.chdir(tmp_path)
    subprocess.run(
        ["sh", "-c", sacct.COMMAND],
        env={**os.environ, "TZ": "Asia/Tokyo", "SACCT_FORMAT": "JobID"},
        check=True,
    )
    there = reading.read(Path("jobs.txt"))
    assert there.unread == 0
    printed = there.jobs.take(there.jobs.submit >= began)
    assert sorted(printed.submit) == sorted(jobs.submit)
    assert np.nansum(printed.start) == np.nansum(jobs.start)

    waits = Waits.learn(jobs, time.time())
    assert waits.strength == "weak: 3 jobs"
    assert waits.quantiles(Ask(1, 300, "main"), time.time(), [0.5])[0] < 3600
