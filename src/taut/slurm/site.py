"""What a Slurm cluster has and allows, partitions, QOS, associations, limits.

Names of limits are those of `scontrol show assoc_mgr` (``MaxWallPJ``, ``GrpTRESRunMins``). `inventory.py` reads
them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

__all__ = ["Association", "Config", "Limit", "Limits", "Nodes", "Partition", "Qos", "Site"]


class Limit(NamedTuple):
    """The most that is allowed, and how much of it jobs use now."""

    most: int
    used: int = 0


# By name and by resource: ("GrpTRESRunMins", "cpu"). Resources: cpu, mem (MiB), node, billing, gres/gpu, ...;
# empty for limits on times (minutes) and on numbers of jobs.
Limits = dict[tuple[str, str], Limit]


class Config(msgspec.Struct, frozen=True):
    """Settings of the whole cluster. Memory in MiB, `kill_wait` in seconds."""

    cluster: str
    version: str
    most_array: int | None = None  # MaxArraySize
    most_jobs: int | None = None  # MaxJobCount
    kill_wait: int | None = None
    priority: str = ""
    priority_flags: frozenset[str] = frozenset()
    enforced: frozenset[str] = frozenset()  # AccountingStorageEnforce
    select: str = ""  # SelectTypeParameters
    memory_per_cpu: int | None = None
    memory_per_node: int | None = None


class Nodes(msgspec.Struct, frozen=True):
    """Nodes of a partition that are alike. memory: MiB; gpus: how many of each type, "" for no type."""

    count: int
    cpus: int
    memory: int
    gpus: dict[str, int] = {}
    state: str = "idle"

    @property
    def up(self) -> bool:
        """Whether a job may start on them, now or when others have ended."""
        return bool(re.match(r"(idle|mix|alloc|comp|plan|resv|reserved|powe|boot)", self.state)) and not (
            self.state.endswith("*")
        )


class Partition(msgspec.Struct, frozen=True):
    """One partition. Times in minutes (None: no limit, or no default), memory in MiB.

    accounts, qos: who may use it, None for all; no_accounts, no_qos: who may not.
    weights: what one unit of each resource counts in billing. whole: whether a job gets nodes for itself.
    """

    name: str
    state: str = "UP"
    default: bool = False
    hidden: bool = False
    most_minutes: int | None = None
    usual_minutes: int | None = None
    accounts: frozenset[str] | None = None
    no_accounts: frozenset[str] = frozenset()
    qos: frozenset[str] | None = None
    no_qos: frozenset[str] = frozenset()
    own_qos: str | None = None
    most_cpus: int | None = None  # per node
    most_memory: int | None = None  # per node
    memory_per_cpu: int | None = None
    memory_per_node: int | None = None
    job_defaults: dict[str, int] = {}
    weights: dict[str, float] = {}
    nodes: tuple[Nodes, ...] = ()
    whole: bool = False


class Qos(msgspec.Struct, frozen=True):
    name: str
    flags: frozenset[str]
    limits: Limits


class Association(msgspec.Struct, frozen=True):
    """What binds an account, or a user in an account (then `user` is not empty)."""

    account: str
    user: str = ""
    partition: str = ""
    parent: str = ""
    limits: Limits = {}
    qos: frozenset[str] | None = None  # None: not known
    usual_qos: str | None = None


class Site(msgspec.Struct, frozen=True):
    """A cluster as one user sees it.

    mine: the user's associations, None where accounting did not answer. accounts: those above them, by name.
    """

    user: str
    config: Config | None = None
    partitions: tuple[Partition, ...] = ()
    qos: dict[str, Qos] | None = None
    mine: tuple[Association, ...] | None = None
    accounts: dict[str, Association] = {}
    usual_account: str | None = None

    def above(self, account: str) -> list[Association]:
        """The account itself and those above it, innermost first."""
        found: list[Association] = []
        while account in self.accounts and len(found) < 64:
            found.append(self.accounts[account])
            account = found[-1].parent
        return found
