"""`taut doctor`: real file systems and processes, and each warning from the measurement that calls for it."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import taut
from taut import doctor, filesystem, machine
from taut.definition import Definition, Method, Objective
from taut.doctor import Finding, examine, files, host
from taut.doctor.study import findings as study_findings
from taut.errors import InputError
from taut.events import Closed, Event, Finished, Opened, Started
from taut.filesystem import Mount, Race
from taut.liveness import introduce
from taut.log import LogWriter
from taut.machine import Answer

FILES = ["directory", "exclusive files", "symbolic links", "hard links", "appends", "syncs", "clock"]
MACHINE = ["Python", "taut", "cores", "memory", "open files", "meters", "HyperQueue", "GPU", "Slurm"]
MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw 0 0
server:/export/home /home nfs4 rw,vers=4.2,soft,proto=tcp 0 0
/dev/sdb1 /home/with\\040space xfs rw 0 0
old:/x /scratch nfs rw 0 0
10.0.0.1@tcp:/work /scratch lustre rw,flock 0 0
broken
"""


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a cluster is, its many findings are the subject of other tests."""
    monkeypatch.setenv("SLURM_CONF", "/dev/null")


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


# ---------------------------------------------------------------------- all of it


def test_a_good_directory(tmp_path: Path) -> None:
    begin = time.monotonic()
    findings = examine(tmp_path)
    assert time.monotonic() - begin < 5
    assert [finding.name for finding in findings] == ["file system", "space", *FILES, *MACHINE]
    found = by_name(findings)
    for name in FILES:
        assert found[name].state == "ok" or name in ("appends", "syncs"), found[name]
    race = "4 processes raced for 200 names, each had one winner"
    assert found["directory"] == Finding("directory", "ok", f"{tmp_path} can be written")
    assert found["exclusive files"].text == found["symbolic links"].text == race
    assert found["hard links"].text == "can be made, and never replace a name that exists"
    assert re.match(
        r"seen by another process after \S+ ms \(median\), \S+ m?s \(longest\)$", found["appends"].text
    )
    assert re.match(r"[\d,]+ a second, one after the other \(.+ each\)$", found["syncs"].text)
    assert found["clock"].text == "the file system's and this host's agree"
    assert found["Python"].text.endswith(f"({sys.executable})")
    assert re.match(r"0\.\d+\.\d+\S*, numpy \d+\.", found["taut"].text)
    assert re.match(r"[\d.]+ for this process, of \d+$", found["cores"].text)
    assert os.listdir(tmp_path) == []


def test_the_nearest_parent_stands_for_a_directory_to_come(tmp_path: Path) -> None:
    found = by_name(examine(tmp_path / "runs" / "first"))
    assert found["directory"].text == f"{tmp_path} can be written"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["file", "file/runs"])
def test_a_file_is_not_a_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        examine(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path}/file is not a directory; give the directory of a study, or one to keep studies in"
    )


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc, where nobody can make a directory")
def test_a_directory_that_cannot_be_written() -> None:
    findings = examine(Path("/proc"))
    assert [finding.name for finding in findings] == ["file system", "space", "directory", *MACHINE]
    finding = by_name(findings)["directory"]
    assert (finding.state, finding.advice) == (
        "fail",
        "check its owner and permissions, or choose another (--dir)",
    )
    assert finding.text.startswith("/proc cannot be written: ")


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no tmpfs here")
def test_memory_is_no_disk() -> None:
    finding = by_name(examine(Path("/dev/shm")))["file system"]
    assert finding.state == "warn"
    assert re.match(r"tmpfs on /dev/shm \(.*\): gone after a restart of the machine$", finding.text)
    assert not [name for name in os.listdir("/dev/shm") if name.startswith(".taut")]


def test_nothing_is_left_after_ctrl_c(tmp_path: Path) -> None:
    source = Path(doctor.__file__).parents[2]
    script = (
        "from pathlib import Path; from taut.doctor import examine; import sys; examine(Path(sys.argv[1]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(source)},
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 10
    while not list(tmp_path.glob(".taut-doctor-*/appended")) and time.monotonic() < end:
        time.sleep(0.005)
    assert list(tmp_path.glob(".taut-doctor-*/appended")), "the check of appends never began"
    process.send_signal(signal.SIGINT)
    assert process.wait(5) != 0
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------------- measurements


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/lib", ("/", "ext4")),
        ("/tmp", ("/tmp", "tmpfs")),
        ("/tmpfoo", ("/", "ext4")),
        ("/home/ada/runs", ("/home", "nfs4")),
        ("/home/with space/x", ("/home/with space", "xfs")),
        ("/scratch/x", ("/scratch", "lustre")),
    ],
)
def test_mounts(path: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.realpath", str)
    mount = filesystem.mount_of(Path(path), MOUNTS)
    assert mount is not None and (mount.point, mount.kind) == expected


def test_the_mount_of_a_link_is_that_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev")
    table = f"a / ext4 rw 0 0\nb {tmp_path.resolve()} xfs rw 0 0\nc /dev devtmpfs rw 0 0\n"
    mount = filesystem.mount_of(tmp_path / "link", table)
    assert mount == Mount("/dev", "devtmpfs", "c", ("rw",))


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_race_has_one_winner_for_each_name(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "race"
    assert filesystem.race(folder, kind, racers=3, count=50) == Race(50, [], None)
    assert sorted(int(name) for name in os.listdir(folder)) == list(range(50))
    if kind == "link":
        assert {os.readlink(folder / name) for name in os.listdir(folder)} <= {"0", "1", "2"}


def test_a_race_that_cheats_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the racers' script, on a file system where everybody wins."""
    script = Path(filesystem.__file__).with_name("probes.py").read_text()
    cheating = tmp_path / "probes.py"
    cheating.write_text(
        script.replace(
            "        except FileExistsError:\n            pass\n",
            "        except FileExistsError:\n            won.append(tried)\n",
        )
    )
    assert cheating.read_text() != script
    monkeypatch.setattr(filesystem, "_PROBES", cheating)
    race = filesystem.race(tmp_path / "race", "link", racers=2, count=10)
    assert race == Race(10, list(range(10)), None)
    assert files.judge_race("symbolic links", race) == Finding(
        "symbolic links",
        "fail",
        "10 of 10 names had not exactly one winner",
        "a study here would lose trials or run them twice: keep the study on another file system (--dir)",
    )


def test_racers_that_never_start_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "probes.py"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(filesystem, "_PROBES", script)
    monkeypatch.setattr(filesystem, "_PATIENCE", 0.2)
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match="a process had not started after 0 s"):
        filesystem.race(tmp_path / "race", "file")
    assert time.monotonic() - begin < 2


def test_racers_that_fail_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "probes.py"
    script.write_text("raise SystemExit(3)")
    monkeypatch.setattr(filesystem, "_PROBES", script)
    with pytest.raises(OSError, match="a process of the check failed"):
        filesystem.race(tmp_path / "race", "file")


def test_hard_links(tmp_path: Path) -> None:
    assert filesystem.hard_link_problem(tmp_path) is None


def test_hard_links_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(first: Path, second: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    problem = filesystem.hard_link_problem(tmp_path)
    assert files.judge_hard_links(problem) == Finding(
        "hard links",
        "fail",
        "cannot be made: Operation not permitted",
        "a study cannot be defined here: keep the study on another file system (--dir)",
    )


def test_appends_are_seen(tmp_path: Path) -> None:
    delays = filesystem.append_delays(tmp_path, count=10)
    assert len(delays) == 10 and 0 <= max(delays) < 1
    assert len((tmp_path / "appended").read_bytes().splitlines()) == 10


def test_sync_rate(tmp_path: Path) -> None:
    begin = time.monotonic()
    assert filesystem.sync_rate(tmp_path, seconds=0.1, most=20) > 0
    assert time.monotonic() - begin < 2
    assert 3 * 200 <= (tmp_path / "synced").stat().st_size <= 20 * 200


def test_clock_of_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(filesystem.clock_lead(tmp_path)) < 0.1
    now = time.time
    monkeypatch.setattr("time.time", lambda: now() - 100)
    assert 99 < filesystem.clock_lead(tmp_path) < 101
    monkeypatch.setattr("time.time", lambda: now() + 100)
    assert -101 < filesystem.clock_lead(tmp_path) < -99


def test_limits_of_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "self"
    monkeypatch.setattr(machine, "_GROUPS", root)
    monkeypatch.setattr(machine, "_SELF", own)
    inner = root / "slurm" / "job_7"
    inner.mkdir(parents=True)
    own.write_text("0::/slurm/job_7\n")
    (inner / "cpu.max").write_text("max 100000\n")
    (root / "slurm" / "cpu.max").write_text("50000 100000\n")
    (inner / "memory.max").write_text(f"{64 << 20}\n")
    (inner / "memory.current").write_text(f"{60 << 20}\n")
    (inner / "memory.stat").write_text(f"anon 7\ninactive_file {10 << 20}\n")
    (root / "slurm" / "memory.max").write_text("max\n")
    assert machine.cores() == 0.5
    assert machine.memory() == (14 << 20, 64 << 20)
    (root / "cpu").mkdir()
    own.write_text("3:cpu,cpuacct:/not/visible/here\n0::/\n")  # version 1, seen from inside a container
    (root / "cpu" / "cpu.cfs_quota_us").write_text("25000\n")
    (root / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.cores() == 0.25
    (root / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert machine.cores() >= 1


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo slurm 23.02.7", Finding("Slurm", "ok", "slurm 23.02.7")),
        (
            "printf 'NVIDIA A100\\nNVIDIA A100\\nTesla T4\\n'",
            Finding("Slurm", "ok", "2 x NVIDIA A100, Tesla T4"),
        ),
        (
            "echo no driver; exit 9",
            Finding(
                "Slurm", "warn", "is here but does not work: no driver", "trials cannot use Slurm from here"
            ),
        ),
        (
            "sleep 60",
            Finding(
                "Slurm",
                "warn",
                "is here but does not work: no answer after 0.2 s",
                "trials cannot use Slurm from here",
            ),
        ),
    ],
)
def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: Finding) -> None:
    program = tmp_path / "sbatch"
    program.write_text(f"#!/bin/sh\n{'exec ' if script.startswith('sleep') else ''}{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    patience = 0.2 if script.startswith("sleep") else 5.0
    assert host.judge_program("Slurm", machine.Program("sbatch", "--version").answer(patience)) == expected


def test_a_program_that_is_not_here() -> None:
    answer = machine.Program("taut-no-such-program").answer(1.0)
    assert host.judge_program("GPU", answer) == Finding("GPU", "ok", "not here")


# ---------------------------------------------------------------------- judgements

ELSEWHERE = "keep the study on another file system (--dir)"


@pytest.mark.parametrize(
    ("mount", "state", "text"),
    [
        (Mount("/", "ext4", "/dev/sda", ("rw",)), "ok", "ext4 on / (/dev/sda): for workers on this host"),
        (Mount("/h", "nfs4", "s:/h", ("rw",)), "ok", "nfs4 on /h (s:/h): can be shared between hosts"),
        (Mount("/h", "lustre", "l:/h", ("rw",)), "ok", "lustre on /h (l:/h): can be shared between hosts"),
        (Mount("/h", "gpfs", "g", ("rw",)), "ok", "gpfs on /h (g): can be shared between hosts"),
        (
            Mount("/h", "nfs", "s:/h", ("rw", "soft")),
            "warn",
            "nfs on /h (s:/h): mounted soft, so writes may fail while the server is slow",
        ),
        (
            Mount("/", "overlay", "overlay", ("rw",)),
            "warn",
            "overlay on / (overlay): a container's own layer, gone with the container",
        ),
        (
            Mount("/t", "tmpfs", "tmpfs", ("rw",)),
            "warn",
            "tmpfs on /t (tmpfs): gone after a restart of the machine",
        ),
        (
            Mount("/r", "fuse.sshfs", "me@there:", ("rw",)),
            "warn",
            "fuse.sshfs on /r (me@there:): "
            "such file systems may keep less than they promise when several hosts write",
        ),
        (None, "ok", "its type is not known here (this system has no /proc/mounts)"),
    ],
)
def test_judging_a_mount(mount: Mount | None, state: str, text: str) -> None:
    finding = files.judge_mount(mount)
    assert (finding.name, finding.state, finding.text) == ("file system", state, text)
    assert bool(finding.advice) == (state == "warn")


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (
            files.judge_space(5 << 30, 2_000_000),
            Finding("space", "ok", "5.0 GiB free, room for 2,000,000 more files (a quota may allow less)"),
        ),
        (files.judge_space(5 << 30, None), Finding("space", "ok", "5.0 GiB free (a quota may allow less)")),
        (
            files.judge_space(300 << 20, 2_000_000),
            Finding(
                "space",
                "warn",
                "300 MiB free, room for 2,000,000 more files",
                "make room: a result that cannot be written is not told",
            ),
        ),
        (
            files.judge_space(5 << 30, 99),
            Finding(
                "space",
                "warn",
                "5.0 GiB free, room for 99 more files",
                "remove small files: every trial makes one or a few",
            ),
        ),
        (
            files.judge_race("symbolic links", Race(0, [], "Operation not supported")),
            Finding(
                "symbolic links",
                "fail",
                "cannot be made: Operation not supported",
                f"a study here would lose trials or run them twice: {ELSEWHERE}",
            ),
        ),
        (
            files.judge_appends([0.001, 0.002, 1.5], 3),
            Finding(
                "appends",
                "warn",
                "seen by another process after 2 ms (median), 1.5 s (longest)",
                f"workers would act on old news: {ELSEWHERE}",
            ),
        ),
        (
            files.judge_appends([0.001], 40),
            Finding(
                "appends",
                "fail",
                "of 40 lines that another process appended 39 were never seen",
                f"workers would act on old news: {ELSEWHERE}",
            ),
        ),
        (
            files.judge_syncs(1234.0),
            Finding("syncs", "ok", "1,234 a second, one after the other (0.81 ms each)"),
        ),
        (
            files.judge_syncs(20.0),
            Finding(
                "syncs",
                "warn",
                "20 a second, one after the other (50 ms each)",
                f"a result waits for one: tell many at once, or {ELSEWHERE}",
            ),
        ),
        (
            files.judge_clock(-2.0),
            Finding("clock", "ok", "the file system's clock is 2.0 s behind this host's"),
        ),
        (
            files.judge_clock(61.0),
            Finding(
                "clock",
                "warn",
                "the file system's clock is 61.0 s ahead of this host's",
                "no decision depends on it, but times from different hosts do not compare; "
                "set the clock (NTP)",
            ),
        ),
        (host.judge_memory(None), Finding("memory", "ok", "not known on this system")),
        (
            host.judge_memory((100 << 20, 4 << 30)),
            Finding("memory", "warn", "100 MiB free of 4.0 GiB", "ask for more memory, or run fewer workers"),
        ),
        (host.judge_open_files(None), Finding("open files", "ok", "no limit")),
        (
            host.judge_open_files(256),
            Finding(
                "open files",
                "warn",
                "256 at once",
                "a worker has one open for each other worker: ulimit -n 4096",
            ),
        ),
        (
            host.judge_program("GPU", Answer(False, "")),
            Finding("GPU", "warn", "is here but does not work: no answer", "trials cannot use GPU from here"),
        ),
    ],
)
def test_judgements(finding: Finding, expected: Finding) -> None:
    assert finding == expected


# ---------------------------------------------------------------------- a study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study directory with a definition and no events."""
    directory = tmp_path / "lora"
    (directory / "definition").mkdir(parents=True)
    definition = Definition(
        "lora", {"lr": {"uniform": [0, 1]}}, [Objective("loss", True)], sampler=Method("random")
    )
    (directory / "definition" / "0000.json").write_bytes(definition.to_json())
    return directory


def write(study: Path, *events: Event) -> Path:
    """A log of one more writer."""
    log = LogWriter(study / "log")
    log.append(events, durable=False)
    os.close(log._fd)
    return log.path


def started(n: int) -> Started:
    return Started(n=n, a=0, x={"lr": 0.5}, r=0, c=n + 1, t=1.0)


def finished(n: int) -> Finished:
    return Finished(n=n, a=0, state="complete", y={"loss": 0.1}, t=2.0)


def dead() -> Opened:
    """The first word of a process on this machine that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    hello = introduce(0.0)
    return Opened(hello.host, hello.boot, hello.space, process.pid, "1", hello.user, {}, 0.0)


def findings_on(study: Path) -> list[Finding]:
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    found = study_findings(study)
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*")} == before
    return found


def test_a_study_in_good_order(study: Path) -> None:
    write(study, introduce(0.0), started(0), finished(0), Closed(t=3.0))
    write(study, introduce(0.0), started(1))
    expected = [
        Finding("study", "ok", "lora: 2 trials, 1 finished, 2 writers"),
        Finding("log lines", "ok", "whole"),
    ]
    assert findings_on(study) == expected
    assert examine(study)[-2:] == expected
    assert sorted(os.listdir(study)) == ["definition", "log"]
    assert [finding.name for finding in examine(study / "trials" / "7")][-1] == "Slurm"  # inside, not a study


def test_a_study_without_trials(study: Path) -> None:
    assert findings_on(study)[0] == Finding("study", "ok", "lora: 0 trials, 0 finished, 0 writers")


def test_damaged_lines_and_torn_tails(study: Path) -> None:
    first = write(study, introduce(0.0), *(started(n) for n in range(9)), *(finished(n) for n in range(9)))
    lines = first.read_bytes().split(b"\n")
    lines[11] = lines[11].replace(b'"loss":0.1', b'"loss":0.2')
    first.write_bytes(b"\n".join(lines))
    second = write(study, introduce(0.0), started(9), finished(9))
    second.write_bytes(second.read_bytes()[:-7])
    torn = len(second.read_bytes().split(b"\n")[-1])
    damaged = "log/0000.jsonl:12: the checksum does not match: the line is damaged"
    assert findings_on(study)[1:] == [
        Finding(
            "log lines",
            "fail",
            f"1 damaged: {damaged}",
            "they are skipped; mend them from a copy, and check this disk",
        ),
    ]
    first.write_bytes(b"\n".join(lines).replace(b'"loss":0.2', b'"loss":0.1'))
    assert findings_on(study) == [
        Finding("study", "ok", "lora: 10 trials, 9 finished, 2 writers"),
        Finding(
            "log lines",
            "ok",
            f"whole, but for the end of log/0001.jsonl:3: {torn} bytes of a torn last line",
            "a writer was stopped there, or is writing now",
        ),
    ]


def test_running_trials_of_dead_writers(study: Path) -> None:
    write(study, introduce(0.0), started(0))
    gone = dead()
    write(study, gone, started(1), finished(1), *(started(n) for n in range(2, 9)))
    write(study, gone, started(9))
    write(study, dead())
    why = f"process {gone.pid} on {gone.host} is gone"
    assert findings_on(study)[2:] == [
        Finding(
            "running trials",
            "warn",
            "running in dead writers: "
            f"trials 2, 3, 4, 5, 6, and 2 more in 0001.jsonl ({why}); trial 9 in 0002.jsonl ({why})",
            f"a worker takes them over: taut worker {study}",
        )
    ]


def test_a_definition_that_cannot_be_read(study: Path) -> None:
    path = study / "definition" / "0000.json"
    path.write_text("{")
    (finding,) = findings_on(study)
    assert (finding.name, finding.state) == ("study", "fail")
    assert finding.text.startswith(f"{path}: the definition cannot be read: ")


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_what_is_known_of_an_earlier_study_is_looked_at(tmp_path: Path, harm: str) -> None:
    space = taut.Space(lr=taut.uniform(0, 1))
    with taut.Study(tmp_path / "old", space, minimize="loss") as old:
        old.tell(old.ask(), loss=1.0)
    with taut.Study(tmp_path / "new", space, minimize="loss", warm_start=tmp_path / "old") as new:
        new.store.save()
    assert all(found.state == "ok" for found in findings_on(tmp_path / "new"))
    (kept,) = (tmp_path / "new" / "definition").glob("past-*.json")
    if harm == "missing":
        kept.unlink()
    else:
        kept.write_bytes(kept.read_bytes()[:-1])
    (found,) = findings_on(tmp_path / "new")
    assert (found.name, found.state) == ("study", "fail") and f"{kept} is {harm}" in found.text


def test_a_log_that_cannot_be_read(study: Path) -> None:
    (study / "log" / "0000.jsonl").mkdir(parents=True)
    (finding,) = findings_on(study)
    assert (finding.name, finding.state) == ("study", "fail")
    assert "cannot be read" in finding.text
