"""Commands under pruners, with real processes: given up, or waiting until they are promoted."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from processes import alive, script, unmetered, until
from taut.definition import Evaluation
from taut.errors import InputError
from taut.executors.arguments import Template, step_text
from taut.executors.base import Message, Outcome, Paused, Report, Task
from taut.executors.command import CommandExecutor
from taut.studyfile import read

SOURCE = str(Path(__file__).parents[2] / "src")
WAIT = 20.0  # seconds that a busy machine may take for what takes milliseconds

STEPS = """
    import json, os, signal, sys, time
    from pathlib import Path

    def report(step):
        with open(os.environ["TAUT_REPORT"], "a") as file:
            file.write(json.dumps({"step": step, "loss": 1 / step}) + "\\n")

    def save():
        Path(os.environ["TAUT_CHECKPOINT_DIR"], "state").write_text("saved")

    def leave(number, frame):
        save()
        sys.exit(int(os.environ.get("CODE", "0")))
"""
RUNS = "for step in range(1, 100_000): report(step); time.sleep(0.02)\n"
HANGS = "report(1)\ntime.sleep(60)\n"

Bench = Callable[..., CommandExecutor]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("PYTHONPATH", SOURCE)
    opened: list[CommandExecutor] = []

    def make(*lines: str, words: Sequence[str] = (), timeout: float | None = None) -> CommandExecutor:
        path = script(tmp_path, STEPS, "train.py")
        path.write_text(path.read_text() + "\n".join(lines))
        evaluation = Evaluation(command=[sys.executable, "train.py", *words], timeout=timeout)
        executor = CommandExecutor(evaluation, base=tmp_path, slots=2, objectives=["loss"], parameters=[])
        opened.append(executor)
        return executor

    yield make
    for executor in opened:
        executor.stop(kill=True)
        executor.close()


def task(place: Path, attempt: int = 0, goal: float | None = None, step: float | None = None) -> Task:
    return Task(0, attempt, {}, str(place / "trials" / "0"), goal=goal, step=step)


def state(place: Path) -> Path:
    return place / "trials" / "0" / "checkpoint" / "state"


def begin(executor: CommandExecutor, task: Task, upto: float = 1.0) -> list[Message]:
    """Start it, and wait until it has reported a step."""
    executor.start(task)
    return gather(executor, lambda found: any(isinstance(m, Report) and m.step >= upto for m in found))


def end(executor: CommandExecutor) -> tuple[Message, list[float]]:
    """The one message that ends the trial, and the steps that were reported until then."""
    *before, last = gather(executor, lambda found: any(not isinstance(m, Report) for m in found))
    assert not isinstance(last, Report)
    return unmetered(last), [message.step for message in before if isinstance(message, Report)]


def gather(executor: CommandExecutor, enough: Callable[[list[Message]], bool]) -> list[Message]:
    found: list[Message] = []
    until = time.monotonic() + WAIT
    while not enough(found):
        assert time.monotonic() < until, f"only {found[-5:]}"
        found += executor.poll(0.5)
    return found


def ended(values: dict[str, float], pruned: bool = True, aimed: bool = False) -> Outcome:
    return Outcome(0, 0, values, pruned=pruned, aimed=aimed)


# --- given up -------------------------------------------------------------------------------------


def test_a_command_that_is_given_up_ends_with_what_it_reported(bench: Bench, tmp_path: Path) -> None:
    executor = bench("def leave(*_): report(50); sys.exit(3)", "signal.signal(signal.SIGTERM, leave)", HANGS)
    begin(executor, task(tmp_path))
    began = time.monotonic()
    executor.end_early(0, 0, save=False)
    assert end(executor) == (ended({"loss": 0.02}), [50.0])  # whatever its exit code
    assert time.monotonic() - began < 3.0


def test_no_request_to_save_goes_to_a_command_that_is_given_up(bench: Bench, tmp_path: Path) -> None:
    executor = bench("signal.signal(signal.SIGUSR1, leave)", HANGS)
    begin(executor, task(tmp_path))
    executor.end_early(0, 0, save=False)
    assert end(executor) == (ended({"loss": 1.0}), [])
    assert not state(tmp_path).exists()


def test_a_stubborn_group_is_killed_and_the_others_are_heard_meanwhile(bench: Bench, tmp_path: Path) -> None:
    executor = bench(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "child = os.fork()",
        "if child: Path(os.environ['TAUT_TRIAL_DIR'], 'pids').write_text(f'{os.getpid()} {child}')",
        "else: time.sleep(60)",
        RUNS,
    )
    begin(executor, task(tmp_path))
    pids = [int(pid) for pid in (tmp_path / "trials/0/pids").read_text().split()]
    executor.start(Task(1, 0, {}, str(tmp_path / "trials" / "1")))
    began = time.monotonic()
    executor.end_early(0, 0, save=False)
    executor.end_early(0, 0, save=False)  # once is enough
    found = gather(executor, lambda found: any(isinstance(m, Outcome) for m in found))
    assert 4.5 < time.monotonic() - began < 8.0
    (outcome,) = [m for m in found if isinstance(m, Outcome)]
    assert (outcome.number, outcome.pruned, outcome.error) == (0, True, None)
    assert any(isinstance(m, Report) and m.number == 1 for m in found)
    until(lambda: not any(alive(pid) for pid in pids))


def test_a_command_that_has_just_ended_by_itself_has_its_own_outcome(bench: Bench, tmp_path: Path) -> None:
    executor = bench("report(1)", "report(2)")
    executor.start(task(tmp_path))
    (process,) = [attempt.process for attempt in executor._running.values()]
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    executor.end_early(0, 0, save=False)
    executor.end_early(1, 0, save=False)  # nobody
    assert end(executor) == (ended({"loss": 0.5}, pruned=False), [1.0, 2.0])
    executor.end_early(0, 0, save=True)  # nobody any more


@pytest.mark.parametrize(
    ("goal", "pruned"),
    [
        (None, False),  # nothing is known of steps: it is as good as any
        (2.0, False),
        (9.0, True),
    ],
)
def test_a_command_that_ends_well_in_the_meantime(
    goal: float | None, pruned: bool, bench: Bench, tmp_path: Path
) -> None:
    executor = bench("def leave(*_): report(2); sys.exit(0)", "signal.signal(signal.SIGTERM, leave)", HANGS)
    begin(executor, task(tmp_path, goal=goal))
    executor.end_early(0, 0, save=False)
    assert end(executor) == (ended({"loss": 0.5}, pruned=pruned), [2.0])


# --- told to wait ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 75])
def test_a_command_that_is_to_wait_saves_itself(
    code: int, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE", str(code))
    executor = bench(
        "signal.signal(signal.SIGUSR1, leave)",
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(1))",
        "_save = save",
        "def save(): time.sleep(0.5); _save()",  # longer than two looks
        RUNS,
    )
    begin(executor, task(tmp_path, goal=1_000.0))
    executor.end_early(0, 0, save=True)
    outcome, _ = end(executor)
    assert isinstance(outcome, Outcome) and outcome.pruned and outcome.error is None
    assert state(tmp_path).read_text() == "saved"


def test_a_command_in_which_nobody_listens_is_ended_at_once(bench: Bench, tmp_path: Path) -> None:
    executor = bench(RUNS)
    begin(executor, task(tmp_path))
    began = time.monotonic()
    executor.end_early(0, 0, save=True)
    outcome, _ = end(executor)
    assert isinstance(outcome, Outcome) and outcome.pruned and outcome.error is None
    assert time.monotonic() - began < 3.0


def test_a_command_at_its_goal_may_save_itself_unasked(bench: Bench, tmp_path: Path) -> None:
    """One that reads how far to go is about to end; a signal would meet it while it saves."""
    executor = bench(
        "goal = int(os.environ['TAUT_FIDELITY'])",
        "for step in range(1, goal + 1): report(step)",
        "time.sleep(1.0); save()",
    )
    begin(executor, task(tmp_path, goal=3.0), upto=3.0)
    executor.end_early(0, 0, save=True)
    assert end(executor) == (ended({"loss": 1 / 3}, pruned=False), [])
    assert state(tmp_path).exists()


def test_a_command_that_goes_on_beyond_its_goal_is_ended(bench: Bench, tmp_path: Path) -> None:
    executor = bench("report(2); report(4); time.sleep(1.0)", "report(5); time.sleep(60)")
    begin(executor, task(tmp_path, goal=3.0), upto=4.0)
    executor.end_early(0, 0, save=True)
    assert end(executor) == (ended({"loss": 0.2}), [5.0])


def test_one_that_is_saving_can_still_be_given_up(bench: Bench, tmp_path: Path) -> None:
    executor = bench("signal.signal(signal.SIGUSR1, lambda *_: report(7))", HANGS, "time.sleep(60)")
    begin(executor, task(tmp_path))
    executor.end_early(0, 0, save=True)
    gather(executor, lambda found: any(isinstance(m, Report) and m.step == 7 for m in found))
    executor.end_early(0, 0, save=False)
    assert end(executor) == (ended({"loss": 1 / 7}), [])


def test_the_timeout_ends_the_time_for_saving_and_blames_nobody(bench: Bench, tmp_path: Path) -> None:
    executor = bench("signal.signal(signal.SIGUSR1, lambda *_: None)", RUNS, timeout=2.0)
    began = time.monotonic()
    begin(executor, task(tmp_path))
    executor.end_early(0, 0, save=True)
    outcome, _ = end(executor)
    assert isinstance(outcome, Outcome) and outcome.pruned and outcome.error is None
    assert 1.9 < time.monotonic() - began < 6.0


def test_an_order_after_the_timeout_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    executor = bench(
        "signal.signal(signal.SIGTERM, lambda *_: report(9))", HANGS, "time.sleep(60)", timeout=1
    )
    begin(executor, task(tmp_path), upto=9.0)
    executor.end_early(0, 0, save=False)
    outcome, _ = end(executor)
    assert isinstance(outcome, Outcome) and not outcome.pruned
    assert outcome.error == "timed out after 1 s"


@pytest.mark.parametrize("before", [True, False])
def test_the_order_counts_where_the_worker_leaves_as_well(before: bool, bench: Bench, tmp_path: Path) -> None:
    """It is asked once, and it does not go on at once, as what is paused because of a leaving worker does."""
    executor = bench(
        "def leave(*_): save(); report(2); time.sleep(0.5); sys.exit(75)",
        "signal.signal(signal.SIGUSR1, leave)",
        HANGS,
    )
    begin(executor, task(tmp_path, goal=1.0))
    executor.asked = before
    if before:
        gather(executor, lambda found: any(isinstance(m, Report) for m in found))
    executor.end_early(0, 0, save=True)
    executor.asked = True
    outcome, steps = end(executor)
    assert (outcome, steps) == (ended({"loss": 0.5}), [] if before else [2.0])


def test_who_was_not_ordered_is_paused_as_before(bench: Bench, tmp_path: Path) -> None:
    executor = bench("signal.signal(signal.SIGUSR1, leave)", HANGS)
    begin(executor, task(tmp_path, goal=9.0))
    executor.asked = True
    assert end(executor) == (Paused(0, 0), [])


# --- how far to go --------------------------------------------------------------------------------

TELLS = "print(json.dumps({'args': sys.argv[1:], **{k: v for k, v in os.environ.items() if 'TAUT_' in k}}))\nreport(1)"


def told(place: Path, attempt: int = 0) -> dict[str, Any]:
    name = f"stdout.{attempt}" if attempt else "stdout"
    found: dict[str, Any] = json.loads((place / "trials" / "0" / name).read_text())
    return found


def test_a_command_is_told_how_far_to_go_and_where_it_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TAUT_FIDELITY", "TAUT_RESUMED_FROM", "TAUT_RESUMED_STEP"):
        monkeypatch.setenv(name, "of the trial around us")
    executor = bench(TELLS, words=["--epochs", "{epoch}", "to={epoch}"])
    executor.start(task(tmp_path, goal=3.0))
    assert end(executor) == (ended({"loss": 1.0}, pruned=False, aimed=True), [1.0])
    first = told(tmp_path)
    assert (first["args"], first["TAUT_FIDELITY"]) == (["--epochs", "3", "to=3"], "3")
    assert "TAUT_RESUMED_FROM" not in first and "TAUT_RESUMED_STEP" not in first

    executor.start(task(tmp_path, attempt=1, goal=0.25, step=3.0))
    end(executor)
    second = told(tmp_path, 1)
    assert (second["args"], second["TAUT_FIDELITY"]) == (["--epochs", "0.25", "to=0.25"], "0.25")
    assert "TAUT_RESUMED_STEP" not in second, "there is no checkpoint to go on from"

    state(tmp_path).write_text("saved")
    executor.start(task(tmp_path, attempt=2, goal=9.0, step=3.0))
    end(executor)
    third = told(tmp_path, 2)
    assert third["TAUT_RESUMED_FROM"] == str(state(tmp_path).parent)
    assert third["TAUT_RESUMED_STEP"] == "3"


def test_without_a_fidelity_nothing_is_said_of_it(bench: Bench, tmp_path: Path) -> None:
    executor = bench(TELLS)
    executor.start(task(tmp_path))
    assert end(executor) == (ended({"loss": 1.0}, pruned=False), [1.0])
    assert "TAUT_FIDELITY" not in told(tmp_path)


@pytest.mark.parametrize(
    ("step", "text"), [(3.0, "3"), (0.1, "0.1"), (2e15, "2000000000000000"), (1e-7, "1e-07")]
)
def test_steps_are_spelled_as_scripts_read_them(step: float, text: str) -> None:
    assert step_text(step) == text
    assert float(text) == step


def test_args_do_not_hold_the_fidelity() -> None:
    template = Template(["train", "{args}", "-n", "{epoch}", "{epoch}"], "--k v")
    assert template.expand({"x": 1}, {"epoch": "3"}) == ["train", "--x", "1", "-n", "3", "3"]


FILE = """\
command = "python -c pass {args} --epochs {epoch}"
minimize = "loss"
[space]
x = { uniform = [0, 1] }
"""
PRUNER = '[pruner]\nmethod = "asha"\nfidelity = { name = "epoch", max = 9 }\n'


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ([], None),
        ([("{args} ", "{x} ")], None),
        (
            [('name = "epoch"', 'name = "step"')],
            "{epoch} is no placeholder; {args}, {trial_dir}, {trial}, {base}, ",
        ),
        ([(PRUNER, "")], "{epoch} is no placeholder"),
        ([("{args} ", "")], "the command never sees the parameters"),
        ([("python -c", "{epoch} -c")], "{epoch} stands for the program"),
    ],
)
def test_the_fidelity_is_a_placeholder_where_there_is_one(
    changes: list[tuple[str, str]], error: str | None, tmp_path: Path
) -> None:
    text = FILE + PRUNER
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "study.toml"
    path.write_text(text)
    if error is None:
        assert read(path).evaluation.command is not None
    else:
        with pytest.raises(InputError) as caught:
            read(path)
        assert f":1: command: {error}" in str(caught.value)
