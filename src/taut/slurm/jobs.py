"""Jobs as Slurm's controller and its accounting describe them, and why one of them ended."""

from __future__ import annotations

import functools
import pwd
import re
from typing import Final, NamedTuple

import msgspec

from taut.slurm import fields

__all__ = [
    "FINAL",
    "SACCT",
    "SQUEUE",
    "WAITING",
    "Ending",
    "Job",
    "Life",
    "ending",
    "parse_sacct",
    "parse_squeue",
]

FINAL: Final = frozenset(
    (
        *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE"),
        *("OUT_OF_MEMORY", "REVOKED"),
    )
)
WAITING: Final = frozenset(
    ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT")
)

# Fields that may hold any character come last: a line is cut at the first bars only.
_SQUEUE: Final = (
    *("JobID", "ArrayJobID", "ArrayTaskID", "RestartCnt", "State", "UserName", "Partition", "StartTime"),
    *("EndTime", "TimeLimit", "tres-alloc", "NodeList", "exit_code", "Reason", "Name"),
)
_SACCT: Final = (
    *("JobIDRaw", "JobID", "State", "ExitCode", "Submit", "Start", "End", "ElapsedRaw", "TimelimitRaw"),
    *("AllocTRES", "NodeList", "MaxRSS", "JobName"),
)

SQUEUE: Final = ("squeue", "-h", "-r", "--states=all", "-O", ",".join(f"{field}:|" for field in _SQUEUE))
"""The call whose output `parse_squeue` reads; whose jobs (``-u``) or which (``-j``) is added behind it."""

SACCT: Final = ("sacct", "-n", "-P", "-D", "--units=K", "-o", ",".join(_SACCT))
"""The call whose output `parse_sacct` reads; which jobs (``-j 12,13``) is added behind it."""


class _Named:
    """Jobs are called as Slurm's own tools show them: 12_3 is task 3 of array 12."""

    id: int
    array: int | None
    task: int | None

    @property
    def label(self) -> str:
        return str(self.id) if self.task is None else f"{self.array}_{self.task}"


class Job(_Named, msgspec.Struct, frozen=True, omit_defaults=True):
    """A job, or one task of an array, as the controller sees it now.

    id: the raw id, which a requeued job keeps; tasks of an array that have not started share the array's.
    life: how often it was requeued. state: upper case. start, end: seconds since the epoch, `end` is
    expected while it runs. minutes: its time limit. gpus, cpus: allocated, or asked for while it waits.
    exit: code and signal (``1:0``) once it has ended.
    """

    id: int
    life: int
    state: str
    array: int | None = None
    task: int | None = None
    reason: str = ""
    name: str = ""
    user: str = ""
    partition: str = ""
    start: float | None = None
    end: float | None = None
    minutes: int | None = None
    gpus: int = 0
    cpus: int = 0
    nodes: str = ""
    exit: str | None = None


class Life(_Named, msgspec.Struct, frozen=True, omit_defaults=True):
    """One life of a job, from its start to its end or requeue, as accounting tells it.

    life: 0, 1, ... in the order of submission. cancelled_by: a user's number. elapsed: seconds. memory,
    max_rss: bytes that it was given, and the most that one of its tasks held. Tasks of an array that were
    cancelled before they started are told together, as one life with `array` and without `task`.
    """

    id: int
    life: int
    state: str
    array: int | None = None
    task: int | None = None
    cancelled_by: int | None = None
    exit: str | None = None
    start: float | None = None
    end: float | None = None
    elapsed: int = 0
    minutes: int | None = None
    gpus: int = 0
    cpus: int = 0
    memory: int | None = None
    max_rss: int | None = None
    nodes: str = ""
    name: str = ""

    @property
    def submitted(self) -> int:
        """The id that its submission was given: the whole array's, or its own."""
        return self.id if self.array is None else self.array


class Ending(NamedTuple):
    """Why a job's life is over, for people. blame: the trial it ran may be the reason."""

    why: str
    blame: bool


def parse_squeue(text: str) -> list[Job]:
    """The jobs in what `SQUEUE` printed; lines that are no job (complaints, later formats) are left out."""
    jobs = []
    for line in text.splitlines():
        cells = line.removesuffix("|").split("|", len(_SQUEUE) - 1)
        if len(cells) != len(_SQUEUE) or not cells[0].isdigit():
            continue
        of = dict(zip(_SQUEUE, cells, strict=True))
        tres, task, state = (
            fields.tres(of["tres-alloc"]),
            fields.whole(of["ArrayTaskID"]),
            fields.state(of["State"]),
        )
        jobs.append(
            Job(
                id=int(of["JobID"]),
                life=fields.whole(of["RestartCnt"]) or 0,
                state=state,
                array=None if task is None else fields.whole(of["ArrayJobID"]),
                task=task,
                reason="" if of["Reason"] in ("None", "(null)") else of["Reason"],
                name=of["Name"],
                user=of["UserName"],
                partition=of["Partition"],
                start=fields.moment(of["StartTime"]),
                end=fields.moment(of["EndTime"]),
                minutes=fields.minutes(of["TimeLimit"]),
                gpus=fields.gpus(tres),
                cpus=fields.whole(tres.get("cpu", "")) or 0,
                nodes=of["NodeList"],
                exit=fields.exit_code(fields.whole(of["exit_code"])) if state in FINAL else None,
            )
        )
    return jobs


def parse_sacct(text: str) -> list[Life]:
    """The lives in what `SACCT` printed, those of one job in order; steps add their memory to their job's."""
    rows: dict[int, list[tuple[str, Life]]] = {}
    latest: tuple[int, list[tuple[str, Life]]] | None = None
    for line in text.splitlines():
        cells = line.split("|", len(_SACCT) - 1)
        if len(cells) != len(_SACCT):
            continue
        of = dict(zip(_SACCT, cells, strict=True))
        raw, _, step = of["JobIDRaw"].partition(".")
        if not raw.isdigit():
            continue
        if not step:
            latest = int(raw), rows.setdefault(int(raw), [])
            latest[1].append((of["Submit"], _life(of)))
        elif latest is not None and latest[0] == int(raw):
            submitted, life = latest[1][-1]
            latest[1][-1] = submitted, _with_step(life, of)
    return [
        msgspec.structs.replace(life, life=number)
        for lives in rows.values()
        for number, (_, life) in enumerate(sorted(lives, key=lambda row: row[0]))
    ]


def _life(of: dict[str, str]) -> Life:
    tres = fields.tres(of["AllocTRES"])
    by = re.fullmatch(r"CANCELLED by (\d+)", of["State"])
    array, task = re.match(r"(\d+)_", of["JobID"]), re.fullmatch(r"\d+_(\d+)", of["JobID"])
    return Life(
        id=int(of["JobIDRaw"]),
        life=0,
        state=fields.state(of["State"]),
        array=int(array[1]) if array else None,
        task=int(task[1]) if task else None,
        cancelled_by=int(by[1]) if by else None,
        exit=of["ExitCode"] or None,
        start=fields.moment(of["Start"]),
        end=fields.moment(of["End"]),
        elapsed=fields.whole(of["ElapsedRaw"]) or 0,
        minutes=fields.whole(of["TimelimitRaw"]),
        gpus=fields.gpus(tres),
        cpus=fields.whole(tres.get("cpu", "")) or 0,
        memory=fields.size(tres.get("mem", "")),
        nodes="" if of["NodeList"] == "None assigned" else of["NodeList"],
        name=of["JobName"],
    )


def _with_step(life: Life, step: dict[str, str]) -> Life:
    most = [size for size in (life.max_rss, fields.size(step["MaxRSS"])) if size is not None]
    life = msgspec.structs.replace(life, max_rss=max(most, default=None))
    if life.state in ("FAILED", "CANCELLED") and _starved(life, step):
        return msgspec.structs.replace(life, state="OUT_OF_MEMORY")
    return life


def _starved(life: Life, step: dict[str, str]) -> bool:
    """Whether a step ran out of memory, although its job's own row does not say so.

    Where Slurm itself watches the memory instead of the kernel, such a job is FAILED, killed by signal 9.
    """
    if fields.state(step["State"]) == "OUT_OF_MEMORY":
        return True
    killed = step["ExitCode"].endswith((":9", ":125"))
    return killed and None not in (life.max_rss, life.memory) and (life.max_rss or 0) >= (life.memory or 0)


def ending(known: Job | Life) -> Ending | None:
    """Why this life of a job is over; None while it waits, runs or is being ended."""
    job = f"job {known.label}"
    if isinstance(known, Life) and known.state == "REQUEUED":
        return Ending(f"{job} was requeued", False)
    if known.state not in FINAL:
        return None
    if known.state == "OUT_OF_MEMORY":
        return Ending(f"{job} ran out of memory{_held(known)}", True)
    if known.state == "TIMEOUT":
        limit = "" if known.minutes is None else f" of {known.minutes} min"
        return Ending(f"{job} ran into its time limit{limit}", True)
    if known.state in ("COMPLETED", "FAILED"):
        return _exited(job, known.exit)
    return Ending(_stopped(job, known), False)


def _exited(job: str, exit: str | None) -> Ending:
    code, signal = (int(part) for part in (exit or "0:0").split(":"))
    if signal == 53:  # Slurm's own sign, no signal that a process can get
        return Ending(
            f"{job} could not be launched: its output file or directory cannot be opened there", False
        )
    if signal:
        return Ending(f"{job} was killed by signal {signal}", True)
    shell = f" (killed by signal {code - 128})" if 128 < code <= 128 + 64 else ""
    return Ending(f"{job} ended with exit code {code}{shell}", True)


def _stopped(job: str, known: Job | Life) -> str:
    if known.state == "NODE_FAIL":
        several = "[" in known.nodes or "," in known.nodes
        where = f"one of {known.nodes}" if several else known.nodes or "the node"
        return f"{where}, where {job} ran, failed"
    if known.state == "CANCELLED":
        by = known.cancelled_by if isinstance(known, Life) else None
        return f"{job} was cancelled" + ("" if by is None else f" by user {by}{_called(by)}")
    return {
        "PREEMPTED": f"{job} was preempted",
        "BOOT_FAIL": f"{job} was given a node that did not boot",
        "DEADLINE": f"{job} came to its deadline",
        "REVOKED": f"{job} was given to another cluster",
    }[known.state]


def _held(known: Job | Life) -> str:
    if not isinstance(known, Life) or known.max_rss is None:
        return ""
    limit = "" if known.memory is None else f" of {_size(known.memory)}"
    return f" (MaxRSS {_size(known.max_rss)}{limit})"


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


@functools.lru_cache(maxsize=64)
def _called(uid: int) -> str:
    try:
        return f" ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return ""
