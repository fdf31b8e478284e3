"""A real Slurm for the tests: one cluster for the whole run, tidied after each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from cluster import Cluster, missing, temporary

# Variables by which the Slurm commands take options, and those of a job that the tests themselves run in.
OPTIONS = ("SLURM", "SBATCH", "SRUN", "SQUEUE", "SINFO", "SCANCEL", "SACCT", "SCONTROL")


@pytest.fixture(scope="session")
def slurm_installed() -> None:
    """Without Slurm the test is skipped, or fails if NEED_SLURM is 1."""
    if reason := missing():
        if os.environ.get("NEED_SLURM") == "1":
            pytest.fail(f"{reason} (and NEED_SLURM is 1)", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(slurm_installed: None) -> Iterator[Cluster]:
    """A running cluster, for all tests of this run together."""
    with temporary() as cluster:
        yield cluster


@pytest.fixture
def slurm(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, to which the Slurm commands of this test speak; afterwards no job is left."""
    for name in list(os.environ):
        if name.startswith(OPTIONS):
            monkeypatch.delenv(name)
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    yield cluster
    cluster.tidy()
