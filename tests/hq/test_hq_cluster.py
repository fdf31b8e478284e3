"""Studies on a real HyperQueue: its server, its workers, its tasks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from hq_lab import Cluster, missing

from processes import until
from taut.events import Finished, Opened
from taut.log import LogReader
from taut.study import Study
from taut.trial import State

STUDY = """\
name = "demo"
{evaluation}
minimize = "loss"
retries = 5
[space]
x = {{ uniform = [0, 1] }}
[budget]
trials = {trials}
[sampler]
method = "random"
[on.hyperqueue]
{table}
"""
COMMAND = """\
import sys, taut
x = float(sys.argv[1])
if x > 0.9:
    raise SystemExit("too large")
taut.report(loss=x**2)
"""
FUNCTION = """\
import time

def evaluate(x):
    time.sleep({seconds})
    return {{"loss": x**2}}
"""


class Desk:
    """A user's directory, from which `taut` sees the cluster."""

    def __init__(self, path: Path, cluster: Cluster) -> None:
        self.path, self.cluster = path, cluster

    def study(self, trials: int, table: str, seconds: float | None = None) -> None:
        """A study of a command, or of a function that takes some seconds."""
        evaluation = (
            'command = "python train.py {x}"' if seconds is None else 'function = "objective:evaluate"'
        )
        text = COMMAND if seconds is None else FUNCTION.format(seconds=seconds)
        (self.path / ("train.py" if seconds is None else "objective.py")).write_text(text)
        (self.path / "study.toml").write_text(STUDY.format(evaluation=evaluation, trials=trials, table=table))

    def taut(self, *words: str, code: int = 0) -> str:
        environment = {
            **self.cluster.environment,
            "HQ_SERVER_DIR": str(self.cluster.directory),
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        }
        ran = subprocess.run(
            [*self.cluster.enter, sys.executable, "-m", "taut", *words],
            cwd=self.path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == code, ran
        return ran.stdout + ran.stderr

    def run(self, *words: str) -> str:
        return self.taut("run", "study.toml", "--on", "hyperqueue", *words)

    @property
    def folder(self) -> Path:
        return self.path / "runs" / "demo"

    def states(self) -> Counter[str]:
        with Study.of(self.folder) as study:
            return Counter(record.state for record in study.trials)

    def finished(self) -> int:
        with Study.of(self.folder) as study:
            return study.store.snapshot.n_finished

    def by_writer(self) -> dict[int, list[int]]:
        """The trials that each worker finished, by the log as it stands."""
        found: dict[int, list[int]] = {}
        for batch in LogReader(self.folder / "log").poll(True):
            told = found.setdefault(batch.writer, [])
            told += [event.n for event in batch.events if isinstance(event, Finished)]
        return found

    def processes(self) -> list[int]:
        """The workers that live."""
        opened = [
            event.pid
            for batch in LogReader(self.folder / "log").poll(True)
            for event in batch.events
            if isinstance(event, Opened)
        ]
        return [pid for pid in opened if Path(f"/proc/{pid}").exists()]

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("hyperqueue/*/*.log")))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One server for all tests that leave it alive."""
    if reason := missing():
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("hq"))
    yield cluster
    cluster.close()


@pytest.fixture
def desk(shared: Cluster, tmp_path: Path) -> Desk:
    return Desk(tmp_path, shared)


def test_workers_carry_a_study_of_commands_to_its_end(desk: Desk) -> None:
    desk.study(8, 'workers = 2\ncpus = 0.5\nmin_time = "1s"\nsetup = "export SAID=hello; echo $SAID"')
    said = desk.run()
    assert "8 trials, 0 of them finished" in said
    assert re.search(r"job \d+: 2 workers, each asking for cpus = 0.5, min_time = 1 s", said)
    until(lambda: desk.finished() == 8, 30)
    assert desk.states() == {"complete": 7, "failed": 1}  # one x is above 0.9
    assert len(desk.by_writer()) == 2
    until(lambda: "job" in (said := desk.taut("status", "study.toml")) and "2 finished" in said, 10)
    assert "hello" in desk.logs()
    assert "is finished; nothing is submitted" in desk.run()
    assert "reproduced" in desk.taut("verify", str(desk.folder))


def test_a_task_for_each_trial(desk: Desk) -> None:
    desk.study(4, 'tasks = "trial"', seconds=0.05)
    assert "4 tasks for one trial" in desk.run()
    until(lambda: desk.finished() == 4, 40)
    assert sorted(map(len, desk.by_writer().values())) == [1, 1, 1, 1]
    until(
        lambda: not list(desk.folder.glob("hyperqueue/0000/*.log"))
    )  # of tasks that ended well none is kept


def test_a_worker_that_is_killed_is_a_task_that_failed(desk: Desk) -> None:
    desk.study(10, "workers = 2", seconds=0.3)
    desk.run()
    until(lambda: len(desk.processes()) == 2 and desk.finished() >= 2, 20)
    os.kill(desk.processes()[0], signal.SIGKILL)
    until(lambda: desk.finished() == 10, 30)
    assert desk.states() == {"complete": 10}
    said = desk.taut("status", "study.toml")
    assert re.search(r"tasks: job \d+ of 2: .*1 failed", said)
    assert re.search(r"  task [01] failed: .+\(/.+/hyperqueue/0000/[01]\.\*\.log\)", said)


def test_what_is_missing_is_submitted_and_no_more(desk: Desk) -> None:
    desk.study(4, "workers = 1\ngpus = 1")  # which no worker here has
    assert "gpus/nvidia = 1" in desk.run()
    assert "none has begun yet" in desk.taut("status", "study.toml")
    again = desk.run()
    assert "has tasks already" in again and "asking for" not in again
    more = desk.run("--workers", "3")
    assert re.search(r"job \d+: 2 workers", more) and "1 of job" in more
    numbers = re.search(r"job cancel (\d+),(\d+)\n", more)
    assert numbers and int(numbers[1]) + 1 == int(numbers[2])


def test_a_setup_line_that_fails_ends_the_task(desk: Desk) -> None:
    desk.study(4, 'workers = 1\nsetup = ["cat /no/such/file", "echo too late"]')
    desk.run()
    said = until(lambda: (said := desk.taut("status", "study.toml")) and "1 failed" in said and said, 20)
    assert "no task is left, and the study is not finished" in said
    assert "taut: setup failed with exit code 1, so the task ends: cat /no/such/file" in desk.logs()
    assert "too late" not in desk.logs()
    assert (
        desk.run("--trials", "5").count("1 worker,") == 1
    )  # nothing of it is left, so it is submitted again


def test_a_server_dies_in_the_middle_and_another_one_goes_on(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    cluster = Cluster(tmp_path / "hq")
    try:
        desk = Desk(tmp_path, cluster)
        desk.study(12, "workers = 2", seconds=0.3)
        desk.run()
        until(lambda: desk.finished() >= 3, 30)
        before = desk.by_writer()
        cluster.kill()
        until(lambda: not desk.processes())
        assert "does not answer" in desk.taut("status", "study.toml")
        refused = desk.taut("run", "study.toml", "--on", "hyperqueue", code=2)
        assert "it has probably ended" in refused and "hq server start" in refused
        cluster.start()
        said = desk.taut("status", "study.toml")
        assert "has ended, and its tasks with it" in said and "taut run" in said
        assert re.search(r"job 1: 2 workers", desk.run())
        until(lambda: desk.finished() == 12, 30)
        assert "reproduced" in desk.taut("verify", str(desk.folder))
    finally:
        cluster.close()
    assert desk.states() == {"complete": 12}
    after = desk.by_writer()
    assert sorted(chain.from_iterable(after.values())) == list(range(12))  # nothing lost, nothing twice
    for writer, numbers in before.items():
        assert after[writer][: len(numbers)] == numbers
    with Study.of(desk.folder) as study:
        assert all(study.store.snapshot.state == State.COMPLETE)
