"""Jobs from Slurm's accounting: of this cluster, or as text that somebody printed on another one.

What to run there is `COMMAND`. Any other order and choice of columns will do, too, that has Submit, Start and Timelimit.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, tzinfo
from typing import Final

from taut.errors import InputError
from taut.queue.records import Reading
from taut.queue.rows import Row, Rows
from taut.slurm import fields
from taut.slurm.calls import call, environment

__all__ = ["COLUMNS", "COMMAND", "live", "read"]

COLUMNS: Final = (
    *("JobID", "User", "Account", "Partition", "State", "Submit", "Eligible", "Start", "End", "Timelimit"),
    *("ReqTRES", "AllocTRES", "Cluster"),
)
COMMAND: Final = f"SLURM_TIME_FORMAT=%s sacct -a -X -D -P -S now-30days -o {','.join(COLUMNS)} > jobs.txt"
"""What users run on another cluster, for `read`. ``%s``: times in seconds since 1970, so that no time zone matters."""

_UNKNOWN = frozenset(("", "unknown", "none", "n/a", "(null)", "invalid"))
_WALLTIME = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?")
_TASKS = re.compile(r"(\d+)_\[([^\]%]+)")
_UNFOLDED = 10_000  # tasks of one array that wait, at most
_FOREVER = 100 * 366 * 86400.0  # seconds; nobody has waited for more
_SUFFIX = {"": 1.0, "K": 1024.0, "M": 1024.0**2, "G": 1024.0**3}  # Slurm shortens counts, too, by 1024


def live(days: int = 30) -> Reading:
    """All jobs of the last days that accounting shows us here; where a site hides others' jobs, our own.

    Raises `SlurmError` where accounting does not answer.
    """
    words = ("sacct", "-a", "-X", "-D", "-P", "-S", f"now-{days}days", "-o", ",".join(COLUMNS))
    return read(call(*words, timeout=120.0, env={**environment(), "SLURM_TIME_FORMAT": "%s"}))


def read(text: str, zone: tzinfo | None = None) -> Reading:
    """The jobs in what ``sacct -P`` printed, with its header; steps are left out, and arrays that wait are unfolded.

    Each life of a job that was requeued (``-D``) is a job. Of a list of partitions the first counts, and of what was asked
    for and what was given, what was asked for. Lines that cannot be read are counted, and the first are named.
    zone: where times were printed that have no offset; None: on this machine. Raises `InputError` where the header is
    missing or lacks a column.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    names = _names(lines[first] if lines else "")
    rows, moments, clusters = Rows(), _Moments(zone), set[str]()
    for number, line in enumerate(lines[first + 1 :], first + 2):
        cells = line.split("|")
        if len(cells) != len(names):
            if line.strip():
                rows.leave_out(number, f"it has {len(cells)} columns, and the header {len(names)}")
            continue
        of = dict(zip(names, cells, strict=True))
        if "." in of.get("jobid", ""):
            continue
        try:
            rows.add(_row(of, moments), _tasks(of))
            clusters.add(of.get("cluster", "").strip().lower())
        except OverflowError:
            rows.leave_out(number, "a number in it is too large to be one of Slurm's")
        except ValueError as error:
            rows.leave_out(number, str(error))
    return rows.reading(clusters - {""})


def _names(header: str) -> list[str]:
    """The columns by their names in small letters; ``%20`` behind one is its width."""
    names = [name.strip().partition("%")[0].lower() for name in header.split("|")]
    missing = [
        " or ".join(wanted)
        for wanted in (("Submit",), ("Start",), ("Timelimit", "TimelimitRaw"))
        if not any(name.lower() in names for name in wanted)
    ]
    if missing:
        raise InputError(
            f"line 1 is {header[:80]!r} and ought to name the columns of sacct, {', '.join(missing)} among them; "
            f"write the file by: {COMMAND}"
        )
    return names


def _row(of: dict[str, str], moments: _Moments) -> Row:
    state = fields.state(of.get("state", ""))
    start, end = moments.read("Start", of["start"]), moments.read("End", of.get("end", ""))
    if state == "PENDING" or (state == "CANCELLED" and end <= start):
        start = math.nan  # older releases write when a job was cancelled in place of a start
    if state in ("PENDING", "RUNNING", "SUSPENDED"):
        end = math.nan
    asked, given = fields.tres(of.get("reqtres", "")), fields.tres(of.get("alloctres", ""))
    array = of.get("jobid", "").partition("_")
    return Row(
        submit=moments.read("Submit", of["submit"]),
        start=start,
        eligible=moments.read("Eligible", of.get("eligible", "")),
        end=end,
        walltime=_walltime(of),
        gpus=_gpus(asked) or _gpus(given),
        cpus=_first(
            asked.get("cpu"), of.get("reqcpus"), given.get("cpu"), of.get("alloccpus"), of.get("ncpus")
        ),
        nodes=_first(
            asked.get("node"), of.get("reqnodes"), given.get("node"), of.get("allocnodes"), of.get("nnodes")
        ),
        partition=of.get("partition", "").partition(",")[0],
        user=of.get("user", ""),
        account=of.get("account", ""),
        state=state,
        array=_number(array[0]) if array[1] else -1,
    )


def _number(text: str) -> int:
    """Of a job; -1 for what is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else -1


def _tasks(of: dict[str, str]) -> int:
    """How many jobs a line stands for: ``12_[3,7-9%2]`` for the four tasks of an array that have not started."""
    found = _TASKS.match(of.get("jobid", ""))
    if not found:
        return 1
    count = 0
    for part in found[2].split(","):
        begin, _, rest = part.partition("-")
        end, _, step = (rest or begin).partition(":")
        first, last, every = _number(begin), _number(end), _number(step or "1")
        if first >= 0 and last >= 0:
            count += max((last - first) // max(every, 1) + 1, 1)
    return min(max(count, 1), _UNFOLDED)


def _walltime(of: dict[str, str]) -> float:
    """Seconds; infinite where there is no limit, NaN where it is not known (the partition's own, for instance)."""
    minutes = of.get("timelimitraw", "")
    if re.fullmatch("[0-9]+", minutes):
        return min(60.0 * int(minutes), _FOREVER)
    text = of.get("timelimit", minutes)
    if text.upper() == "UNLIMITED":
        return math.inf
    if not (found := _WALLTIME.fullmatch(text)):
        return math.nan
    days, hours, minutes_, seconds = (int(part or 0) for part in found.groups())
    return min(86400.0 * days + 3600.0 * hours + 60.0 * minutes_ + seconds, _FOREVER)


def _gpus(tres: dict[str, str]) -> float:
    if "gres/gpu" in tres:
        return _count(tres["gres/gpu"])
    return sum(_count(value) for kind, value in tres.items() if kind.startswith("gres/gpu:"))


def _first(*texts: str | None) -> float:
    """The first that is a count; 0 if none is."""
    return next((count for text in texts if text and (count := _count(text)) > 0), 0.0)


def _count(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", text)
    return round(float(found[1]) * _SUFFIX[found[2]]) if found else 0.0


class _Moments:
    """Times as sacct prints them, each text read once: many jobs have them in common."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._known: dict[str, float] = {}

    def read(self, name: str, text: str) -> float:
        """Seconds since 1970; NaN where it has not happened. Raises `ValueError` for what is no time."""
        if (known := self._known.get(text)) is not None:
            return known
        if text.strip().lower() in _UNKNOWN:
            moment = math.nan
        elif re.fullmatch(r"\d{9,11}", text):
            moment = float(text)
        else:
            try:
                found = datetime.fromisoformat(text)
                if found.tzinfo is None and self._zone is not None:
                    found = found.replace(tzinfo=self._zone)
                moment = found.timestamp()
            except (ValueError, OverflowError):
                raise ValueError(f"its {name} is {text[:40]!r}, which is no time") from None
        self._known[text] = moment
        return moment
