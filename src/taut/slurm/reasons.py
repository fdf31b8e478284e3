"""Why a job waits: Slurm's reason codes in plain words, each with the next move."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["never", "plain"]


class _Meaning(NamedTuple):
    text: str
    move: str
    never: bool = False


_WAIT = "nothing to do"
_SUPPORT = "ask the cluster's support"
_SINGLE = {
    "None": _Meaning("it was submitted just now, or the scheduler has not come to it yet", _WAIT),
    "Resources": _Meaning(
        "it is among the first in line and waits for free nodes",
        "nothing to do; a shorter time, or fewer GPUs and CPUs, fit into gaps sooner",
    ),
    "Priority": _Meaning(
        "other jobs with a higher priority are ahead of it",
        "nothing to do; a shorter time, or fewer GPUs and CPUs, fit into gaps sooner",
    ),
    "Dependency": _Meaning("it waits for another job to end", _WAIT),
    "DependencyNeverSatisfied": _Meaning(
        "it waits for something that cannot happen any more: the job before it ended in another way",
        "cancel it (scancel) and submit again",
        never=True,
    ),
    "BeginTime": _Meaning(
        "its earliest start is still ahead; after a requeue that is about two minutes", _WAIT
    ),
    "JobHeldUser": _Meaning("it was held by its owner", "let it go: scontrol release JOBID"),
    "JobHeldAdmin": _Meaning("it was held by an administrator", f"{_SUPPORT} why"),
    "JobHoldMaxRequeue": _Meaning(
        "it was requeued too often, and is held", "look at why it fails, then: scontrol release JOBID"
    ),
    "JobLaunchFailure": _Meaning(
        "it could not be started on its node", f"let it go (scontrol release JOBID), or {_SUPPORT}"
    ),
    "launch failed requeued held": _Meaning(
        "it could not be started on its node, and is held",
        f"let it go: scontrol release JOBID; if that happens again, {_SUPPORT}",
    ),
    "JobArrayTaskLimit": _Meaning(
        "as many tasks of its array run as may run at a time (%W)",
        "nothing to do; scontrol update JobId=ARRAY ArrayTaskThrottle=N lets more run",
    ),
    "PartitionTimeLimit": _Meaning(
        "it asks for more time than its partition allows",
        "ask for less time, or another partition (sinfo -o '%P %l')",
        never=True,
    ),
    "PartitionNodeLimit": _Meaning(
        "it asks for more nodes than its partition allows, or than are up there now",
        "ask for fewer nodes, or another partition (sinfo)",
    ),
    "PartitionDown": _Meaning(
        "its partition starts no jobs at present", "wait until it is up, or use another partition (sinfo)"
    ),
    "PartitionInactive": _Meaning(
        "its partition takes no jobs at present", "wait until it is up, or use another partition (sinfo)"
    ),
    "PartitionConfig": _Meaning(
        "its partition does not allow what it asks for",
        "compare with scontrol show partition, or use another partition",
        never=True,
    ),
    "ReqNodeNotAvail": _Meaning(
        "nodes that it needs are down, drained, or kept for a reservation",
        "nothing to do if its time ends before the reservation begins; else a shorter time, or other nodes "
        "(scontrol show reservation, sinfo -R)",
    ),
    "Nodes required for job are DOWN, DRAINED or reserved": _Meaning(
        "the nodes that could run it are down, drained, or kept for jobs of a higher partition",
        "wait, or use another partition (sinfo -R says why nodes are down)",
    ),
    "NodeDown": _Meaning(
        "a node that it needs is down", "wait, or use other nodes (sinfo -R says why it is down)"
    ),
    "BadConstraints": _Meaning(
        "no node has all that it asks for (constraint, memory, CPUs, GPUs)",
        "compare with sinfo -o '%P %c %m %G %f', and ask for less",
        never=True,
    ),
    "Licenses": _Meaning(
        "it waits for a licence that other jobs hold", "nothing to do; see scontrol show lic"
    ),
    "Reservation": _Meaning("its reservation has not begun", "wait; see scontrol show reservation"),
    "ReservationDeleted": _Meaning(
        "the reservation that it asks for is gone", "submit again without it", never=True
    ),
    "InvalidAccount": _Meaning("its account is not valid", "submit again with another account", never=True),
    "InvalidQOS": _Meaning("its QOS is not valid", "submit again with another qos", never=True),
    "AccountNotAllowed": _Meaning(
        "its account may not use its partition",
        "submit again with another account or partition",
        never=True,
    ),
    "QOSNotAllowed": _Meaning(
        "its QOS may not be used in its partition, or by its account",
        "submit again with another qos or partition",
        never=True,
    ),
    "QOSUsageThreshold": _Meaning(
        "the account's share of the cluster is below what its QOS asks for",
        "wait until the past use has faded, or use another qos",
    ),
    "AccountingPolicy": _Meaning(
        "a limit of its account or QOS keeps it", "see sacctmgr show assoc, sacctmgr show qos"
    ),
    "DeadLine": _Meaning("it cannot end before its deadline any more", "submit again", never=True),
    "Cleaning": _Meaning("it was requeued, and its last run is still being cleaned up", _WAIT),
    "Prolog": _Meaning("its node is being prepared", _WAIT),
    "BurstBufferResources": _Meaning("it waits for room in the burst buffer", _WAIT),
    "BurstBufferStageIn": _Meaning("its files are being copied to the burst buffer", _WAIT),
}
# Older names for the same.
_SINGLE["AssociationJobLimit"] = _SINGLE["AssociationResourceLimit"] = _SINGLE["AccountingPolicy"]
_SINGLE["QOSJobLimit"] = _SINGLE["QOSResourceLimit"] = _SINGLE["AccountingPolicy"]
_SINGLE["AssociationTimeLimit"] = _SINGLE["QOSTimeLimit"] = _SINGLE["AccountingPolicy"]

_RESOURCES = {
    "cpu": "CPUs",
    "mem": "memory",
    "memory": "memory",
    "gres": "GPUs",
    "node": "nodes",
    "billing": "billing units (weighted CPUs, memory and GPUs)",
    "bb": "burst buffer",
    "energy": "energy",
    "license": "licences",
    "unknown": "a resource",
}
_FAMILY = re.compile(
    r"(?P<who>QOS|Assoc)?(?P<how>Grp|Max|Min)"
    r"(?:(?P<jobs>SubmitJobs?|Jobs?)|(?P<wall>WallDuration|Wall)|"
    r"(?P<what>cpu|memory|mem|gres|node|billing|bb|energy|license|unknown))"
    r"(?P<time>RunMinutes|RunMins|Minutes|Mins)?(?P<per>PerUser|PerAccount|PerJob|PerNode)?"
    r"(?:NotSatisfied|Limit)?",
    re.IGNORECASE,
)


def plain(
    reason: str,
    *,
    partition: str | None = None,
    account: str | None = None,
    qos: str | None = None,
    limit: str | None = None,
) -> str:
    """What a pending reason means, and the next move: ``meaning: move``.

    reason: as squeue gives it, with or without parentheses. The other arguments name the job's own, so that the
    text can. limit: the number that keeps it, for instance ``cpu=10``.
    """
    meaning = _meaning(reason, account, qos)
    if meaning is None:
        return f"{_code(reason)}: see squeue(1), JOB REASON CODES"
    text = meaning.text.replace("its partition", f"partition {partition}") if partition else meaning.text
    return f"{text}{f' ({limit})' if limit else ''}: {meaning.move}"


def never(reason: str) -> bool:
    """Whether a job that waits for `reason` never starts, however long it waits, unless it is changed.

    False for what may pass, as when other jobs end, a partition comes up, or someone lets a held job go. Limits on
    running minutes are among those, although a job that alone exceeds one waits for ever; compare with the limits.
    """
    meaning = _meaning(reason, None, None)
    return meaning is not None and meaning.never


def _code(reason: str) -> str:
    return reason.strip().removeprefix("(").removesuffix(")")


def _meaning(reason: str, account: str | None, qos: str | None) -> _Meaning | None:
    code = _code(reason)
    for name, meaning in _SINGLE.items():
        # "ReqNodeNotAvail, UnavailableNodes:node2": what follows the first part says more of the same.
        if code == name or code.startswith((f"{name},", f"{name} ", f"{name}(")):
            return meaning
    found = _FAMILY.fullmatch(code)
    return _limit(found, account, qos) if found else None


def _limit(found: re.Match[str], account: str | None, qos: str | None) -> _Meaning:
    """What a limit of a QOS, or of an account or user ("association"), means."""
    assoc = (found["who"] or "").lower() == "assoc"
    whose = (
        (f"account {account}" if account else "its account") if assoc else f"QOS {qos}" if qos else "its QOS"
    )
    other = "account" if assoc else "qos"
    per = (found["per"] or "").lower()
    how = found["how"].lower()
    if found["jobs"]:
        return _jobs(found["jobs"], how, per, whose)
    if found["wall"]:
        if how == "grp":
            move = f"use another {other}, or ask for more time on this one"
            return _Meaning(f"the jobs of {whose} have used up the time that they may use in all", move)
        text = f"it asks for more time than {whose} allows one job"
        return _Meaning(text, f"ask for less time, or use another {other}", never=True)
    what = _RESOURCES[found["what"].lower()]
    if how == "min":
        return _Meaning(
            f"it asks for less than {whose} wants ({what})", f"ask for more, or use another {other}", True
        )
    span = (found["time"] or "").lower()
    if per in ("perjob", "pernode"):
        over = "times minutes " if span else ""
        text = f"it asks for more {what} {over}than {whose} allows {'one job' if per == 'perjob' else 'on one node'}"
        less = "less time, or for less of it" if span else "less"
        return _Meaning(text, f"ask for {less}, or use another {other}", never=True)
    group = {"peruser": f"your jobs in {whose}", "peraccount": f"the jobs of this account in {whose}"}
    jobs = group.get(per, f"the jobs of {whose}")
    if span.startswith("run"):
        text = f"{jobs} that run now have as much still to run as they may ({what} times minutes)"
        return _Meaning(text, "wait, or ask for a shorter time or less: the limit counts what a job asks for")
    if span:
        text = f"{jobs} have used up what they may use in all ({what} times minutes)"
        return _Meaning(text, f"use another {other}, or ask for more on this one")
    text = f"{jobs} that run now use all that they may ({what})"
    return _Meaning(text, f"wait until one ends, ask for less, or use another {other}")


def _jobs(what: str, how: str, per: str, whose: str) -> _Meaning:
    jobs = f"the jobs of {whose}"
    if how == "max":
        jobs = f"the jobs of this account in {whose}" if per == "peraccount" else f"your jobs in {whose}"
    if what.lower().startswith("submit"):
        return _Meaning(
            f"as many of {jobs} are submitted as may be", "wait until some have ended, or cancel some"
        )
    return _Meaning(
        f"as many of {jobs} run as may run at a time", "nothing to do: it starts when one of them ends"
    )
