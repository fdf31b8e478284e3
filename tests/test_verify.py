"""Replaying studies: what real, concurrent workers decided is derived again, and every change is found."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import perturbing
import taut
from processes import begin, output, script, until
from taut.decide import Proposals
from taut.errors import StudyError
from taut.events import Event, Finished, Started, decode, encode
from taut.opening import make_proposals
from taut.samplers import registry
from taut.verify import Verification, verify

SPACE = taut.Space(
    x=taut.uniform(-2.0, 2.0),
    rate=taut.loguniform(1e-4, 1e-1),
    kind=taut.choice(["a", "b", 1, True]),
    depth=taut.uniform_int(1, 6, when="kind == 'b'"),
    twice=taut.expr("2 * x"),
)

WORKER = """
    import sys, time
    import perturbing, taut
    perturbing.register()
    study = taut.Study(sys.argv[1])
    for trial in study.work():
        time.sleep(0.002 * (trial.seed % 7))
        if trial.number % 9 == 4:
            study.fail(trial, "no")
            continue
        trial.report(1, loss=3.0)
        trial.tell(loss=trial.params["x"] ** 2 + abs(trial.params["rate"] - 0.01))
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._BUILT_IN, "perturb", perturbing.TARGET["perturb"])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 120 trials by four processes at the same time."""
    folder = tmp_path_factory.mktemp("recorded")
    path, program = folder / "s", script(folder, WORKER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._BUILT_IN, "perturb", perturbing.TARGET["perturb"])
        study = taut.Study(path, SPACE, minimize="loss", trials=120, sampler="perturb", seed=11)
        study.tell(study.ask(), loss=9.0)
        workers = [begin(program, path) for _ in range(4)]
        for worker in workers:
            output(worker)
        study.close()
    return path


@pytest.fixture
def path(recorded: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(recorded, tmp_path / "s", symlinks=True)
    return tmp_path / "s"


def check(path: Path) -> Verification:
    return verify(path, make_proposals)


def edit(path: Path, change: Callable[[Event], Event]) -> int:
    """Rewrite the events of a study, with right checksums; how many were changed."""
    changed = 0
    for log in sorted((path / "log").glob("*.jsonl")):
        events = [decode(line) for line in log.read_bytes().splitlines()]
        edited = [change(event) for event in events]
        changed += sum(a is not b for a, b in zip(events, edited, strict=True))
        log.write_bytes(b"".join(encode(event) for event in edited))
    return changed


def alter(number: int, **params: Any) -> Callable[[Event], Event]:
    """Change what trial `number` is said to have been started with."""

    def change(event: Event) -> Event:
        if isinstance(event, Started) and event.n == number:
            return msgspec.structs.replace(event, x={**event.x, **params})
        return event

    return change


def events(path: Path) -> list[tuple[int, Event]]:
    return [
        (int(log.stem), decode(line))
        for log in sorted((path / "log").glob("*.jsonl"))
        for line in log.read_bytes().splitlines()
    ]


def quiet_trial(path: Path) -> int:
    """A trial that no other was derived from: it is not among the good ones."""
    failed = [trial.number for trial in taut.Study(path).trials if trial.state == "failed"]
    return failed[len(failed) // 2]


def test_what_four_workers_decided_at_once_is_reproduced(recorded: Path) -> None:
    found = check(recorded)
    assert found.differences == [] and found.damaged == [] and found.torn == []
    assert found.good and found.suggestions == 120
    # It was no easy case: the workers ran at the same time, and knew of one another.
    starts = [(writer, event) for writer, event in events(recorded) if isinstance(event, Started)]
    assert len({writer for writer, _ in starts}) == 5
    seen = [event.seen for _, event in starts]
    assert all(isinstance(news, list) for news in seen)
    assert sum(len(news) >= 4 for news in seen if isinstance(news, list)) > 10
    ends = {event.n: event.t for _, event in events(recorded) if isinstance(event, Finished)}
    overlaps = sum(any(s.t < other.t < ends[s.n] for _, other in starts if other.n != s.n) for _, s in starts)
    assert overlaps > 20
    study = taut.Study(recorded)
    assert sorted(trial.number for trial in study.trials) == list(range(120))
    assert study.best.values["loss"] < 0.1


def test_the_replay_depends_on_the_sampler_and_on_what_was_seen(path: Path) -> None:
    other = verify(path, lambda definition, space: Proposals(perturbing.Perturb(scale=0.4), space))
    assert not other.good and len(other.differences) > 60

    def blind(event: Event) -> Event:
        return msgspec.structs.replace(event, seen=[]) if isinstance(event, Started) and event.seen else event

    edit(path, blind)
    assert not check(path).good


def test_a_changed_parameter_is_found_and_its_trial_named(path: Path) -> None:
    number = quiet_trial(path)
    record = next(trial for trial in taut.Study(path).trials if trial.number == number)
    assert edit(path, alter(number, x=record.params["x"] + 1e-4)) == 1
    found = check(path)
    assert not found.good and len(found.differences) == 1
    (difference,) = found.differences
    assert (difference.number, difference.attempt, difference.writer) == (number, 0, record.worker)
    assert not difference.rounding
    assert difference.derived == record.params
    assert difference.recorded["x"] == record.params["x"] + 1e-4
    text = str(difference)
    assert f"trial {number} (attempt 0, writer {record.worker}) differs" in text
    assert "rounding" not in text and np.__version__ in text and repr(record.params["x"]) in text


def test_a_difference_of_rounding_is_told_apart(path: Path) -> None:
    number = quiet_trial(path)
    record = next(trial for trial in taut.Study(path).trials if trial.number == number)
    edit(path, alter(number, rate=float(np.nextafter(record.params["rate"], 1))))
    found = check(path)
    assert [difference.rounding for difference in found.differences] == [True] and found.good
    assert "differs by rounding" in str(found.differences[0])
    edit(path, alter(number, rate=record.params["rate"] * (1 + 1e-6)))
    assert [difference.rounding for difference in check(path).differences] == [False]


@pytest.mark.parametrize(
    "given, changed",
    [
        ({}, {"kind": "c"}),
        ({}, {"depth": 99}),
        ({}, {"extra": 1}),
        ({}, {"twice": 0.0}),
        ({"kind": True}, {"kind": 1}),
        ({"kind": 1}, {"kind": True}),
        ({"kind": 1}, {"kind": 1.0}),
    ],
    ids=str,
)
def test_any_other_difference_is_none_of_rounding(
    given: dict[str, Any], changed: dict[str, Any], path: Path
) -> None:
    numbers = [
        trial.number
        for trial in taut.Study(path).trials
        if trial.state == "failed" and all(repr(trial.params[name]) == repr(given[name]) for name in given)
    ]
    assert numbers, "the recorded study has no such trial"
    edit(path, alter(numbers[0], **changed))
    found = check(path)
    assert [(d.number, d.rounding) for d in found.differences] == [(numbers[0], False)]
    assert not found.good


def test_a_changed_result_changes_what_follows(path: Path) -> None:
    def better(event: Event) -> Event:
        if isinstance(event, Finished) and event.n == 20:
            return msgspec.structs.replace(event, y={"loss": -1.0})
        return event

    end = next(event.t for _, event in events(path) if isinstance(event, Finished) and event.n == 20)
    begun = {event.n: event.t for _, event in events(path) if isinstance(event, Started)}
    assert edit(path, better) == 1
    found = check(path)
    assert not found.good and len(found.differences) > 10
    numbers = [difference.number for difference in found.differences]
    assert numbers == sorted(numbers)
    assert all(begun[number] >= end for number in numbers)


def test_a_damaged_line_is_named_and_the_rest_is_read(path: Path) -> None:
    log = path / "log" / "0002.jsonl"
    lines = log.read_bytes().split(b"\n")
    at = next(i for i, line in enumerate(lines) if b'"e":"reported"' in line)
    lines[at] = lines[at].replace(b'"s":1', b'"s":2')
    log.write_bytes(b"\n".join(lines))
    found = check(path)
    assert not found.good and found.suggestions == 120 and found.differences == []
    assert [(p.file, p.line) for p in found.damaged] == [("log/0002.jsonl", at + 1)]


def test_a_torn_last_line_is_the_trace_of_a_crash(path: Path) -> None:
    log = path / "log" / "0003.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1] + b'{"e":"started","v":1,"n"')
    found = check(path)
    assert found.good and len(found.torn) == 1 and found.torn[0].file == "log/0003.jsonl"


def test_no_study_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(StudyError, match="no study here"):
            check(folder)


def test_an_attempt_must_have_the_parameters_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "s"
    study = taut.Study(path, SPACE, minimize="loss", trials=4, sampler="perturb")
    for trial in study.work():
        if (trial.number, trial.attempt) == (1, 0):
            break
        trial.tell(loss=1.0)
    for trial in study.work():
        trial.tell(loss=2.0)
    study.close()
    assert check(path).good and check(path).suggestions == 5

    def second(event: Event) -> Event:
        if isinstance(event, Started) and (event.n, event.a) == (1, 1):
            return msgspec.structs.replace(event, x={**event.x, "x": 0.0})
        return event

    assert edit(path, second) == 1
    assert [(d.number, d.attempt) for d in check(path).differences] == [(1, 1)]


@pytest.mark.parametrize("sampler", ["random", "quasirandom", "auto", "gp", "tpe", "perturb"])
def test_many_at_once_lists_and_interleaved_workers(sampler: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    one = taut.Study(path, SPACE, minimize="loss", trials=60, sampler=sampler, seed=3)
    one.tell(one.ask(7), loss=range(7))
    two = taut.Study(path)
    pending = []
    for i in range(5):
        pending.append((one, one.ask(3)))
        pending.append((two, two.ask(2)))
        if i % 2:
            owner, trials = pending.pop(0)
            owner.tell(trials, loss=[trial.params["x"] for trial in trials])
            owner, trials = pending.pop()
            for trial in trials:
                owner.fail(trial, "no")
    found = check(path)
    assert found.good and found.differences == [] and found.suggestions == 32
    for owner, trials in pending:
        owner.tell(trials, loss=[1.0] * len(trials))
    two.run(lambda trial: trial.params["x"])
    assert check(path).differences == []
    other = verify(path, lambda definition, space: Proposals(perturbing.Perturb(0.123), space))
    assert not other.good


SLOWLY = """
import sys, time
import taut

for trial in taut.Study(sys.argv[1]).work():
    time.sleep(0.03)
    trial.tell(loss=trial.params["x"] ** 2 + abs(trial.params["rate"] - 0.01))
"""


@pytest.mark.parametrize("sampler", ["auto", "gp", "tpe"])
def test_workers_that_are_killed_leave_a_study_that_can_be_replayed(sampler: str, tmp_path: Path) -> None:
    path, program, rng = tmp_path / "s", script(tmp_path, SLOWLY), random.Random(sampler)
    study = taut.Study(path, SPACE, minimize="loss", trials=40, sampler=sampler, seed=5, retries=10)
    study.store.save()
    workers = [begin(program, path) for _ in range(3)]
    for enough in (4, 16, 28):
        until(lambda least=enough: study.snapshot.n_finished >= least)
        time.sleep(0.05 * rng.random())
        victim = workers.pop(rng.randrange(3))
        victim.kill()
        victim.communicate()
        workers.append(begin(program, path))
    for worker in workers:
        output(worker)
    found = check(path)
    assert study.snapshot.n_finished == 40 and found.good and found.differences == []
    assert found.suggestions >= 40 and len(study.snapshot.writers) > 3


WIDER = taut.Space(
    x=taut.uniform(-3.0, 2.0),
    rate=taut.loguniform(1e-4, 1e-1),
    kind=taut.choice(["new", "a", "b", 1, True]),
    depth=taut.uniform_int(1, 8, when="kind == 'b'"),
    extra=taut.uniform(0, 1, when="kind == 'new'"),
    twice=taut.expr("2 * x"),
)


@pytest.mark.parametrize("glance", [0.0, 60.0], ids=["at once", "late"])
def test_an_extension_is_replayed_and_nobody_loses_a_value(
    glance: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    far = {"method": "perturb", "scale": 9.0}
    one = taut.Study(path, SPACE, minimize="loss", trials=60, sampler=far, seed=3)
    one.tell(one.ask(5), loss=range(5))
    two = taut.Study(path)
    two.tell(two.ask(2), loss=[3, 4])
    assert len(one.trials) == 7
    taut.Study(path, WIDER).close()
    assert len(two.trials) == 7 and two.space == WIDER
    monkeypatch.setattr("taut.store._GLANCE", glance)  # how long the other may go without a thorough look
    trials = two.ask(20)
    assert sum(trial.params["kind"] == "new" for trial in trials) > 1
    two.tell(trials, loss=[-10.0 if trial.params["kind"] == "new" else 5.0 for trial in trials])
    for _ in range(3):
        one.tell(one.ask(), loss=1)
    assert len(one.trials) == 30
    asked = {trial.number: trial.params for trial in trials}
    for study in (one, two, taut.Study(path)):
        for record in study.trials:
            assert record.params == asked.get(record.number, record.params), record.number
            assert set(record.params) >= {"x", "rate", "kind", "twice"}
    for _ in range(3):
        one.tell(one.ask(), loss=1)
    found = check(path)
    assert found.differences == [] and found.good
