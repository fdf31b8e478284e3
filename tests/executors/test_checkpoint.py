"""Asking trials to save themselves: the same promises for every executor, then what only commands have."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import taut
from processes import alive, script, unmetered, until
from taut.definition import Evaluation
from taut.executors.base import Died, Executor, Message, Outcome, Paused, Report, Task
from taut.executors.command import CommandExecutor
from taut.executors.inline import InlineExecutor
from taut.executors.pool import PoolExecutor

SOURCE = str(Path(__file__).parents[2] / "src")
WAIT = 20.0  # seconds that a busy machine may take for what takes milliseconds
FOREVER = 100_000

STEPS = """
    import json, os, sys, time
    from pathlib import Path
    import taut

    def lines(step):
        with open(Path(os.environ["TAUT_TRIAL_DIR"], "steps"), "a") as file:
            file.write(f"{step}\\n")

    params = json.loads(os.environ["TAUT_PARAMS"])
    before = os.environ.get("TAUT_RESUMED_FROM")
    step = begun = int(Path(before, "step").read_text()) if before else 0
    if not params["heeds"] or not taut.should_checkpoint():
        while step < params["steps"]:
            step += 1
            lines(step)
            time.sleep(0.005)
            if params["heeds"] and taut.should_checkpoint():
                Path(os.environ["TAUT_CHECKPOINT_DIR"], "step").write_text(str(step))
                sys.exit(0)
    taut.report(loss=step, begun=begun)
"""


def train(trial: taut.Trial) -> dict[str, float] | None:
    """The objective that does what the script above does."""
    before = trial.resumed_from
    step = begun = int((before / "step").read_text()) if before else 0
    heeds = trial.params["heeds"]
    if heeds and trial.should_checkpoint():
        return {"loss": step, "begun": begun}
    while step < trial.params["steps"]:
        step += 1
        assert trial.directory is not None and trial.checkpoint_dir is not None
        with open(trial.directory / "steps", "a") as file:
            file.write(f"{step}\n")
        time.sleep(0.005)
        if heeds and trial.should_checkpoint():
            (trial.checkpoint_dir / "step").write_text(str(step))
            if heeds == "raises":
                raise taut.TrialPaused
            trial.pause()
            return None
    return {"loss": step, "begun": begun}


Bench = Callable[..., Executor]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("PYTHONPATH", SOURCE)
    opened: list[Executor] = []

    def make(kind: str, text: str = STEPS, **more: Any) -> Executor:
        executor: Executor
        if kind == "inline":
            executor = InlineExecutor(train, True, ["loss"], lambda *_: None, lambda *_: False)
        elif kind == "pool":
            executor = PoolExecutor(train, slots=1, names=["steps", "heeds"], main=["loss"], **more)
        else:
            script(tmp_path, text, "train.py")
            evaluation = Evaluation(
                command=more.pop("command", [sys.executable, "train.py"]), timeout=more.pop("timeout", None)
            )
            executor = CommandExecutor(evaluation, base=tmp_path, slots=2, objectives=["loss"], **more)
        opened.append(executor)
        return executor

    yield make
    for executor in opened:
        executor.stop(kill=True)
        executor.close()


def task(place: Path, attempt: int = 0, steps: int = FOREVER, heeds: Any = True) -> Task:
    return Task(0, attempt, {"steps": steps, "heeds": heeds}, str(place / "trials" / "0"))


def lines(place: Path, name: str = "steps") -> list[int]:
    path = place / "trials" / "0" / name
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def ask_when(executor: Executor, condition: Callable[[], bool]) -> threading.Thread:
    """Asks like a signal handler would: while `poll` runs."""

    def ask() -> None:
        until(condition, WAIT)
        executor.asked = True

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def end(executor: Executor) -> Message:
    """The one message that ends the trial, whatever time it took."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        found = [message for message in executor.poll(1.0) if not isinstance(message, Report)]
        if found:
            (message,) = found
            message = unmetered(message)
            return msgspec.structs.replace(message, took=None) if isinstance(message, Outcome) else message
    raise AssertionError("it did not end")


# --- every executor ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["inline", "pool", "command"])
@pytest.mark.parametrize("heeds", [True, "raises"])
def test_what_one_attempt_saved_the_next_goes_on_from(
    kind: str, heeds: Any, bench: Bench, tmp_path: Path
) -> None:
    first = bench(kind)
    first.start(task(tmp_path, heeds=heeds))
    asking = ask_when(first, lambda: len(lines(tmp_path)) >= 10)
    assert end(first) == Paused(0, 0)
    asking.join()
    done = lines(tmp_path)
    assert 10 <= len(done) < FOREVER
    second = bench(kind)
    second.start(task(tmp_path, attempt=1, steps=len(done) + 20, heeds=heeds))
    assert end(second) == Outcome(0, 1, {"loss": len(done) + 20.0, "begun": float(len(done))})
    assert lines(tmp_path) == list(range(1, len(done) + 21))  # no step twice, none left out


@pytest.mark.parametrize("kind", ["inline", "pool", "command"])
def test_who_does_not_listen_finishes(kind: str, bench: Bench, tmp_path: Path) -> None:
    executor = bench(kind)
    executor.start(task(tmp_path, steps=120, heeds=False))
    asking = ask_when(executor, lambda: len(lines(tmp_path)) >= 3)
    assert end(executor) == Outcome(0, 0, {"loss": 120.0, "begun": 0.0})
    asking.join()


@pytest.mark.parametrize("kind", ["pool", "command"])
def test_the_request_arrives_in_time(kind: str, bench: Bench, tmp_path: Path) -> None:
    executor = bench(kind)
    executor.start(task(tmp_path))
    until(lambda: len(lines(tmp_path)) >= 3, WAIT)
    began = time.monotonic()
    asking = ask_when(executor, lambda: time.monotonic() > began + 0.1)  # early in a poll of 1 s
    assert end(executor) == Paused(0, 0)
    asking.join()
    assert time.monotonic() - began < 0.9  # 0.1 + 0.3 by design; the end of a process comes on top


def test_a_pool_that_was_asked_can_be_stopped_and_asks_the_next_too(bench: Bench, tmp_path: Path) -> None:
    executor = bench("pool")
    executor.asked = True
    executor.start(task(tmp_path))
    assert end(executor) in (Paused(0, 0), Outcome(0, 0, {"loss": 0.0, "begun": 0.0}))
    executor.start(task(tmp_path, attempt=1))
    assert end(executor) == Outcome(
        0, 1, {"loss": float(len(lines(tmp_path))), "begun": len(lines(tmp_path))}
    )


# --- warm processes ------------------------------------------------------------------------------


def pids(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in sorted(folder.glob("*.pid")) if path.read_text()]


def test_a_warm_process_outlives_the_sigterm_of_others_but_not_its_parents(tmp_path: Path) -> None:
    def wait(trial: taut.Trial) -> float:
        if os.fork() == 0:  # like the processes of a data loader
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            (tmp_path / "b.pid").write_text(str(os.getpid()))
            time.sleep(100)
        (tmp_path / "a.pid").write_text(str(os.getpid()))
        time.sleep(100)
        return 1.0

    executor = PoolExecutor(wait, slots=1, names=["x"], main=["loss"])
    try:
        executor.start(Task(0, 0, {"x": 1}, None))
        until(lambda: len(pids(tmp_path)) == 2)
        own, copy = pids(tmp_path)
        os.kill(own, signal.SIGTERM)
        assert list(executor.poll(0.5)) == [] and alive(own)
        os.kill(copy, signal.SIGTERM)
        until(lambda: not alive(copy), 2.0)
        began = time.monotonic()
        executor.stop()
        assert time.monotonic() - began < 0.8 and not alive(own)
    finally:
        executor.stop(kill=True)
        executor.close()


def test_asking_whether_to_checkpoint_is_cheap(tmp_path: Path) -> None:
    def count(trial: taut.Trial) -> float:
        began = time.perf_counter()
        for _ in range(100_000):
            trial.should_checkpoint()
        return time.perf_counter() - began

    executor = PoolExecutor(count, slots=1, names=["x"], main=["loss"])
    try:
        executor.start(Task(0, 0, {"x": 1}, None))
        message = end(executor)
        assert isinstance(message, Outcome) and message.values["loss"] < 0.5
    finally:
        executor.close()


# --- commands ------------------------------------------------------------------------------------

COUNTING = """
    import os, signal, sys, time
    from pathlib import Path
    place = Path(os.environ["TAUT_TRIAL_DIR"])
    def note(*_):
        with open(place / "signals", "a") as file:
            file.write(f"{os.getpid()}\\n")
"""


def ready(place: Path) -> Callable[[], bool]:
    return (place / "trials" / "0" / "ready").exists


def test_processes_that_do_not_catch_it_live_on(bench: Bench, tmp_path: Path) -> None:
    text = """
        import os, pathlib, subprocess, sys, time
        child = subprocess.Popen(["sleep", "0.8"])
        pathlib.Path("ready").touch()
        time.sleep(0.8)
        open(os.environ["TAUT_REPORT"], "a").write(f'{{"loss": {child.wait()}}}\\n')
    """
    executor = bench("command", text)
    executor.start(task(tmp_path))
    until(ready(tmp_path), WAIT)
    executor.asked = True
    assert end(executor) == Outcome(0, 0, {"loss": 0.0})


def test_below_a_shell_and_late_and_once_each(bench: Bench, tmp_path: Path) -> None:
    text = COUNTING + (
        "    (place / 'ready').touch(); time.sleep(0.7)\n"
        "    signal.signal(signal.SIGUSR1, note)\n"
        "    copy = os.fork()\n"
        "    end = time.time() + 1.2\n"
        "    while time.time() < end: time.sleep(0.1)\n"
        "    if copy: (place / 'main').write_text(str(os.getpid()))\n"
        "    else: os._exit(0)\n"
        "    open(os.environ['TAUT_REPORT'], 'a').write('{\"loss\": 1}\\n')\n"
    )
    executor = bench("command", text, command=["sh", "-c", f"{sys.executable} {tmp_path}/train.py; exit $?"])
    executor.start(task(tmp_path))
    until(ready(tmp_path), WAIT)
    executor.asked = True
    assert end(executor) == Outcome(0, 0, {"loss": 1.0})
    assert lines(tmp_path, "signals") == lines(tmp_path, "main") != []


def test_a_shell_script(bench: Bench, tmp_path: Path) -> None:
    text = """
        trap 'echo 7 > "$TAUT_CHECKPOINT_DIR/step"; exit 75' USR1
        if [ -n "$TAUT_RESUMED_FROM" ]; then
            echo "{\\"loss\\": $(cat "$TAUT_RESUMED_FROM/step")}" >> "$TAUT_REPORT"; exit 0
        fi
        touch ready
        while true; do sleep 0.05; done
    """
    first = bench("command", text, command=["bash", "train.py"])
    first.start(task(tmp_path))
    until(ready(tmp_path), WAIT)
    first.asked = True
    assert end(first) == Paused(0, 0)
    second = bench("command", text, command=["bash", "train.py"])
    second.start(task(tmp_path, attempt=1))
    assert end(second) == Outcome(0, 1, {"loss": 7.0})


def test_a_shell_script_beside_a_training_that_does_not_listen(bench: Bench, tmp_path: Path) -> None:
    text = """
        sleep 60 &
        echo $! > training
        trap 'echo 7 > "$TAUT_CHECKPOINT_DIR/step"; exit 75' USR1
        touch ready
        wait $!
    """
    executor = bench("command", text, command=["bash", "train.py"])
    executor.start(task(tmp_path))
    until(ready(tmp_path), WAIT)
    executor.asked = True
    began = time.monotonic()
    assert end(executor) == Paused(0, 0)
    assert time.monotonic() - began < 5.0
    (training,) = lines(tmp_path, "training")
    until(lambda: not alive(training), 2.0)


ENDING = """
    import json, os, pathlib, signal, sys, time
    how = json.loads(os.environ["TAUT_PARAMS"])["heeds"]
    folder = pathlib.Path(os.environ["TAUT_CHECKPOINT_DIR"], "deep")
    if how.get("old"):
        folder.mkdir()
        (folder / "state").write_text("old")
    asked = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
    pathlib.Path("ready").touch()
    while how["waits"] and not asked:
        time.sleep(0.01)
    if how.get("new"):
        folder.mkdir(exist_ok=True)
        (folder / "state").write_text("new")
    if how.get("result"):
        open(os.environ["TAUT_REPORT"], "a").write('{"loss": 1}\\n')
    sys.exit(how["code"])
"""


@pytest.mark.parametrize(
    ("how", "paused"),
    [
        ({"code": 75, "new": 1}, True),
        ({"code": 75, "old": 1}, True),
        ({"code": 75, "old": 1, "result": 1}, True),
        ({"code": 0, "old": 1, "new": 1, "result": 1}, True),
        ({"code": 0, "old": 1}, True),  # no result, but something to go on from
        ({"code": 1, "new": 1}, True),
        ({"code": 0, "old": 1, "result": 1}, False),
        ({"code": 0, "result": 1}, False),
        ({"code": 75}, False),
        ({"code": 1}, False),
    ],
)
def test_paused_or_finished(how: dict[str, int], paused: bool, bench: Bench, tmp_path: Path) -> None:
    executor = bench("command", ENDING)
    executor.start(task(tmp_path, heeds={**how, "waits": 1}))
    until(ready(tmp_path), WAIT)
    executor.asked = True
    message = end(executor)
    assert isinstance(message, Paused if paused else Outcome)
    if isinstance(message, Outcome):
        assert (message.error is None) == bool(how.get("result"))


@pytest.mark.parametrize("how", [{"code": 75, "new": 1}, {"code": 1, "new": 1}, {"code": 0, "new": 1}])
def test_who_was_not_asked_does_not_pause(how: dict[str, int], bench: Bench, tmp_path: Path) -> None:
    executor = bench("command", ENDING)
    executor.start(task(tmp_path, heeds={**how, "waits": 0}))
    message = end(executor)
    assert isinstance(message, Outcome) and message.error is not None


def test_a_timeout_is_no_pause(bench: Bench, tmp_path: Path) -> None:
    text = """
        import os, pathlib, time
        pathlib.Path(os.environ["TAUT_CHECKPOINT_DIR"], "state").touch()
        time.sleep(60)
    """
    executor = bench("command", text, timeout=0.7)
    executor.start(task(tmp_path))
    executor.asked = True
    message = end(executor)
    assert isinstance(message, Outcome) and "timed out" in (message.error or "")


@pytest.mark.parametrize(("asked", "saves"), [(False, True), (True, False), (True, True)])
def test_sigterm_from_somebody_else(asked: bool, saves: bool, bench: Bench, tmp_path: Path) -> None:
    """Slurm sends it to every process of a job that has to end."""
    text = """
        import json, os, pathlib, time
        if json.loads(os.environ["TAUT_PARAMS"])["heeds"]:
            pathlib.Path(os.environ["TAUT_CHECKPOINT_DIR"], "state").touch()
        pathlib.Path("ready").write_text(str(os.getpid()))
        time.sleep(60)
    """
    executor = bench("command", text)
    executor.start(task(tmp_path, heeds=saves))
    until(lambda: bool(lines(tmp_path, "ready")), WAIT)
    executor.asked = asked
    os.kill(lines(tmp_path, "ready")[0], signal.SIGTERM)
    died = Died(0, 0, "it was ended by SIGTERM")
    assert end(executor) == (Paused(0, 0) if asked and saves else died)


def test_where_to_save_and_where_from(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAUT_RESUMED_FROM", "/of/the/trial/around/us")
    text = """
        import json, os, pathlib
        place = pathlib.Path(os.environ["TAUT_CHECKPOINT_DIR"])
        names = {name: os.environ.get(name) for name in ("TAUT_CHECKPOINT_DIR", "TAUT_RESUMED_FROM")}
        pathlib.Path("told" + os.environ["TAUT_ATTEMPT"]).write_text(json.dumps(names))
        if os.environ["TAUT_ATTEMPT"] == "0":
            (place / "state").touch()
        open(os.environ["TAUT_REPORT"], "a").write('{"loss": 1}\\n')
    """
    folder = tmp_path / "trials" / "0"
    executor = bench("command", text)
    for attempt, before in ((0, None), (1, "checkpoint"), (2, "checkpoint")):  # attempt 1 saves nothing
        executor.start(task(tmp_path, attempt=attempt))
        assert isinstance(end(executor), Outcome)
        told = json.loads((folder / f"told{attempt}").read_text())
        own = f"checkpoint.{attempt}" if attempt else "checkpoint"
        assert told["TAUT_CHECKPOINT_DIR"] == str(folder / own) and (folder / own).is_dir()
        assert told["TAUT_RESUMED_FROM"] == (None if before is None else str(folder / before))
