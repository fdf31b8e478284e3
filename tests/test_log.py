"""The log: one file for each writer, read in pieces, whatever state a crash has left it in; exclusive claims."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import taut
from taut.claims import Claims
from taut.errors import LogError
from taut.events import Closed, Event, Finished, Released, encode
from taut.log import LogReader, LogWriter


def event(n: int, why: str = "") -> Event:
    return Released(n=n, a=0, why=why, blame=False, t=float(n))


def read(folder: Path, **options: int) -> dict[int, list[Event | None]]:
    found: dict[int, list[Event | None]] = {}
    for batch in LogReader(folder, **options).poll():
        found.setdefault(batch.writer, []).extend(batch.events)
    return found


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[LogWriter]:
    writer = LogWriter(tmp_path)
    yield writer
    writer.close(0.0)


# ---------------------------------------------------------------------- writing


def test_each_writer_has_a_file_of_its_own(tmp_path: Path) -> None:
    writers = [LogWriter(tmp_path / "log") for _ in range(3)]
    assert [writer.number for writer in writers] == [0, 1, 2]
    assert sorted(os.listdir(tmp_path / "log")) == ["0000.jsonl", "0001.jsonl", "0002.jsonl"]


def test_many_at_once_get_different_files(tmp_path: Path) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(LogWriter(tmp_path).number)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(16))


def test_what_is_appended_is_read_in_order(tmp_path: Path, writer: LogWriter) -> None:
    writer.append([event(0), event(1)], durable=True)
    writer.append([event(2)], durable=False)
    assert read(tmp_path) == {0: [event(0), event(1), event(2)]}


def test_durable_means_flushed_and_only_then(monkeypatch: pytest.MonkeyPatch, writer: LogWriter) -> None:
    flushed: list[int] = []
    monkeypatch.setattr("taut.log._sync", flushed.append)
    writer.append([event(0)], durable=False)
    assert not flushed
    writer.append([event(n) for n in range(100)], durable=True)
    assert len(flushed) == 1


def test_short_writes_are_continued(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, writer: LogWriter
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    writer.append([event(0), event(1)], durable=False)
    assert read(tmp_path) == {0: [event(0), event(1)]}


def interrupt_after(monkeypatch: pytest.MonkeyPatch, count: int, error: BaseException) -> None:
    """The next write takes `count` bytes, the one after fails."""
    write, done = os.write, []

    def limited(fd: int, data: bytes) -> int:
        if done:
            raise error
        done.append(write(fd, data[:count]))
        return int(done[0])

    monkeypatch.setattr(os, "write", limited)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_after_a_failed_write_whole_lines_stay_and_none_is_torn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, writer: LogWriter, error: BaseException
) -> None:
    writer.append([event(0)], durable=False)
    start, lines = writer.path.stat().st_size, [encode(event(1)), encode(event(2))]
    for count in range(1, len(lines[0] + lines[1])):
        with monkeypatch.context() as patch:
            interrupt_after(patch, count, error)
            with pytest.raises(LogError if isinstance(error, OSError) else KeyboardInterrupt):
                writer.append([event(1), event(2)], durable=True)
        whole = len(lines[0]) if count >= len(lines[0]) else 0
        assert writer.path.stat().st_size == start + whole
        os.truncate(writer.path, start)
    writer.append([event(3)], durable=True)
    assert read(tmp_path) == {0: [event(0), event(3)]}


@pytest.mark.parametrize("before", [0, 2])
def test_a_long_torn_line_is_cut_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, writer: LogWriter, before: int
) -> None:
    events = [event(n) for n in range(before)]
    writer.append(events, durable=False)
    monkeypatch.setattr("taut.log._CHUNK", 16)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 500, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(LogError):
            writer.append([event(9, "long " * 200)], durable=True)
    assert writer.path.stat().st_size == sum(len(encode(each)) for each in events)


def test_an_interruption_after_a_write_costs_nothing_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, writer: LogWriter
) -> None:
    write = os.write

    def interrupted(fd: int, data: bytes) -> int:
        write(fd, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.append([event(0)], durable=True)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(LogError):
            writer.append([event(1)], durable=True)
    assert read(tmp_path) == {0: [event(0)]}


def test_the_message_of_a_full_disk_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, writer: LogWriter
) -> None:
    interrupt_after(monkeypatch, 3, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(LogError, match=r"0000.jsonl: No space left on device; .* NOT recorded: make room"):
        writer.append([event(0)], durable=True)


def test_after_a_failed_flush_nothing_follows(monkeypatch: pytest.MonkeyPatch, writer: LogWriter) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("taut.log._sync", fail)
    with pytest.raises(LogError, match="may not have reached the disk"):
        writer.append([event(0)], durable=True)
    with pytest.raises(LogError, match="failed to be written before"):
        writer.append([event(1)], durable=False)
    writer.touch()


def test_a_deleted_log_is_noticed(writer: LogWriter) -> None:
    writer.append([event(0)], durable=True)
    writer.path.unlink()
    with pytest.raises(LogError, match="deleted"):
        writer.append([event(1)], durable=True)


def test_a_deleted_log_is_noticed_within_a_second_and_by_every_flush(
    monkeypatch: pytest.MonkeyPatch, writer: LogWriter
) -> None:
    writer.append([event(0)], durable=False)
    writer.path.unlink()
    writer.append([event(1)], durable=False)  # it was there a moment ago
    with monkeypatch.context() as later:
        later.setattr("taut.log._LOOK", 0.0)
        with pytest.raises(LogError, match="deleted"):
            writer.append([event(2)], durable=False)
    with pytest.raises(LogError, match="deleted"):
        writer.flush()
    with pytest.raises(LogError, match="deleted"):  # at once: the flush may have been another thread's
        writer.append([event(2)], durable=False)


def test_a_deleted_log_is_noticed_while_another_thread_flushes(tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", taut.Space(x=taut.uniform(0, 1)), minimize="f", sampler="random")
    ran = 0

    def deletes(x: float) -> float:
        nonlocal ran
        ran += 1
        if ran == 200:
            next((tmp_path / "s" / "log").iterdir()).unlink()
        return x

    with pytest.raises(LogError, match="deleted"):
        study.run(deletes, trials=20_000)
    assert ran < 10_000


def test_close_is_the_last_line_and_safe_twice(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.close(5.0)
    writer.close(6.0)
    assert read(tmp_path) == {0: [Closed(t=5.0)]}


@pytest.mark.parametrize("cut", ["works", "fails"])
def test_close_on_a_full_disk_is_quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cut: str) -> None:
    def fail(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = LogWriter(tmp_path)
    monkeypatch.setattr(os, "write", fail)
    if cut == "fails":
        monkeypatch.setattr(os, "ftruncate", fail)
    writer.close(5.0)
    assert read(tmp_path) == {}


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    with pytest.raises(LogError, match="no log can be opened here"):
        LogWriter(tmp_path / "log")


# ---------------------------------------------------------------------- reading


def test_reading_goes_on_where_it_ended(tmp_path: Path, writer: LogWriter) -> None:
    reader = LogReader(tmp_path)
    assert reader.poll() == []
    writer.append([event(0)], durable=False)
    other = LogWriter(tmp_path)
    other.append([event(1)], durable=False)
    assert [(batch.writer, batch.events) for batch in reader.poll()] == [(0, [event(0)]), (1, [event(1)])]
    assert reader.poll() == []
    writer.append([event(2)], durable=False)
    assert [(batch.writer, batch.events) for batch in reader.poll(thorough=False)] == [(0, [event(2)])]


def test_nothing_there_is_nothing_new(tmp_path: Path) -> None:
    assert LogReader(tmp_path / "log").poll() == []


def test_ones_own_file_is_skipped(tmp_path: Path, writer: LogWriter) -> None:
    writer.append([event(0)], durable=False)
    assert read(tmp_path, skip=writer.number) == {}


def test_a_line_is_read_only_when_it_is_whole(tmp_path: Path) -> None:
    reader, path, line = LogReader(tmp_path), tmp_path / "0000.jsonl", encode(event(0))
    path.write_bytes(line)
    reader.poll()
    for end in range(len(line)):
        path.write_bytes(line + line[:end])
        assert reader.poll() == []
        torn = [str(problem) for problem in reader.torn()]
        assert torn == ([f"{tmp_path.name}/0000.jsonl:2: {end} bytes of a torn last line"] if end else [])
    path.write_bytes(line + line)
    assert [batch.events for batch in reader.poll()] == [[event(0)]]
    assert reader.problems == []


def test_lines_longer_than_a_chunk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, writer: LogWriter
) -> None:
    monkeypatch.setattr("taut.log._CHUNK", 128)
    events = [event(n, "x" * (37 * n)) for n in range(20)]
    writer.append(events, durable=False)
    assert read(tmp_path) == {0: events}


def test_a_damaged_line_is_reported_with_its_place_and_the_rest_is_read(tmp_path: Path) -> None:
    lines = [encode(event(n)) for n in range(4)]
    clean = b"".join(lines)
    for position in range(len(lines[0]), len(lines[0] + lines[1]) - 1):
        damaged = bytearray(clean)
        damaged[position] ^= 1
        (tmp_path / "0007.jsonl").write_bytes(damaged)
        reader = LogReader(tmp_path)
        (batch,) = reader.poll()
        if damaged.count(b"\n") == 4:
            assert batch.events == [event(0), None, event(2), event(3)]
            assert [(problem.file, problem.line) for problem in reader.problems] == [
                (f"{tmp_path.name}/0007.jsonl", 2)
            ]


def test_every_byte_anywhere_damaged_raises_nothing(tmp_path: Path) -> None:
    clean = b"".join(encode(event(n)) for n in range(3))
    for position in range(len(clean)):
        damaged = bytearray(clean)
        damaged[position] = (damaged[position] + 128) % 256
        (tmp_path / "0000.jsonl").write_bytes(damaged)
        reader = LogReader(tmp_path)
        intact = [event for batch in reader.poll() for event in batch.events if event is not None]
        assert len(intact) >= 1 and len(reader.problems) + len(reader.torn()) >= 1
        assert all(found in [event(0), event(1), event(2)] for found in intact)


def test_a_tail_of_nul_bytes_is_a_torn_line(tmp_path: Path) -> None:
    (tmp_path / "0000.jsonl").write_bytes(encode(event(0)) + bytes(4096))
    reader = LogReader(tmp_path)
    assert [batch.events for batch in reader.poll()] == [[event(0)]]
    assert reader.poll() == [] and reader.problems == [] and len(reader.torn()) == 1


def test_an_empty_file_and_one_of_nul_bytes(tmp_path: Path) -> None:
    (tmp_path / "0000.jsonl").touch()
    (tmp_path / "0001.jsonl").write_bytes(bytes(100))
    assert read(tmp_path) == {}


def test_a_newer_format_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    newer = encode(Finished(n=0, a=0, state="complete", y={}, t=1.0, v=2))
    (tmp_path / "0000.jsonl").write_bytes(newer + encode(event(0)))
    reader = LogReader(tmp_path)
    assert [batch.events for batch in reader.poll()] == [[None, event(0)]]
    assert "format 2 is newer" in reader.problems[0].what


def test_other_files_are_left_alone(tmp_path: Path, writer: LogWriter) -> None:
    for name in (".clock-x", "0001.jsonl.bak", "notes.jsonl", "0001.json"):
        (tmp_path / name).write_text("not a log\n")
    writer.append([event(0)], durable=False)
    assert read(tmp_path) == {0: [event(0)]}
    assert LogWriter(tmp_path).number == 1


def test_a_file_that_is_removed_meanwhile(tmp_path: Path, writer: LogWriter) -> None:
    reader = LogReader(tmp_path)
    (tmp_path / "0001.jsonl").write_bytes(encode(Closed(t=1.0)))
    (tmp_path / "0002.jsonl").touch()
    reader.poll()
    (tmp_path / "0001.jsonl").unlink()
    (tmp_path / "0002.jsonl").unlink()
    assert reader.poll() == [] and reader.torn() == []


def test_more_logs_than_a_process_may_open(tmp_path: Path) -> None:
    for n in range(300):  # killed workers never say that they ended
        (tmp_path / f"{n:04d}.jsonl").write_bytes(encode(event(n)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, used + 100), hard))
    try:
        reader = LogReader(tmp_path)
        assert len(reader.poll()) == 300
        (tmp_path / "0299.jsonl").write_bytes(encode(event(299)) * 2)
        assert [batch.writer for batch in reader.poll()] == [299]
        reader.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(os.listdir("/dev/fd")) <= used


def test_a_quiet_file_is_still_seen_by_a_thorough_poll(tmp_path: Path, writer: LogWriter) -> None:
    reader = LogReader(tmp_path)
    writer.append([event(0)], durable=False)
    for _ in range(100):
        reader.poll()
    writer.append([event(1)], durable=False)
    assert reader.poll(thorough=False) == []
    assert [batch.events for batch in reader.poll()] == [[event(1)]]


def test_look_finds_a_file_before_any_listing_does(tmp_path: Path, writer: LogWriter) -> None:
    reader = LogReader(tmp_path)
    reader.look(5)  # claimed something, and is not there yet
    assert reader.poll() == []
    writer.append([event(0)], durable=False)
    reader.look(0)
    assert [batch.events for batch in reader.poll(thorough=False)] == [[event(0)]]


# ---------------------------------------------------------------------- claims


def test_numbers_are_claimed_once_and_without_gaps(tmp_path: Path) -> None:
    a, b = Claims(tmp_path / "claims", 1), Claims(tmp_path / "claims", 2)
    assert a.numbers(3, 10) == range(0, 3)
    assert b.numbers(5, 10) == range(3, 8)
    assert a.numbers(5, 10) == range(8, 10)
    assert a.numbers(1, 10) is None and b.numbers(1, 10) is None
    assert [a.holder(n) for n in range(11)] == [1, 1, 1, 2, 2, 2, 2, 2, 1, 1, None]


def test_claims_race_without_overlap(tmp_path: Path) -> None:
    got: list[range] = []

    def claim(writer: int) -> None:
        claims = Claims(tmp_path / "claims", writer)
        while (block := claims.numbers(1 + writer % 3, 200)) is not None:
            got.append(block)

    threads = [threading.Thread(target=claim, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(n for block in got for n in block) == list(range(200))


def test_the_holders_of_a_large_block_are_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Claims(tmp_path, 3).numbers(5000, 5000)
    asked: list[Path] = []
    readlink = os.readlink
    monkeypatch.setattr(os, "readlink", lambda path: (asked.append(path), readlink(path))[1])
    claims = Claims(tmp_path, 1)
    assert {claims.holder(n) for n in range(5000)} == {3}
    assert claims.holder(5000) is None and len(asked) < 6000


def test_an_attempt_is_claimed_once(tmp_path: Path) -> None:
    a, b = Claims(tmp_path, 1), Claims(tmp_path, 2)
    assert a.attempt(7, 1) == 1 and b.attempt(7, 1) == 1 and b.attempt(7, 2) == 2


def test_ones_own_claim_answered_twice_is_ones_own(tmp_path: Path) -> None:
    """A network file system may carry out a request, lose the answer, and refuse the repetition."""
    os.symlink("4+3", tmp_path / "0")
    assert Claims(tmp_path, 4).numbers(8, 100) == range(0, 3)


def test_without_an_end_claims_go_on(tmp_path: Path) -> None:
    claims = Claims(tmp_path, 0)
    assert claims.numbers(256, float("inf")) == range(0, 256)
    assert claims.numbers(1, float("inf")) == range(256, 257)


def test_a_claim_that_is_no_link_says_how_to_copy(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("0+4")
    os.symlink("nonsense", tmp_path / "8")
    for ask in (lambda: Claims(tmp_path, 1).numbers(1, 10), lambda: Claims(tmp_path, 1).holder(2)):
        with pytest.raises(LogError, match="copied without its links"):
            ask()
    with pytest.raises(LogError, match="copied without its links"):
        Claims(tmp_path, 1).holder(9)


def test_a_place_without_claims_says_so(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("a file")
    with pytest.raises(LogError, match="no claim can be made"):
        Claims(tmp_path / "claims", 1).numbers(1, 10)
