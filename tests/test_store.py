"""The store: claims before starts, results on the disk before anybody is told so, the dead give back."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import taut
import taut.log
from handmade import claim, elsewhere, finished, gone, hello, released, silence, started, write
from processes import reap
from taut.clock import WallClock
from taut.definition import Budget, Definition, Objective
from taut.errors import InputError, LogError, StudyError
from taut.events import Opened
from taut.journal import FileJournal
from taut.spells import spells
from taut.trial import State

SPACE = taut.Space(x=taut.uniform(0, 1))


def open_study(path: Path, **options: Any) -> taut.Study:
    return taut.Study(path, SPACE, minimize="loss", **{"trials": 5, **options})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "study"
    study = open_study(path)
    study.store.save()
    return path


def finish_all(study: taut.Study) -> list[int]:
    """Work as a worker does until the study is done; the numbers in the order of their evaluation."""
    numbers = []
    for trial in study.work():
        trial.tell(loss=float(trial.number))
        numbers.append(trial.number)
    return numbers


# ---------------------------------------------------------------------- the budget


def test_looking_leaves_no_trace(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study")
    assert not study.trials
    study.close()
    assert not (tmp_path / "study").exists()
    open_study(tmp_path / "study").store.save()
    before = sorted((tmp_path / "study").rglob("*"))
    assert not taut.Study(tmp_path / "study").trials
    assert sorted((tmp_path / "study").rglob("*")) == before


def test_several_at_once_share_the_budget_exactly(path: Path) -> None:
    studies = [open_study(path, trials=23) for _ in range(3)]
    numbers = []
    while True:
        try:
            for study in studies:
                trial = study.ask()
                numbers.append(trial.number)
                study.tell(trial, loss=1.0)
        except StudyError:
            break
    for study in studies:
        study.close()
    finish_all(taut.Study(path))
    study = taut.Study(path)
    assert len(numbers) == len(set(numbers))
    assert study.snapshot.n_finished == 23 and [trial.number for trial in study.trials] == list(range(23))


def test_what_is_told_is_flushed_before_tell_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bytes] = []
    study = open_study(path)
    trials = study.ask(3)
    (log,) = (path / "log").iterdir()
    monkeypatch.setattr("taut.log._sync", lambda fd: flushed.append(log.read_bytes()))
    study.tell(trials, loss=[1.0, 2.0, 3.0])
    assert len(flushed) == 1 and flushed[0].count(b'"finished"') == 3


# ---------------------------------------------------------------------- the dead


def test_a_dead_workers_trial_is_started_again(path: Path) -> None:
    write(path, 0, [gone(), started(0)])
    claim(path, 0, 0)
    study = open_study(path)
    assert reap(study) == 1
    assert study.snapshot.records([0])[0].state == "waiting" and "is gone" in str(
        study.snapshot.records([0])[0].error
    )
    trial = study.ask()
    assert (trial.number, trial.attempt, trial.params) == (0, 1, {"x": 0.5})


def test_its_last_words_are_heard(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It told its result and died between our reading and our asking whether it lives."""
    write(path, 0, [gone(), started(0)])
    claim(path, 0, 0)
    study = open_study(path)
    lost, words = study.store.journal.lost, [finished(0, loss=7.0)]

    def late(writer: int, who: Opened | None) -> str | None:
        write(path, 0, words)
        words.clear()
        return lost(writer, who)

    monkeypatch.setattr(study.store.journal, "lost", late)
    assert reap(study) == 0
    assert study.snapshot.values("loss").tolist() == [7.0]


def test_numbers_that_a_dead_worker_never_began_are_given_back_without_blame(path: Path) -> None:
    write(path, 0, [gone(), started(0, c=3), finished(0)])
    claim(path, 0, 0, size=3)
    study = open_study(path)
    assert reap(study) == 0  # nobody knows of them yet
    assert sorted(finish_all(study)) == [1, 2, 3, 4]
    study.close()
    study = taut.Study(path)
    assert sorted(trial.number for trial in study.trials) == [0, 1, 2, 3, 4]
    assert study.snapshot.attempt.tolist() == [0, 1, 1, 0, 0]


def test_an_attempt_that_a_dead_worker_claimed_and_never_began(path: Path) -> None:
    write(path, 0, [hello(), started(0), released(0)])
    write(path, 1, [gone()])
    claim(path, 0, 0)
    claim(path, "0.1", 1)
    assert sorted(finish_all(open_study(path))) == [0, 1, 2, 3, 4]
    assert taut.Study(path).snapshot.attempt[0] == 2


def test_an_attempt_that_a_living_worker_claimed_and_never_begins(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk was full, or it was interrupted in between; its process may live on for days."""
    monkeypatch.setattr("taut.reaper._PATIENCE", 0.0)
    write(path, 0, [hello(), started(0), released(0)])
    claim(path, 0, 0)
    claim(path, "0.1", 0)
    study = open_study(path)
    study.ask()  # finds out that 0.1 is taken, and takes another
    for _ in range(3):
        reap(study)
    assert study.snapshot.next_attempt(0) == 2


def test_a_reused_process_number_does_not_keep_the_dead_alive(path: Path) -> None:
    write(path, 0, [hello(born="1"), started(0)])
    claim(path, 0, 0)
    study = open_study(path)
    assert reap(study) == 1


def test_another_host_keeps_its_trial_while_it_gives_signs_of_life(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taut.journal._REMOTE", 0.0)
    log = write(path, 0, [elsewhere(), started(0)])
    claim(path, 0, 0)
    study = open_study(path)
    assert reap(study) == 0 and study.snapshot.counts[State.RUNNING] == 1
    silence(log)
    assert reap(study) == 1 and study.snapshot.counts[State.WAITING] == 1


def test_many_workers_elsewhere_are_no_burden(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their files are looked at now and then, and nothing is created to do so."""
    for n in range(20):
        write(path, n, [elsewhere(), started(n, c=20)])
    claim(path, 0, 0, size=20)
    study = open_study(path)
    study.store.give_back("so that its log is open")
    study.store.write([])
    made: list[str] = []
    creating = os.open

    def count(name: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_CREAT:
            made.append(str(name))
        return creating(name, flags, *rest, **more)

    monkeypatch.setattr(os, "open", count)
    assert [reap(study) for _ in range(5)] == [0] * 5
    assert made == []


def test_a_worker_that_began_just_now_is_not_robbed(path: Path) -> None:
    """Claims are seen at once; the log of the one who made them may come into sight later."""
    claim(path, 0, 7, size=2)
    study = open_study(path)
    assert study.ask().number == 2  # walks past them
    assert reap(study) == 0
    write(path, 7, [hello()])
    assert reap(study) == 0
    assert study.snapshot.counts[State.WAITING] == 0


def test_numbers_held_for_long_are_taken_from_the_living(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taut.reaper._PATIENCE", 0.0)
    write(path, 7, [hello()])
    claim(path, 0, 7, size=2)
    study = open_study(path)
    study.ask()
    reap(study)
    reap(study)
    assert study.snapshot.counts[State.WAITING] == 2


def test_a_start_and_its_release_cross(path: Path) -> None:
    """The owner starts its number while others take it for idle: one result counts, whichever is read first."""
    write(path, 0, [hello(), started(0), finished(0, loss=1.0)])
    write(path, 1, [hello(), released(0), started(0, a=1), finished(0, a=1, loss=2.0)])
    claim(path, 0, 0)
    claim(path, "0.1", 1)
    assert taut.Study(path).snapshot.values("loss").tolist() == [2.0]


def test_a_result_that_came_too_late_says_so(path: Path) -> None:
    study = open_study(path)
    trial = study.ask()
    write(path, 1, [hello(), released(0), started(0, a=1)])
    study.store.refresh()
    with pytest.warns(UserWarning, match="trial 0 was started again elsewhere"):
        study.tell(trial, loss=1.0)
    assert study.snapshot.counts[State.RUNNING] == 1


def test_an_attempt_that_ends_here_tells_how_long_it_ran(path: Path) -> None:
    study = open_study(path)
    trials = study.ask(), study.ask(), study.ask()
    time.sleep(0.2)
    trials[0].pause()
    study.store.handback.cut_short([(1, 0)])
    study.store.handback.release([(2, 0)], "its loop was left", blame=True)
    other = taut.Study(path)
    assert [record.state for record in other.trials] == ["paused", "waiting", "waiting"]
    assert all(0.2 <= record.spent < 5.0 for record in other.trials)
    assert spells(other.snapshot, 0.0).lost.tolist() == [False, True, True]


def test_the_late_words_of_an_attempt_that_was_given_back_do_not_count(path: Path) -> None:
    """Its node failed, as others have said, and its process lives on: what becomes of it there is nobody's fault."""
    study = open_study(path, retries=0)
    study.ask(), study.ask()
    write(path, 1, [hello(), released(0), started(0, a=1), released(1)])
    study.store.handback.release([(0, 0), (1, 0)], "its process was killed", blame=True)
    study.store.handback.cut_short([(0, 0), (1, 0)])
    study.store.handback.pause(0, 0)
    snapshot = taut.Study(path).snapshot
    assert snapshot.state.tolist() == [State.RUNNING, State.WAITING] and snapshot.releases.blames == 0
    assert '"e":"released"' not in (path / "log" / "0000.jsonl").read_text()


def test_what_was_saved_is_kept_though_others_gave_it_back(path: Path) -> None:
    study = open_study(path)
    study.ask()
    write(path, 1, [hello(), released(0, blame=True)])
    study.store.handback.pause(0, 0)
    snapshot = taut.Study(path).snapshot
    assert snapshot.state[0] == State.PAUSED and snapshot.releases.saves == 1


def test_retries_are_limited(path: Path) -> None:
    for n in range(4):
        write(path, n, [gone(), started(0, a=n)])
        claim(path, f"0.{n}" if n else 0, n)
        reap(open_study(path))
    record = taut.Study(path).trials[0]
    assert record.state == "failed" and "given up after 4 attempts" in str(record.error)


# ---------------------------------------------------------------------- when writing fails


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    def fail(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", fail)
        yield


def test_a_full_disk_when_telling(path: Path) -> None:
    study = open_study(path)
    trial = study.ask()
    with full_disk(), pytest.raises(LogError, match="NOT recorded"):
        study.tell(trial, loss=1.0)
    assert not trial.told and study.snapshot.n_finished == 0
    study.tell(trial, loss=1.0)
    assert taut.Study(path).snapshot.n_finished == 1


@pytest.mark.parametrize("begun", [False, True])
def test_a_full_disk_when_asking(path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool) -> None:
    """Asked again with room, the process works on, others know it lives, and nothing is left over."""
    monkeypatch.setattr("taut.reaper._PATIENCE", 0.0)
    study = open_study(path)
    if begun:
        study.tell(study.ask(), loss=1.0)
    with full_disk(), pytest.raises(LogError):
        study.ask(2)
    assert study.snapshot.counts[State.RUNNING] == 0
    trial = study.ask()
    other = taut.Study(path)
    assert reap(other) == 0 or other.snapshot.counts[State.RUNNING] == 1
    study.tell(trial, loss=1.0)
    finish_all(study)
    assert taut.Study(path).snapshot.n_finished == 5


def test_after_a_fork_it_says_to_open_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study(path)
    trial = study.ask()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        with pytest.raises(StudyError, match="before a fork; open it here again"):
            study.tell(trial, loss=1.0)
    study.tell(trial, loss=1.0)


# ---------------------------------------------------------------------- the definition


def definition(trials: int = 5) -> Definition:
    return Definition("study", SPACE.to_json(), [Objective("loss")], budget=Budget(trials=trials))


def test_a_revision_is_added_once_and_leaves_no_draft(tmp_path: Path) -> None:
    one, other = FileJournal(tmp_path, WallClock()), FileJournal(tmp_path, WallClock())
    assert one.revise(0, definition(1)) and not other.revise(0, definition(2))
    assert other.revise(1, definition(2))
    assert one.revisions(0) == [definition(1), definition(2)]
    assert sorted(os.listdir(tmp_path / "definition")) == ["0000.json", "0001.json"]


def test_two_processes_of_one_number_do_not_write_into_each_others_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In containers every process may be number 1; the second comes while the first has just linked."""
    one, other = FileJournal(tmp_path, WallClock()), FileJournal(tmp_path, WallClock())
    monkeypatch.setattr(os, "getpid", lambda: 1)
    link = os.link

    def meanwhile(draft: Any, target: Any) -> None:
        link(draft, target)
        monkeypatch.setattr(os, "link", link)
        assert not other.revise(0, definition(2))

    monkeypatch.setattr(os, "link", meanwhile)
    assert one.revise(0, definition(1))
    assert one.revisions(0) == [definition(1)]


def test_the_budget_can_be_raised_from_two_sides(path: Path) -> None:
    one, other = taut.Study(path), taut.Study(path)
    one.budget(7)
    other.budget(9)
    one.store.refresh()
    assert one.definition.budget.trials == other.definition.budget.trials == 9
    assert len(finish_all(one)) == 9


@pytest.mark.parametrize("damage", [b"", b"{", b"\0" * 100, b"[]", b'{"name": 1}', b"\xff"])
def test_a_damaged_definition_says_which_file(path: Path, damage: bytes) -> None:
    (path / "definition" / "0000.json").write_bytes(damage)
    for attempt in (lambda: taut.Study(path), lambda: open_study(path)):
        with pytest.raises(StudyError, match=r"definition/0000.json.* cannot be read.* restore it"):
            attempt()


def test_a_path_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "study").write_text("a file")
    with pytest.raises((InputError, StudyError), match="study"):
        open_study(tmp_path / "study")


def test_claims_that_went_missing(path: Path) -> None:
    study = open_study(path, trials=20)
    for trial in study.ask(5):
        study.tell(trial, loss=1.0)
    study.close()
    shutil.rmtree(path / "claims")
    assert finish_all(open_study(path, trials=20)) == list(range(5, 20))


def test_a_study_whose_start_lines_are_damaged_goes_on(path: Path) -> None:
    study = open_study(path)
    first, second, third = study.ask(3)
    for trial in (first, second, third):
        trial.report(1, loss=9.0)
    study.tell(first, loss=1.0)
    study.close()
    (log,) = (path / "log").iterdir()
    lines = log.read_bytes().split(b"\n")
    lines = [line.replace(b'"x":{', b'"x":[') if b'"started"' in line else line for line in lines]
    log.write_bytes(b"\n".join(lines))
    study = taut.Study(path)
    assert [problem.line for problem in study.store.journal.problems] == [2, 3, 4]
    study.snapshot.curves.reports("loss")
    with pytest.warns(UserWarning, match="the line was skipped"):
        finish_all(study)
    assert study.snapshot.n_finished == 5 and len(study.trials) == 5
    assert study.best.values["loss"] >= 0.0


# ---------------------------------------------------------------------- flushing behind a run of tiny trials


def test_a_run_of_tiny_trials_is_on_the_disk_when_it_returns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    log = path / "log" / "0000.jsonl"
    sync = taut.log._sync

    def note(fd: int) -> None:
        size = os.fstat(fd).st_size
        sync(fd)
        flushed.append(size)

    monkeypatch.setattr("taut.log._sync", note)
    study = taut.Study(path, sampler="random")
    study.run(lambda trial: 1.0, trials=2000)
    assert flushed[-1] == log.stat().st_size, "the last flush saw the last result"
    assert len(flushed) < 1000, "many results share a flush"
    study.close()


def test_a_flush_that_fails_behind_a_run_is_not_passed_over(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        if study.store.snapshot.n_finished > 100:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("taut.log._sync", fail)
    study = open_study(path)
    with pytest.raises(LogError, match=r"Input/output error|failed to be written"):
        study.run(lambda trial: 1.0, trials=500)
