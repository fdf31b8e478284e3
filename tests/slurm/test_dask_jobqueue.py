"""Trials on Dask workers that are jobs of a real Slurm, as `dask-jobqueue` submits them; one job is cancelled meanwhile."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from cluster import Cluster

import taut
from taut.trial import State


@pytest.mark.slow
def test_jobs_run_the_trials_and_a_cancelled_one_loses_none(slurm: Cluster, tmp_path: Path) -> None:
    jobqueue = pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    distributed = pytest.importorskip("distributed")

    def measured(
        x: float,
    ) -> dict[str, float]:  # in here, so that it is sent by value: jobs do not see this module
        time.sleep(0.3)
        return {"loss": x, "job": float(os.environ["SLURM_JOB_ID"])}

    space = taut.Space(x=taut.uniform(0.0, 1.0))
    study = taut.Study(tmp_path / "study", space, minimize="loss", sampler="random", seed=4, retries=2)
    source = Path(taut.__file__).parents[1]
    with (
        jobqueue.SLURMCluster(
            cores=1,
            processes=1,
            memory="500MB",
            walltime="00:10:00",
            interface="lo",
            python=sys.executable,
            log_directory=str(tmp_path),
            local_directory=str(tmp_path),
            scheduler_options={"dashboard_address": "127.0.0.1:0"},
            worker_extra_args=["--no-dashboard"],
            job_script_prologue=[f"export PYTHONPATH={source}"],
            n_workers=2,
        ) as jobs,
        distributed.Client(jobs) as client,
    ):
        client.wait_for_workers(2, timeout=90)
        study.run(measured, trials=12, executor=client.get_executor(), workers=3)
        began = {int(trial.values["job"]) for trial in study.trials}
        assert len(began) == 2
        slurm.run("scancel", "--signal=KILL", "--full", str(min(began)))
        study.run(measured, trials=24, executor=client.get_executor(), workers=3)
    assert study.snapshot.tally() == {State.COMPLETE: 24}
    assert max(began) in {int(trial.values["job"]) for trial in study.trials[12:]}
