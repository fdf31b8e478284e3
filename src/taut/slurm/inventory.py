"""Reading what a Slurm cluster has and allows, from its own commands.

Everything is text with explicit fields; a command that is refused or missing leaves its part empty.
"""

from __future__ import annotations

import math
import re
from concurrent.futures import ThreadPoolExecutor

import msgspec

from taut.slurm import state
from taut.slurm.calls import SlurmError, call
from taut.slurm.site import Association, Config, Limit, Limits, Nodes, Partition, Qos, Site

__all__ = ["amounts", "minutes", "parse", "read"]

_QOS_FIELDS = {
    "GrpTRES": "GrpTRES",
    "GrpTRESMins": "GrpTRESMins",
    "GrpTRESRunMins": "GrpTRESRunMins",
    "GrpJobs": "GrpJobs",
    "GrpSubmit": "GrpSubmitJobs",
    "MaxTRES": "MaxTRESPJ",
    "MaxTRESPerNode": "MaxTRESPN",
    "MaxTRESMins": "MaxTRESMinsPJ",
    "MaxWall": "MaxWallPJ",
    "MaxTRESPU": "MaxTRESPU",
    "MaxJobsPU": "MaxJobsPU",
    "MaxSubmitPU": "MaxSubmitJobsPU",
    "MaxTRESPA": "MaxTRESPA",
    "MaxJobsPA": "MaxJobsPA",
    "MaxSubmitPA": "MaxSubmitJobsPA",
    "MaxTRESRunMinsPU": "MaxTRESRunMinsPU",
    "MaxTRESRunMinsPA": "MaxTRESRunMinsPA",
    "MinTRES": "MinTRESPJ",
}


def read(user: str, timeout: float = 10.0) -> Site:
    """What the cluster has and allows `user`; six commands at once. Empty where nothing answers.

    timeout: seconds for each command.
    """
    commands = {
        "config": ("scontrol", "show", "config"),
        "partitions": ("scontrol", "-a", "show", "partition", "-o"),
        "nodes": ("sinfo", "-a", "-h", "-e", "-o", "%R|%D|%c|%m|%T|%G"),
        "state": ("scontrol", "show", "assoc_mgr", f"users={user}", "flags=users,assoc,qos"),
        "qos": ("sacctmgr", "-nP", "show", "qos", f"format=Name,Flags,{','.join(_QOS_FIELDS)}"),
        "mine": (
            "sacctmgr",
            "-nP",
            "show",
            "assoc",
            f"user={user}",
            "format=Cluster,Account,Partition,QOS,DefaultQOS",
        ),
    }
    with ThreadPoolExecutor(len(commands)) as threads:
        answers = threads.map(lambda words: _said(words, timeout), commands.values())
        return parse(user, dict(zip(commands, answers, strict=True)))


def _said(words: tuple[str, ...], timeout: float) -> str | None:
    try:
        return call(*words, timeout=timeout)
    except SlurmError:
        return None


def parse(user: str, texts: dict[str, str | None]) -> Site:
    """The site from what the commands of `read` printed, None for one that failed."""
    config = _config(texts.get("config"))
    nodes = _nodes(texts.get("nodes") or "")
    partitions = [_partition(line, nodes) for line in (texts.get("partitions") or "").splitlines() if line]
    now = state.parse(texts.get("state") or "", user, config.cluster if config else "")
    return Site(
        user=user,
        config=config,
        partitions=tuple(partitions),
        qos=_qos(texts.get("qos"), now.qos),
        mine=_mine(texts.get("mine"), user, config, now.users),
        accounts=now.accounts,
        usual_account=now.usual_account,
    )


def _config(text: str | None) -> Config | None:
    pairs = [line.split("=", 1) for line in (text or "").splitlines() if "=" in line]
    found = {pair[0].strip(): pair[1].strip() for pair in pairs}
    if "ClusterName" not in found:
        return None
    return Config(
        cluster=found["ClusterName"],
        version=found.get("SLURM_VERSION", ""),
        most_array=_number(found.get("MaxArraySize")),
        most_jobs=_number(found.get("MaxJobCount")),
        kill_wait=_number(found.get("KillWait")),
        priority=found.get("PriorityType", "").removeprefix("priority/"),
        priority_flags=_names(found.get("PriorityFlags")),
        enforced=_names(found.get("AccountingStorageEnforce")),
        select=found.get("SelectTypeParameters", "").upper(),
        memory_per_cpu=_number(found.get("DefMemPerCPU")),
        memory_per_node=_number(found.get("DefMemPerNode")),
    )


def _nodes(text: str) -> dict[str, list[Nodes]]:
    found: dict[str, list[Nodes]] = {}
    for line in text.splitlines():
        partition, count, cpus, memory, state, gres = line.split("|", 5)
        gpus: dict[str, int] = {}
        for kind, many in re.findall(r"\bgpu(?::([A-Za-z][\w.-]*))?:(\d+)", gres):
            gpus[kind] = gpus.get(kind, 0) + int(many)
        one = Nodes(int(count), _number(cpus) or 0, _number(memory) or 0, gpus, state)
        found.setdefault(partition, []).append(one)
    return found


def _partition(line: str, nodes: dict[str, list[Nodes]]) -> Partition:
    found = dict(word.split("=", 1) for word in line.split() if "=" in word)
    name, own = found["PartitionName"], found.get("QoS", "N/A")
    weights = found.get("TRESBillingWeights", "")
    return Partition(
        name=name,
        state=found.get("State", "UP"),
        default=found.get("Default") == "YES",
        hidden=found.get("Hidden") == "YES",
        most_minutes=minutes(found.get("MaxTime", "")),
        usual_minutes=minutes(found.get("DefaultTime", "")),
        accounts=_allowed(found.get("AllowAccounts")),
        no_accounts=_names(found.get("DenyAccounts")),
        qos=_allowed(found.get("AllowQos")),
        no_qos=_names(found.get("DenyQos")),
        own_qos=None if own == "N/A" else own,
        most_cpus=_number(found.get("MaxCPUsPerNode")),
        most_memory=_number(found.get("MaxMemPerNode")),
        memory_per_cpu=_number(found.get("DefMemPerCPU")),
        memory_per_node=_number(found.get("DefMemPerNode")),
        job_defaults=amounts(found.get("JobDefaults", "")),
        weights={name.lower(): _weight(value) for name, value in re.findall(r"([^,=]+)=([^,]+)", weights)},
        nodes=tuple(nodes.get(name, ())),
        whole=found.get("OverSubscribe") == "EXCLUSIVE",
    )


def _qos(text: str | None, used: dict[str, Limits]) -> dict[str, Qos] | None:
    if text is None:
        return None
    found: dict[str, Qos] = {}
    for line in text.splitlines():
        name, flags, *values = line.split("|")
        limits: Limits = {}
        for kind, value in zip(_QOS_FIELDS.values(), values, strict=False):
            if "TRES" in kind:
                limits |= {(kind, what): Limit(most) for what, most in amounts(value).items()}
            elif (most := minutes(value) if kind == "MaxWallPJ" else _number(value)) is not None:
                limits[kind, ""] = Limit(most)
        now = used.get(name, {})
        limits = {key: Limit(limit.most, now.get(key, limit).used) for key, limit in limits.items()}
        found[name] = Qos(name, _names(flags), limits)
    return found


def _mine(
    text: str | None, user: str, config: Config | None, known: dict[tuple[str, str], Association]
) -> tuple[Association, ...] | None:
    if text is None:
        return None
    found = []
    for line in text.splitlines():
        cluster, account, partition, qos, usual = line.split("|")[:5]
        if config is None or cluster == config.cluster:
            one = known.get((account, partition), Association(account, user, partition))
            found.append(msgspec.structs.replace(one, qos=_names(qos), usual_qos=usual or None))
    return tuple(found)


def minutes(text: str) -> int | None:
    """Minutes, rounded up, of ``1-00:00:00``, ``00:10:00`` or ``2:00``; None for no limit."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text.strip())
    if not found:
        return None
    days, hours, mins, seconds = (int(part or 0) for part in found.groups())
    return days * 1440 + hours * 60 + mins + math.ceil(seconds / 60)


_UNITS = {"": 1.0, "K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2, "P": 1024.0**3}


def amounts(text: str) -> dict[str, int]:
    """``cpu=10,mem=16G`` as numbers, memory in MiB."""
    found = re.findall(r"([^,=]+)=(\d+(?:\.\d+)?)([KMGTP]?)", text)
    return {what: int(float(number) * _UNITS[unit]) for what, number, unit in found}


def _weight(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)([KMGTP]?)", text.strip())
    return float(found[1]) / _UNITS[found[2]] if found else 0.0


def _number(text: str | None) -> int | None:
    """The number that `text` begins with; None for UNLIMITED, none at all, and the like."""
    found = re.match(r"\d+", text or "")
    return int(found[0]) if found else None


def _names(text: str | None) -> frozenset[str]:
    return frozenset(name for name in (text or "").split(",") if name not in ("", "(null)", "none"))


def _allowed(text: str | None) -> frozenset[str] | None:
    return None if text is None or text == "ALL" else _names(text)
