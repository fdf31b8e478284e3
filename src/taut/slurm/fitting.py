"""The parts of `limits.check`: who may use what, what one job needs, and whether a node holds it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from taut.errors import InputError, nearest
from taut.slurm.settings import Settings
from taut.slurm.site import Association, Config, Nodes, Partition, Qos, Site

__all__ = ["Request", "association", "minutes", "needs", "nodes", "partition", "qos", "span", "time"]


class Request(msgspec.Struct, frozen=True):
    """Jobs that are all alike. Memory in MiB; `minutes` None: what the partition gives by default.

    tasks: how many are to be submitted. at_once: how many are to run at a time, None for all. others: jobs
    that are submitted with them and count against the same limits, such as one that goes on afterwards.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    gpus: int = 0
    gpu_type: str | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    minutes: int | None = None
    tasks: int = 1
    at_once: int | None = None
    others: int = 0

    @classmethod
    def of(cls, settings: Settings, tasks: int, at_once: int | None) -> Request:
        """`tasks` jobs of these settings, and one that goes on afterwards."""
        return cls(
            partition=settings.partition,
            account=settings.account,
            qos=settings.qos,
            gpus=settings.gpus,
            gpu_type=settings.gpu_type,
            cpus=settings.cpus,
            memory_mb=settings.memory_mb,
            minutes=settings.time,
            tasks=tasks,
            at_once=at_once,
            others=1,
        )


def span(minutes: float | None) -> str:
    """Minutes as study files have them: ``90m``, ``2h``, ``1d``."""
    if minutes is None:
        return "no limit"
    whole = int(minutes)
    if whole and whole % 1440 == 0:
        return f"{whole // 1440}d"
    if whole < 120:
        return f"{whole}m"
    return f"{whole // 60}h{f'{whole % 60}m' if whole % 60 else ''}"


def _refusal(key: str, text: str) -> InputError:
    return InputError(text, ("on", "slurm", key))


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")


def _enforces(site: Site, *what: str) -> bool:
    return site.config is not None and bool(site.config.enforced & {"all", *what})


# ---------------------------------------------------------------------- who may use what


def association(account: str | None, site: Site) -> Association | None:
    """What binds the user in `account` (None: the usual one); None if it is not known."""
    if site.mine is None:
        return None
    # Slurm turns `associations` on with `limits`, `safe` and `qos`.
    if not site.mine:
        if _enforces(site, "associations", "limits", "safe", "qos"):
            text = (
                f"{site.user} has no account on this cluster, so no job would start; ask its support for one"
            )
            raise _refusal("account", text)
        return None
    name = account or site.usual_account
    if name is None:
        return None
    for one in site.mine:
        if one.account == name and not one.partition:
            return one
    for one in site.mine:
        if one.account == name:
            return one
    if account and _enforces(site, "associations", "limits", "safe", "qos"):
        names = {one.account for one in site.mine}
        text = f"{account!r} is not an account of {site.user}; allowed are {_some(names)}"
        raise _refusal("account", text + nearest(account, names))
    return None


def qos(name: str | None, association: Association | None, site: Site) -> Qos | None:
    """The QOS that a job would have; None if it is not known."""
    if not site.qos:
        return None
    if name is None:
        usual = association.usual_qos if association else None
        return site.qos.get(usual or "normal")
    if name not in site.qos:
        if _enforces(site, "qos"):
            text = f"{name!r} is not a QOS of this cluster; there are {_some(site.qos)}"
            raise _refusal("qos", text + nearest(name, site.qos))
        return None
    mine = association.qos if association else None
    if mine is not None and name not in mine and association and _enforces(site, "qos"):
        whose = f"account {association.account}"
        raise _refusal("qos", f"{name!r} is not allowed to {whose}; it may use {_some(mine) or 'none'}")
    return site.qos[name]


def partition(name: str | None, association: Association | None, qos: Qos | None, site: Site) -> Partition:
    """The partition called `name`, or the default one, if these may use it."""
    known = {one.name: one for one in site.partitions}
    if name is None:
        default = next((one for one in site.partitions if one.default), None)
        if default is None:
            text = f"the cluster has no default partition; give one of {_some(known)}"
            raise _refusal("partition", text)
        name = default.name
    if name not in known:
        text = f"{name!r} is not a partition; there are {_some(one.name for one in site.partitions if not one.hidden)}"
        raise _refusal("partition", text + nearest(name, known))
    found = known[name]
    others = _some(one.name for one in site.partitions if one.state == "UP" and not one.hidden)
    if found.state != "UP":
        text = f"partition {name} is {found.state}, so no job starts there; up are {others or 'none'}"
        raise _refusal("partition", text)
    if association:
        _may(f"account {association.account}", association.account, found, found.accounts, found.no_accounts)
    if qos:
        _may(f"QOS {qos.name}", qos.name, found, found.qos, found.no_qos)
    return found


def _may(
    who: str, name: str, partition: Partition, allowed: frozenset[str] | None, denied: frozenset[str]
) -> None:
    if (allowed is not None and name not in allowed) or (allowed is None and name in denied):
        only = f"it is for {_some(allowed)}" if allowed is not None else f"it is closed to {_some(denied)}"
        text = f"partition {partition.name} does not take jobs of {who}; {only}; give another partition"
        raise _refusal("partition", text)


# ---------------------------------------------------------------------- time


def minutes(asked: int | None, partition: Partition, most: int | None) -> tuple[int | None, str]:
    """The time of a job in minutes, and where it comes from."""
    if asked is not None:
        return asked, "as asked"
    if partition.usual_minutes is not None:
        return partition.usual_minutes, f"the default of partition {partition.name}"
    return most, f"the most of partition {partition.name}"


def time(asked: int | None, partition: Partition, most: int | None, site: Site) -> None:
    """Refuse more time than the partition allows. Slurm would accept the job and let it wait for ever."""
    if most is None or (asked is not None and asked <= most):
        return
    longer = [
        f"{one.name} ({span(one.most_minutes)})"
        for one in site.partitions
        if one.state == "UP"
        and not one.hidden
        and (one.most_minutes is None or (asked is not None and one.most_minutes >= asked))
    ]
    text = f"{span(asked)} is more than partition {partition.name} allows ({span(most)}, MaxTime)"
    other = f", or another partition: {', '.join(longer[:5])}" if longer else ""
    raise _refusal("time", f"{text}; ask for {span(most)} or less{other}")


# ---------------------------------------------------------------------- resources


def needs(request: Request, partition: Partition, config: Config | None) -> dict[str, int]:
    """How much of each resource one job is counted with; memory in MiB, and billing by the weights."""
    defaults = partition.job_defaults
    cpus = request.cpus or request.gpus * defaults.get("DefCpuPerGPU", 0) or 1
    found = {"cpu": cpus, "mem": _memory(request, cpus, partition, config), "node": 1}
    if request.gpus:
        found["gres/gpu"] = request.gpus
        if request.gpu_type:
            found[f"gres/gpu:{request.gpu_type}"] = request.gpus
    if not partition.weights:
        return {**found, "billing": cpus}
    weighted = [found.get(what, 0) * weight for what, weight in partition.weights.items()]
    most = config is not None and "MAX_TRES" in config.priority_flags
    return {**found, "billing": int(max(weighted) if most else sum(weighted))}


def _memory(request: Request, cpus: int, partition: Partition, config: Config | None) -> int:
    if request.memory_mb is not None:
        return request.memory_mb
    per_gpu = partition.job_defaults.get("DefMemPerGPU")
    if per_gpu and request.gpus:
        return per_gpu * request.gpus
    for one in (partition, config):
        if one and one.memory_per_cpu:
            return one.memory_per_cpu * cpus
        if one and one.memory_per_node:
            return one.memory_per_node
    # Where memory is handed out and nothing is said, a job gets all that the node has.
    handed_out = config is not None and "MEMORY" in config.select
    return min((group.memory for group in partition.nodes), default=0) if handed_out else 0


def nodes(request: Request, partition: Partition) -> list[str]:
    """Notes on the nodes that a job fits in. Raises `InputError` if there is none."""
    if not partition.nodes:
        return []
    cpus, memory = request.cpus or 1, request.memory_mb or 0
    if partition.most_cpus is not None and cpus > partition.most_cpus:
        text = f"partition {partition.name} allows {partition.most_cpus} CPUs on a node (MaxCPUsPerNode)"
        raise _refusal("cpus", f"{text}; one job asks for {cpus}; ask for less, or another partition")
    if partition.most_memory is not None and memory > partition.most_memory:
        text = f"partition {partition.name} allows {partition.most_memory} MiB on a node (MaxMemPerNode)"
        raise _refusal("memory", f"{text}; one job asks for {memory}; ask for less, or another partition")
    fit = [one for one in partition.nodes if _holds(one, request, cpus, memory)]
    if fit:
        if any(one.up for one in fit):
            return []
        states = _some({one.state for one in fit})
        return [f"all nodes of partition {partition.name} that hold such a job are {states}: it waits"]
    most = {
        "cpus": max(one.cpus for one in partition.nodes),
        "memory": max(one.memory for one in partition.nodes),
        "gpus": max(_gpus(one, request.gpu_type) for one in partition.nodes),
    }
    kind = f"{request.gpu_type} " if request.gpu_type else ""
    for key, asked, what in (
        ("gpus", request.gpus, f"{kind}GPUs"),
        ("cpus", cpus, "CPUs"),
        ("memory", memory, "MiB of memory"),
    ):
        if asked > most[key]:
            text = f"no node of partition {partition.name} has {asked} {what}; the most is {most[key]}"
            types = sorted({kind for one in partition.nodes for kind in one.gpus if kind})
            there = f" (it has {', '.join(types)})" if key == "gpus" and not most[key] and types else ""
            raise _refusal(key, f"{text}{there}; ask for less, or another partition")
    key = "gpus" if request.gpus else "memory"
    have = "; ".join(sorted({_describe(one) for one in partition.nodes})[:5])
    text = f"no node of partition {partition.name} has all that one job asks for ({_asked(request)})"
    raise _refusal(key, f"{text}; its nodes have {have}; ask for less, or another partition")


def _holds(node: Nodes, request: Request, cpus: int, memory: int) -> bool:
    return cpus <= node.cpus and memory <= node.memory and request.gpus <= _gpus(node, request.gpu_type)


def _gpus(node: Nodes, kind: str | None) -> int:
    return sum(node.gpus.values()) if kind is None else node.gpus.get(kind, 0)


def _describe(node: Nodes) -> str:
    gpus = "".join(f", {many} {f'{kind} ' if kind else ''}GPUs" for kind, many in node.gpus.items())
    return f"{node.cpus} CPUs, {node.memory} MiB{gpus}"


def _asked(request: Request) -> str:
    memory = f", {request.memory_mb} MiB" if request.memory_mb else ""
    gpus = f", {request.gpus} GPUs" if request.gpus else ""
    return f"{request.cpus or 1} CPUs{memory}{gpus}"
