"""Workers as real processes: the three modes as the log shows them, interruptions, deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import taut
from processes import alive, begin, output, reap, script, until
from taut.opening import make_proposals
from taut.trial import TrialRecord
from taut.verify import verify

SPACE = taut.Space(x=taut.uniform(0, 1))


def sleep(trial: taut.Trial) -> float:
    """Now long, now short, and never in step."""
    time.sleep(0.02 + 0.05 * (trial.number * 7 % 5))
    if trial.number % 4 == 3:
        raise ValueError("no")
    return trial.params["x"]  # type: ignore[no-any-return]


def timed(path: Path, mode: Any, workers: int, trials: int) -> list[tuple[float, float]]:
    """(start, end) of each trial."""
    study = taut.Study(path, SPACE, minimize="loss")
    study.run(lambda trial: sleep(trial), trials=trials, workers=workers, mode=mode)
    return spans(list(study.trials))


def spans(records: list[TrialRecord]) -> list[tuple[float, float]]:
    assert [record.number for record in records] == list(range(len(records)))
    assert {record.state for record in records} <= {"complete", "failed"}
    return [(record.started, record.finished or 0.0) for record in records]


def busiest(times: list[tuple[float, float]]) -> int:
    """How many ran at the same time at most."""
    return max(sum(begin <= at < end for begin, end in times) for at, _ in times)


# -- modes ----------------------------------------------------------------------------------------------


def test_async_fills_a_slot_as_soon_as_it_is_free(tmp_path: Path) -> None:
    times = timed(tmp_path / "s", "async", 3, 15)
    assert busiest(times) == 3
    # A trial of a later group begins while one of an earlier group runs: there is no barrier.
    assert any(times[n][0] < times[m][1] for n in range(15) for m in range(n // 3 * 3))
    ends = sorted(end for _, end in times)
    for n in range(3, 15):  # each begins right after the end that made room for it
        assert times[n][0] - ends[n - 3] < 0.3


def test_batch_waits_for_all_of_a_batch(tmp_path: Path) -> None:
    times = timed(tmp_path / "s", "batch", 3, 11)
    assert busiest(times) == 3
    for first in range(3, 11, 3):
        assert min(start for start, _ in times[first : first + 3]) >= max(end for _, end in times[:first])
    for first in range(0, 9, 3):  # and a batch begins together
        group = times[first : first + 3]
        assert max(start for start, _ in group) < min(end for _, end in group)


def test_sequential_runs_one_at_a_time(tmp_path: Path) -> None:
    times = timed(tmp_path / "s", "sequential", 3, 7)
    assert busiest(times) == 1
    assert all(times[n][0] >= times[n - 1][1] for n in range(1, 7))


MODES = """
    import sys, time
    import taut
    study = taut.Study(sys.argv[1], taut.Space(x=taut.uniform(0, 1)), minimize="loss", trials=int(sys.argv[3]))
    def train(trial):
        time.sleep(0.01 + 0.01 * (trial.number % 3))
        return 1.0
    if sys.argv[4] == "work":
        for trial in study.work(mode=sys.argv[2]):
            trial.tell(loss=train(trial))
    else:
        study.run(train, mode=sys.argv[2], workers=int(sys.argv[4]))
    print(len(study.trials))
"""


@pytest.mark.parametrize("how", ["1", "work"])
def test_sequential_holds_over_several_workers(how: str, tmp_path: Path) -> None:
    path, program = tmp_path / "s", script(tmp_path, MODES)
    workers = [begin(program, path, "sequential", 14, how) for _ in range(2)]
    assert [output(worker) for worker in workers] == ["14\n", "14\n"]
    records = list(taut.Study(path).trials)
    times = spans(records)
    assert len(times) == 14 and all(times[n][0] >= times[n - 1][1] for n in range(1, 14))
    assert len({record.worker for record in records}) == 2, "one of the two starved"
    assert verify(path, make_proposals).good


@pytest.mark.parametrize("how", ["1", "work", "2"])
def test_the_count_is_exact_over_several_workers(how: str, tmp_path: Path) -> None:
    path, program = tmp_path / "s", script(tmp_path, MODES)
    workers = [begin(program, path, "async", 61, how) for _ in range(3)]
    for worker in workers:
        assert output(worker) == "61\n"
    records = list(taut.Study(path).trials)
    times = spans(records)
    assert len(times) == 61 and busiest(times) >= 3
    assert {record.attempts for record in records} == {1}
    found = verify(path, make_proposals)
    assert found.good and found.suggestions == 61


# -- interruptions --------------------------------------------------------------------------------------

LONG = """
    import os, signal, sys, time
    from pathlib import Path
    import taut
    folder, workers, stubborn = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "stubborn"
    def train(trial):
        if trial.number < 2 or (folder / "quick").exists():
            return 1.0
        if stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (folder / f"pid.{trial.number}.{trial.attempt}").write_text(str(os.getpid()))
        time.sleep(60)
    study = taut.Study(folder / "s", taut.Space(x=taut.uniform(0, 1)), minimize="loss", retries=0)
    study.run(train, trials=8, workers=workers)
    print(len(study.trials))
"""


class Long:
    """A worker in the middle of trials that would take a minute."""

    def __init__(self, folder: Path, workers: int, kind: str = "calm") -> None:
        self.folder, self.workers, self.kind = folder, workers, kind
        self.program = script(folder, LONG)
        self.process = begin(self.program, folder, workers, kind)
        self.pids: list[int] = []

    def __enter__(self) -> Long:
        until(lambda: len([path for path in self.folder.glob("pid.*") if path.read_text()]) >= self.workers)
        self.pids = [int(path.read_text()) for path in self.folder.glob("pid.*")]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ends(self, within: float) -> str:
        """It ends in time; what it said."""
        _, err = self.process.communicate(timeout=within)
        return err

    def gone(self, within: float = 0.0) -> None:
        for pid in self.pids:
            until(lambda pid=pid: not alive(pid), within)

    def resume(self) -> taut.Study:
        (self.folder / "quick").touch()
        assert output(begin(self.program, self.folder, self.workers, self.kind)) == "8\n"
        study = taut.Study(self.folder / "s")
        assert [trial.state for trial in study.trials] == ["complete"] * 8
        assert verify(self.folder / "s", make_proposals).good
        return study


@pytest.mark.parametrize("workers, kind", [(1, "calm"), (2, "calm"), (2, "stubborn")])
def test_ctrl_c_stops_within_two_seconds_and_the_study_goes_on_later(
    workers: int, kind: str, tmp_path: Path
) -> None:
    with Long(tmp_path, workers, kind) as long:
        long.process.send_signal(signal.SIGINT)
        err = long.ends(2.0)
        assert long.process.returncode in (1, 130, -signal.SIGINT)
        assert err.rstrip().endswith("KeyboardInterrupt")
        long.gone()
        study = taut.Study(tmp_path / "s")
        records = list(study.trials)
        states = [record.state for record in records]
        assert states.count("complete") == 2 and states.count("waiting") == workers == len(states) - 2
        assert all(record.error == "it was interrupted" for record in records if record.state == "waiting")
        params = {record.number: record.params for record in records}
        study.close()
        records = list(long.resume().trials)  # retries=0: an interruption is nobody's fault
        assert [record.attempts for record in records].count(2) == workers
        assert all(records[n].params == x for n, x in params.items())


def test_a_second_ctrl_c_kills(tmp_path: Path) -> None:
    with Long(tmp_path, 2, "stubborn") as long:
        long.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert long.process.poll() is None and all(alive(pid) for pid in long.pids)  # it asked, and waits
        begun = time.monotonic()
        long.process.send_signal(signal.SIGINT)
        long.ends(2.0)
        assert time.monotonic() - begun < 0.9  # and not the 1.2 s that were left
        long.gone()
        long.resume()


SLOW_TO_LOAD = """
    import os, sys, time
    from pathlib import Path
    Path(sys.path[0], f"pid.{os.getpid()}").touch()
    if not Path(sys.path[0], "main").exists():
        Path(sys.path[0], "main").touch()
    else:
        time.sleep(60)
    def train(trial):
        return 1.0
"""

LOADS = """
    import sys
    import taut, slow_to_load
    study = taut.Study(sys.argv[1], taut.Space(x=taut.uniform(0, 1)), minimize="loss")
    study.run(slow_to_load.train, trials=8, workers=2)
"""


def test_ctrl_c_while_the_objective_is_loaded(tmp_path: Path) -> None:
    script(tmp_path, SLOW_TO_LOAD, "slow_to_load.py")
    process = begin(script(tmp_path, LOADS), tmp_path / "s")
    until(lambda: len(list(tmp_path.glob("pid.*"))) == 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=2.0)
    for path in tmp_path.glob("pid.*"):
        assert not alive(int(path.suffix[1:]))
    assert not (tmp_path / "s" / "log").exists()


def test_a_killed_worker_takes_its_processes_along_and_its_trials_are_taken_over(tmp_path: Path) -> None:
    with Long(tmp_path, 2) as long:
        study = taut.Study(tmp_path / "s", retries=3)
        begun = time.monotonic()
        long.process.send_signal(signal.SIGKILL)
        seen: dict[int, float] = {}
        thread = threading.Thread(target=long.gone, args=(3.0,))
        thread.start()

        def train(trial: taut.Trial) -> float:
            seen[trial.number] = time.monotonic() - begun
            return 1.0

        study.run(train)
        thread.join()
        long.gone(0.0)
        assert max(seen.values()) < 10.0 and {2, 3} <= set(seen)
        assert [trial.state for trial in study.trials] == ["complete"] * 8
        assert [study.trials[n].attempts for n in (2, 3)] == [2, 2]
        assert verify(tmp_path / "s", make_proposals).good


def test_a_stopped_worker_keeps_its_trial_and_tells_it_later(tmp_path: Path) -> None:
    """A process that is stopped (a laptop that sleeps) is not dead."""
    path = tmp_path / "s"
    text = """
        import sys, time
        from pathlib import Path
        import taut
        study = taut.Study(sys.argv[1], taut.Space(x=taut.uniform(0, 1)), minimize="loss", trials=3)
        trial = study.ask()
        print("ready", flush=True)
        sys.stdin.readline()
        trial.tell(loss=0.5)
    """
    process = begin(script(tmp_path, text), path, stdin=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGSTOP)
    study = taut.Study(path)
    assert reap(study) == 0
    study.run(lambda trial: 1.0, trials=3, hours=0.3 / 3600)
    assert [trial.state for trial in study.trials] == ["running", "complete", "complete"]
    os.kill(process.pid, signal.SIGCONT)
    process.communicate("\n", timeout=10)
    assert process.returncode == 0
    assert study.trials[0].values == {"loss": 0.5} and study.trials[0].attempts == 1


# -- where it may run -----------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_in_a_thread(workers: int, tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", SPACE, minimize="loss", trials=6)
    failures: list[BaseException] = []

    def target() -> None:
        try:
            study.run(lambda trial: 1.0, trials=3, workers=workers)
            study.budget(6)
            for trial in study.work():
                trial.tell(loss=1.0)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(20)
    assert not thread.is_alive() and failures == []
    assert [trial.state for trial in study.trials] == ["complete"] * 6


def test_trials_that_run_side_by_side_keep_their_own_reports(tmp_path: Path) -> None:
    def train(trial: taut.Trial) -> None:
        for step in range(20):
            trial.report(step, loss=trial.number + step / 100)
            time.sleep(0.001)

    study = taut.Study(tmp_path / "s", SPACE, minimize="loss")
    study.run(train, trials=6, workers=3)
    reports = study.snapshot.curves.reports("loss")
    for n in range(6):
        mine = reports.number == n
        assert reports.step[mine].tolist() == list(range(20))
        assert reports.value[mine].tolist() == [n + step / 100 for step in range(20)]
    assert [trial.values["loss"] for trial in study.trials] == [n + 0.19 for n in range(6)]
