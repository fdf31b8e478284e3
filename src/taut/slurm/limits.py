"""Whether a job can ever start, and how many may be submitted and run at once: asked before submitting.

Slurm accepts most jobs that break a limit and lets them wait for ever. `check` refuses such a request with
the number that breaks it. It is a function of values; `read` gets them from the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from taut.errors import InputError
from taut.slurm import fitting
from taut.slurm.fitting import Request, span
from taut.slurm.inventory import read
from taut.slurm.site import Association, Limit, Limits, Partition, Qos, Site

__all__ = ["Checked", "Request", "check", "read"]


class Checked(NamedTuple):
    """A request that can start, with what the cluster makes of it.

    minutes: None only where nothing bounds a job's time; source: where they come from. tasks: how many may
    be submitted now, 0 if none. at_once: how many limits let run at a time, at least 1 if any may be submitted.
    """

    partition: str | None
    minutes: int | None
    source: str
    tasks: int
    at_once: int
    notes: list[str]


class _Bound(NamedTuple):
    """One limit that a job meets: whose it is, and its name in Slurm."""

    whose: str
    kind: str
    what: str
    limit: Limit

    @property
    def text(self) -> str:
        unit = f"{self.what}-minutes" if self.kind in _TIMED else self.what
        amount = f"{self.limit.most} {unit}".rstrip()
        setting = f"{self.kind} {self.what}={self.limit.most}" if self.what else self.kind
        return f"{self.whose} allows {amount}{_OVER.get(self.kind, '')} ({setting})"


_OVER = {
    "MaxTRESPJ": " in one job",
    "MaxTRESPN": " on one node",
    "MaxTRESMinsPJ": " in one job",
    "MaxTRESPU": " in a user's running jobs together",
    "MaxTRESPA": " in an account's running jobs together",
    "GrpTRES": " in all running jobs together",
    "GrpTRESRunMins": " still to run in all running jobs together",
    "MaxTRESRunMinsPU": " still to run in a user's running jobs together",
    "MaxTRESRunMinsPA": " still to run in an account's running jobs together",
    "GrpTRESMins": " in all, past and present",
    "MinTRESPJ": " or more in one job",
    "MaxWallPJ": " minutes for one job",
    "GrpJobs": " running jobs in all",
    "MaxJobs": " running jobs of a user",
    "MaxJobsPU": " running jobs of a user",
    "MaxJobsPA": " running jobs of an account",
    "GrpSubmitJobs": " submitted jobs in all",
    "MaxSubmitJobs": " submitted jobs of a user",
    "MaxSubmitJobsPU": " submitted jobs of a user",
    "MaxSubmitJobsPA": " submitted jobs of an account",
}
_TIMED = ("MaxTRESMinsPJ", "GrpTRESRunMins", "MaxTRESRunMinsPU", "MaxTRESRunMinsPA", "GrpTRESMins")
_RUNNING = ("GrpTRES", "MaxTRESPU", "MaxTRESPA", "GrpJobs", "MaxJobs", "MaxJobsPU", "MaxJobsPA", *_TIMED[1:4])
_SUBMITTED = ("GrpSubmitJobs", "MaxSubmitJobs", "MaxSubmitJobsPU", "MaxSubmitJobsPA")
_KEYS = {"cpu": "cpus", "mem": "memory", "gres/gpu": "gpus"}


def check(request: Request, site: Site) -> Checked:
    """What the cluster makes of `request`. Where something of `site` is not known, that part is not checked.

    partition: may name several, separated by commas, as in Slurm; one that the job fits in is enough.

    Raises `InputError`, `at` the key of ``[on.slurm]``, if a job like this can never start.
    """
    association = fitting.association(request.account, site)
    qos = fitting.qos(request.qos, association, site)
    if not site.partitions:
        minutes, source = request.minutes, "as asked" if request.minutes else "not known"
        return Checked(
            request.partition, minutes, source, request.tasks, request.at_once or request.tasks, []
        )
    problem: InputError | None = None
    for name in request.partition.split(",") if request.partition else [None]:
        try:
            partition = fitting.partition(name, association, qos, site)
            checked = _check(request, partition, association, qos, site)
            return checked._replace(partition=request.partition or checked.partition)
        except InputError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _check(
    request: Request, partition: Partition, association: Association | None, qos: Qos | None, site: Site
) -> Checked:
    bounds = list(_bounds(partition, association, qos, site))
    walls = [bound for bound in bounds if bound.kind == "MaxWallPJ"]
    over = qos is not None and "PartitionTimeLimit" in qos.flags
    minutes, source = fitting.minutes(request.minutes, partition, None if over else partition.most_minutes)
    for wall in walls:
        if minutes is None or (minutes > wall.limit.most and request.minutes is None):
            minutes, source = wall.limit.most, f"the most of {wall.whose}"
    fitting.time(minutes, partition, None if over else partition.most_minutes, site)
    needs = fitting.needs(request, partition, site.config)
    notes = fitting.nodes(request, partition)
    for bound in bounds:
        _alone(bound, needs, minutes, request)
    tasks = _submittable(request, bounds, site, notes)
    at_once = min(tasks, request.at_once or tasks)
    wanted = at_once
    for bound in bounds:
        if bound.kind in _RUNNING and at_once:
            at_once = min(at_once, _together(bound, needs, minutes, wanted, notes))
    return Checked(partition.name, minutes, source, tasks, at_once, notes)


def _bounds(
    partition: Partition, association: Association | None, qos: Qos | None, site: Site
) -> Iterator[_Bound]:
    """The limits that count, in Slurm's order: where two set the same, the first does.

    Limits of groups of accounts all count, unless a QOS has set the same.
    """
    if site.config is None or not site.config.enforced & {"limits", "safe", "all"}:
        return
    levels: list[tuple[str, Limits, bool]] = []
    own = (site.qos or {}).get(partition.own_qos or "")
    for one in (qos, own) if qos is not None and "OverPartQOS" in qos.flags else (own, qos):
        if one is not None:
            levels.append((f"QOS {one.name}", one.limits, True))
    if association is not None:
        levels.append((f"{association.user} in account {association.account}", association.limits, False))
        above = site.above(association.account)
        levels += [(f"account {one.account}", one.limits, False) for one in above]
    taken: set[tuple[str, str]] = set()
    for whose, limits, is_qos in levels:
        seen = set()
        for (kind, what), limit in limits.items():
            # MaxJobs of an association is what MaxJobsPU is of a QOS.
            family = kind.removesuffix("PU") if kind in ("MaxJobsPU", "MaxSubmitJobsPU") else kind
            if (family, what) not in taken:
                yield _Bound(whose, kind, what, limit)
                if is_qos or not kind.startswith("Grp"):
                    seen.add((family, what))
        taken |= seen


def _need(bound: _Bound, needs: dict[str, int], minutes: int | None) -> float:
    """How much of what the limit counts one job asks for."""
    if bound.kind == "MaxWallPJ":
        return float("inf") if minutes is None else minutes
    if not bound.what:
        return 1
    amount = needs.get(bound.what, 0)
    if bound.kind in _TIMED and amount:
        return float("inf") if minutes is None else amount * minutes
    return amount


def _alone(bound: _Bound, needs: dict[str, int], minutes: int | None, request: Request) -> None:
    """Refuse what one job alone breaks."""
    need, most = _need(bound, needs, minutes), bound.limit.most
    if bound.kind == "MinTRESPJ":
        if need < most:
            raise _refusal(_key(bound.what, request), f"{bound.text}; one job asks for {need}; ask for more")
        return
    if need <= most:
        return
    asked = f"one job asks for {bound.what or 'time'}={need:g}"
    if bound.kind == "MaxWallPJ":
        raise _refusal("time", f"{bound.text}; {asked}; ask for {span(most)} or less, or give another qos")
    if bound.kind in _TIMED:
        amount = needs[bound.what]
        asked = f"one job asks for {amount} x {span(minutes)} = {need:g}"
        if most >= amount:
            move = f"ask for {span(most // amount)} or less with these resources, or for fewer"
            raise _refusal("time", f"{bound.text}; {asked}; {move}")
    if bound.what:
        move = "ask for less, or give another account or qos"
        raise _refusal(_key(bound.what, request), f"{bound.text}; {asked}; {move}")
    key = "qos" if bound.whose.startswith("QOS") else "account"
    raise _refusal(key, f"{bound.text}: no job can start there; give another {key}")


def _key(what: str, request: Request) -> str:
    """The key to blame for too much of a resource; billing is weighted, and GPUs weigh most."""
    if what == "billing":
        return "gpus" if request.gpus else "cpus"
    return _KEYS.get(what.split(":")[0], "partition")


def _refusal(key: str, text: str) -> InputError:
    return InputError(text, ("on", "slurm", key))


def _submittable(request: Request, bounds: list[_Bound], site: Site, notes: list[str]) -> int:
    """How many of the tasks may be submitted now."""
    tasks = request.tasks
    config = site.config
    if config and config.most_array is not None and tasks > config.most_array:
        notes.append(f"{config.most_array} of {tasks} jobs in one array: the cluster's MaxArraySize")
        tasks = config.most_array
    if config and config.most_jobs is not None and tasks + request.others > config.most_jobs:
        tasks = max(config.most_jobs - request.others, 0)
        notes.append(f"{tasks} of {request.tasks} jobs: the cluster's MaxJobCount is {config.most_jobs}")
    for bound in bounds:
        if bound.kind not in _SUBMITTED:
            continue
        if bound.limit.most <= request.others:
            key = "qos" if bound.whose.startswith("QOS") else "account"
            text = f"{bound.text}, and {request.others + 1} are needed at least; give another {key}"
            raise _refusal(key, text)
        room = max(bound.limit.most - bound.limit.used - request.others, 0)
        if room < tasks:
            there = f", {bound.limit.used} are there" if bound.limit.used else ""
            wait = "; wait until some have ended, or cancel them" if not room else ""
            notes.append(f"{room} of {tasks} jobs may be submitted: {bound.text}{there}{wait}")
            tasks = room
    return tasks


def _together(
    bound: _Bound, needs: dict[str, int], minutes: int | None, wanted: int, notes: list[str]
) -> int:
    """How many jobs the limit lets run at a time, next to those that run now; at least 1."""
    need = _need(bound, needs, minutes)
    if not need:
        return wanted
    room = bound.limit.most - bound.limit.used
    fit = int(room // need)
    if fit >= wanted:
        return wanted
    used = f" ({bound.limit.used} in use now)" if bound.limit.used else ""
    if fit < 1:
        notes.append(f"the first job waits for others to end: {bound.text}{used}")
        return 1
    text = f"{fit} of {wanted} jobs run at a time: {bound.text}{used}"
    if bound.kind in _TIMED:
        shorter = room // (needs[bound.what] * wanted)
        if shorter:
            text += f"; a walltime of {span(shorter)} instead of {span(minutes)} would let {wanted} run"
    notes.append(text)
    return fit
