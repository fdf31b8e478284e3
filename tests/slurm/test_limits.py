"""Requests against a cluster's limits: what is refused can never start on the real one, what is accepted does."""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from typing import Any

import msgspec
import pytest
from cluster import Cluster

from taut.errors import InputError
from taut.slurm import inventory, state
from taut.slurm.calls import SlurmError, call
from taut.slurm.limits import Checked, Request, check, read
from taut.slurm.site import Association, Config, Limit, Limits, Nodes, Partition, Qos, Site

USER = pwd.getpwuid(os.getuid()).pw_name


def submit(request: Request) -> str:
    """Submit one such job by hand; its id. Raises `SlurmError` where Slurm refuses it."""
    options = ["-J", "limits", "-o", "/dev/null", f"--array=0-{request.tasks - 1}"]
    given = {
        "--partition": request.partition,
        "--account": request.account,
        "--qos": request.qos,
        "--cpus-per-task": request.cpus,
        "--mem": request.memory_mb,
        "--time": request.minutes,
    }
    options += [f"{name}={value}" for name, value in given.items() if value is not None]
    if request.gpus:
        kind = f"{request.gpu_type}:" if request.gpu_type else ""
        options.append(f"--gres=gpu:{kind}{request.gpus}")
    return call("sbatch", "--parsable", *options, "--wrap", "sleep 20").strip()


def states(job: str, seconds: float, wanted: str = "") -> list[str]:
    """State and reason of the job's tasks, after `seconds` or as soon as a task is in state `wanted`."""
    end = time.monotonic() + seconds
    while True:
        found = call("squeue", "-h", "-r", "-j", job, "-o", "%T %r").splitlines()
        if time.monotonic() > end or (wanted and any(line.startswith(wanted) for line in found)):
            return found
        time.sleep(0.2)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"partition": "short", "minutes": 5},
        "time",
        "5m is more than partition short allows (2m, MaxTime)",
    ),
    ({"partition": "shor"}, "partition", "did you mean 'short'?"),
    ({"partition": "down"}, "partition", "partition down is DOWN"),
    ({"cpus": 5}, "cpus", "has 5 CPUs; the most is 4"),
    ({"gpus": 3}, "gpus", "has 3 GPUs; the most is 2"),
    ({"gpus": 1, "gpu_type": "a100"}, "gpus", "has 1 a100 GPUs; the most is 0"),
    ({"memory_mb": 4001}, "memory", "has 4001 MiB of memory; the most is 4000"),
    ({"account": "tunin"}, "account", "did you mean 'tuning'?"),
    ({"qos": "nosuch"}, "qos", "'nosuch' is not a QOS of this cluster"),
    (
        {"account": "cpurun", "minutes": 11},
        "time",
        "(GrpTRESRunMins cpu=10); one job asks for 1 x 11m = 11",
    ),
    (
        {"qos": "cpurun", "cpus": 4, "minutes": 3},
        "time",
        "one job asks for 4 x 3m = 12; ask for 2m or less",
    ),
    (
        {"account": "billrun", "gpus": 1, "minutes": 2},
        "time",
        "one job asks for 9 x 2m = 18; ask for 1m or less",
    ),
    ({"qos": "billrun", "gpus": 2, "minutes": 1}, "gpus", "one job asks for 17 x 1m = 17; ask for less"),
    ({"qos": "onecpu", "cpus": 2}, "cpus", "(MaxTRESPU cpu=1); one job asks for cpu=2"),
    ({"qos": "deny", "cpus": 2, "minutes": 1}, "cpus", "(MaxTRESPJ cpu=1); one job asks for cpu=2"),
    ({"qos": "deny", "minutes": 6}, "time", "QOS deny allows 5 minutes for one job (MaxWallPJ)"),
]


def test_what_is_refused_never_starts(slurm: Cluster) -> None:
    """Each is refused with the number that breaks it; by hand, Slurm refuses it as well or lets it wait."""
    site = read(USER)
    jobs: dict[str, dict[str, Any]] = {}
    for asked, key, number in REFUSED:
        with pytest.raises(InputError) as caught:
            check(Request(**asked), site)
        assert caught.value.at == ("on", "slurm", key)
        assert number in caught.value.message
        with contextlib.suppress(SlurmError):
            jobs[submit(Request(**asked))] = asked
    assert len(jobs) >= 7, "most are accepted by Slurm"
    time.sleep(4.0)
    for job, asked in jobs.items():
        assert [line.split()[0] for line in states(job, 0.0)] == ["PENDING"], asked


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"partition": "short"},
        {"partition": "one", "cpus": 4, "gpus": 2, "memory_mb": 4000},
        {"account": "cpurun", "minutes": 10},
        {"account": "billrun", "gpus": 1, "minutes": 1},
        {"qos": "deny", "minutes": 5},
        {"partition": "short,main", "minutes": 5},
    ],
)
def test_what_is_accepted_starts(slurm: Cluster, asked: dict[str, Any]) -> None:
    request = Request(**asked)
    checked = check(request, read(USER))
    assert (checked.tasks, checked.at_once, checked.notes) == (1, 1, [])
    job = submit(msgspec.structs.replace(request, minutes=checked.minutes))
    assert states(job, 15.0, "RUNNING") == ["RUNNING None"]


@pytest.mark.parametrize(
    ("asked", "running"),
    [
        ({"qos": "cpurun", "minutes": 3, "tasks": 8}, 3),
        ({"account": "billrun", "minutes": 2, "tasks": 8}, 5),
        ({"qos": "onecpu", "tasks": 3}, 1),
        ({"account": "fewjobs", "tasks": 4}, 2),
    ],
)
def test_as_many_run_as_was_said(slurm: Cluster, asked: dict[str, Any], running: int) -> None:
    request = Request(**asked)
    checked = check(request, read(USER))
    assert (checked.tasks, checked.at_once, len(checked.notes)) == (request.tasks, running, 1)
    job = submit(msgspec.structs.replace(request, minutes=checked.minutes))
    states(job, 15.0, "RUNNING")
    found = states(job, 1.5)
    assert sum(line.startswith("RUNNING") for line in found) == running, found


def test_jobs_that_are_there_count(slurm: Cluster) -> None:
    request = Request(account="fewjobs", tasks=8, others=1)
    first = check(request, read(USER))
    assert (first.tasks, first.at_once) == (3, 2)
    job = submit(Request(account="fewjobs", tasks=3))
    states(job, 15.0, "RUNNING")
    second = check(msgspec.structs.replace(request, others=0), read(USER))
    assert (second.tasks, second.at_once) == (1, 1)
    assert second.notes[0] == (
        "1 of 8 jobs may be submitted: account fewjobs allows 4 submitted jobs in all (GrpSubmitJobs), 3 are there"
    )
    submit(Request(account="fewjobs"))
    third = check(request, read(USER))
    assert (third.tasks, third.at_once) == (0, 0)
    assert "wait until some have ended" in third.notes[0]
    with pytest.raises(SlurmError, match=r"AssocGrpSubmitJobsLimit|job submit limit"):
        submit(Request(account="fewjobs"))


def test_usage_of_a_qos(slurm: Cluster) -> None:
    states(submit(Request(qos="fewjobs", tasks=2)), 15.0, "RUNNING")
    assert read(USER).qos is not None
    limits = (read(USER).qos or {})["fewjobs"].limits
    assert limits["MaxSubmitJobsPU", ""] == Limit(4, 2)
    assert limits["MaxJobsPU", ""].used >= 1


def test_a_read_is_quick_and_whole(slurm: Cluster) -> None:
    begin = time.monotonic()
    site = read(USER)
    assert time.monotonic() - begin < 3
    assert site.config and site.config.most_array == 1001 and site.config.kill_wait == 5
    main = next(one for one in site.partitions if one.name == "main")
    assert main.default and (main.most_minutes, main.usual_minutes) == (1440, 10)
    assert sum(one.count for one in main.nodes) == 4
    assert {(one.cpus, one.memory, one.gpus[""]) for one in main.nodes} == {(4, 4000, 2)}
    assert site.usual_account == "tuning"
    assert [one.account for one in site.above("cpurun")] == ["cpurun", "root"]
    assert site.above("cpurun")[0].limits == {("GrpTRESRunMins", "cpu"): Limit(10)}
    assert check(Request(partition="short"), site) == Checked(
        "short", 1, "the default of partition short", 1, 1, []
    )
    assert check(Request(tasks=2000), site).tasks == 1001


# ---------------------------------------------------------------------- without a cluster


def site(limits: Limits, partition: Partition | None = None, qos: dict[str, Qos] | None = None) -> Site:
    config = Config("lab", "22.05.8", 1001, 10000, enforced=frozenset({"limits", "qos"}))
    one = partition or Partition(
        "gpu", default=True, most_minutes=1440, nodes=(Nodes(9, 64, 512_000, {"a100": 4}),)
    )
    association = Association("lab", "ada", limits=limits, qos=frozenset({"normal"}), usual_qos="normal")
    known = qos or {"normal": Qos("normal", frozenset(), {})}
    return Site("ada", config, (one,), known, (association,), {}, "lab")


def test_running_minutes_and_a_shorter_walltime() -> None:
    checked = check(Request(cpus=2, minutes=60, tasks=8), site({("GrpTRESRunMins", "cpu"): Limit(600)}))
    assert checked.at_once == 5
    assert checked.notes == [
        "5 of 8 jobs run at a time: ada in account lab allows 600 cpu-minutes still to run in all running jobs "
        "together (GrpTRESRunMins cpu=600); a walltime of 37m instead of 1h would let 8 run".replace(
            "1h", "60m"
        )
    ]
    assert (
        check(Request(cpus=2, minutes=37, tasks=8), site({("GrpTRESRunMins", "cpu"): Limit(600)})).at_once
        == 8
    )


def test_a_limit_in_use_by_others_is_no_refusal() -> None:
    checked = check(Request(gpus=2, tasks=3), site({("GrpTRES", "gres/gpu"): Limit(4, 4)}))
    assert checked.at_once == 1
    assert checked.notes[0].startswith("the first job waits for others to end: ")
    assert checked.notes[0].endswith("(4 in use now)")


def test_the_first_level_that_sets_a_limit_counts() -> None:
    qos = {"normal": Qos("normal", frozenset(), {("MaxJobsPU", ""): Limit(20)})}
    assert check(Request(tasks=50), site({("MaxJobs", ""): Limit(4)}, qos=qos)).at_once == 20
    assert check(Request(tasks=50), site({("MaxJobs", ""): Limit(4)})).at_once == 4


def test_a_qos_may_lift_the_time_limit_of_a_partition() -> None:
    lifting = {"normal": Qos("normal", frozenset({"PartitionTimeLimit"}), {})}
    assert check(Request(minutes=2000), site({}, qos=lifting)).minutes == 2000
    with pytest.raises(InputError, match="ask for 1d or less"):
        check(Request(minutes=2000), site({}))


def test_no_node_has_all_of_it() -> None:
    two = (Nodes(1, 64, 4000), Nodes(1, 4, 4000, {"": 2}))
    with pytest.raises(InputError, match="has all that one job asks for") as caught:
        check(Request(cpus=8, gpus=1), site({}, Partition("mixed", default=True, nodes=two)))
    assert caught.value.at == ("on", "slurm", "gpus")


def test_nodes_that_are_down_are_noted() -> None:
    down = Partition("gpu", default=True, nodes=(Nodes(2, 4, 4000, state="down*"), Nodes(1, 1, 100)))
    assert check(Request(cpus=4), site({}, down)).notes == [
        "all nodes of partition gpu that hold such a job are down*: it waits"
    ]


def test_partitions_closed_to_an_account() -> None:
    closed = Partition("gpu", default=True, accounts=frozenset({"physics"}))
    with pytest.raises(InputError, match="does not take jobs of account lab; it is for physics"):
        check(Request(), site({}, closed))


@pytest.mark.parametrize("gres", ["gpu:a100:4(S:0-1)", "gpu:a100:2,gpu:a100:2", "craynetwork:4,gpu:a100:4"])
def test_gpus_of_a_node(gres: str) -> None:
    found = inventory._nodes(f"gpu|2|64|512000|mixed|{gres}")
    assert found == {"gpu": [Nodes(2, 64, 512000, {"a100": 4}, "mixed")]}


def test_nothing_known_is_nothing_checked() -> None:
    nothing = inventory.parse("ada", {})
    assert (nothing.config, nothing.partitions, nothing.qos, nothing.mine) == (None, (), None, None)
    assert check(Request(minutes=9, tasks=3), nothing) == Checked(None, 9, "as asked", 3, 3, [])


def test_times_and_amounts() -> None:
    assert [inventory.minutes(text) for text in ("1-00:00:00", "00:10:01", "2:00", "UNLIMITED", "")] == [
        1440,
        11,
        2,
        None,
        None,
    ]
    assert inventory.amounts("cpu=10,mem=16G,gres/gpu:a100=4") == {
        "cpu": 10,
        "mem": 16384,
        "gres/gpu:a100": 4,
    }


def test_state_of_another_cluster_is_left_out() -> None:
    text = (
        "User Records\n\nUserName=ada(7) DefAccount=lab DefWckey= AdminLevel=None\n\nAssociation Records\n\n"
        "ClusterName=one Account=lab UserName= Partition= Priority=0 ID=1\n    GrpJobs=3(1) GrpWall=N(0.00)\n"
        "ClusterName=two Account=lab UserName= Partition= Priority=0 ID=1\n    GrpJobs=9(1) GrpWall=N(0.00)\n"
    )
    now = state.parse(text, "ada", "one")
    assert now.accounts["lab"].limits == {("GrpJobs", ""): Limit(3, 1)}
    assert now.usual_account == "lab"
