"""Tiny jobs on one or two nodes of a Slurm cluster: whether a study's workers can live and meet there."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taut import filesystem
from taut.doctor import visitor
from taut.doctor.files import judge_clock, judge_race
from taut.doctor.finding import ELSEWHERE, Finding, duration
from taut.errors import InputError
from taut.slurm.calls import SlurmError, call, required
from taut.slurm.limits import Request, check, read
from taut.slurm.reasons import never, plain

__all__ = ["judge_throws", "visit"]

WAIT = 120.0  # seconds for all jobs to start
_MEETING = 60.0  # seconds that the meeting of two visitors may take
_ASKING = 10.0  # seconds between questions to Slurm
_GRACE = 3.0  # seconds until a file that a job has written must be seen here

_SCRIPT = """\
#!/bin/sh
# A check of taut doctor. The mark says, before Python is asked for, that the directory is seen and can be written.
touch {mark} || exit 1
exec {command}
"""


def visit(
    place: Path, count: int, partition: str | None = None, account: str | None = None, wait: float = WAIT
) -> list[Finding]:
    """Submit `count` jobs (1 or 2), to different nodes where there are two, and report what they found in `place`.

    wait: seconds for which the jobs may take to start. What is left of them is cancelled.

    Raises `InputError` where Slurm is not installed.
    """
    required()
    minutes = _minutes(partition, account)
    try:
        folder = Path(tempfile.mkdtemp(dir=place, prefix=".taut-doctor-"))
    except OSError as error:
        return [Finding("nodes", "fail", f"{place} cannot be written from here: {error.strerror}", ELSEWHERE)]
    options = [f"--{key}={value}" for key, value in (("partition", partition), ("account", account)) if value]
    options.append(f"--time={minutes}")
    visits: list[_Visit] = []
    try:
        return _visit(folder, count, options, visits, time.monotonic() + wait)
    except SlurmError as error:
        return [Finding("nodes", "fail", str(error), "give another partition (-p) or account (--account)")]
    finally:
        for one in visits:
            with contextlib.suppress(SlurmError):
                call("scancel", one.job)
        shutil.rmtree(folder, ignore_errors=True)


def _minutes(partition: str | None, account: str | None) -> int:
    """Time for a tiny job: 4 minutes, or 1 where no more is allowed. Raises `InputError` where no job can start."""
    site = read(pwd.getpwuid(os.getuid()).pw_name)
    for minutes in (4, 1):
        try:
            check(Request(partition=partition, account=account, minutes=minutes), site)
            break
        except InputError as error:
            key = error.at[-1]
            if key != "time" or minutes == 1:
                given = {"partition": partition, "account": account}.get(key)
                raise InputError(error.message, (f"--{key}",) if given else ()) from None
    return minutes


def _visit(folder: Path, count: int, options: list[str], visits: list[_Visit], end: float) -> list[Finding]:
    for name in ("ball-0", "ball-1"):
        (folder / name).touch()
    for name in ("file", "link"):
        (folder / name).mkdir()
    found: list[Finding] = []
    first = _Visit(folder, 0, options)
    visits.append(first)
    found += first.findings(end)
    if not first.hello or count == 1:
        (folder / "go").write_text("1", encoding="utf-8")
        return found
    try:
        second = _Visit(folder, 1, [*options, f"--exclude={first.hello['node']}"])
    except SlurmError:  # the partition has no other node
        second = _Visit(folder, 1, options)
    visits.append(second)
    found += second.findings(end)
    if not second.hello:
        return found
    draft = folder / "go.draft"
    draft.write_text("2", encoding="utf-8")
    draft.rename(folder / "go")
    return found + _meeting(folder, first.hello["node"], second.hello["node"])


class _Visit:
    """One job, and what is known of it. `hello` is empty until it has said that it is there."""

    def __init__(self, folder: Path, me: int, options: list[str]) -> None:
        self.folder, self.me = folder, me
        self.hello: dict[str, Any] = {}
        self._state, self._reason, self._where = "PENDING", "None", ""
        self._asked = time.monotonic() + 2.0 - _ASKING
        self._mark = folder / f"here-{me}"
        self._output = folder / f"output-{me}"
        command = [sys.executable, "-m", "taut.doctor.visitor", str(folder), str(me)]
        script = folder / f"visit-{me}.sh"
        text = _SCRIPT.format(mark=shlex.quote(str(self._mark)), command=shlex.join(command))
        script.write_text(text, encoding="utf-8")
        output = str(self._output).replace("%", "%%")
        fixed = ["--parsable", "--job-name=taut-doctor", "--ntasks=1", "--no-requeue"]
        said = call("sbatch", *fixed, f"--output={output}", *options, str(script))
        self.job = said.strip().split(";")[0]

    def findings(self, end: float) -> list[Finding]:
        """Wait until the job is there, or has failed, or time is up; what that says of its node."""
        path = self.folder / f"hello-{self.me}.json"
        ended: float | None = None
        while not path.exists():
            now = time.monotonic()
            if now > end or (ended is not None and now > ended + _GRACE):
                return [self._failure()]
            if ended is None and self._over(now):
                ended = now
            time.sleep(0.1)
        self.hello = json.loads(path.read_text(encoding="utf-8"))
        node = self.hello["node"]
        text = f"sees the directory, can write there, and imports taut {self.hello['taut']} with {sys.executable}"
        return [Finding(f"node {node}", "ok", text), judge_clock(self.hello["lead"], f"clock of {node}")]

    def _over(self, now: float) -> bool:
        """Whether the job has ended, or can never start, as far as Slurm has been asked."""
        if now < self._asked + _ASKING:
            return False
        self._asked = now
        try:
            lines = call("squeue", "-h", "-j", self.job, "-o", "%T|%N|%r").splitlines()
        except SlurmError:
            lines = []
        self._state, self._where, self._reason = lines[0].split("|", 2) if lines else ("gone", "", "")
        if self._state == "PENDING" and never(self._reason):
            return True
        return self._state not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED")

    def _failure(self) -> Finding:
        name = f"node {self._where}" if self._where else "nodes"
        if self._state in ("PENDING", "CONFIGURING"):
            text = f"job {self.job} did not start in time: {plain(self._reason)}"
            return Finding(name, "warn", text, "try again later, or in another partition (-p)")
        if not self._mark.exists():
            text = (
                f"job {self.job} left no trace: {self.folder.parent} is not seen there, or cannot be written"
            )
            return Finding(name, "fail", text, "keep the study on a file system that the nodes share (--dir)")
        said = self._output.read_text(encoding="utf-8", errors="replace") if self._output.exists() else ""
        last = (said.strip().splitlines() or ["it said nothing"])[-1]
        text = f"{sys.executable} cannot import taut there: {last}"
        advice = "install taut where the nodes see it, or make it known in `setup` of [on.slurm]"
        return Finding(name, "fail", text, advice)


def _meeting(folder: Path, *nodes: str) -> list[Finding]:
    """What the two visitors found out together."""
    paths = [folder / f"met-{me}.json" for me in range(2)]
    if not _wait(lambda: all(path.exists() for path in paths), _MEETING):
        text = f"what was written on {' and '.join(nodes)} did not come here within {_MEETING:.0f} s"
        return [Finding("two nodes", "fail", text, ELSEWHERE)]
    met = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    found = []
    if nodes[0] == nodes[1]:
        text = f"the partition gave {nodes[0]} twice: what follows is of two jobs on one node"
        found.append(Finding("two nodes", "warn", text, "choose a partition with two nodes (-p)"))
    racers = f"jobs on {nodes[0]} and {nodes[1]}"
    for kind, name in (("file", "exclusive files"), ("link", "symbolic links")):
        race = filesystem.outcome([one[kind] for one in met], folder / kind, kind)
        found.append(judge_race(f"{name}, two nodes", race, racers))
    return [*found, judge_throws(met[0]["throws"], visitor.THROWS)]


def judge_throws(throws: list[float], expected: int) -> Finding:
    """throws: seconds that each line took to another node and back."""
    name, advice = "appends, two nodes", f"workers would act on old news: {ELSEWHERE}"
    if not throws:
        return Finding(name, "fail", "a line appended on one was never seen on the other", advice)
    halves = sorted(took / 2 for took in throws)
    text = f"seen on the other node after {duration(halves[len(halves) // 2])} (median), {duration(halves[-1])} (longest)"
    if len(throws) < expected:
        return Finding(name, "warn", f"{text}; {len(throws)} of {expected} in time", advice)
    return Finding(name, "warn" if halves[-1] > 10.0 else "ok", text, advice if halves[-1] > 10.0 else "")


def _wait(ready: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
