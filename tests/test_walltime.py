"""When a worker has to leave, in its own process and as the environment says it."""

from __future__ import annotations

import math
import os
import signal
import threading
import time

import pytest

from taut import allocation
from taut.events import Allocation
from taut.interrupts import Interrupts
from taut.walltime import Walltime

JOB = {
    "SLURM_JOB_ID": "17",
    "SLURMD_NODENAME": "node3",
    "SLURM_CLUSTER_NAME": "lab",
    "SLURM_ARRAY_JOB_ID": "12",
    "SLURM_ARRAY_TASK_ID": "4",
    "SLURM_CPUS_ON_NODE": "8",
    "SLURM_GPUS_ON_NODE": "2",
}


def test_an_array_task_knows_itself() -> None:
    assert allocation.read(JOB) == Allocation("lab", 17, 0, "12_4", "node3", 2, 8)
    again = allocation.read({**JOB, "SLURM_RESTART_COUNT": "3"})
    assert again is not None and again.life == 3


def test_a_plain_job_and_gpus_by_their_names() -> None:
    plain = {key: value for key, value in JOB.items() if "ARRAY" not in key and "GPUS" not in key}
    job = allocation.read({**plain, "CUDA_VISIBLE_DEVICES": "GPU-1a,GPU-2b,GPU-3c"})
    assert job is not None and (job.label, job.gpus) == ("17", 3)


@pytest.mark.parametrize("missing", ["SLURM_JOB_ID", "SLURMD_NODENAME"])
def test_outside_of_a_job(missing: str) -> None:
    """SLURM_JOB_ID alone is a shell on the login node that holds an allocation."""
    assert allocation.read({key: value for key, value in JOB.items() if key != missing}) is None


def test_the_end_of_the_job() -> None:
    assert allocation.ends({}) is None
    assert allocation.ends({"SLURM_JOB_END_TIME": "1793000000"}) == 1793000000.0


def test_it_leaves_when_notice_is_due_and_is_over_just_before_the_end() -> None:
    now = time.time()
    far, near, past = (Walltime(now + left, notice=60.0) for left in (100.0, 30.0, 2.0))
    assert (far.leaving(), far.over) == (None, False)
    assert near.leaving() is not None and "its job ends in" in near.leaving() and not near.over
    assert past.over and past.late
    assert Walltime().leaving() is None and not Walltime().over


def test_a_request_to_end_at_once_gives_the_grace_and_no_more() -> None:
    walltime = Walltime(grace=0.15)
    asked: list[int] = []
    walltime.hooks.append(lambda: asked.append(1))
    walltime.ask("preempted", at_once=True)
    assert walltime.leaving() == "preempted" and asked == [1]
    assert not walltime.over
    time.sleep(0.2)
    assert walltime.over and not walltime.late


def test_the_first_reason_stands() -> None:
    walltime = Walltime(time.time() + 10.0, notice=60.0)
    walltime.ask("its job was given notice to end")
    assert walltime.leaving() == "its job was given notice to end"


@pytest.fixture
def in_job(monkeypatch: pytest.MonkeyPatch) -> None:
    job = allocation.read(JOB)
    monkeypatch.setattr(allocation, "here", lambda: job)


@pytest.mark.usefixtures("in_job")
def test_signals_in_a_job_ask_first_and_end_after_the_grace() -> None:
    walltime = Walltime(grace=-1.8)  # the second request comes 2 s after the grace
    with pytest.raises(SystemExit), Interrupts(walltime) as interrupts:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert walltime.leaving() == "its job was given notice to end"
        assert not interrupts.seen
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.seen
        for _ in range(3000):
            time.sleep(0.01)
        pytest.fail("nothing ended it")
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


@pytest.mark.usefixtures("in_job")
def test_the_end_of_the_job_is_noticed_while_the_program_is_busy() -> None:
    walltime = Walltime(time.time() + 60.1, notice=60.0)
    heard = threading.Event()
    walltime.hooks.append(heard.set)
    with Interrupts(walltime):
        assert heard.wait(5.0)


def test_outside_of_a_job_notice_is_nobodys_business() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with Interrupts(Walltime()):
        assert signal.getsignal(signal.SIGUSR1) is before
    assert Walltime().ends == math.inf


@pytest.mark.usefixtures("in_job")
def test_the_clock_ends_before_handlers_go_back() -> None:
    """Else what it still sends would end a program that is through, by the handler of before."""
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts(Walltime()):
        (clock,) = [each for each in threading.enumerate() if each.name == "taut-walltime"]
    assert not clock.is_alive() and signal.getsignal(signal.SIGTERM) == before
