"""taut.report: one whole line for each call, silence outside of taut, errors that name the value."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taut.reporting import report


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "report.jsonl"
    monkeypatch.setenv("TAUT_REPORT", str(path))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_without_taut_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAUT_REPORT", raising=False)
    assert report(step=1, loss=0.5) is False


def test_each_call_is_a_line(path: Path) -> None:
    assert report(step=1, loss=0.5, tokens=3)
    assert report(loss=0.25)
    assert path.read_text() == '{"step": 1, "loss": 0.5, "tokens": 3}\n{"loss": 0.25}\n'


def test_scalars_of_numpy_and_other_libraries(path: Path) -> None:
    class Tensor:
        def __float__(self) -> float:
            return 0.125

    report(step=np.int64(4), a=np.float32(0.5), b=Tensor(), c=True, d=np.array(2.0))
    assert lines(path) == [{"step": 4.0, "a": 0.5, "b": 0.125, "c": 1.0, "d": 2.0}]


def test_nan_and_inf_are_passed_on(path: Path) -> None:
    report(loss=float("nan"), worst=float("inf"))
    (line,) = lines(path)
    assert math.isnan(line["loss"]) and line["worst"] == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: report(step=1),
            "taut.report() needs a metric, for instance taut.report(step=1, eval_loss=0.3)",
        ),
        (
            lambda: report(loss="0.5"),  # type: ignore[arg-type]
            "taut.report(loss=...): '0.5' is not a number; give one that float() takes",
        ),
        (
            lambda: report(step=[1], loss=1),  # type: ignore[arg-type]
            "taut.report(step=...): [1] is not a number; give one that float() takes",
        ),
    ],
)
def test_errors(path: Path, call: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == message
    assert not path.exists()


def test_lines_of_several_processes_never_mix(path: Path) -> None:
    code = (
        "import sys; from taut.reporting import report\n"
        "for i in range(300): report(step=i, **{sys.argv[1] * 50: i})"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, letter], env={**os.environ, "PYTHONPATH": _source()})
        for letter in "abcd"
    ]
    assert [process.wait() for process in processes] == [0] * 4
    assert len(lines(path)) == 1200


def test_importing_it_needs_the_standard_library_alone() -> None:
    # As a single file too: it may be copied next to a script in another environment.
    path = str(Path(_source(), "taut", "reporting.py"))
    alone = f"import runpy, sys; runpy.run_path({path!r}); print(sorted(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-S", "-c", alone], capture_output=True, text=True, check=True
    ).stdout
    assert "msgspec" not in out and "numpy" not in out


def _source() -> str:
    return str(Path(__file__).parents[1] / "src")


# --- should_checkpoint -----------------------------------------------------------------------------


def asked(text: str, inside: bool = True) -> str:
    """What a script says that looks whether it should checkpoint, inside of taut or not."""
    environment = {**os.environ, "PYTHONPATH": _source(), "TAUT_REPORT": "/dev/null" if inside else ""}
    head = "import os, signal, threading\nfrom taut.reporting import should_checkpoint\n"
    head += "def ask(): os.kill(os.getpid(), signal.SIGUSR1)\n"
    ran = subprocess.run(
        [sys.executable, "-c", head + text], capture_output=True, text=True, env=environment, timeout=20
    )
    return ran.stdout if ran.returncode == 0 else f"{ran.returncode} {ran.stderr}"


def test_should_checkpoint_once_the_signal_came() -> None:
    assert asked("print(should_checkpoint()); ask(); print(should_checkpoint(), should_checkpoint())") == (
        "False\nTrue True\n"
    )


def test_without_taut_nothing_is_taken() -> None:
    text = "print(should_checkpoint(), signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL)"
    assert asked(text, inside=False) == "False True\n"


def test_a_handler_that_was_there_is_called_too() -> None:
    text = "signal.signal(signal.SIGUSR1, lambda number, frame: print(number == signal.SIGUSR1))\n"
    assert asked(text + "should_checkpoint(); ask(); print(should_checkpoint())") == "True\nTrue\n"


def test_an_ignored_signal_is_heard() -> None:
    text = "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
    assert asked(text + "should_checkpoint(); ask(); print(should_checkpoint())") == "True\n"


def test_the_first_call_from_another_thread_does_no_harm() -> None:
    text = (
        "thread = threading.Thread(target=lambda: print(should_checkpoint()))\n"
        "thread.start(); thread.join()\n"
        "print(should_checkpoint()); ask(); print(should_checkpoint())"
    )
    assert asked(text) == "False\nFalse\nTrue\n"
