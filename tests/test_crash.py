"""Worst cases on real processes and file systems: killed workers, full and read-only disks, torn logs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taut
from handmade import hello, write
from storm import storm
from taut.errors import LogError
from taut.opening import make_proposals
from taut.trial import State
from taut.verify import verify

SPACE = taut.Space(x=taut.uniform(0, 1))
NOBODY = 65534


def open_study(path: Path, trials: int = 5) -> taut.Study:
    return taut.Study(path, SPACE, minimize="loss", trials=trials)


@pytest.mark.slow
def test_the_storm(tmp_path: Path) -> None:
    outcome = storm(tmp_path, seconds=15.0)
    assert outcome.kills >= 15
    assert len(outcome.acknowledged) >= 20


# ---------------------------------------------------------------------- disks


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = Path(tempfile.mkdtemp(prefix="taut-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = (
        sys.platform == "linux"
        and os.geteuid() == 0
        and shutil.which("mount") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )
    try:
        if not mounted:
            pytest.skip("a small disk can be mounted by root on Linux only")
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def test_a_disk_that_fills_up_in_the_middle_of_a_write(disk: Path) -> None:
    path, recorded = disk / "study", 0
    study = open_study(path, trials=1000)
    with pytest.raises(LogError, match=r"No space left on device; .* NOT recorded: make room") as caught:
        while True:
            trial = study.ask()
            study.fail(trial, "x" * 10_000)  # larger than a page: its first part still fits
            recorded += 1
    assert recorded > 3 and "log/0000.jsonl" in str(caught.value)

    before = taut.Study(path)
    assert before.snapshot.n_finished == recorded
    assert before.store.journal.problems == [] and verify(path, make_proposals).torn == []

    (disk / "study" / "log" / "0000.jsonl").stat()
    subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
    if not trial.told:
        study.fail(trial, "y" * 10_000)
        recorded += 1
    study.tell(study.ask(), loss=1.0)
    study.close()
    after = taut.Study(path)
    assert after.snapshot.n_finished == recorded + 1 and after.best.values == {"loss": 1.0}
    assert verify(path, make_proposals).good


def test_a_disk_without_room_for_a_study(disk: Path) -> None:
    (disk / "filler").write_bytes(bytes(1 << 18))
    with pytest.raises(LogError, match="No space left"):
        open_study(disk / "study").ask()
    (disk / "filler").unlink()
    study = open_study(disk / "study")
    study.run(lambda x: x)
    assert study.snapshot.n_finished == 5


def test_a_disk_that_became_read_only(disk: Path) -> None:
    path = disk / "study"
    with open_study(path) as study:
        study.tell(study.ask(), loss=0.5)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    study = open_study(path)
    assert study.best.values == {"loss": 0.5}
    with pytest.raises(LogError, match="Read-only file system"):
        study.ask()
    with pytest.raises(LogError, match="Read-only file system"):
        study.run(lambda x: x)
    with pytest.raises(LogError, match="Read-only file system"):
        open_study(disk / "another").ask()
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    study.run(lambda x: x)
    assert study.snapshot.n_finished == 5


# ---------------------------------------------------------------------- permissions


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody can reach; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="taut-public-"))
    folder.chmod(0o755)
    yield folder
    for each in [folder, *folder.rglob("*")]:
        if each.is_dir() and not each.is_symlink():
            each.chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(action: Callable[[], object]) -> str:
    """What `action` returns or raises in a process without rights; root would be let through everywhere."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # on forking beside threads: the child only reports
        child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            try:
                said = str(action())
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            os.write(writer, said.encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def finished_study(path: Path) -> Path:
    with open_study(path) as study:
        study.run(lambda x: x, trials=3)
    return path


def test_a_directory_that_can_only_be_read(public: Path) -> None:
    path = finished_study(public / "study")
    for folder in (path, path / "log", path / "claims", path / "definition"):
        folder.chmod(0o555)
    before = sorted(path.rglob("*"))
    assert as_nobody(lambda: taut.Study(path).snapshot.n_finished) == "3"
    said = as_nobody(lambda: taut.Study(path, trials=9).ask())
    assert said.startswith("LogError: ") and "Permission denied" in said, said
    said = as_nobody(lambda: taut.Study(path).ask())
    assert said.startswith(("LogError: ", "StudyError: nothing to ask for")), said
    public.chmod(0o555)
    said = as_nobody(lambda: open_study(public / "new").ask())
    assert said.startswith("LogError: ") and "cannot be written here: Permission denied" in said, said
    assert sorted(path.rglob("*")) == before and not (public / "new").exists()


@pytest.mark.parametrize("what", ["log/0000.jsonl", "log", "definition/0000.json", "definition"])
def test_a_file_of_a_colleague_that_cannot_be_read(public: Path, what: str) -> None:
    path = finished_study(public / "study")
    (path / what).chmod(0)
    said = as_nobody(lambda: taut.Study(path).snapshot.n_finished)
    assert said.startswith("LogError: ") and "Permission denied" in said, said


# ---------------------------------------------------------------------- logs after a power cut


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log of a worker that told its last result and was switched off."""
    study = open_study(tmp_path / "study")
    for trial in study.ask(2):
        study.tell(trial, loss=float(trial.number))
    (log,) = (tmp_path / "study" / "log").iterdir()
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "study", copy, symlinks=True)
    (copy / "log" / "0000.jsonl").unlink()
    events = log.read_bytes().split(b"\n")[1:]
    write(copy, 0, [hello(boot="before", pid=1, born="1")])
    with open(copy / "log" / "0000.jsonl", "ab") as file:
        file.write(b"\n".join(events))
    return copy / "log" / "0000.jsonl"


def test_cut_at_every_byte_of_its_last_record(log: Path) -> None:
    whole = log.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole) + 1):
        os.truncate(log, end)
        study = taut.Study(log.parent.parent)
        known = end == len(whole)
        assert study.store.journal.problems == []
        assert study.snapshot.counts[State.COMPLETE] == 1 + known
        assert study.snapshot.counts[State.RUNNING] == 1 - known
        assert len(verify(log.parent.parent, make_proposals).torn) == (last < end < len(whole))
        log.write_bytes(whole)


@pytest.mark.parametrize("cut", [0, 1, 40, -1, -2])
def test_after_the_cut_the_study_is_finished_exactly(log: Path, cut: int) -> None:
    os.utime(log, (1.0, 1.0))
    whole = log.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    os.truncate(log, last + cut if cut >= 0 else len(whole) + cut)
    os.utime(log, (1.0, 1.0))
    path = log.parent.parent
    study = taut.Study(path)
    study.run(lambda x: x)
    study.close()
    assert taut.Study(path).snapshot.counts[State.COMPLETE] == 5
    assert verify(path, make_proposals).good
    assert log.read_bytes() == whole[: log.stat().st_size]  # nobody writes into the file of another


def test_a_flipped_byte_anywhere(log: Path) -> None:
    """It is reported with file and line, or changes nothing; the study can be read whatever it hits."""
    whole, path = log.read_bytes(), log.parent.parent
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        log.write_bytes(damaged)
        study = taut.Study(path)
        trials, problems = list(study.trials), study.store.journal.problems
        line = whole.count(b"\n", 0, position) + 1
        if problems:
            assert problems[0].file == "log/0000.jsonl" and problems[0].line == line
            assert not verify(path, make_proposals).good
        else:
            assert len(trials) == 2 or verify(path, make_proposals).torn
        log.write_bytes(whole)


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"\n\n\n", b"{}\n", b"\xff" * 10 + b"\n"])
def test_another_log_that_holds_nothing_of_use(log: Path, content: bytes) -> None:
    (log.parent / "0001.jsonl").write_bytes(content)
    os.utime(log, (1.0, 1.0))
    path = log.parent.parent
    study = taut.Study(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.run(lambda x: x)
    assert taut.Study(path).snapshot.counts[State.COMPLETE] == 5
