"""The command executor with real processes."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import PATIENCE, alive, unmetered
from taut import machine
from taut.definition import Evaluation, Results
from taut.errors import InputError, StudyError
from taut.executors.base import Message, Outcome, Report, Task
from taut.executors.command import CommandExecutor
from taut.trial import trial_seed

KILLED = "killed by SIGKILL" + (" (out of memory?)" if machine.kills() is None else "")
SOURCE = str(Path(__file__).parents[2] / "src")
WAIT = 20.0  # seconds that a busy machine may take for what takes milliseconds


class Bench:
    """A study's base directory and executors over it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.open: list[CommandExecutor] = []

    def script(self, text: str, name: str = "train.py") -> None:
        (self.base / name).write_text(textwrap.dedent(text))

    def executor(
        self, *command: str, slots: int = 2, objectives: Any = ("loss",), **more: Any
    ) -> CommandExecutor:
        arguments = {key: more.pop(key) for key in ("needed", "parameters") if key in more}
        command = command or (sys.executable, "train.py", "{args}")
        made = CommandExecutor(
            Evaluation(command=list(command), **more),
            base=self.base,
            slots=slots,
            objectives=objectives,
            **arguments,
        )
        self.open.append(made)
        return made

    def task(self, number: int = 0, attempt: int = 0, **params: Any) -> Task:
        return Task(number, attempt, params, str(self.base / "run" / "trials" / str(number)), 11)

    def run(self, executor: CommandExecutor, task: Task) -> tuple[Outcome, list[Report]]:
        executor.start(task)
        messages = until(executor, lambda found: any(isinstance(m, Outcome) for m in found))
        (outcome,) = [m for m in messages if isinstance(m, Outcome)]
        return outcome, [m for m in messages if isinstance(m, Report)]

    def file(self, name: str, number: int = 0) -> str:
        return (self.base / "run" / "trials" / str(number) / name).read_text()


def until(executor: CommandExecutor, enough: Callable[[list[Message]], bool]) -> list[Message]:
    found: list[Message] = []
    end = time.monotonic() + WAIT
    while not enough(found):
        assert time.monotonic() < end, f"only {found}"
        found += map(unmetered, executor.poll(0.5))
    return found


def appear(path: Path) -> str:
    """The text of a file that somebody writes soon."""
    end = time.monotonic() + WAIT
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.01)
    return path.read_text()


def vanish(pids: list[int], seconds: float) -> float:
    """Waits until all are gone, and returns how long it took."""
    start = time.monotonic()
    while any(alive(pid) for pid in pids):
        assert time.monotonic() - start < PATIENCE * seconds, (
            f"{[pid for pid in pids if alive(pid)]} still run"
        )
        time.sleep(0.01)
    return time.monotonic() - start


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for executor in bench.open:
        executor.stop(kill=True)
        executor.close()


# --- what the command is given -------------------------------------------------------------------

TELL = """
    import json, os, sys
    print(json.dumps({"args": sys.argv[1:], "cwd": os.getcwd(), "stdin": sys.stdin.read(),
                      "group": os.getpgid(0) == os.getpid() == os.getsid(0), "env": dict(os.environ)}))
    open(os.environ["TAUT_REPORT"], "a").write('{"loss": 0.5}\\n')
"""


def test_an_unchanged_script(bench: Bench) -> None:
    bench.script(TELL)
    outcome, reports = bench.run(bench.executor(), bench.task(3, lr=1e-05, optim="sgd"))
    assert outcome == Outcome(3, 0, {"loss": 0.5}) and reports == []
    told = json.loads(bench.file("stdout", 3))
    directory = str(bench.base / "run" / "trials" / "3")
    assert told["args"] == ["--lr", "1e-05", "--optim", "sgd"]
    assert (told["cwd"], told["stdin"], told["group"]) == (directory, "", True)
    env = told["env"]
    assert {key: env[key] for key in env if key.startswith("TAUT_") and key != "TAUT_GUARDIAN"} == {
        "TAUT_TRIAL": "3",
        "TAUT_ATTEMPT": "0",
        "TAUT_PARAMS": '{"lr": 1e-05, "optim": "sgd"}',
        "TAUT_SEED": str(trial_seed(11, 3)),
        "TAUT_TRIAL_DIR": directory,
        "TAUT_REPORT": f"{directory}/report.jsonl",
        "TAUT_CHECKPOINT_DIR": f"{directory}/checkpoint",
    }
    assert env["PYTHONPATH"].split(os.pathsep)[0] == str(bench.base)
    assert env["PYTHONUNBUFFERED"] == os.environ.get("PYTHONUNBUFFERED", "1")


@pytest.mark.parametrize(
    "value", ["a b", "'\"", "$(rm -rf x)", "`id`", "a\nb", "*", "; ls", "", "ü", "{lr}", "\\"]
)
@pytest.mark.parametrize("style", ["--k v", "--k=v", "k=v"])
def test_a_value_is_one_argument(bench: Bench, value: str, style: Any) -> None:
    bench.script(TELL)
    executor = bench.executor(sys.executable, "train.py", "{args}", "--name=<{x}>", style=style)
    bench.run(executor, bench.task(x=value))
    spelled = {"--k v": ["--x", value], "--k=v": [f"--x={value}"], "k=v": [f"x={value}"]}[style]
    assert json.loads(bench.file("stdout"))["args"] == [*spelled, f"--name=<{value}>"]


def test_placeholders_and_working_directory(bench: Bench) -> None:
    (bench.base / "work").mkdir()
    bench.script(TELL, "work/train.py")
    executor = bench.executor(sys.executable, "train.py", "{trial}", "{trial_dir}/out", "{base}", cwd="work")
    bench.run(executor, bench.task(2))
    told = json.loads(bench.file("stdout", 2))
    assert told["args"] == ["2", f"{bench.base}/run/trials/2/out", str(bench.base)]
    assert told["cwd"] == str(bench.base / "work")


def test_a_patched_config(bench: Bench) -> None:
    (bench.base / "base.json").write_text('{"lr": 0.1, "model": {"depth": 2}}')
    bench.script(TELL)
    executor = bench.executor(
        sys.executable,
        "train.py",
        "--config",
        "{config}",
        config="base.json",
        parameters=["lr", "model__depth"],
    )
    bench.run(executor, bench.task(lr=0.25, model__depth=3))
    (_, path) = json.loads(bench.file("stdout"))["args"]
    assert path == f"{bench.base}/run/trials/0/base.json"
    assert json.loads(Path(path).read_text()) == {"lr": 0.25, "model": {"depth": 3}}


def test_a_later_attempt_has_files_of_its_own(bench: Bench) -> None:
    bench.script(TELL)
    executor = bench.executor()
    bench.run(executor, bench.task())
    first = bench.file("stdout")
    outcome, _ = bench.run(executor, bench.task(attempt=2))
    assert outcome == Outcome(0, 2, {"loss": 0.5})
    assert bench.file("stdout") == first
    assert json.loads(bench.file("stdout.2"))["env"]["TAUT_REPORT"].endswith("/0/report.jsonl.2")
    assert bench.file("stderr.2") == ""
    # Begun again after a crash: what the same attempt had reported does not count.
    bench.script("print('nothing')")
    outcome, _ = bench.run(executor, bench.task(attempt=2))
    assert outcome.error is not None and bench.file("stdout.2") == "nothing\n"


def test_a_parameter_can_be_too_long_or_impossible(bench: Bench) -> None:
    bench.script(TELL)
    executor = bench.executor()
    outcome, _ = bench.run(executor, bench.task(1, x="a\0b"))
    assert outcome == Outcome(1, 0, {}, "the command cannot be started: embedded null byte")
    outcome, _ = bench.run(executor, bench.task(2, x="a" * 3_000_000))
    assert outcome == Outcome(2, 0, {}, "the command cannot be started: Argument list too long")
    outcome, _ = bench.run(executor, bench.task(3, x=["a", "-b"]))
    assert outcome.error is not None and "use style" in outcome.error


# --- what is refused before anything is started ----------------------------------------------------


@pytest.mark.parametrize(
    ("command", "more", "message"),
    [
        (
            (),
            {"command": []},
            'command: the command is empty; write for instance command = "python train.py {args}"',
        ),
        (
            ("no-such-program", "x"),
            {},
            "command: the program 'no-such-program' was not found in PATH; install it, load its module or "
            "activate its environment first, or give its whole path",
        ),
        (("true", "{config}"), {}, 'command: {config} needs a file to patch: config = "base.yaml"'),
        (
            ("true",),
            {"config": "base.json"},
            "config: the command does not use the patched copies of base.json; put {config} in it, "
            "for instance --config {config}",
        ),
        (
            ("true", "{config}"),
            {"config": "base.json", "parameters": ["learn_rate"]},
            "space.learn_rate: base.json has no key 'learn_rate'; add it there with its usual value, or give "
            "the parameter as {learn_rate} in the command; did you mean 'learning_rate'?",
        ),
        (
            ("true",),
            {"cwd": "nowhere"},
            "cwd: the directory 'nowhere' does not exist (looked for BASE/nowhere)",
        ),
    ],
)
def test_refused(bench: Bench, command: tuple[str, ...], more: dict[str, Any], message: str) -> None:
    (bench.base / "base.json").write_text('{"learning_rate": 0.1}')
    before = sorted(bench.base.rglob("*"))
    with pytest.raises(InputError) as caught:
        if "command" in more:
            CommandExecutor(Evaluation(command=[]), base=bench.base, slots=1, objectives=["loss"])
        bench.executor(*command, **more)
    assert str(caught.value).replace(str(bench.base), "BASE") == message
    assert sorted(bench.base.rglob("*")) == before


def test_a_program_that_vanishes_is_no_failed_trial(bench: Bench) -> None:
    bench.script("#!/bin/sh\n", "tool.sh")
    (bench.base / "tool.sh").chmod(0o755)
    executor = bench.executor("./tool.sh")
    (bench.base / "tool.sh").unlink()
    with pytest.raises(StudyError) as caught:
        executor.start(bench.task())
    assert str(caught.value) == f"{bench.base}/tool.sh cannot be started: No such file or directory"


def test_a_directory_that_cannot_be_made(bench: Bench) -> None:
    bench.script(TELL)
    (bench.base / "run").write_text("in the way")
    with pytest.raises(StudyError, match=r"^trial 0 cannot write its files: \[Errno 20\] Not a directory"):
        bench.executor().start(bench.task())


# --- what comes back -------------------------------------------------------------------------------


def test_reports_arrive_while_the_command_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.script(
        """
        import os, sys, time
        from taut.reporting import report
        report(step=1, loss=2.0)
        print("{'loss': 9.0, 'epoch': 0.5}", end="", flush=True)   # torn
        while not os.path.exists("go"): time.sleep(0.01)
        print()
        report(step=2, loss=1.0, acc=0.5)
        report(loss=0.75)
        """
    )
    monkeypatch.setenv("PYTHONPATH", f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    executor = bench.executor(results=Results(stdout="hf"))
    executor.start(bench.task())
    first = until(executor, lambda found: bool(found))
    assert first == [Report(0, 0, 1.0, {"loss": 2.0})]
    (bench.base / "run" / "trials" / "0" / "go").touch()
    rest = until(executor, lambda found: any(isinstance(m, Outcome) for m in found))
    assert rest[-1] == Outcome(0, 0, {"loss": 0.75, "acc": 0.5})
    assert sorted(rest[:-1], key=lambda m: m.step) == [  # type: ignore[union-attr]
        Report(0, 0, 0.5, {"loss": 9.0}),
        Report(0, 0, 2.0, {"loss": 1.0, "acc": 0.5}),
    ]


def test_numbers_from_stdout_json_and_csv(bench: Bench) -> None:
    bench.script(
        """
        import json
        print("val: 0.5", flush=True)
        open("m.csv", "w").write("epoch,acc\\n1,0.25\\n2,0.75\\n")
        json.dump({"eval": {"f1": 0.125}}, open("r.json", "w"))
        """
    )
    results = Results(stdout=r"val: (?P<val>\S+)", json="r.json", csv="m.csv")
    executor = bench.executor(objectives=["val", "acc"], needed=["eval_f1"], results=results)
    outcome, reports = bench.run(executor, bench.task())
    assert outcome == Outcome(0, 0, {"val": 0.5, "acc": 0.75, "eval_f1": 0.125})
    assert reports == [Report(0, 0, 1.0, {"acc": 0.25}), Report(0, 0, 2.0, {"acc": 0.75})]


def test_values_that_are_not_finite_are_passed_on(bench: Bench) -> None:
    bench.script("import os; open(os.environ['TAUT_REPORT'], 'w').write('{\"loss\": NaN}')")
    outcome, _ = bench.run(bench.executor(), bench.task())
    assert outcome.error is None and math.isnan(outcome.values["loss"])


def test_a_missing_metric_is_a_failure_that_says_so(bench: Bench) -> None:
    bench.script("import os; open(os.environ['TAUT_REPORT'], 'w').write('{\"los\": 1}')")
    outcome, _ = bench.run(bench.executor(), bench.task())
    assert outcome == Outcome(
        0,
        0,
        {},
        "loss was not reported; found los; did you mean 'los'? Report it with taut.report(loss=...), as a "
        "JSON line in the file $TAUT_REPORT, or say in [results] where it stands (stdout, json, csv)",
    )


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("import sys; print('out'); sys.exit('wrong flag')", "exit code 1\nwrong flag"),
        ("import sys; print('only out'); print(); sys.exit(3)", "exit code 3\nonly out"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", KILLED),
        ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
        ("import sys; sys.exit(137)", "exit code 137 (killed by SIGKILL; out of memory?)"),
        (
            "import sys\nfor i in range(100): print(i, file=sys.stderr)\n"
            "sys.stderr.write('10%\\r20%\\r'); sys.exit(2)",
            "exit code 2\n" + "\n".join(map(str, range(81, 100))) + "\n20%",
        ),
    ],
)
def test_failures_say_why(bench: Bench, script: str, error: str) -> None:
    bench.script(script)
    outcome, _ = bench.run(bench.executor(), bench.task())
    assert outcome == Outcome(0, 0, {}, error)


# --- time and processes ----------------------------------------------------------------------------

GRANDCHILD = """
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", CODE])
    with open("pids.tmp", "w") as file: file.write(f"{os.getpid()} {child.pid}\\n")
    os.rename("pids.tmp", "pids")
    WAIT
"""


def family(code: str = "'import time; time.sleep(60)'", wait: str = "time.sleep(60)") -> str:
    return GRANDCHILD.replace("CODE", code).replace("WAIT", wait)


STUBBORN = "'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'"


def pids(bench: Bench, number: int = 0) -> list[int]:
    text = appear(bench.base / "run" / "trials" / str(number) / "pids")
    return [int(word) for word in text.split()]


def test_timeout(bench: Bench) -> None:
    bench.script(family(STUBBORN, "print('working', flush=True); time.sleep(60)"))
    executor = bench.executor(timeout=1.0)
    start = time.monotonic()
    outcome, _ = bench.run(executor, bench.task())
    assert outcome == Outcome(0, 0, {}, "timed out after 1 s\nworking")
    assert 1.0 <= time.monotonic() - start < 1.9  # the leader obeys SIGTERM
    vanish(pids(bench), 1.0)


def test_timeout_of_a_command_that_ignores_sigterm(bench: Bench) -> None:
    bench.script("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")
    executor = bench.executor(timeout=0.5)
    start = time.monotonic()
    outcome, _ = bench.run(executor, bench.task())
    assert outcome == Outcome(0, 0, {}, "timed out after 0.5 s")
    assert 1.5 <= time.monotonic() - start < 2.5


def test_grandchildren_die_with_their_command(bench: Bench) -> None:
    bench.script(family(STUBBORN, "import os; open(os.environ['TAUT_REPORT'], 'w').write('{\"loss\": 1}')"))
    outcome, _ = bench.run(bench.executor(), bench.task())
    assert outcome.error is None
    vanish(pids(bench), 1.0)


@pytest.mark.parametrize("kill", [False, True])
def test_stop(bench: Bench, kill: bool) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    bench.script(family(STUBBORN, f"{'' if kill else stubborn}; time.sleep(60)".lstrip("; ")))
    executor = bench.executor()
    for number in range(2):
        executor.start(bench.task(number))
    running = pids(bench, 0) + pids(bench, 1)
    time.sleep(0.3)
    start = time.monotonic()
    executor.stop(kill)
    took = time.monotonic() - start
    assert took < 0.5 if kill else 1.4 < took < 2.0
    assert not any(alive(pid) for pid in running[::2])
    vanish(running, 0.5)
    executor.stop()
    assert list(executor.poll(0)) == []


def test_stop_lets_commands_end_by_themselves(bench: Bench) -> None:
    bench.script(
        """
        import signal, sys, time
        def end(*_):
            open("saved", "w").write("checkpoint\\n"); sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        open("ready", "w").write("yes\\n")
        time.sleep(60)
        """
    )
    executor = bench.executor()
    executor.start(bench.task())
    appear(bench.base / "run" / "trials" / "0" / "ready")
    start = time.monotonic()
    executor.stop()
    assert time.monotonic() - start < 1.0
    assert bench.file("saved") == "checkpoint\n"
    assert list(executor.poll(0)) == []


def wakes(bench: Bench) -> list[float]:
    """How late `poll` returns after the end of a command, in seconds."""
    bench.script("import os, time; open('end', 'w').write(repr(time.time())); os._exit(0)")
    late = []
    executor = bench.executor()
    for number in range(8):
        executor.start(bench.task(number))
        until(executor, bool)
        late.append(time.time() - float(bench.file("end", number)))
    return sorted(late)


def test_poll_wakes_promptly(bench: Bench) -> None:
    assert wakes(bench)[2] < 0.010  # of eight, since the machine may be busy


def test_without_pidfd_it_still_wakes_promptly(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing, raising=False)
    assert wakes(bench)[2] < 0.020


def test_waiting_costs_little(bench: Bench) -> None:
    bench.script("import time; time.sleep(60)")
    executor = bench.executor(slots=4)
    for number in range(4):
        executor.start(bench.task(number))
    executor.poll(0.5)
    before = time.process_time()
    start = time.monotonic()
    assert list(executor.poll(2.0)) == []
    assert 1.9 < time.monotonic() - start < 2.5
    assert time.process_time() - before < 0.1  # of two seconds, on a machine where a tick may count for more


def test_poll_returns_at_once_what_is_known(bench: Bench) -> None:
    start = time.monotonic()
    assert list(bench.executor("true").poll(0)) == []
    assert time.monotonic() - start < 0.1


WORKER = """
    import sys, time
    from pathlib import Path
    from taut.definition import Evaluation
    from taut.executors.base import Task
    from taut.executors.command import CommandExecutor
    from taut.executors.guardian import Guardian

    base = Path(sys.argv[1])
    evaluation = Evaluation(command=[sys.executable, "train.py"])
    executor = CommandExecutor(evaluation, base=base, slots=2, objectives=["loss"])
    if sys.argv[2] == "unregistered":   # dies between a command's start and its registration
        Guardian.watch = lambda self, group: None
    for number in range(2):
        executor.start(Task(number, 0, {}, str(base / "run" / "trials" / str(number)), 0))
    executor.poll(60)
"""


@pytest.mark.parametrize("case", ["registered", "unregistered"])
def test_commands_die_with_a_worker_killed_by_sigkill(bench: Bench, case: str) -> None:
    bench.script(
        family(STUBBORN, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")
    )
    bench.script(WORKER, "worker.py")
    plugins = os.pathsep.join(path for path in sys.path if path)
    worker = subprocess.Popen(
        [sys.executable, str(bench.base / "worker.py"), str(bench.base), case],
        env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{plugins}"},
    )
    try:
        running = pids(bench, 0) + pids(bench, 1)
        assert all(alive(pid) for pid in running)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    took = vanish(running, 2.5)
    assert took > 0.5  # SIGTERM came first


def test_many_short_commands(bench: Bench) -> None:
    bench.script('#!/bin/sh\necho "{\\"loss\\": $TAUT_TRIAL}" > "$TAUT_REPORT"\n', "tool.sh")
    (bench.base / "tool.sh").chmod(0o755)
    executor = bench.executor("./tool.sh")
    found: list[Message] = []
    for number in range(100):
        executor.start(bench.task(number))
        if number:
            count = len(found)
            while len(found) == count:
                found += executor.poll(1.0)
    found += until(executor, lambda rest: len(rest) + len(found) >= 100)
    assert {m.number: m.values for m in found if isinstance(m, Outcome)} == {
        n: {"loss": n} for n in range(100)
    }
    executor.close()
    executor.close()
