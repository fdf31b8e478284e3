"""Warm worker processes: loaded once, killed by their own objectives, replaced, and never left behind."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import taut
from processes import alive, begin, output, script, until
from taut.executors.base import Died, Message, Outcome, Report, Task
from taut.executors.pool import PoolExecutor
from taut.trial import trial_seed

SPACE = taut.Space(x=taut.uniform(0, 1))


@contextmanager
def pool(objective: Any, slots: int = 1, **options: Any) -> Iterator[PoolExecutor]:
    executor = PoolExecutor(objective, slots=slots, **{"names": ["x"], "main": ["loss"], **options})
    try:
        yield executor
    finally:
        executor.stop(kill=True)
        executor.close()


def task(number: int, attempt: int = 0, directory: Path | None = None) -> Task:
    return Task(number, attempt, {"x": number / 8}, None if directory is None else str(directory), 7)


def finish(executor: PoolExecutor, *numbers: int, seconds: float = 10.0) -> list[Message]:
    """Everything that is said until all those trials have ended."""
    found: list[Message] = []
    ended: set[int] = set()
    deadline = time.monotonic() + seconds
    while not ended >= set(numbers):
        assert time.monotonic() < deadline, found
        messages = executor.poll(0.1)
        found += messages
        ended |= {message.number for message in messages if not isinstance(message, Report)}
    return found


def evaluate(executor: PoolExecutor, number: int = 0, **options: Any) -> Any:
    """The one message at the end of one trial."""
    executor.start(task(number, **options))
    (message,) = finish(executor, number)
    return message


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str) -> str:
    script(folder, text, f"{name}.py")
    monkeypatch.syspath_prepend(str(folder))
    return f"{name}:train"


def run(objective: Callable[..., Any], trials: int = 1, workers: int = 2, **options: Any) -> taut.Study:
    study = taut.Study(options.pop("path", None), SPACE, minimize="loss", **options)
    return study.run(objective, trials=trials, workers=workers)


# -- loading --------------------------------------------------------------------------------------------

COUNTED = """
    import os
    with open(os.environ["TAUT_TEST_LOG"], "a") as log:
        log.write(f"{os.getpid()}\\n")
    calls = 0
    def train(trial):
        global calls
        calls += 1
        return {"loss": os.getpid(), "calls": calls}
"""


def test_each_process_imports_the_objective_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAUT_TEST_LOG", str(tmp_path / "log"))
    name = module(tmp_path, monkeypatch, COUNTED, "counted_module")
    with pool(name, slots=2) as executor:
        loaded = [int(line) for line in (tmp_path / "log").read_text().split()]
        assert len(set(loaded)) == len(loaded) == 2 and os.getpid() not in loaded
        calls = dict.fromkeys(loaded, 0)
        for first in range(0, 10, 2):
            executor.start(task(first))
            executor.start(task(first + 1))
            for message in finish(executor, first, first + 1):
                assert isinstance(message, Outcome)
                calls[int(message.values["loss"])] += 1
                assert message.values["calls"] == calls[int(message.values["loss"])]
        assert sorted(calls.values()) == [5, 5]
    assert [int(line) for line in (tmp_path / "log").read_text().split()] == loaded


def test_a_function_of_a_module_goes_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAUT_TEST_LOG", str(tmp_path / "log"))
    module(tmp_path, monkeypatch, COUNTED, "by_name_module")
    import by_name_module  # type: ignore[import-not-found]

    with pool(by_name_module.train) as executor:
        pids = {int(evaluate(executor, n).values["loss"]) for n in range(3)}
    assert [int(line) for line in (tmp_path / "log").read_text().split()] == [os.getpid(), *pids]


def test_closures_lambdas_partials_and_methods_go_by_value() -> None:
    offset, calls = 3.0, []

    def closure(trial: taut.Trial) -> float:
        calls.append(1)  # in that process
        return trial.params["x"] + offset + len(calls)

    class Model:
        weight = 2.0

        def train(self, x: float) -> float:
            return self.weight * x

        def __call__(self, trial: taut.Trial) -> float:
            return self.weight

    model = Model()
    model.weight = 5.0
    cases: list[tuple[Callable[..., Any], list[float]]] = [
        (closure, [4.0, 5.125]),
        (lambda x: x - offset, [-3.0, -2.875]),
        (functools.partial(lambda scale, x: scale * x, 8), [0.0, 1.0]),
        (model.train, [0.0, 0.625]),
        (model, [5.0, 5.0]),
    ]
    for objective, expected in cases:
        with pool(objective) as executor:
            assert [evaluate(executor, n).values["loss"] for n in range(2)] == expected
    assert calls == []


MAIN = """
    import os, sys
    import taut
    scale = float(sys.argv[1])
    class Settings:
        power = 2
    def loss(x):
        return scale * x ** Settings.power
    def train(x):
        return {"loss": loss(x), "pid": os.getpid()}
    study = taut.Study(None, taut.Space(x=taut.uniform(0, 1)), minimize="loss")
    study.run(train, trials=6, workers=2)
    print(all(t.values["loss"] == loss(t.params["x"]) for t in study.trials))
    print(os.getpid() in {t.values["pid"] for t in study.trials}, len(study.trials))
"""


def test_a_function_of_the_main_program_needs_no_guard(tmp_path: Path) -> None:
    assert output(begin(script(tmp_path, MAIN), 3.0)) == "True\nFalse 6\n"


BROKEN: list[tuple[str, str, str]] = [
    ("", "nowhere_to_be_found:train", "no module 'nowhere_to_be_found'"),
    ("def trian(trial): pass", "m:train", "did you mean 'trian'"),
    ("train = 3", "m:train", "which is not a function"),
    ("import nowhere_either\ndef train(trial): pass", "m:train", "No module named 'nowhere_either'"),
    ("def train(trial):\n  return ]", "m:train", "SyntaxError"),
    ("raise RuntimeError('no GPU here')", "m:train", "no GPU here"),
    ("import sys; sys.exit(4)", "m:train", "SystemExit: 4"),
    ("def train(a, b): pass", "m:train", "asks for a, b"),
    ("def train(): pass", "m:train", "does not take x"),
]


@pytest.mark.parametrize("text, name, message", BROKEN, ids=[message for *_, message in BROKEN])
def test_what_cannot_be_loaded_is_said_at_once(
    text: str, name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unique = f"broken_{abs(hash((text, name)))}"
    module(tmp_path, monkeypatch, text, unique)
    with pytest.raises(taut.InputError) as caught, pool(name.replace("m:", f"{unique}:"), slots=2):
        pass
    assert (
        message in str(caught.value) and "executors/child.py" not in str(caught.value).partition(message)[2]
    )


def test_a_process_that_ends_while_it_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module(tmp_path, monkeypatch, "import os\nos._exit(7)", "ends_at_once")
    with (
        pytest.raises(
            taut.StudyError, match=r"exit code 7 while it loaded .* ended with exit code 7: .*import"
        ),
        pool(name),
    ):
        pass


KILLED = """
    import os, signal
    from pathlib import Path
    marks = Path(os.environ["TAUT_TEST_MARKS"])
    if len(list(marks.iterdir())) in (1, 3):
        (marks / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (marks / str(os.getpid())).touch()
    def train(trial):
        if trial.number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0
"""


def test_one_that_is_killed_while_it_loads_is_replaced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one when the pool is made, and the first one in the place of that which was killed by its trial."""
    marks = tmp_path / "marks"
    marks.mkdir()
    (marks / "one").touch()
    monkeypatch.setenv("TAUT_TEST_MARKS", str(marks))
    name = module(tmp_path, monkeypatch, KILLED, "killed_while_loading")
    with pool(name) as executor:
        assert len(list(marks.iterdir())) == 3
        assert isinstance(evaluate(executor, 0), Died)
        assert evaluate(executor, 1).values == {"loss": 1.0}
        assert len(list(marks.iterdir())) == 5


def test_what_cannot_be_sent_is_said_at_once() -> None:
    lock = threading.Lock()
    with pytest.raises(taut.InputError, match=r"cannot be sent.*workers=1"):
        run(lambda trial: float(lock.locked()))


# -- the processes --------------------------------------------------------------------------------------


def test_objectives_see_the_programs_own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAUT_TEST_COLOUR", "blue")

    def look(trial: taut.Trial) -> float:
        import json

        found = [os.getcwd(), sys.path, dict(os.environ), trial.seed, str(trial.directory), sys.stdin.read()]
        Path("found.json").write_text(json.dumps(found))
        return 1.0

    with pool(look) as executor:
        assert evaluate(executor, directory=tmp_path / "trials" / "0").error is None
    import json

    cwd, path, environment, seed, directory, stdin = json.loads(Path("found.json").read_text())
    assert cwd == str(tmp_path) and path == sys.path and seed == trial_seed(7, 0) and stdin == ""
    assert Path(directory).is_dir()
    for name in {*environment, *os.environ} - {"TAUT_GUARDIAN", "LC_CTYPE"}:
        if not name.endswith("_THREADS"):
            assert environment.get(name) == os.environ.get(name), name


def test_trials_run_side_by_side(tmp_path: Path) -> None:
    def meet(trial: taut.Trial) -> float:
        (tmp_path / str(trial.number)).touch()
        deadline = time.monotonic() + 10
        while len(list(tmp_path.iterdir())) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return 1.0

    with pool(meet, slots=3) as executor:
        for n in range(3):
            executor.start(task(n))
        assert all(isinstance(m, Outcome) and m.error is None for m in finish(executor, 0, 1, 2))


def test_reports_arrive_in_order_and_before_the_end() -> None:
    def train(trial: taut.Trial) -> None:
        for step in range(50):
            trial.report(step, loss=step / 10, other=float("nan") if step == 3 else 1)

    with pool(train) as executor:
        executor.start(task(0))
        messages = finish(executor, 0)
    assert [m.step for m in messages if isinstance(m, Report)] == list(range(50))
    assert isinstance(messages[-1], Outcome) and messages[-1].values == {"loss": 4.9, "other": 1.0}


def test_should_stop_says_no_while_there_are_no_pruners() -> None:
    def train(trial: taut.Trial) -> float:
        for step in range(3):
            trial.report(step, loss=1.0)
            if trial.should_stop():
                return -1.0
        return 2.0

    with pool(train) as executor:
        executor.start(task(0))
        assert finish(executor, 0)[-1].values == {"loss": 2.0}  # type: ignore[union-attr]


DEATHS: list[tuple[Callable[[], Any], str]] = [
    (lambda: os._exit(3), "ended with exit code 3"),
    (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL"),
    (lambda: os.kill(os.getpid(), signal.SIGSEGV), "killed by SIGSEGV"),
    (lambda: os._exit(0), "ended with exit code 0"),
]


@pytest.mark.parametrize("die, why", DEATHS, ids=[why for _, why in DEATHS])
def test_a_death_is_reported_and_the_process_replaced(die: Callable[[], Any], why: str) -> None:
    def train(trial: taut.Trial) -> float:
        if trial.attempt == 0:
            trial.report(1, loss=0.5)
            die()
        return 1.0

    with pool(train) as executor:
        executor.start(task(0))
        report, died = finish(executor, 0)
        assert isinstance(report, Report) and isinstance(died, Died)
        assert (died.number, died.attempt) == (0, 0) and why in died.why
        assert evaluate(executor, 0, attempt=1).values == {"loss": 1.0}


def test_a_trial_that_keeps_killing_its_process_fails_in_the_end(tmp_path: Path) -> None:
    def train(trial: taut.Trial) -> float:
        with open(tmp_path / "log", "a") as log:
            log.write(f"{trial.number}.{trial.attempt} {trial.params['x']!r}\n")
        if trial.number == 1:
            os._exit(3)
        if trial.number == 2 and trial.attempt < 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0

    study = run(train, 4, retries=2, path=tmp_path / "s")
    assert [trial.state for trial in study.trials] == ["complete", "failed", "complete", "complete"]
    assert [trial.attempts for trial in study.trials] == [1, 3, 3, 1]
    error = study.trials[1].error or ""
    assert "given up after 3 attempts" in error and "exit code 3" in error
    lines = sorted((tmp_path / "log").read_text().splitlines())
    assert [line.split()[0] for line in lines] == ["0.0", "1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "3.0"]
    assert len({line.split()[1] for line in lines if line.startswith("1")}) == 1


def test_a_process_that_died_while_idle_is_replaced() -> None:
    with pool(lambda x: float(os.getpid())) as executor:
        first = int(evaluate(executor).values["loss"])
        os.kill(first, signal.SIGKILL)
        until(lambda: not alive(first))
        time.sleep(0.3)  # a dead process with threads takes a moment to be seen as such
        second = evaluate(executor, 1)
        assert isinstance(second, Outcome) and int(second.values["loss"]) != first


def test_a_timeout_kills_the_trial_and_what_it_started(tmp_path: Path) -> None:
    def train(trial: taut.Trial) -> float:
        if trial.number == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            child = subprocess.Popen(["sleep", "100"])
            (tmp_path / "pid").write_text(f"{os.getpid()} {child.pid}")
            time.sleep(100)
        return 1.0

    with pool(train, slots=2, timeout=0.7) as executor:
        begun = time.monotonic()
        executor.start(task(0))
        executor.start(task(1))
        ended = {message.number: message for message in finish(executor, 0, 1)}
        assert 0.7 <= time.monotonic() - begun < 1.5
        assert isinstance(ended[0], Outcome) and ended[0].error == "timed out after 0.7 s"
        assert isinstance(ended[1], Outcome) and ended[1].values == {"loss": 1.0}
        for pid in (tmp_path / "pid").read_text().split():
            until(lambda pid=pid: not alive(int(pid)), 1.0)
        executor.start(task(2))
        executor.start(task(3))
        finish(executor, 2, 3)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    def train(trial: taut.Trial) -> float:
        child = subprocess.Popen(["sleep", "100"])
        with open(tmp_path / "pids", "a") as log:
            log.write(f"{child.pid}\n{os.getpid()}\n")
        if trial.number == 1:
            os._exit(3)
        return 1.0

    run(train, 3, retries=0)
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 6
    for pid in pids:
        until(lambda pid=pid: not alive(pid), 2.0)


@pytest.mark.parametrize("kill", [False, True])
def test_stop_asks_first_and_kills_in_the_end(kill: bool, tmp_path: Path) -> None:
    def train(trial: taut.Trial) -> float:
        def asked(*_: object) -> None:
            (tmp_path / f"{trial.number}.asked").touch()

        signal.signal(signal.SIGTERM, asked)
        (tmp_path / f"{trial.number}.ready").write_text(str(os.getpid()))
        while True:
            time.sleep(0.1)

    with pool(train, slots=2) as executor:
        executor.start(task(0))
        executor.start(task(1))
        until(lambda: len([p for p in tmp_path.glob("*.ready") if p.read_text()]) == 2)
        pids = [int(path.read_text()) for path in tmp_path.glob("*.ready")]
        begun = time.monotonic()
        executor.stop(kill)
        assert time.monotonic() - begun < (0.5 if kill else 1.9)
        assert len(list(tmp_path.glob("*.asked"))) == (0 if kill else 2)
        until(lambda: not any(alive(pid) for pid in pids), 0.3)
        executor.stop()
        executor.stop(kill=True)
        assert list(executor.poll(0)) == []


def test_an_error_with_any_text_arrives() -> None:
    """File names may hold bytes that are no text."""

    def train(trial: taut.Trial) -> float:
        raise ValueError("cannot read \udcff\x00 é" + "x" * 100_000)

    for workers in (1, 2):
        study = run(train, 2, workers, retries=0)
        assert [trial.state for trial in study.trials] == ["failed"] * 2
        assert "cannot read" in (study.trials[0].error or "") and study.trials[0].attempts == 1


def test_an_error_with_any_text_is_kept(tmp_path: Path) -> None:
    def train(trial: taut.Trial) -> float:
        raise ValueError("cannot read \udcff\x00\n\u2028 é")

    study = run(train, 2, 1, path=tmp_path / "s")
    again = taut.Study(tmp_path / "s")
    assert list(again.trials) == list(study.trials) and again.trials[0].state == "failed"
    assert "cannot read" in (again.trials[0].error or "")


def test_a_thread_that_goes_on_does_not_disturb_the_next_trial() -> None:
    def train(trial: taut.Trial) -> float:
        if trial.number == 0:
            threading.Thread(target=time.sleep, args=(100,)).start()
        return float(trial.number)

    with pool(train) as executor:
        assert [evaluate(executor, n).values["loss"] for n in range(3)] == [0.0, 1.0, 2.0]
        begun = time.monotonic()
    assert time.monotonic() - begun < 3.0


def test_tiny_trials_stand_ready_and_outlive_the_process_before_them(tmp_path: Path) -> None:
    """Once trials are known to be tiny, each process has its next one; whoever kills its process takes nobody along."""

    def train(trial: taut.Trial) -> float:
        if trial.number in (200, 300, 301) and trial.attempt == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0

    study = run(train, 400, retries=1, sampler="random", path=tmp_path / "s")
    trials = list(study.trials)
    assert [trial.state for trial in trials] == ["complete"] * 400
    assert {trial.number for trial in trials if trial.attempts != 1} == {200, 300, 301}
    begun = [sum(other.started <= trial.started < other.finished for other in trials) for trial in trials]
    assert max(begun) > 2  # two slots


def test_a_process_is_given_no_trial_ahead_of_its_time() -> None:
    """Neither before trials are known to be tiny, nor in batches, nor where others' results count."""
    for mode, trials, sampler in (
        ("async", 30, "random"),
        ("batch", 200, "random"),
        ("async", 200, "genetic"),
    ):
        study = taut.Study(None, taut.Space(x=taut.uniform(0.0, 1.0)), minimize="loss", sampler=sampler)
        study.run(lambda x: x, trials=trials, workers=2, mode=mode)
        found = list(study.trials)
        most = max(sum(other.started <= one.started < other.finished for other in found) for one in found)
        assert most <= 2


def test_a_trial_that_stood_ready_is_said_to_have_run_as_long_as_it_did(tmp_path: Path) -> None:
    def train(trial: taut.Trial) -> float:
        if trial.number in (150, 151):
            time.sleep(0.5)
        return 1.0

    study = run(train, 300, sampler="random", path=tmp_path / "s")
    again = taut.Study(tmp_path / "s")
    for trials in (list(study.trials), list(again.trials)):
        long = [trial.number for trial in trials if (trial.duration or 0.0) > 0.2]
        assert set(long) == {150, 151}
