"""What the test cluster is made of: its configuration files and the command lines of its daemons."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import stat
from pathlib import Path

NODES = ("node1", "node2", "node3", "node4")
GPUS = 2  # of each node
JOB_IDS = 100_000  # what a cluster may use up, from its own first one on

MEMORY = Path("/sys/fs/cgroup/memory")  # where version 1 of cgroups has the memory of processes

# Jobs of all clusters on a machine share one tree of cgroups, which is why each cluster counts its jobs from
# a number of its own. Timers are short, so that the tests of failures take seconds: cred_expire is how long a requeued job
# waits (120 s by default), SlurmdTimeout how long a silent node is waited for (300 s), KillWait the time
# between SIGTERM and SIGKILL (30 s).
SLURM = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={directory}/run/munge,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool/%n
SlurmctldPidFile={directory}/run/slurmctld.own-pid
SlurmdPidFile={directory}/run/%n.own-pid
SlurmctldLogFile={directory}/log/slurmctld.log
SlurmdLogFile={directory}/log/%n.log
SlurmctldDebug=verbose
SlurmdDebug=info
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
{memory}
FirstJobId={first_job}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1000
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=0,batch_sched_delay=0,bf_continue
PriorityType=priority/multifactor
PriorityWeightAge=1000
PriorityWeightFairshare=1000
PriorityWeightQOS=10000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MaxArraySize=1001
MaxJobCount=10000
MinJobAge=300
KillWait=5
SlurmctldTimeout=30
SlurmdTimeout=10
InactiveLimit=0
OverTimeLimit=0
CompleteWait=0
JobRequeue=1
UnkillableStepTimeout=30
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
AccountingStoragePass={directory}/run/munge
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu
JobCompType=jobcomp/none
GresTypes=gpu
{nodes}
PartitionName=DEFAULT Nodes=ALL DefaultTime=10:00 MaxTime=1-00:00:00 PriorityTier=5 PreemptMode=OFF \
TRESBillingWeights="CPU=1.0,Mem=0.25G,GRES/gpu=8.0"
PartitionName=main Default=YES
PartitionName=short MaxTime=2:00 DefaultTime=1:00
PartitionName=low PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high PriorityTier=10
PartitionName=one Nodes=node1 MaxNodes=1
PartitionName=down State=DOWN
"""
NODE = (
    f"NodeName={{name}} NodeHostname={{host}} NodeAddr=127.0.0.1 Port={{port}} "
    f"CPUs=4 RealMemory=4000 Gres=gpu:{GPUS} State=UNKNOWN"
)

# Without the last line memory would be swapped out instead of running out.
CGROUPS = """\
CgroupPlugin=cgroup/v1
ConstrainRAMSpace=yes
MemorySwappiness=0
"""

SLURMDBD = """\
AuthType=auth/munge
AuthInfo=socket={directory}/run/munge
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={slurmdbd}
CommunicationParameters=NoInAddrAny
SlurmUser=root
PidFile={directory}/run/slurmdbd.own-pid
LogFile={directory}/log/slurmdbd.log
DebugLevel=info
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""

# The database has no port: its one way in is a socket in a directory of root's. It is thrown away after
# the tests and need not survive a crash, so that nothing is flushed to the disk.
DATABASE = """\
[mysqld]
user=root
datadir={directory}/db
socket={directory}/db/socket
skip-networking
skip-log-bin
performance-schema=OFF
innodb-buffer-pool-size=32M
innodb-log-file-size=16M
innodb-lock-wait-timeout=900
innodb-flush-method=nosync
innodb-flush-log-at-trx-commit=0
innodb-doublewrite=OFF
sync-frm=OFF
"""

# Commands of sacctmgr, in steps: those of one step do not need each other and run at the same time, since
# each spends half a second waiting.
ACCOUNTS = (
    ("add cluster tests",),
    (
        "add account tuning,cpurun,billrun,fewjobs cluster=tests",
        "add qos cpurun GrpTRESRunMins=cpu=10",
        "add qos billrun GrpTRESRunMins=billing=10",
        "add qos fewjobs MaxJobsPerUser=2 MaxSubmitJobsPerUser=4",
        "add qos onecpu MaxTRESPerUser=cpu=1",
        "add qos deny MaxTRESPerJob=cpu=1 MaxWallDurationPerJob=5 Flags=DenyOnLimit",
        "add qos urgent Priority=1000",
    ),
    (
        "modify account cpurun set GrpTRESRunMins=cpu=10",
        "modify account billrun set GrpTRESRunMins=billing=10",
        "modify account fewjobs set GrpJobs=2 GrpSubmitJobs=4",
        "add user root account=tuning,cpurun,billrun,fewjobs cluster=tests DefaultAccount=tuning"
        " QOS=normal,cpurun,billrun,fewjobs,onecpu,deny,urgent DefaultQOS=normal",
    ),
    ("modify user root set DefaultAccount=tuning",),  # it was made with the default "root"
)


def confines_memory() -> bool:
    """Whether jobs are confined to their memory, so that a job which takes more ends OUT_OF_MEMORY. Where
    cgroups cannot be had, Slurm looks once a second and kills the job, which then ends FAILED."""
    return (MEMORY / "release_agent").exists() and os.access(MEMORY, os.W_OK)


def remove_cgroups(directory: Path) -> None:
    """Remove the cgroups of jobs that were killed; those that end by themselves leave none."""
    lines = (directory / "etc" / "slurm.conf").read_text().splitlines()
    first = next(int(line.split("=")[1]) for line in lines if line.startswith("FirstJobId="))
    for job in MEMORY.glob("slurm_node*/uid_*/job_*"):
        if int(job.name.removeprefix("job_")) in range(first, first + JOB_IDS):
            for folder, _, _ in os.walk(job, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def write(directory: Path) -> None:
    """Write the configuration of a new cluster, with ports that are free, its key and its fake GPUs."""
    host = socket.gethostname().split(".")[0]
    slurmctld, slurmdbd, *ports = free_ports(2 + len(NODES))
    confined = confines_memory()
    values = {
        "directory": directory,
        "host": host,
        "slurmctld": slurmctld,
        "slurmdbd": slurmdbd,
        "first_job": 1 + JOB_IDS * secrets.randbelow(600),  # the largest id is 67,043,328
        "memory": "TaskPlugin=task/cgroup" if confined else "JobAcctGatherParams=OverMemoryKill",
    }
    nodes = "\n".join(
        NODE.format(name=name, host=host, port=port) for name, port in zip(NODES, ports, strict=True)
    )
    etc = directory / "etc"
    (etc / "munge.key").write_bytes(secrets.token_bytes(1024))
    (etc / "munge.key").chmod(0o600)
    (etc / "slurmdbd.conf").write_text(SLURMDBD.format(**values))
    (etc / "slurmdbd.conf").chmod(0o600)  # slurmdbd insists
    (etc / "database.conf").write_text(DATABASE.format(**values))
    if confined:
        (etc / "cgroup.conf").write_text(CGROUPS)
    # Slurm sets CUDA_VISIBLE_DEVICES only for character devices: these are twins of /dev/null.
    for number in range(GPUS):
        os.mknod(directory / "gpu" / f"nvidia{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (etc / "gres.conf").write_text(f"Name=gpu File={directory}/gpu/nvidia[0-{GPUS - 1}]\n")
    (etc / "slurm.conf").write_text(SLURM.format(nodes=nodes, **values))  # last: it says that all is there


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, and that no outgoing connection is given."""
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    lowest = 10000 if first_outgoing > 12000 else 1024
    ports: list[int] = []
    while len(ports) < count:
        port = lowest + secrets.randbelow(first_outgoing - lowest)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def munged(directory: Path) -> list[str]:
    """The command line of munged, which vouches for who sends what."""
    return [
        "munged",
        "--foreground",
        "--force",  # it would else insist on directories of its own user
        f"--key-file={directory}/etc/munge.key",
        f"--socket={directory}/run/munge",
        f"--pid-file={directory}/run/munged.own-pid",
        f"--log-file={directory}/log/munged.log",
        f"--seed-file={directory}/state/munge.seed",
    ]


def make_database(directory: Path) -> list[str]:
    """The command line that makes the database's system tables."""
    return [
        "mariadb-install-db",
        f"--defaults-file={directory}/etc/database.conf",
        "--skip-test-db",
        "--skip-name-resolve",
        "--auth-root-authentication-method=normal",
    ]


def mariadbd(directory: Path) -> list[str]:
    """The command line of the database."""
    return ["mariadbd", f"--defaults-file={directory}/etc/database.conf"]
