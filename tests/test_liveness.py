"""Who is dead: the process table where it can be asked, else a lease; a doubt is never a death."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from taut import liveness
from taut.events import Opened
from taut.liveness import LEASE, introduce, lost


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0000.jsonl"
    path.touch()
    return path


def silent(log: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(log, (then, then))


def someone(**fields: object) -> Opened:
    return msgspec.structs.replace(introduce(1.0), **fields)


def test_it_says_who_it_is() -> None:
    me = introduce(12.5)
    assert me.pid == os.getpid() and me.t == 12.5 and me.host and me.user
    assert me.environment.keys() >= {"python", "numpy", "processor", "system"}


def test_the_living_are_not_dead_however_silent(log: Path) -> None:
    silent(log, 100 * LEASE)
    assert lost(introduce(1.0), log) is None


def test_a_process_that_ended_is_dead_at_once(log: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    who = someone(pid=child.pid, born=liveness._born(child.pid))
    assert lost(who, log) is None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert lost(who, log) == f"process {child.pid} on {who.host} is gone"
    child.communicate()
    assert lost(who, log) == f"process {child.pid} on {who.host} is gone"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to tell one process from its successor")
def test_a_reused_process_number_is_another_process(log: Path) -> None:
    assert lost(someone(born="1"), log) is not None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"host": "elsewhere", "boot": "b"}, "no sign of life from elsewhere"),
        ({"space": "pid:[1]"}, "no sign of life"),
    ],
)
def test_elsewhere_the_lease_decides(log: Path, fields: dict[str, str], why: str) -> None:
    who = someone(pid=1, born="0", **fields)
    silent(log, LEASE - 60)
    assert lost(who, log) is None
    silent(log, LEASE + 60)
    assert why in (lost(who, log) or "")


def test_after_a_restart_it_is_dead_soon_and_a_namesake_that_lives_is_not(log: Path) -> None:
    who = someone(boot="another")
    assert lost(who, log) is None
    silent(log, 120)
    assert lost(who, log) == f"{who.host} was restarted"


def test_a_writer_that_has_not_said_who_it_is_gets_the_lease(log: Path) -> None:
    assert lost(None, log) is None
    silent(log, LEASE + 60)
    assert lost(None, log) == "0000.jsonl never said who writes it"


def test_a_process_that_is_hidden_is_not_known_to_be_dead(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc may hide the processes of others (hidepid)."""

    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    who = introduce(1.0)
    monkeypatch.setattr(liveness, "_read", lambda path: "")
    monkeypatch.setattr(os, "kill", refuse)
    assert lost(who, log) is None
    silent(log, LEASE + 60)
    assert lost(who, log) is not None


def test_without_a_process_table_the_number_alone_counts(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_read", lambda path: "")  # as on macOS
    who = someone(born="")
    silent(log, LEASE + 60)
    assert lost(who, log) is None
    assert lost(someone(born="", pid=2**22 + 1), log) is not None


def test_where_nobody_can_tell_it_is_not_dead(tmp_path: Path) -> None:
    assert lost(someone(host="elsewhere"), tmp_path / "gone" / "0000.jsonl") is None


def test_the_clocks_of_the_hosts_do_not_matter(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert lost(someone(host="elsewhere"), log) is None


def test_asking_leaves_no_file(log: Path) -> None:
    lost(someone(host="elsewhere"), log)
    assert os.listdir(log.parent) == [log.name]
