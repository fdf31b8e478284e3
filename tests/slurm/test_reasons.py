"""Reason codes in plain words: every family, and those that a real Slurm gives."""

from __future__ import annotations

import itertools
import time

import pytest
from cluster import Cluster

from taut.slurm.calls import call
from taut.slurm.reasons import never, plain


@pytest.mark.parametrize(
    ("reason", "ever", "text"),
    [
        ("Resources", True, "it is among the first in line and waits for free nodes"),
        ("(Priority)", True, "other jobs with a higher priority are ahead of it"),
        ("PartitionTimeLimit", False, "it asks for more time than its partition allows"),
        ("DependencyNeverSatisfied", False, "the job before it ended in another way"),
        ("JobHeldUser", True, "scontrol release JOBID"),
        ("ReqNodeNotAvail, UnavailableNodes:node[2-3]", True, "down, drained, or kept for a reservation"),
        ("ReqNodeNotAvail(Unavailable:node2)", True, "down, drained, or kept for a reservation"),
        (
            "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
            True,
            "sinfo -R says why nodes are down",
        ),
        ("AssocGrpBillingRunMinutes", True, "the jobs of its account that run now have as much still to run"),
        ("AssocGrpCPURunMinutesLimit", True, "(CPUs times minutes): wait, or ask for a shorter time"),
        ("AssocGrpCPUMinutesLimit", True, "have used up what they may use in all (CPUs times minutes)"),
        ("QOSGrpGRES", True, "the jobs of its QOS that run now use all that they may (GPUs)"),
        ("QOSMaxGRESPerUser", True, "your jobs in its QOS that run now use all that they may (GPUs)"),
        ("MaxMemoryPerAccount", True, "the jobs of this account in its QOS that run now use all"),
        ("QOSMaxJobsPerUserLimit", True, "as many of your jobs in its QOS run as may run at a time"),
        (
            "MaxSubmitJobsPerAccount",
            True,
            "as many of the jobs of this account in its QOS are submitted as may be",
        ),
        ("AssocGrpJobsLimit", True, "as many of the jobs of its account run as may run at a time"),
        ("QOSMaxWallDurationPerJobLimit", False, "it asks for more time than its QOS allows one job"),
        ("AssocGrpWallLimit", True, "have used up the time that they may use in all"),
        ("QOSMaxCpuPerJobLimit", False, "it asks for more CPUs than its QOS allows one job"),
        ("QOSMaxMemoryPerNode", False, "it asks for more memory than its QOS allows on one node"),
        ("AssocMaxCpuMinutesPerJobLimit", False, "more CPUs times minutes than its account allows one job"),
        ("QOSMinCpuNotSatisfied", False, "it asks for less than its QOS wants (CPUs)"),
    ],
)
def test_meanings(reason: str, ever: bool, text: str) -> None:
    said = plain(reason)
    assert text in said
    assert never(reason) is not ever
    assert said.count(": ") >= 1, "there is a next move"


def test_names_of_the_job_itself() -> None:
    assert plain("QOSGrpCpuLimit", qos="gpu", limit="cpu=10").startswith(
        "the jobs of QOS gpu that run now use all that they may (CPUs) (cpu=10): "
    )
    assert "account lab" in plain("AssocGrpGRES", account="lab")
    assert plain("PartitionDown", partition="gpu").startswith("partition gpu starts no jobs at present: ")


def test_an_unknown_reason_is_handed_on() -> None:
    assert plain("(MoonPhase)") == "MoonPhase: see squeue(1), JOB REASON CODES"
    assert not never("MoonPhase")


def test_families_have_no_gaps() -> None:
    """Every code that Slurm builds from these parts has a meaning of its own."""
    whats = ("CPU", "Mem", "GRES", "Node", "Billing", "BB", "Energy", "License", "Unknown")
    for who, what in itertools.product(("QOS", "Assoc"), whats):
        for code in (f"{who}Grp{what}", f"{who}Grp{what}Minutes", f"{who}Grp{what}RunMinutes"):
            assert not never(code) and "squeue(1)" not in plain(code), code
        for code in (f"{who}Max{what}PerJob", f"{who}Max{what}PerNode", f"{who}Max{what}MinutesPerJob"):
            assert never(code) and "squeue(1)" not in plain(code), code
        assert not never(f"{who}Max{what}PerUser"), (who, what)


REAL = [
    ("-A cpurun -c2 -t10", "AssocGrpCPURunMinutesLimit", True),
    ("-A billrun -c2 -t10", "AssocGrpBillingRunMinutes", True),
    ("--qos cpurun -c2 -t10", "QOSGrpCPURunMinutesLimit", True),
    ("--qos billrun -c2 -t10", "QOSGrpBillingRunMinutes", True),
    ("--qos onecpu -c2", "QOSMaxCpuPerUserLimit", True),
    ("-p down", "PartitionDown", True),
    ("-p short -t5", "PartitionTimeLimit", False),
    ("--hold", "JobHeldUser", True),
    ("--begin now+1hour", "BeginTime", True),
]


def test_reasons_of_a_real_slurm(slurm: Cluster) -> None:
    jobs = {}
    for options, reason, _ in REAL:
        words = [
            "sbatch",
            "--parsable",
            "-J",
            "reasons",
            "-o",
            "/dev/null",
            *options.split(),
            "--wrap",
            "true",
        ]
        jobs[call(*words).strip()] = reason
    said: dict[str, str] = {}
    end = time.monotonic() + 20
    while said != jobs and time.monotonic() < end:
        time.sleep(0.3)
        lines = call("squeue", "-h", "-n", "reasons", "-o", "%A|%r").splitlines()
        said = dict(line.split("|", 1) for line in lines)
    assert said == jobs
    for _, reason, ever in REAL:
        assert "squeue(1)" not in plain(reason)
        assert never(reason) is not ever
