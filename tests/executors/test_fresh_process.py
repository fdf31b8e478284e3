"""A process for each trial, and trials that run out of memory: what one leaves behind must not reach the next."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import taut
from processes import SOURCE, script, unmetered
from taut.definition import Evaluation
from taut.errors import InputError
from taut.executors.base import Outcome, Task
from taut.executors.command import CommandExecutor
from taut.executors.pool import PoolExecutor
from taut.executors.shortage import shortage
from taut.studyfile import read

SPACE = taut.Space(x=taut.uniform(0, 1))

LEAVES = """
    import atexit, os
    from pathlib import Path

    kept = []

    def train(x):
        kept.append(x)
        atexit.register(Path(__file__).with_name(f"left.{os.getpid()}").touch)
        return {"loss": float(len(kept)), "process": os.getpid()}
"""


def pool(base: Path, name: str, **options: object) -> PoolExecutor:
    return PoolExecutor(name, slots=1, names=["x"], main=["loss"], base=str(base), **options)  # type: ignore[arg-type]


def outcomes(
    executor: PoolExecutor | CommandExecutor, base: Path, count: int, then: float = 0.0
) -> list[Outcome]:
    found: list[Outcome] = []
    until = time.monotonic() + 40.0
    for number in range(count):
        executor.start(Task(number, 0, {"x": number + then}, str(base / "trials" / str(number))))
        while len(found) <= number:
            assert time.monotonic() < until
            found += [message for message in executor.poll(0.5) if isinstance(message, Outcome)]
    return found


@pytest.mark.parametrize("fresh", [False, True])
def test_nothing_is_left_to_the_next_trial(fresh: bool, tmp_path: Path) -> None:
    script(tmp_path, LEAVES, "leaves.py")
    executor = pool(tmp_path, "leaves:train", fresh=fresh)
    try:
        found = outcomes(executor, tmp_path, 3)
    finally:
        executor.close()
    assert [outcome.values["loss"] for outcome in found] == ([1, 1, 1] if fresh else [1, 2, 3])
    processes = {int(outcome.values["process"]) for outcome in found}
    assert len(processes) == (3 if fresh else 1)
    if fresh:  # each was let to end as programs do
        assert all((tmp_path / f"left.{pid}").exists() for pid in processes)
    assert all("cpu_seconds" in outcome.used for outcome in found)


def test_a_fresh_process_that_cannot_load_any_more(tmp_path: Path) -> None:
    path = script(tmp_path, "def train(x):\n    return x\n", "loads.py")
    executor = pool(tmp_path, "loads:train", fresh=True, timeout=30.0)
    try:
        assert outcomes(executor, tmp_path, 1)[0].values == {"loss": 0.0}
        path.write_text(
            "raise RuntimeError('the disk is gone')\n"
        )  # the next process has begun by now, the one after has not
        _, third = outcomes(executor, tmp_path, 2)
        assert "the disk is gone" in str(third.error) and third.values == {}
    finally:
        executor.stop(kill=True)
        executor.close()


def test_of_a_study(tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", SPACE, minimize="loss", sampler="random")
    study.run(lambda x: {"loss": x, "process": os.getpid()}, trials=3, fresh_process=True)
    assert len({trial.values["process"] for trial in study.trials} - {os.getpid()}) == 3
    with pytest.raises(InputError, match="fresh_process: the pool decides"):
        study.run(lambda x: x, trials=4, fresh_process=True, executor=object())  # type: ignore[arg-type]


FILE = 'minimize = "loss"\nfresh_process = {value}\n{what}\n[space]\nx = {{ uniform = [0, 1] }}\n'


def test_in_a_study_file(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FILE.format(value="true", what='function = "m:f"'))
    assert read(file).evaluation.fresh_process
    file.write_text(FILE.format(value='"yes"', what='function = "m:f"'))
    with pytest.raises(InputError, match='fresh_process: "yes" is not allowed; true and false'):
        read(file)
    file.write_text(FILE.format(value="true", what='command = "train {args}"'))
    with pytest.raises(InputError, match=":2: fresh_process: a command has a process of its own"):
        read(file)


def test_on_the_command_line(tmp_path: Path) -> None:
    script(tmp_path, "import os\n\ndef f(x):\n    return {'loss': x, 'process': os.getpid()}\n", "m.py")
    text = FILE.format(value="true", what='function = "m:f"')
    (tmp_path / "study.toml").write_text(text + "[budget]\ntrials = 2\n")
    words = [sys.executable, "-m", "taut", "run", str(tmp_path / "study.toml"), "--dir", str(tmp_path / "s")]
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len({trial.values["process"] for trial in taut.Study(tmp_path / "s").trials}) == 2


# --- out of memory -----------------------------------------------------------------------------------------


GREEDY = """
    import os, resource

    def train(x):
        if x == 1:
            resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.RLIM_INFINITY))
            try:
                return len(bytearray(8 << 30))
            finally:
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        return os.getpid()
"""


def test_a_trial_that_runs_out_of_memory_fails_and_its_process_lives_on(tmp_path: Path) -> None:
    script(tmp_path, GREEDY, "greedy.py")
    executor = pool(tmp_path, "greedy:train")
    try:
        before, much, after = outcomes(executor, tmp_path, 3)
    finally:
        executor.close()
    first, *_, last = str(much.error).splitlines()
    assert first == "ran out of memory" and last == "MemoryError"
    assert before.values == after.values  # the same process


def test_samplers_see_such_a_trial_as_one_that_cannot_be() -> None:
    study = taut.Study(None, SPACE, minimize="loss", sampler="gp")

    def train(x: float) -> float:
        if x > 0.5:
            raise MemoryError
        return -x

    study.run(train, trials=20)
    failed = [trial for trial in study.trials if trial.state == "failed"]
    assert failed and all(trial.error and trial.error.startswith("ran out of memory") for trial in failed)
    assert all(trial.attempts == 1 for trial in failed)  # the same again would end the same way
    late = [trial.params["x"] for trial in study.trials][10:]
    assert sum(x > 0.5 for x in late) <= 4 and study.best.params["x"] > 0.4


def test_a_command_that_says_so_at_its_end(tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        import sys
        print("CUDA is fine so far", file=sys.stderr)
        if sys.argv[1] == "1.0":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; ...)")
        raise RuntimeError("the data is gone")
        """,
        "train.py",
    )
    evaluation = Evaluation(command=[sys.executable, "train.py", "{x}"])
    executor = CommandExecutor(evaluation, base=tmp_path, slots=1, objectives=["loss"])
    try:
        other, much = (unmetered(outcome) for outcome in outcomes(executor, tmp_path, 2))
    finally:
        executor.close()
    assert str(much.error).startswith("ran out of GPU memory (exit code 1)\n")
    assert str(other.error).startswith("exit code 1\n")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "GPU memory"),
        ("torch.cuda.OutOfMemoryError: HIP out of memory.", "GPU memory"),
        ("RuntimeError: CUDA error: out of memory", "GPU memory"),
        ("RuntimeError: MPS backend out of memory (MPS allocated: ...", "GPU memory"),
        ("cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 1 bytes", "GPU memory"),
        (
            "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying",
            "GPU memory",
        ),
        ("ResourceExhaustedError: OOM when allocating tensor with shape[1]", "GPU memory"),
        ("MemoryError", "memory"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7 GiB for an array", "memory"),
        (
            "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you",
            "memory",
        ),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "memory"),
        ("OSError: [Errno 12] Cannot allocate memory", "memory"),
        ("ValueError: CUDA is not available", None),
        ("KeyError: 'MemoryError'", None),
        ("RuntimeError: out of patience", None),
        ("warning: CUDA out of memory, retrying with 32\nValueError: labels are missing", None),
        ("RESOURCE_EXHAUSTED: quota exceeded: retrying API call", None),
        ("CUDA error: out of memory\nretrying\nno data", None),
        (
            "[rank0]: torch.OutOfMemoryError: CUDA out of memory.\nwandb: synced\n"
            "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:\n====",
            "GPU memory",
        ),
    ],
)
def test_how_libraries_say_it(text: str, what: str | None) -> None:
    assert shortage(text) == (None if what is None else f"ran out of {what}")
    assert shortage(f"Traceback ...\n  line\n{text}") == shortage(text)


def test_what_numpy_and_torch_really_say() -> None:
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    for make in (lambda: numpy.ones(1 << 50), lambda: torch.ones(1 << 50)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            make()
        assert shortage(f"{caught.type.__name__}: {caught.value}") == "ran out of memory"


LINGERS = """
    import threading, time

    time.sleep(0.5)

    def train(x):
        threading.Thread(target=time.sleep, args=(30 if x == 0 else 0,)).start()  # a logger that never ends
        time.sleep(0.8)
        return x
"""


def test_a_process_that_does_not_end_holds_nobody_else_up(tmp_path: Path) -> None:
    script(tmp_path, LINGERS, "lingers.py")
    executor = PoolExecutor(
        "lingers:train", slots=2, names=["x"], main=["loss"], base=str(tmp_path), fresh=True, timeout=1.5
    )
    try:
        found: list[Outcome] = []
        longest, todo = 0.0, [Task(number, 0, {"x": number}, None) for number in range(5)]
        executor.start(todo.pop(0))
        executor.start(todo.pop(0))
        while len(found) < 5:
            begun = time.monotonic()
            news = [message for message in executor.poll(0.1) if isinstance(message, Outcome)]
            longest = max(longest, time.monotonic() - begun)
            found += news
            for _ in news[: len(todo)]:
                executor.start(todo.pop(0))
    finally:
        executor.stop(kill=True)
        executor.close()
    assert {outcome.number: outcome.error for outcome in found} == dict.fromkeys(range(5))  # none was late
    assert longest < 1.5
