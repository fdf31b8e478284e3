"""What can happen in a study, and how it stands in a log: one line of JSON for each event.

    {"e":"started","v":1,"n":7,"a":0,"x":{"lr":0.001},...,"crc":"5f1c0a9b"}

`v` is the version of the format. `crc` is the CRC-32 of everything before it; a line that does not
match was damaged. Field names are one letter where the event is frequent, since every worker reads
every line. Events are facts: they are never changed, and their order across writers carries no meaning
(`snapshot.py` folds them so that any order gives the same state).
"""

from __future__ import annotations

import math
import zlib
from typing import Any, Final, Literal

import msgspec
import numpy as np

__all__ = [
    "VERSION",
    "Allocation",
    "Closed",
    "Descent",
    "Event",
    "Finished",
    "Judged",
    "NewerFormat",
    "Note",
    "Opened",
    "Origin",
    "Planned",
    "Released",
    "Reported",
    "Settled",
    "Started",
    "decode",
    "decode_all",
    "encode",
    "intact",
]

VERSION: Final = 1
Note = dict[str, Any]
_SEAL = b',"crc":"%08x"}'
_TAIL = len(',"crc":"00000000"}')
_EXAMPLE = np.frombuffer(b',"crc":"00000000"}', np.uint8)
_FRAME = ord("0") != _EXAMPLE  # where the seal is the same in every line


class NewerFormat(ValueError):
    """A line of a later version of the format."""

    def __init__(self, version: object) -> None:
        super().__init__(f"format {version} is newer than this taut reads ({VERSION}): upgrade taut")


class Allocation(msgspec.Struct, frozen=True, gc=False):
    """The job of a queue that a writer runs in.

    id: the job's own number. life: how often it was requeued before. label: what people call it, such as 12_3 for
    a task of an array. node: where it runs. gpus, cpus: what it holds there.
    """

    cluster: str
    id: int
    life: int
    label: str
    node: str
    gpus: int
    cpus: int


class Opened(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="opened"):
    """A writer begins. It says who it is, so that others can find out whether it still lives.

    `job` is there if it runs in a job of a queue.
    """

    host: str
    boot: str  # the machine's boot id; another one means the process cannot live any more
    space: str  # the process-id namespace; process numbers mean nothing outside it
    pid: int
    born: str  # the process's start time in clock ticks after boot, since process numbers are reused
    user: str
    environment: dict[str, str]
    t: float
    job: Allocation | msgspec.UnsetType = msgspec.UNSET
    v: Literal[1] = VERSION


class Descent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a trial comes from that takes the place of another in a population.

    instead: the trial that ends for it. parent: the trial from whose checkpoint it goes on; None where it begins from its start.
    attempt, step: which attempt of the parent left that checkpoint, and at which step.
    """

    instead: int
    parent: int | None = None
    attempt: int = 0
    step: float = 0.0


class Origin(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a trial comes from that another program began: what that knew of it, beyond what has a place here.

    of: the program. user, system, distributions: JSON texts of its attributes, by name, and of the ranges that differ from the study's.
    """

    of: str
    user: str = "{}"
    system: str = "{}"
    distributions: str = "{}"


class Started(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="started"):
    """Attempt `a` of trial `n` begins with parameters `x`, chosen under revision `r` of the definition.

    `c` is the end of the block of numbers that `n` was claimed with. `seen` is what the decision had
    read of other writers' logs: [writer, lines, writer, lines, ...], only what changed since this writer's
    previous start; absent where the sampler looks at no history. `f` is the step up to which this attempt is to run, in a
    study with a fidelity. `m` is what the sampler has to remember of this trial beyond its parameters. `d` says
    whose place it takes, where it takes one. `i` is there if it was imported: then nobody here has chosen its parameters.
    """

    n: int
    a: int
    x: dict[str, Any]
    r: int
    c: int
    t: float
    seen: list[int] | msgspec.UnsetType = msgspec.UNSET
    f: float | msgspec.UnsetType = msgspec.UNSET
    m: Note | msgspec.UnsetType = msgspec.UNSET
    d: Descent | msgspec.UnsetType = msgspec.UNSET
    i: Origin | msgspec.UnsetType = msgspec.UNSET
    v: Literal[1] = VERSION


class Settled(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="settled"):
    """The parameters that attempt `a` of trial `n` had in the end are `x`, since its objective asks for them as it goes.

    They are what it began with, less what it did not ask for, and `drawn` holds those that nobody offered it, with what it asked for:
    they are draws from the prior. Revision `r` is the first that knows them all.
    """

    n: int
    a: int
    x: dict[str, Any]
    drawn: dict[str, dict[str, Any]]
    r: int
    v: Literal[1] = VERSION


class Reported(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="reported"):
    """Intermediate values `y` of a running attempt at step `s`."""

    n: int
    a: int
    s: float
    y: dict[str, float | None]
    t: float
    v: Literal[1] = VERSION


class Judged(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="judged"):
    """The pruner of revision `r` wants attempt `a` of trial `n` to end at step `s`: for good, or to wait until it is promoted.

    `since` is the step at which it was asked before, absent if it was not. `seen` is as in `Started`. What lets a trial go on
    is not written down.
    """

    n: int
    a: int
    s: float
    verdict: Literal["stop", "pause"]
    r: int
    t: float
    since: float | msgspec.UnsetType = msgspec.UNSET
    seen: list[int] | msgspec.UnsetType = msgspec.UNSET
    v: Literal[1] = VERSION


class Finished(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="finished"):
    """Attempt `a` of trial `n` came to its end: `y` holds its metrics, or `error` says why there are none.

    `had` is how many seconds it ran, where that is less than since its start: it stood ready in a process that had another one before it.
    `u` is what meters read of it, apart from `y` so that no name of a trial's own collides with theirs (`taut.readings`).
    """

    n: int
    a: int
    state: Literal["complete", "pruned", "failed"]
    y: dict[str, float | None]
    t: float
    error: str | msgspec.UnsetType = msgspec.UNSET
    had: float | msgspec.UnsetType = msgspec.UNSET
    u: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    v: Literal[1] = VERSION


class Released(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="released"):
    """Attempt `a` of trial `n` ends without a result; the trial goes back to the queue.

    `blame` is true where the trial may be the reason (its worker died), false where it is not
    (the user stopped the study, or the attempt never began). Blame is limited by `retries`. `kept` is true
    where the attempt has saved itself, so that the next one goes on from its checkpoint. `had` is how many seconds the
    attempt ran, where its own worker tells; `short` is true where they were not enough, since the job's time was over.
    `at` is the step at which the trial waits until its pruner promotes it. `u` is as in `Finished`.
    """

    n: int
    a: int
    why: str
    blame: bool
    t: float
    kept: bool | msgspec.UnsetType = msgspec.UNSET
    had: float | msgspec.UnsetType = msgspec.UNSET
    short: bool | msgspec.UnsetType = msgspec.UNSET
    at: float | msgspec.UnsetType = msgspec.UNSET
    u: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    v: Literal[1] = VERSION


class Planned(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="planned"):
    """Jobs were submitted at `t` for the `trials` that were left, and this was expected of them: so that it can be held against what came.

    `jobs` at a time, of `minutes`, each with `units` (of `unit`: GPU or CPU) and `slots` trials side by side. `finish` is seconds after `t`, `cost` unit-hours
    that jobs hold, both at 10, 50 and 90 %. `strength` says what was known of the queue. `trial` and `overhead` are the mean and the spread (of the mean) of what was
    taken for them, `waits` the median waits of the jobs of the first array, in order: what its course is drawn from.
    """

    trials: int
    jobs: int
    minutes: int
    slots: int
    units: int
    unit: str
    finish: tuple[float, float, float]
    cost: tuple[float, float, float]
    strength: str
    t: float
    mode: Literal["batch", "sequential"] | msgspec.UnsetType = msgspec.UNSET
    trial: tuple[float, float] | msgspec.UnsetType = msgspec.UNSET
    overhead: tuple[float, float] | msgspec.UnsetType = msgspec.UNSET
    waits: tuple[float, ...] | msgspec.UnsetType = msgspec.UNSET
    v: Literal[1] = VERSION


class Closed(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="closed"):
    """A writer ends in good order; its file will not grow any more."""

    t: float
    v: Literal[1] = VERSION


Event = Opened | Started | Settled | Reported | Judged | Finished | Released | Planned | Closed

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Event)
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines


_FLOATS = {
    kind: tuple(name for name in ("t", "s", "f", "since", "had", "at") if name in kind.__struct_fields__)
    for kind in (Opened, Started, Settled, Reported, Judged, Finished, Released, Planned, Closed)
}


def encode(event: Event) -> bytes:
    """The event's line, newline included. `ValueError` for a number that JSON has not: it would come out as null, which nobody could read."""
    for name in _FLOATS[type(event)]:
        value = getattr(event, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} = {value} cannot be written: {event}")
    body = _encode(event)[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def decode_all(data: bytes) -> list[Event | None] | None:
    """The events of whole lines, in less time than one by one; None if any line is not right."""
    lines = data.split(b"\n")
    lines.pop()
    try:
        if _all_intact(lines):
            events: list[Any] = _decode_lines(data)
            return events if len(events) == len(lines) else None
    except ValueError:  # msgspec's errors are such, too
        pass
    return None


def _all_intact(lines: list[bytes]) -> bool:
    tails = np.frombuffer(b"".join([line[-_TAIL:] for line in lines]), np.uint8)
    if len(tails) != len(lines) * _TAIL:
        return False
    tails = tails.reshape(-1, _TAIL)
    if (tails[:, _FRAME] != _EXAMPLE[_FRAME]).any():
        return False
    found = np.frombuffer(bytes.fromhex(tails[:, ~_FRAME].tobytes().decode()), ">u4")
    sums = np.fromiter(map(zlib.crc32, [line[:-_TAIL] for line in lines]), np.uint32, len(lines))
    return bool((found == sums).all())


def intact(line: bytes) -> bool:
    """Whether a line (without its newline) matches its checksum."""
    return line[-_TAIL:] == _SEAL % zlib.crc32(line[:-_TAIL])


def decode(line: bytes) -> Event:
    """The event in an intact line; `ValueError` says what is wrong with any other."""
    if not intact(line):
        raise ValueError("the checksum does not match: the line is damaged")
    try:
        event: Event = _decode(line)
    except msgspec.DecodeError as error:
        version = msgspec.json.decode(line).get("v")
        if version != VERSION:
            raise NewerFormat(version) from None
        raise ValueError(f"not an event: {error}") from None
    if event.v != VERSION:
        raise NewerFormat(event.v)
    return event
