"""examples/charlm under asynchronous successive halving, with real checkpoints and workers that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import charlm
import taut
from taut.studyfile import read

SOURCE = Path(taut.__file__).parents[1]
TRIALS = 15
KILLS = 5


@contextmanager
def workers(folder: Path, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many `taut run`, of one trial at a time each; none is left in the end."""
    begun = [worker(folder) for _ in range(count)]
    try:
        yield begun
    finally:
        for process in begun:
            process.kill()
            process.wait()


def worker(folder: Path, file: str = "study.toml") -> subprocess.Popen[bytes]:
    with open(folder / "said", "ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "taut", "run", file],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdout=said,
            stderr=subprocess.STDOUT,
        )


def trainer(process: subprocess.Popen[bytes]) -> int:
    """The number of the warm process in which a worker trains, or else its own."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        found = [pid for pid in children if b"executors.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    except OSError:
        found = []
    return int(found[0]) if found else process.pid


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_workers_lose_little_and_find_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At random moments a worker, or the process in which it trains, is killed; another one goes on from the checkpoint."""
    pytest.importorskip("torch", reason="PyTorch trains the charlm example")
    charlm.prepare(tmp_path, "asha", TRIALS)
    study, chance = tmp_path / "runs" / "asha", random.Random(1)
    # The least that is trained: all trials once, a third of them up to epoch 3, a third of those to the end.
    least = TRIALS + TRIALS // 3 * 2 + TRIALS // 9 * 6
    moments = sorted(chance.sample(range(1, least), KILLS))
    kills, restarts, deadline = 0, 0, time.monotonic() + 200.0
    with workers(tmp_path, 2) as running:
        while any(process.poll() != 0 for process in running):
            assert time.monotonic() < deadline, (tmp_path / "said").read_text()
            for place, process in enumerate(running):
                if process.poll() not in (None, 0):  # it was killed, or could not load what it trains
                    restarts += 1
                    assert restarts <= kills, (tmp_path / "said").read_text()
                    running[place] = worker(tmp_path)
            if kills < KILLS and len(charlm.trained(study)) >= moments[kills]:
                time.sleep(chance.uniform(0.0, 0.2))
                victim = chance.choice(running)
                if victim.poll() is None:
                    os.kill(chance.choice((victim.pid, trainer(victim))), signal.SIGKILL)
                    kills += 1
            time.sleep(0.02)
    assert kills == KILLS
    with workers(tmp_path, 0) as running:
        running += [worker(tmp_path, "full.toml") for _ in range(2)]
        assert [process.wait(timeout=150) for process in running] == [0, 0], (tmp_path / "said").read_text()
    told = charlm.compare(study, tmp_path / "runs" / "full", kills)
    with capsys.disabled():
        print(f"\ncharlm, local: {told}")


def test_the_example_searches_the_same_space_from_a_file() -> None:
    pytest.importorskip("torch", reason="PyTorch trains the charlm example")
    said = subprocess.run(
        [sys.executable, "-c", "import json, train; print(json.dumps(train.SPACE.to_json()))"],
        cwd=charlm.EXAMPLE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    definition = read(charlm.EXAMPLE / "asha.toml", pruners=None)
    assert definition.space == json.loads(said)
    assert definition.fidelity is not None and definition.fidelity.max == charlm.EPOCHS
