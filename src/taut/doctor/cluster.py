"""A Slurm cluster as one user sees it: partitions, accounts, limits, accounting."""

from __future__ import annotations

import os
import pwd

from taut.doctor.finding import Finding, some
from taut.slurm.calls import SlurmError, call
from taut.slurm.fitting import span
from taut.slurm.inventory import read
from taut.slurm.site import Association, Limits, Nodes, Partition, Site

__all__ = ["findings", "judge_accounting", "judge_site"]


def findings() -> list[Finding]:
    """Findings on the cluster whose commands are here."""
    site = read(pwd.getpwuid(os.getuid()).pw_name, timeout=5.0)
    if site.config is None:
        return judge_site(site)
    try:
        call("sacct", "-X", "-n", "-P", "-S", "now-1minutes", "-o", "JobIDRaw", timeout=5.0)
        problem = ""
    except SlurmError as error:
        problem = str(error)
    return [*judge_site(site), judge_accounting(site, problem)]


def judge_site(site: Site) -> list[Finding]:
    if site.config is None:
        text = "its commands are here, but no cluster answers (scontrol show config)"
        return [
            Finding(
                "Slurm", "warn", text, "see whether SLURM_CONF is right; without it no job can be submitted"
            )
        ]
    config = site.config
    text = f"{config.version}, cluster {config.cluster}; arrays of up to {config.most_array or '?'} jobs"
    found = [Finding("Slurm", "ok", text)]
    shown = [one for one in site.partitions if not one.hidden]
    found += [Finding(f"partition {one.name}", "ok", _partition(one)) for one in shown]
    if not any(one.state == "UP" for one in shown):
        found.append(Finding("partitions", "warn", "none is up: no job starts at present", "see sinfo"))
    found += [
        Finding(f"account {one.account}", "ok", _account(one, site))
        for one in sorted(site.mine or (), key=_name)
    ]
    mine: set[str] = set().union(*(one.qos or () for one in site.mine or ()))
    for name, qos in sorted((site.qos or {}).items()):
        if qos.limits and name in mine:
            found.append(Finding(f"QOS {name}", "ok", _limits(qos.limits)))
    return found


def judge_accounting(site: Site, problem: str) -> Finding:
    """problem: what `sacct` complained of, empty if it answered."""
    if problem or site.mine is None:
        text = f"does not answer ({problem or 'sacctmgr failed'})"
        advice = "a study runs; why jobs ended, memory peaks and GPU-hours are then not known"
        return Finding("accounting", "warn", text, advice)
    enforced = site.config.enforced if site.config else frozenset()
    text = f"answers; the cluster enforces {some(sorted(enforced), ', ') or 'no limits'}"
    if not site.mine and enforced & {"associations", "limits", "safe", "qos", "all"}:
        text = f"answers, and knows no account of {site.user}"
        return Finding(
            "accounting", "warn", text, "ask the cluster's support for one; without it no job is taken"
        )
    return Finding("accounting", "ok", text)


def _name(association: Association) -> tuple[str, str]:
    return association.account, association.partition


def _partition(partition: Partition) -> str:
    usual = f" (usually {span(partition.usual_minutes)})" if partition.usual_minutes is not None else ""
    state = partition.state.lower() + (", the default" if partition.default else "")
    times = f"jobs of at most {span(partition.most_minutes)}{usual}"
    return f"{state}; {times}; {some([_nodes(one) for one in partition.nodes], ', ') or 'no nodes'}"


def _nodes(nodes: Nodes) -> str:
    gpus = "".join(f", {many} {f'{kind} ' if kind else ''}GPUs" for kind, many in nodes.gpus.items())
    return f"{nodes.count} {nodes.state} with {nodes.cpus} CPUs{gpus}, {nodes.memory / 1024:.3g} GiB"


def _account(association: Association, site: Site) -> str:
    usual = " (the usual one)" if association.account == site.usual_account else ""
    within = f", in partition {association.partition}" if association.partition else ""
    qos = f"QOS {some(sorted(association.qos or ()), ', ', 12) or 'not known'}{usual}{within}"
    levels = [association, *site.above(association.account)]
    limits = [_limits(one.limits) for one in levels if one.limits]
    return "; ".join([qos, *limits]) if limits else f"{qos}; no limits of its own"


def _limits(limits: Limits) -> str:
    texts = []
    for (kind, what), limit in sorted(limits.items()):
        amount = f"{what}={limit.most}" if what else str(limit.most)
        texts.append(f"{kind} {amount}" + (f" ({limit.used} in use)" if limit.used else ""))
    return some(texts, ", ", 8)
