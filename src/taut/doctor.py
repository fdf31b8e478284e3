"""What a file system, a machine and a study directory can and cannot do for taut: `taut doctor`.

Each check is one `Finding`. The `judge_...` functions turn a measurement into one and touch nothing.
The measurements are in `filesystem.py` and `machine.py`.
"""

from __future__ import annotations

import collections
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy

import taut
from taut import filesystem, machine
from taut.clock import WallClock
from taut.errors import InputError, TautError
from taut.filesystem import Mount, Race
from taut.journal import FileJournal
from taut.machine import Answer, Program
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["Finding", "examine"]

_ELSEWHERE = "keep the study on another file system (--dir)"
_GIB = 1 << 30

_LOST = {
    "tmpfs": "gone after a restart of the machine",
    "ramfs": "gone after a restart of the machine",
    "devtmpfs": "gone after a restart of the machine",
    "overlay": "a container's own layer, gone with the container",
    "aufs": "a container's own layer, gone with the container",
}
_SHARED = (
    "nfs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "panfs",
    "wekafs",
    "orangefs",
    "pvfs2",
    "afs",
    "gfs2",
    "ocfs2",
    "glusterfs",
)
_WEAK = ("fuse.", "cifs", "smb", "9p", "vboxsf", "vfat", "exfat", "ntfs", "fuseblk")


class Finding(NamedTuple):
    """One thing that was looked at.

    state: ``ok``; ``warn``: a study works, at a price; ``fail``: it does not, or data was damaged.
    advice: the next move, empty if there is none.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    advice: str = ""


def examine(directory: Path) -> list[Finding]:
    """Look at the file system that holds `directory`, at this machine, and at the study if there is one.

    directory: need not exist; its nearest existing parent is then looked at. The checks work in a
    directory of their own inside it, which is removed. They take some two seconds, and see only what one
    host can see.

    Raises `InputError` if `directory` is a file or lies in one.
    """
    place = _nearest(directory)
    programs = {
        "Slurm": Program("sbatch", "--version"),
        "HyperQueue": Program("hq", "--version"),
        "GPU": Program("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
    }
    try:
        found = [
            judge_mount(filesystem.mount_of(place)),
            _try("space", lambda: _space(place)),
            *_files(place),
        ]
        found += _machine()
        found += [judge_program(name, program.answer(2.0)) for name, program in programs.items()]
    finally:
        for program in programs.values():
            program.end()
    return found + _study(place if place == Path(os.path.abspath(directory)) else None)


def _nearest(directory: Path) -> Path:
    """`directory`, or its nearest parent that exists."""
    place = Path(os.path.abspath(directory))
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InputError(
            f"{place} is not a directory; give the directory of a study, or one to keep studies in"
        )
    return place


def _try(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except OSError as error:
        return Finding(name, "fail", error.strerror or str(error), _ELSEWHERE)


# ---------------------------------------------------------------------- the file system


def judge_mount(mount: Mount | None) -> Finding:
    name = "file system"
    if mount is None:
        return Finding(name, "ok", "its type is not known here (this system has no /proc/mounts)")
    text = f"{mount.kind} on {mount.point} ({mount.source})"
    if mount.kind in _LOST:
        return Finding(
            name, "warn", f"{text}: {_LOST[mount.kind]}", "keep a study that matters on a disk (--dir)"
        )
    if mount.kind.startswith(_SHARED):
        if "soft" in mount.options:
            return Finding(
                name,
                "warn",
                f"{text}: mounted soft, so writes may fail while the server is slow",
                "ask for a hard mount; a result whose write fails is never counted as told",
            )
        return Finding(name, "ok", f"{text}: can be shared between hosts")
    if mount.kind.startswith(_WEAK):
        return Finding(
            name,
            "warn",
            f"{text}: such file systems may keep less than they promise when several hosts write",
            "run the workers of a study on one host, or " + _ELSEWHERE,
        )
    return Finding(name, "ok", f"{text}: for workers on this host")


def _space(place: Path) -> Finding:
    sizes = os.statvfs(place)
    return judge_space(sizes.f_bavail * sizes.f_frsize, sizes.f_favail if sizes.f_files else None)


def judge_space(free: int, inodes: int | None) -> Finding:
    """free: bytes. inodes: files that can still be made, None for no limit of their own."""
    text = f"{_size(free)} free" + ("" if inodes is None else f", room for {inodes:,} more files")
    if free < _GIB:
        return Finding("space", "warn", text, "make room: a result that cannot be written is not told")
    if inodes is not None and inodes < 10_000:
        return Finding("space", "warn", text, "remove small files: every trial makes one or a few")
    return Finding("space", "ok", text + " (a quota may allow less)")


def _files(place: Path) -> list[Finding]:
    """What can only be found out by writing."""
    try:
        trash = tempfile.TemporaryDirectory(dir=place, prefix=".taut-doctor-", ignore_cleanup_errors=True)
    except OSError as error:
        text = f"{place} cannot be written: {error.strerror}"
        return [
            Finding("directory", "fail", text, "check its owner and permissions, or choose another (--dir)")
        ]
    with trash as name:
        folder = Path(name)
        found = [
            Finding("directory", "ok", f"{place} can be written"),
            _try(
                "exclusive files",
                lambda: judge_race("exclusive files", filesystem.race(folder / "file", "file")),
            ),
            _try(
                "symbolic links",
                lambda: judge_race("symbolic links", filesystem.race(folder / "link", "link")),
            ),
            _try("hard links", lambda: judge_hard_links(filesystem.hard_link_problem(folder))),
            _try("appends", lambda: judge_appends(filesystem.append_delays(folder), filesystem.APPENDS)),
            _try("syncs", lambda: judge_syncs(filesystem.sync_rate(folder))),
            _try("clock", lambda: judge_clock(filesystem.clock_lead(folder))),
        ]
    if os.path.lexists(name):
        found.append(
            Finding("tidiness", "warn", f"{name} could not be removed", "remove it when nothing uses it")
        )
    return found


def judge_race(name: str, race: Race) -> Finding:
    advice = f"a study here would lose trials or run them twice: {_ELSEWHERE}"
    if race.error:
        return Finding(name, "fail", f"cannot be made: {race.error}", advice)
    if race.wrong:
        return Finding(
            name, "fail", f"{len(race.wrong)} of {race.names} names had not exactly one winner", advice
        )
    return Finding(
        name, "ok", f"{filesystem.RACERS} processes raced for {race.names} names, each had one winner"
    )


def judge_hard_links(problem: str | None) -> Finding:
    if problem:
        return Finding("hard links", "fail", problem, f"a study cannot be defined here: {_ELSEWHERE}")
    return Finding("hard links", "ok", "can be made, and never replace a name that exists")


def judge_appends(delays: Sequence[float], expected: int) -> Finding:
    name, advice = "appends", f"workers would act on old news: {_ELSEWHERE}"
    if len(delays) < expected:
        text = f"of {expected} lines that another process appended {expected - len(delays)} were never seen"
        return Finding(name, "fail", text, advice)
    median, longest = sorted(delays)[len(delays) // 2], max(delays)
    text = f"seen by another process after {_time(median)} (median), {_time(longest)} (longest)"
    return Finding(name, "warn", text, advice) if longest > 1.0 else Finding(name, "ok", text)


def judge_syncs(rate: float) -> Finding:
    text = f"{rate:,.0f} a second, one after the other ({_time(1 / rate)} each)"
    if rate < 50:
        return Finding("syncs", "warn", text, f"a result waits for one: tell many at once, or {_ELSEWHERE}")
    return Finding("syncs", "ok", text)


def judge_clock(lead: float) -> Finding:
    text = f"the file system's clock is {_time(abs(lead))} {'ahead of' if lead > 0 else 'behind'} this host's"
    if abs(lead) <= 5.0:
        return Finding("clock", "ok", text if abs(lead) > 0.1 else "the file system's and this host's agree")
    advice = "no decision depends on it, but times from different hosts do not compare; set the clock (NTP)"
    return Finding("clock", "warn", text, advice)


# ---------------------------------------------------------------------- the machine


def _machine() -> list[Finding]:
    cores = machine.cores()
    return [
        Finding("Python", "ok", f"{platform.python_version()} ({sys.executable})"),
        Finding("taut", "ok", f"{taut.__version__}, numpy {numpy.__version__}"),
        Finding("cores", "ok", f"{cores:g} for this process, of {os.cpu_count() or 1}"),
        judge_memory(machine.memory()),
        judge_open_files(machine.open_files()),
    ]


def judge_memory(sizes: tuple[int, int] | None) -> Finding:
    if sizes is None:
        return Finding("memory", "ok", "not known on this system")
    text = f"{_size(sizes[0])} free of {_size(sizes[1])}"
    if sizes[0] < _GIB // 2:
        return Finding("memory", "warn", text, "ask for more memory, or run fewer workers")
    return Finding("memory", "ok", text)


def judge_open_files(limit: int | None) -> Finding:
    text = "no limit" if limit is None else f"{limit:,} at once"
    if limit is not None and limit < 512:
        return Finding(
            "open files", "warn", text, "a worker has one open for each other worker: ulimit -n 4096"
        )
    return Finding("open files", "ok", text)


def judge_program(name: str, answer: Answer | None) -> Finding:
    if answer is None:
        return Finding(name, "ok", "not here")
    lines = answer.text.splitlines() or ["no answer"]
    if not answer.ok:
        return Finding(
            name, "warn", f"is here but does not work: {lines[0]}", f"trials cannot use {name} from here"
        )
    counts = collections.Counter(lines)
    return Finding(name, "ok", ", ".join(f"{n} x {line}" if n > 1 else line for line, n in counts.items()))


# ---------------------------------------------------------------------- the study


def _study(directory: Path | None) -> list[Finding]:
    """Findings on the study in `directory`; none if there is no study."""
    if directory is None or not os.path.lexists(directory / "definition" / "0000.json"):
        return []
    journal = FileJournal(directory, WallClock())
    try:
        revisions = journal.revisions(0)
        snapshot = Snapshot(revisions[0])
        for definition in revisions[1:]:
            snapshot.revise(definition)
        for batch in journal.poll(thorough=True):
            snapshot.apply(batch.writer, batch.events)
        torn = journal.torn()
        dead = _dead(journal, snapshot)
    except TautError as error:
        return [Finding("study", "fail", str(error))]
    except OSError as error:
        text = f"{error.filename or directory} cannot be read: {error.strerror}"
        return [Finding("study", "fail", text, "check its owner and permissions")]
    finally:
        journal.close()
    writers = len(snapshot.seen)
    found = [
        Finding(
            "study",
            "ok",
            f"{snapshot.definition.name}: {len(snapshot.known)} trials, {snapshot.n_finished} finished, "
            f"{writers} writer{'' if writers == 1 else 's'}",
        )
    ]
    if journal.problems:
        text = f"{len(journal.problems)} damaged: {_some([str(problem) for problem in journal.problems])}"
        found.append(
            Finding("log lines", "fail", text, "they are skipped; mend them from a copy, and check this disk")
        )
    elif torn:
        text = f"whole, but for the end of {_some([str(problem) for problem in torn])}"
        found.append(Finding("log lines", "ok", text, "a writer was stopped there, or is writing now"))
    else:
        found.append(Finding("log lines", "ok", "whole"))
    if dead:
        text = f"running in dead writers: {_some(dead)}"
        found.append(
            Finding("running trials", "warn", text, f"a worker takes them over: taut worker {directory}")
        )
    return found


def _dead(journal: FileJournal, snapshot: Snapshot) -> list[str]:
    """The running trials of each dead writer, and why it must be dead."""
    trials: dict[int, list[int]] = {}
    for n in snapshot.where(State.RUNNING).tolist():
        trials.setdefault(int(snapshot.writer[n]), []).append(n)
    found = []
    for writer, numbers in sorted(trials.items()):
        try:
            why = journal.lost(writer, snapshot.writers.get(writer))
        except OSError:  # for a writer on another host the log's folder must be writable
            continue
        if why:
            listed = _some([str(n) for n in numbers], ", ")
            found.append(f"trial{'' if len(numbers) == 1 else 's'} {listed} in {writer:04d}.jsonl ({why})")
    return found


def _some(texts: Sequence[str], mark: str = "; ", most: int = 5) -> str:
    more = f"{mark}and {len(texts) - most} more" if len(texts) > most else ""
    return mark.join(texts[:most]) + more


def _size(count: int) -> str:
    return f"{count / _GIB:,.1f} GiB" if count >= _GIB else f"{count / (1 << 20):,.0f} MiB"


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:,.1f} s"
    return f"{seconds * 1000:.2g} ms" if seconds > 1e-5 else "less than 0.01 ms"
