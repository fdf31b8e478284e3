"""Trials on executors of `concurrent.futures`: the standard pools, Dask and MPI, as users would hand them over."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import taut
from taut.errors import InputError, StudyError
from taut.trial import State

SPACE = taut.Space(x=taut.uniform(0.0, 1.0))
ASHA = {"method": "asha", "fidelity": {"name": "step", "min": 1, "max": 9}}
POOLS: list[Callable[[int], Executor]] = [ThreadPoolExecutor, ProcessPoolExecutor]
MPI = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def study(path: Path | None = None, **more: Any) -> taut.Study:
    return taut.Study(path, SPACE, minimize="loss", sampler="random", seed=4, **more)


def curve(trial: taut.Trial) -> float:
    for step in range(1, 10):
        trial.report(step, loss=trial.params["x"] + 1 / step)
        if trial.should_stop():
            break
    return trial.params["x"] + 1 / step


def fatal(trial: taut.Trial) -> float:
    """Ends its process where x is above 0.8."""
    time.sleep(0.02)
    if trial.params["x"] > 0.8:
        os.kill(os.getpid(), signal.SIGKILL)
    return trial.params["x"]


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_runs_a_study_as_a_single_process_does(
    pool: Callable[[int], Executor], tmp_path: Path
) -> None:
    alone = study()
    alone.run(curve, trials=12)
    there = study(tmp_path / "s")
    with pool(3) as executor:
        there.run(curve, trials=12, executor=executor)
        assert executor.submit(abs, -3).result() == 3  # it is the caller's, and goes on
    assert [t.params for t in there.trials] == [t.params for t in alone.trials]
    assert [t.values for t in there.trials] == [t.values for t in alone.trials]
    counted = [np.bincount(each.snapshot.curves.reports("loss").number).tolist() for each in (there, alone)]
    assert counted[0] == counted[1] == [9] * 12
    assert not list((tmp_path / "s").glob("letters-*"))


@pytest.mark.parametrize("pool", POOLS)
def test_trials_are_pruned_while_they_run(pool: Callable[[int], Executor]) -> None:
    there = study(pruner=ASHA)
    with pool(2) as executor:
        there.run(curve, trials=30, executor=executor)
    counts = there.snapshot.tally()
    assert counts[State.PRUNED] >= 10 and counts[State.COMPLETE] >= 1
    steps = np.unique(there.snapshot.curves.reports("loss").number, return_counts=True)[1]
    assert (steps < 9).sum() >= counts[State.PRUNED]  # they did stop


def test_it_keeps_so_many_busy_and_no_more() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def slow(x: float) -> float:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return x

    # Threads share the objective's own module, and what is sent by value is a copy: so it counts in a global.
    _counts["slow"] = slow
    with ThreadPoolExecutor(8) as executor:
        study().run(_counted, trials=24, executor=executor, workers=3)
    assert most[0] == 3


_counts: dict[str, Callable[[float], float]] = {}


def _counted(x: float) -> float:
    import sys

    return sys.modules[__name__]._counts["slow"](x)


def test_objectives_errors_are_theirs(tmp_path: Path) -> None:
    def wrong(x: float) -> Any:
        if x < 0.3:
            raise ValueError("too small")
        return "no number" if x < 0.6 else np.float32(x)

    there = study()
    with ProcessPoolExecutor(2) as executor:
        there.run(wrong, trials=15, executor=executor)
    for trial in there.trials:
        x = trial.params["x"]
        assert trial.attempts == 1
        assert trial.state == ("complete" if x >= 0.6 else "failed")
        if trial.error:
            assert ("too small" if x < 0.3 else "no number") in trial.error


def test_where_a_pool_breaks_the_innocent_are_not_blamed(tmp_path: Path) -> None:
    there = study(tmp_path / "s", retries=1)
    there.run(fatal, trials=14, executor=lambda: ProcessPoolExecutor(3))
    for trial in there.trials:
        assert trial.state == ("failed" if trial.params["x"] > 0.8 else "complete"), trial
    assert there.snapshot.tally()[State.FAILED] >= 1


def test_a_broken_pool_of_the_callers_own_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    there = study(tmp_path / "s")
    with (
        ProcessPoolExecutor(2) as executor,
        pytest.raises(StudyError, match="executor=lambda: ProcessPoolExecutor"),
    ):
        there.run(fatal, trials=40, executor=executor)
    done = [t.number for t in there.trials if t.state == "complete"]
    there.close()
    again = taut.Study(tmp_path / "s")
    again.run(lambda trial: trial.params["x"], trials=40)
    assert [t.values for t in again.trials if t.number in done] == [
        {"loss": t.params["x"]} for t in again.trials if t.number in done
    ]
    assert again.snapshot.tally() == {State.COMPLETE: 40}


def test_an_interrupt_ends_a_run_at_once_and_what_ran_goes_back(tmp_path: Path) -> None:
    there = study(tmp_path / "s")

    def long(trial: taut.Trial) -> float:
        for _ in range(400):
            if trial.should_checkpoint():
                trial.pause()
                break
            time.sleep(0.05)
        return 0.0

    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    begin = time.monotonic()
    with ProcessPoolExecutor(2) as executor:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            there.run(long, trials=6, executor=executor)
        assert time.monotonic() - begin < 6
    assert not there.snapshot.counts[State.RUNNING]
    assert there.snapshot.counts[State.WAITING] == 2


@pytest.mark.parametrize(("given", "problem"), [(3, "is no executor"), ("pool", "is no executor")])
def test_what_is_no_executor_is_refused(given: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        study(tmp_path / "s").run(curve, trials=2, executor=given)
    assert not (tmp_path / "s").exists()


def test_a_pool_that_does_not_tell_its_size_needs_to_be_told_how_many() -> None:
    class Own(Executor):
        def submit(self, fn: Any, /, *args: Any, **more: Any) -> Any:
            from concurrent.futures import Future

            future: Future[Any] = Future()
            future.set_result(fn(*args, **more))
            return future

    with pytest.raises(InputError, match="give workers=8"):
        study().run(curve, trials=2, executor=Own())
    there = study()
    there.run(curve, trials=3, executor=Own(), workers=1)
    assert there.snapshot.tally() == {State.COMPLETE: 3}


@pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="distributed is not installed")
def test_dask(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    there = study(tmp_path / "s", pruner=ASHA)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster,
        Client(cluster) as client,
    ):
        there.run(curve, trials=20, executor=client.get_executor(), workers=4)
        assert there.snapshot.counts[State.PRUNED] >= 5
        lost = study(tmp_path / "t", retries=1)
        killer = threading.Timer(
            0.7, lambda: os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        )
        killer.start()
        lost.run(slowly, trials=12, executor=client.get_executor(), workers=2)
        killer.join()
    assert lost.snapshot.tally() == {State.COMPLETE: 12}


def slowly(x: float) -> float:
    time.sleep(0.2)
    return x


@pytest.mark.skipif(
    not (MPI and importlib.util.find_spec("mpi4py")), reason="mpi4py and mpiexec are not installed"
)
def test_mpi(tmp_path: Path) -> None:
    script = tmp_path / "tune.py"
    script.write_text(
        "import os, taut\n"
        "from mpi4py.futures import MPICommExecutor\n"
        "from mpi4py import MPI\n"
        "def train(x):\n"
        "    return {'loss': x, 'rank': MPI.COMM_WORLD.rank}\n"
        "with MPICommExecutor() as pool:\n"
        "    if pool is not None:\n"
        "        space = taut.Space(x=taut.uniform(0, 1))\n"
        "        study = taut.Study('study', space, minimize='loss', sampler='tpe')\n"
        "        study.run(train, trials=20, executor=pool)\n"
        "        print(sorted({t.values['rank'] for t in study.trials}))\n"
    )
    assert MPI is not None
    ran = subprocess.run(
        [MPI, "-n", "3", sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(taut.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[1.0, 2.0]"
    assert taut.Study(tmp_path / "study").snapshot.tally() == {State.COMPLETE: 20}
