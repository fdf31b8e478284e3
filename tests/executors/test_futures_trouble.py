"""Pools that break, end or lie, and objectives that cannot travel: what the user is told, and what stays safe."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import taut
from processes import until
from taut.errors import InputError, StudyError
from taut.executors.base import Report, Task
from taut.executors.mailbox import Box, Letters
from taut.executors.objective import live
from taut.trial import State

SPACE = taut.Space(x=taut.uniform(0.0, 1.0))


def study(path: Path | None = None, **more: Any) -> taut.Study:
    return taut.Study(path, SPACE, minimize="loss", sampler="random", seed=4, **more)


def brief(x: float) -> float:
    time.sleep(0.01)
    return x


def test_an_objective_that_cannot_be_sent_makes_no_pool() -> None:
    lock, made = threading.Lock(), []

    def locked(x: float) -> float:
        with lock:
            return x

    with pytest.raises(InputError, match="cannot be sent"):
        study().run(locked, trials=3, executor=lambda: made.append(1) or ThreadPoolExecutor(2))
    assert not made


class _Homesick:
    """Can be pickled, and unpickled nowhere."""

    def __call__(self, x: float) -> float:
        return x

    def __reduce__(self) -> tuple[Any, ...]:
        return __import__, ("no_such_module_anywhere",)


def test_an_objective_that_cannot_be_loaded_there_ends_the_run_and_fails_no_trial() -> None:
    there = study()
    with ThreadPoolExecutor(2) as pool, pytest.raises(InputError, match="no_such_module_anywhere"):
        there.run(_Homesick(), trials=9, executor=pool)
    assert not there.snapshot.counts[State.FAILED]


def test_a_function_whose_pools_are_all_broken_ends_the_run_and_fails_no_trial() -> None:
    there = study()
    with pytest.raises(StudyError, match="before it was given a trial"):
        there.run(
            brief, trials=9, executor=lambda: ProcessPoolExecutor(2, initializer=os._exit, initargs=(1,))
        )
    assert not there.snapshot.counts[State.FAILED]


def test_a_pool_shut_down_meanwhile_is_told_and_its_trials_go_back(tmp_path: Path) -> None:
    there = study(tmp_path / "s", retries=0)
    pool = ThreadPoolExecutor(1)
    timer = threading.Timer(0.3, pool.shutdown, kwargs={"wait": False, "cancel_futures": True})
    timer.start()
    with pytest.raises(StudyError, match="takes no more trials"):
        there.run(brief, trials=100_000, executor=pool, workers=8)
    timer.join()
    counts = there.snapshot.counts
    assert counts[State.COMPLETE] and not counts[State.FAILED] and not counts[State.RUNNING]
    done = counts[State.COMPLETE]
    there.run(brief, trials=int(done) + 10)
    assert there.snapshot.tally() == {State.COMPLETE: done + 10}


def test_that_a_future_was_cancelled_is_not_the_trials_fault_but_for_ever_it_cannot_be() -> None:
    class Cancels(ThreadPoolExecutor):
        every, count = 3, 0

        def submit(self, *args: Any, **more: Any) -> Future[Any]:
            future = super().submit(*args, **more)
            self.count += 1
            if self.count % self.every == 0:
                future.cancel()
            return future

    there = study(retries=0)
    with Cancels(1) as pool:
        there.run(brief, trials=8, executor=pool, workers=4)
        assert there.snapshot.counts[State.COMPLETE] >= 7
    always = study(retries=0)
    Cancels.every = 1
    with Cancels(1) as pool:
        pool.submit(time.sleep, 0.5)  # so that what is behind it can be cancelled
        always.run(brief, trials=3, executor=pool, workers=3)
    assert always.snapshot.counts[State.FAILED]


class _Lookalike:
    def submit(self, *args: Any) -> None: ...

    def get_executor(self) -> Executor:
        raise AssertionError("it is the user who has to call it")


@pytest.mark.parametrize(("given", "problem"), [(_Lookalike(), "get_executor"), (lambda: None, "NoneType")])
def test_what_only_looks_like_a_pool_is_refused(given: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        study(tmp_path / "s").run(brief, trials=2, executor=given)
    assert not (tmp_path / "s").exists()


def test_two_studies_share_a_pool_at_the_same_time() -> None:
    """Each has an objective of its own, in the same process."""
    studies = [study(), study()]

    def run(number: int, pool: Executor) -> None:
        studies[number].run(lambda x: {"loss": x, "whose": number}, trials=40, executor=pool, workers=2)

    with ThreadPoolExecutor(4) as pool:
        threads = [threading.Thread(target=run, args=(number, pool)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number, each in enumerate(studies):
        assert [trial.values["whose"] for trial in each.trials] == [number] * 40
        assert all(trial.attempts == 1 for trial in each.trials)


def test_a_thousand_are_pending(tmp_path: Path) -> None:
    there = study(tmp_path / "s")
    with ThreadPoolExecutor(2) as pool:
        there.run(lambda x: x, trials=2500, executor=pool, workers=1000)
    assert there.snapshot.tally() == {State.COMPLETE: 2500}


def test_an_interrupt_ends_the_processes_of_a_pool_of_our_own(tmp_path: Path) -> None:
    made: list[ProcessPoolExecutor] = []

    def pool() -> ProcessPoolExecutor:
        made.append(ProcessPoolExecutor(2))
        return made[-1]

    def long(trial: taut.Trial) -> None:
        (tmp_path / f"began{trial.number}").touch()
        time.sleep(60)

    def interrupt() -> None:
        until(lambda: len(list(tmp_path.glob("began*"))) == 2, 30)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)

    there = study(tmp_path / "s")
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        there.run(long, trials=4, executor=pool)
    begin = time.monotonic()
    made[0].shutdown(wait=True)
    assert time.monotonic() - begin < 5
    assert there.snapshot.counts[State.WAITING] == 2 and not there.snapshot.counts[State.RUNNING]


def _letters(place: Path) -> tuple[Box, Letters, taut.Trial]:
    task = Task(3, 0, {"x": 0.5}, None)
    box = Box(place, task)
    letters = Letters(box.path, prunes=True)
    return box, letters, live(task, task.params, letters)


def test_a_trial_that_an_engine_runs_again_is_not_given_old_answers(tmp_path: Path) -> None:
    box, _, trial = _letters(tmp_path)
    threading.Timer(0.05, lambda: (box.news(), box.answer(True))).start()
    trial.report(1, loss=1.0)
    assert trial.should_stop()
    _, letters, again = _letters(tmp_path)  # its worker died, and the engine repeats it
    threading.Timer(0.05, lambda: (box.news(), box.answer(False))).start()
    again.report(1, loss=1.0)
    assert not again.should_stop()
    assert len(letters.reports) == 1


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    box, _, trial = _letters(tmp_path)
    box.path.mkdir()
    (box.path / "reports").write_bytes(b'{"step":1.0,"val\n')
    trial.report(2, loss=0.5)
    assert box.news() == [Report(3, 0, 2, {"loss": 0.5})]


def test_a_trial_whose_study_has_gone_is_to_leave(tmp_path: Path) -> None:
    place = tmp_path / "letters"
    place.mkdir()
    _, _, trial = _letters(place)
    assert not trial.should_checkpoint()
    shutil.rmtree(place)
    time.sleep(0.25)
    trial.report(1, loss=1.0)
    begin = time.monotonic()
    assert trial.should_checkpoint() and trial.should_stop()
    assert time.monotonic() - begin < 1
