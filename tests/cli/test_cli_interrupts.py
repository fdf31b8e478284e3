"""Runs that are killed, interrupted and resumed: nothing is lost, nothing is left running."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_home import Home

from processes import alive, until

STUBBORN = """\
import os, pathlib, signal, time
if (pathlib.Path(__file__).parent / "slow").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""


def resume(home: Home, trials: int) -> None:
    """Run the study to its end, and check that it is whole."""
    (home.path / "slow").unlink(missing_ok=True)
    home.taut("run", "study.toml", "--workers", "2")
    records = home.trials()
    assert [record["number"] for record in records] == list(range(trials))
    assert {record["state"] for record in records} == {"complete"}
    assert home.taut("verify", "study.toml").code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_and_resumed(home: Home, number: signal.Signals) -> None:
    home.write("slow", "60")
    run = home.start("run", "study.toml", "--workers", "2")
    until(lambda: len(home.pids()) == 2)
    began = time.monotonic()
    run.send_signal(number)
    out, err = run.communicate(timeout=20)
    assert time.monotonic() - began < 2.0
    assert run.returncode == 130
    assert err == (
        "interrupted: 0 finished trials are safe in runs/demo; go on with: taut run study.toml --workers 2\n"
    )
    assert home.masked(out) == "study demo in runs/demo: minimize loss, 4 trials, 2 workers\n"
    assert not [pid for pid in home.pids() if alive(pid)]
    states = {record["state"] for record in home.trials()}
    assert states == {"waiting"}, "an interrupted trial goes back to the queue"
    resume(home, 4)
    assert sorted(home.calls()) == [0, 0, 1, 1, 2, 3]


def test_interrupted_after_some(home: Home) -> None:
    home.edit(("trials = 4", "trials = 40"))
    home.write("slow", "0.1")
    run = home.start("run", "study.toml", "--trials", "30")
    until(lambda: len(home.calls()) > 3)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=20)
    assert run.returncode == 130
    found = re.fullmatch(
        r"interrupted: (\d+) finished trials are safe in runs/demo; "
        r"go on with: taut run study.toml --trials 30\n",
        err,
    )
    assert found and int(found[1]) == sum(record["state"] == "complete" for record in home.trials())


def test_a_second_interrupt_kills(home: Home) -> None:
    home.edit(("train.py", "stubborn.py"))
    home.write("stubborn.py", STUBBORN + (home.path / "train.py").read_text())
    home.write("slow", "60")
    run = home.start("run", "study.toml")
    until(lambda: home.pids())
    time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert run.poll() is None and alive(home.pids()[0]), "it waits for a command that ignores SIGTERM"
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=20)
    assert time.monotonic() - began < 0.9
    assert run.returncode == 130
    assert "Traceback" not in err and err.startswith("interrupted: 0 finished trials are safe")
    until(lambda: not alive(home.pids()[0]), 1.0)
    resume(home, 4)


def test_one_interrupt_ends_a_stubborn_command_within_two_seconds(home: Home) -> None:
    home.edit(("train.py", "stubborn.py"))
    home.write("stubborn.py", STUBBORN + (home.path / "train.py").read_text())
    home.write("slow", "60")
    run = home.start("run", "study.toml")
    until(lambda: home.pids())
    time.sleep(0.1)
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    assert run.wait(20) == 130
    assert time.monotonic() - began < 2.2
    assert not alive(home.pids()[0])
    run.communicate()


def test_killed_and_resumed(home: Home) -> None:
    home.edit(("trials = 4", "trials = 12"))
    home.write("slow", "0.1")
    run = home.start("run", "study.toml", "--workers", "2")
    assert run.stdout is not None
    told = [run.stdout.readline() for _ in range(5)][1:]  # the head, then four finished trials
    run.kill()
    run.communicate()
    until(lambda: not [pid for pid in home.pids() if alive(pid)], 5.0)
    before = {record["number"]: record for record in home.trials() if record["state"] == "complete"}
    acknowledged = {int(line.split()[1]) for line in told}
    assert acknowledged <= set(before), "what was said to be finished is kept"
    status = home.taut("status", "study.toml").out
    assert "dead workers: 1" in status or " running" not in status  # it may have died between two trials
    resume(home, 12)
    after = {record["number"]: record for record in home.trials()}
    assert {n: after[n] for n in before} == before
    assert all(home.calls().count(n) == 1 for n in before), "no finished trial is run again"


def test_killed_again_and_again(home: Home) -> None:
    home.edit(("trials = 4", "trials = 10"))
    home.write("slow", "0.05")
    for _ in range(3):
        count = len(home.calls())
        run = home.start("run", "study.toml", "--workers", "2")
        until(lambda count=count: len(home.calls()) >= count + 3)  # type: ignore[misc]
        run.kill()
        run.communicate()
    resume(home, 10)


def test_interrupted_function(home: Home) -> None:
    home.edit(('command = "python train.py {args}"', 'function = "tune:objective"'))
    home.write(
        "tune.py",
        "import os, pathlib, time\n"
        "here = pathlib.Path(__file__).parent\n"
        "def objective(x, kind):\n"
        "    with open(here / 'calls', 'a') as calls:\n"
        "        calls.write(f'0 {os.getpid()}\\n')\n"
        "    while (here / 'slow').exists():\n"
        "        time.sleep(0.01)\n"
        "    return (x - 0.3) ** 2\n",
    )
    home.write("slow", "60")
    run = home.start("run", "study.toml", "--workers", "2")
    until(lambda: len(home.pids()) == 2)
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=20)
    assert time.monotonic() - began < 2.0
    assert run.returncode == 130
    assert err.startswith("interrupted: 0 finished trials are safe in runs/demo;") and err.count("\n") == 1
    assert not [pid for pid in home.pids() if alive(pid)]
    resume(home, 4)


def test_interrupted_follow(home: Home) -> None:
    home.taut("run", "study.toml")
    home.edit(("trials = 4", "trials = 5"))
    home.write("slow", "60")
    run = home.start("run", "study.toml")
    until(lambda: len(home.calls()) == 5)
    follow = home.start("status", "study.toml", "--follow")
    assert follow.stdout is not None and follow.stdout.readline() == "study demo in runs/demo\n"
    follow.send_signal(signal.SIGINT)
    _, err = follow.communicate(timeout=10)
    assert (follow.returncode, err.strip()) == (130, "interrupted")
    run.send_signal(signal.SIGINT)
    run.communicate()


def test_nohup(home: Home) -> None:
    """Who was told to ignore the end of the session goes on after it."""
    home.write("slow", "0.2")
    run = subprocess.Popen(
        ["nohup", sys.executable, "-m", "taut", "run", "study.toml"],
        cwd=home.path,
        env=home.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: home.calls())
    run.send_signal(signal.SIGHUP)
    out, _ = run.communicate(timeout=30)
    assert run.returncode == 0
    assert "all 4 trials are finished (4 complete)" in out


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_without_an_output(home: Home, closed: str) -> None:
    """As some daemons start their jobs."""
    code = f"exec {sys.executable} -m taut run study.toml {closed}"
    said = subprocess.run(
        ["bash", "-c", code],
        cwd=home.path,
        env=home.environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert home.calls() == [0, 1, 2, 3]


# ---------------------------------------------------------------------- on a terminal


def on_a_terminal(home: Home, *args: str) -> tuple[int, int]:
    """`taut ARGS` on a terminal of its own: its process and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home.path)
        os.execve(sys.executable, [sys.executable, "-m", "taut", *args], home.environment())
    return pid, terminal


def read_all(terminal: int) -> str:
    """What appeared, up to the end; with colours, and moves of the cursor."""
    found = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            os.close(terminal)
            return found.decode()
        found += data


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_live_line(home: Home) -> None:
    home.edit(("trials = 4", "trials = 6"))
    home.write("slow", "0.2")
    pid, terminal = on_a_terminal(home, "run", "study.toml", "--workers", "2")
    text = read_all(terminal)
    assert exit_code(pid) == 0
    seen = plain(text)
    assert "Traceback" not in seen
    assert re.search(r"[0-5] of 6 trials finished, [12] running", seen)
    assert re.search(r"best loss=0\.04 \(trial 0\)", seen)
    assert re.search(r"about \d+(\.\d)? s left", seen)
    assert "all 6 trials are finished (6 complete)" in seen
    assert seen.splitlines()[0] == "study demo in runs/demo: minimize loss, 6 trials, 2 workers"
    assert "\x1b[?25h" in text.rpartition("\x1b[?25l")[2], "the cursor is shown again"


def test_the_live_line_lives_while_nothing_ends(home: Home) -> None:
    """Trials may take hours; the line says from the start how many run."""
    home.write("slow", "60")
    pid, terminal = on_a_terminal(home, "run", "study.toml", "--workers", "2")
    until(lambda: len(home.pids()) == 2)
    time.sleep(0.8)
    os.write(terminal, b"\x03")  # Ctrl-C
    text = plain(read_all(terminal))
    assert exit_code(pid) == 130
    assert "0 of 4 trials finished, 2 running" in text
    assert "Traceback" not in text
    assert "interrupted: 0 finished trials are safe in runs/demo" in text
    assert not [pid for pid in home.pids() if alive(pid)]


def test_a_terminal_that_is_closed(home: Home) -> None:
    home.write("slow", "60")
    pid, terminal = on_a_terminal(home, "run", "study.toml", "--workers", "2")
    until(lambda: len(home.pids()) == 2)
    os.close(terminal)  # the kernel sends SIGHUP; nothing can be written any more
    began = time.monotonic()
    assert exit_code(pid) == 130
    assert time.monotonic() - began < 2.0
    assert not [pid for pid in home.pids() if alive(pid)]
    assert {record["state"] for record in home.trials()} == {"waiting"}
    resume(home, 4)


def test_failures_are_seen_on_a_terminal(home: Home) -> None:
    home.edit(("python train.py {args}", "python train.py {args} --odd"))
    pid, terminal = on_a_terminal(home, "run", "study.toml")
    text = plain(read_all(terminal))
    assert exit_code(pid) == 1
    assert "trial 0 failed after" in text and "unrecognized arguments: --odd" in text
    assert "[/" not in text and "Traceback" not in text


# ---------------------------------------------------------------------- pipes that close


@pytest.mark.parametrize(
    "args",
    [
        "trials study.toml",
        "trials study.toml --json",
        "status study.toml",
        "sample study.toml --index 0",
        "doctor",
        "--help",
    ],
)
def test_a_closed_pipe_is_quiet(finished: Home, args: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = finished.start(*args.split(), stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=30)
    assert err == ""
    assert process.returncode in (0, 141)


def test_head(finished: Home) -> None:
    process = finished.start("trials", "study.toml", "--json")
    assert process.stdout is not None and process.stdout.readline() == "[\n"
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert err == ""


def test_a_full_disk_is_no_traceback(finished: Home) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        process = finished.start("trials", "study.toml", stdout=full)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in err and "No space left on device" in err
