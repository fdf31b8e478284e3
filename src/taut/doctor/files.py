"""The file system that holds a study: what it is, and what can only be found out by writing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from taut import filesystem
from taut.doctor.finding import ELSEWHERE, GIB, Finding, duration, size
from taut.filesystem import Mount, Race

__all__ = [
    "attempt",
    "findings",
    "judge_appends",
    "judge_clock",
    "judge_hard_links",
    "judge_mount",
    "judge_race",
    "judge_space",
    "judge_syncs",
    "space",
]

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


def attempt(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except OSError as error:
        return Finding(name, "fail", error.strerror or str(error), ELSEWHERE)


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
            "run the workers of a study on one host, or " + ELSEWHERE,
        )
    return Finding(name, "ok", f"{text}: for workers on this host")


def space(place: Path) -> Finding:
    sizes = os.statvfs(place)
    return judge_space(sizes.f_bavail * sizes.f_frsize, sizes.f_favail if sizes.f_files else None)


def judge_space(free: int, inodes: int | None) -> Finding:
    """free: bytes. inodes: files that can still be made, None for no limit of their own."""
    text = f"{size(free)} free" + ("" if inodes is None else f", room for {inodes:,} more files")
    if free < GIB:
        return Finding("space", "warn", text, "make room: a result that cannot be written is not told")
    if inodes is not None and inodes < 10_000:
        return Finding("space", "warn", text, "remove small files: every trial makes one or a few")
    return Finding("space", "ok", text + " (a quota may allow less)")


def findings(place: Path) -> list[Finding]:
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
            attempt(
                "exclusive files",
                lambda: judge_race("exclusive files", filesystem.race(folder / "file", "file")),
            ),
            attempt(
                "symbolic links",
                lambda: judge_race("symbolic links", filesystem.race(folder / "link", "link")),
            ),
            attempt("hard links", lambda: judge_hard_links(filesystem.hard_link_problem(folder))),
            attempt("appends", lambda: judge_appends(filesystem.append_delays(folder), filesystem.APPENDS)),
            attempt("syncs", lambda: judge_syncs(filesystem.sync_rate(folder))),
            attempt("clock", lambda: judge_clock(filesystem.clock_lead(folder))),
        ]
    if os.path.lexists(name):
        found.append(
            Finding("tidiness", "warn", f"{name} could not be removed", "remove it when nothing uses it")
        )
    return found


def judge_race(name: str, race: Race, racers: str = f"{filesystem.RACERS} processes") -> Finding:
    advice = f"a study here would lose trials or run them twice: {ELSEWHERE}"
    if race.error:
        return Finding(name, "fail", f"cannot be made: {race.error}", advice)
    if race.wrong:
        return Finding(
            name, "fail", f"{len(race.wrong)} of {race.names} names had not exactly one winner", advice
        )
    return Finding(name, "ok", f"{racers} raced for {race.names} names, each had one winner")


def judge_hard_links(problem: str | None) -> Finding:
    if problem:
        return Finding("hard links", "fail", problem, f"a study cannot be defined here: {ELSEWHERE}")
    return Finding("hard links", "ok", "can be made, and never replace a name that exists")


def judge_appends(delays: Sequence[float], expected: int) -> Finding:
    name, advice = "appends", f"workers would act on old news: {ELSEWHERE}"
    if len(delays) < expected:
        text = f"of {expected} lines that another process appended {expected - len(delays)} were never seen"
        return Finding(name, "fail", text, advice)
    median, longest = sorted(delays)[len(delays) // 2], max(delays)
    text = f"seen by another process after {duration(median)} (median), {duration(longest)} (longest)"
    return Finding(name, "warn", text, advice) if longest > 1.0 else Finding(name, "ok", text)


def judge_syncs(rate: float) -> Finding:
    text = f"{rate:,.0f} a second, one after the other ({duration(1 / rate)} each)"
    if rate < 50:
        return Finding("syncs", "warn", text, f"a result waits for one: tell many at once, or {ELSEWHERE}")
    return Finding("syncs", "ok", text)


def judge_clock(lead: float, name: str = "clock") -> Finding:
    text = (
        f"the file system's clock is {duration(abs(lead))} {'ahead of' if lead > 0 else 'behind'} this host's"
    )
    if abs(lead) <= 5.0:
        return Finding(name, "ok", text if abs(lead) > 0.1 else "the file system's and this host's agree")
    advice = "no decision depends on it, but times from different hosts do not compare; set the clock (NTP)"
    return Finding(name, "warn", text, advice)
