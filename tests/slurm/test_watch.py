"""One poll for many workers, and what follows from its answers."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import Cluster

from processes import until
from taut.slurm import known as known_module
from taut.slurm import watch as watch_module
from taut.slurm.jobs import Job, Life
from taut.slurm.known import EVERY, Identity, Known
from taut.slurm.turns import Turns
from taut.slurm.watch import Watch

WHO = Identity("tests", 12, 0)


def known(*jobs: Job, asked: float | None = 100.0) -> Known:
    return Known("tests", turn=1, asked=asked, by="root", users=["root"], jobs=list(jobs))


def told(state: Known, who: Identity = WHO, began: bool = True, shown: bool = True) -> str | None:
    found = state.told(who, began, shown)
    return None if found is None else found.why


# What follows from an answer


@pytest.mark.parametrize("state", ["RUNNING", "CONFIGURING", "SUSPENDED", "COMPLETING"])
def test_a_life_goes_on_while_squeue_shows_it(state: str) -> None:
    assert told(known(Job(12, 0, state))) is None
    assert known(Job(12, 0, state)).alive(WHO)


def test_a_life_is_over_once_its_job_has_ended_waits_again_or_came_back() -> None:
    assert told(known(Job(12, 0, "TIMEOUT", minutes=5))) == "job 12 ran into its time limit of 5 min"
    assert told(known(Job(12, 0, "PENDING"))) == told(known(Job(12, 1, "RUNNING"))) == "job 12 was requeued"
    assert not known(Job(12, 0, "PENDING")).alive(WHO) and not known(Job(12, 1, "RUNNING")).alive(WHO)
    assert told(known(Job(13, 0, "RUNNING"))) == "Slurm does not know job 12 any more"


def test_an_answer_from_before_the_life_began_says_nothing_about_its_end() -> None:
    assert told(known(Job(12, 0, "PENDING")), began=False) is None
    assert told(known(), began=False) is None
    assert told(known(Job(12, 0, "PENDING")), Identity("tests", 12, 1)) is None
    assert told(known(asked=None)) is None


def test_a_job_that_squeue_would_not_show_is_not_missed() -> None:
    assert told(known(), shown=False) is None


def test_jobs_of_another_cluster_are_not_judged() -> None:
    other = Identity("elsewhere", 12, 0)
    state = known(Job(12, 0, "FAILED", exit="1:0")).with_lives(2, [WHO], [Life(12, 0, "FAILED", exit="1:0")])
    assert told(state, other) is None
    assert state.fate(other, True, True) is None and state.fate(WHO, True, True) is not None
    assert state.job(other) is None and state.job(WHO) is not None


def test_the_running_task_is_meant_where_cancelled_ones_share_its_id() -> None:
    rest = [Job(12, 0, "CANCELLED", array=12, task=task) for task in (1, 3)]
    running = Job(12, 0, "RUNNING", array=12, task=2)
    assert told(known(rest[0], running, rest[1])) is None
    assert known(rest[0], running, rest[1]).job(WHO) == running


def test_accounting_is_waited_for_but_not_for_ever() -> None:
    state = known(Job(12, 0, "FAILED", exit="0:9"))
    for turn in (2, 3, 4):
        assert state.fate(WHO, True, True) is None and state.unexplained(WHO, True, True)
        state = state.with_lives(turn, [WHO], [Life(12, 0, "RUNNING")])
    assert state.fate(WHO, True, True) == ("job 12 was killed by signal 9", True)
    assert not state.unexplained(WHO, True, True)


def test_accounting_has_the_last_word() -> None:
    state = known(Job(12, 1, "PENDING"))
    lives = [Life(12, 0, "PREEMPTED"), Life(12, 1, "PENDING")]
    state = state.with_lives(2, [WHO], lives)
    assert state.fate(WHO, True, True) == ("job 12 was preempted", False)
    assert state.fate(Identity("tests", 12, 1), False, True) is None
    assert state.tries == {}


def test_where_accounting_fails_squeue_is_believed_at_once() -> None:
    state = known(Job(12, 0, "NODE_FAIL", nodes="node3")).without_lives(2, [WHO], "sacct: disabled")
    assert state.fate(WHO, True, True) == ("node3, where job 12 ran, failed", False)


def test_pauses_grow_while_nothing_changes_or_nobody_answers() -> None:
    state, pauses = known(Job(12, 0, "RUNNING")), []
    for turn in range(2, 8):
        state = state.with_jobs(turn, 0.0, "root", ["root"], [Job(12, 0, "RUNNING", end=float(turn))])
        pauses.append(state.pause)
    assert pauses == sorted(pauses) and pauses[0] > EVERY and pauses[-1] == 60
    state = state.with_jobs(9, 0.0, "root", ["root"], [Job(12, 0, "FAILED")])
    assert state.pause == EVERY
    for turn in range(10, 14):
        state = state.failed(turn, "squeue: no controller")
    assert state.pause == 60 and state.jobs and state.error == "squeue: no controller"
    assert state.with_jobs(15, 0.0, "root", ["root"], state.jobs).pause == EVERY


# Turns


def test_one_of_many_has_each_turn(tmp_path: Path) -> None:
    everybody = [Turns(tmp_path / "poll") for _ in range(50)]
    won: list[int] = []
    start = threading.Barrier(len(everybody))

    def take(turns: Turns) -> None:
        start.wait()
        for _ in range(3):
            if turn := turns.take(3600.0):
                won.append(turn[0])

    threads = [threading.Thread(target=take, args=(turns,)) for turns in everybody]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [0]


def test_a_turn_becomes_old_by_the_file_servers_clock_even_for_one_who_just_came(tmp_path: Path) -> None:
    assert Turns(tmp_path).take(60.0) is not None
    assert Turns(tmp_path).take(60.0) is None
    os.utime(tmp_path / "turn-0", (time.time() - 61, time.time() - 61))
    assert Turns(tmp_path).take(60.0) is not None
    assert sorted(os.listdir(tmp_path)) == ["turn-0", "turn-1"]


def test_who_was_away_for_long_does_not_begin_the_chain_anew(tmp_path: Path) -> None:
    sleeper, others = Turns(tmp_path), Turns(tmp_path)
    assert sleeper.take(0.0) is not None
    for _ in range(5):
        assert others.take(0.0) is not None
    assert sorted(os.listdir(tmp_path)) == ["turn-4", "turn-5"]
    # Its view of the folder is old: it creates a turn that was swept away, and has to notice.
    looks = iter([lambda: None, sleeper._catch_up])
    sleeper._catch_up = lambda: next(looks)()  # type: ignore[method-assign]
    assert sleeper.take(0.0) is None
    assert sorted(os.listdir(tmp_path)) == ["turn-4", "turn-5"]


# With Slurm itself


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (known_module, watch_module):
        monkeypatch.setattr(module, "EVERY", 1.0)


def submit(slurm: Cluster, script: str, *options: str) -> int:
    words = ("sbatch", "--parsable", "-o", "/dev/null", "--open-mode=append", "-t", "5", *options)
    text = f"#!/bin/sh\n{script}\n"
    said = subprocess.run(words, input=text, capture_output=True, text=True, check=True, cwd="/")
    return int(said.stdout)


def fates(watch: Watch, jobs: dict[str, Identity], timeout: float) -> dict[str, str]:
    """What becomes of these lives, all of which end; looked at as a worker does."""
    found: dict[str, str] = {}

    def all_found() -> bool:
        watch.look(jobs.values(), {"root"})
        for name, who in jobs.items():
            if ending := watch.fate(who):
                found[name] = ending.why.replace(f"job {who.id}", "job") + (", blame" if ending.blame else "")
        return len(found) == len(jobs)

    until(all_found, timeout)
    return found


def identities(jobs: dict[str, int]) -> dict[str, Identity]:
    return {name: Identity("tests", job, 0) for name, job in jobs.items()}


def running(slurm: Cluster, jobs: dict[str, int]) -> Callable[[], bool]:
    return lambda: len(slurm.run("squeue", "-h", "-t", "R", "-o", "%A").split()) == len(jobs)


@pytest.mark.slow
def test_every_ending_is_told_apart(slurm: Cluster, quick: None, tmp_path: Path) -> None:
    hog = "exec python3 -c \"import time; x = bytearray(b'x') * 500_000_000; time.sleep(30)\""
    jobs = {
        "cancelled": submit(slurm, "exec sleep 60", "-w", "node1"),
        "requeued": submit(slurm, "exec sleep 60", "-w", "node1"),
        "failed": submit(slurm, "sleep 4; exit 3", "-w", "node1"),
        "killed": submit(slurm, "sleep 4; kill -9 $$", "-w", "node1"),
        "starved": submit(slurm, f"sleep 4; {hog}", "-w", "node2", "--mem=50"),
        "preempted": submit(slurm, "exec sleep 60", "-w", "node4", "-p", "low", "--exclusive"),
        "fine": submit(slurm, "exec sleep 60", "-w", "node2"),
    }
    who = identities(jobs)
    lives_on = who.pop("fine")
    until(running(slurm, jobs))
    watch = Watch(tmp_path / "slurm")
    submit(slurm, "sleep 1", "-w", "node4", "-p", "high", "--exclusive")
    slurm.run("scancel", str(jobs["cancelled"]))
    slurm.run("scontrol", "requeue", str(jobs["requeued"]))
    watch.look([lives_on], {"root"})
    found = fates(watch, who, 40.0)
    memory = found.pop("starved")
    assert memory.startswith("job ran out of memory (MaxRSS ") and memory.endswith(" of 50 MiB), blame")
    assert found == {
        "cancelled": "job was cancelled by user 0 (root)",
        "requeued": "job was requeued",
        "failed": "job ended with exit code 3, blame",
        "killed": "job was killed by signal 9, blame",
        "preempted": "job was preempted",
    }
    assert watch.alive(lives_on) and watch.fate(lives_on) is None and watch.able(lives_on)
    again = Identity("tests", jobs["requeued"], 1)
    assert watch.fate(again) is None and watch.job(again) is not None and watch.job(who["requeued"]) is None


@pytest.mark.slow
def test_failed_nodes_and_time_limits_are_told(slurm: Cluster, quick: None, tmp_path: Path) -> None:
    jobs = {
        "late": submit(slurm, "exec sleep 200", "-w", "node1", "-t", "1"),
        "gone": submit(slurm, "exec sleep 200", "-w", "node2", "--no-requeue"),
        "moved": submit(slurm, "exec sleep 200", "-w", "node2", "--requeue"),
    }
    until(running(slurm, jobs))
    slurm.kill_node("node2")
    assert fates(Watch(tmp_path / "slurm"), identities(jobs), 150.0) == {
        "late": "job ran into its time limit of 1 min, blame",
        "gone": "node2, where job ran, failed",
        "moved": "node2, where job ran, failed",
    }


def test_looking_without_asking_leaves_no_trace(slurm: Cluster, tmp_path: Path) -> None:
    watch = Watch(tmp_path / "slurm")
    watch.look([], [])
    assert watch.jobs() == [] and watch.fate(WHO) is None and watch.job(WHO) is None and not watch.alive(WHO)
    assert watch.age() is None and watch.error() is None and not watch.asked_since(0.0)
    assert not list(tmp_path.iterdir())


def test_a_job_that_nobody_knows_is_over(slurm: Cluster, quick: None, tmp_path: Path) -> None:
    unknown = Identity("tests", 999_999, 0)
    began = time.time()
    assert fates(Watch(tmp_path), {"unknown": unknown}, 20.0) == {
        "unknown": "Slurm does not know job any more"
    }
    assert Watch(tmp_path).asked_since(began) and not Watch(tmp_path).asked_since(time.time())


def test_without_accounting_the_queues_word_is_taken(
    slurm: Cluster, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(slurm, "exit 3")
    text = Path(os.environ["SLURM_CONF"]).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("AccountingStorage")]
    (tmp_path / "slurm.conf").write_text("\n".join([*lines, "AccountingStorageType=accounting_storage/none"]))
    for other in ("gres.conf", "topology.conf"):
        if (source := Path(os.environ["SLURM_CONF"]).with_name(other)).exists():
            shutil.copy(source, tmp_path)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    found = fates(Watch(tmp_path / "slurm"), {"failed": Identity("tests", job, 0)}, 20.0)
    assert found == {"failed": "job ended with exit code 3, blame"}


def test_a_controller_that_does_not_answer_is_borne(
    slurm: Cluster, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(os.environ["SLURM_CONF"]).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("SlurmctldPort")]
    (tmp_path / "slurm.conf").write_text("\n".join([*lines, "SlurmctldPort=1", "MessageTimeout=1"]))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    watch = Watch(tmp_path / "slurm", cluster="tests")

    def failed() -> bool:
        began = time.monotonic()
        watch.look([WHO], {"root"})
        assert time.monotonic() - began < 0.5
        return watch.error() is not None

    until(failed, 40.0)
    assert "Unable to contact slurm controller" in str(watch.error())
    assert watch.fate(WHO) is None and watch.age() is None


def test_a_winner_that_dies_just_costs_its_turn(slurm: Cluster, quick: None, tmp_path: Path) -> None:
    assert Turns(tmp_path / "poll-tests").take(1.0) is not None  # and never calls
    watch = Watch(tmp_path)
    until(lambda: watch.look([WHO], {"root"}) or watch.age() is not None, 10.0)
    assert sorted(os.listdir(tmp_path / "poll-tests")) == ["jobs.json", "turn-0", "turn-1"]


CROWD = """
import sys, time
from pathlib import Path
from taut.slurm.watch import Identity, Watch
watches = [Watch(Path(sys.argv[1])) for _ in range(25)]
end = time.monotonic() + 26
while time.monotonic() < end:
    for watch in watches:
        watch.look([Identity("tests", 999999, 0)], {"root"}, hurry=True)
    time.sleep(0.5)
print(sum(watch.age() is not None for watch in watches))
"""


@pytest.mark.slow
def test_two_hundred_workers_call_once_in_ten_seconds(slurm: Cluster, tmp_path: Path) -> None:
    """Counted by programs of the same names in front of the real ones."""
    calls = tmp_path / "calls"
    (tmp_path / "bin").mkdir()
    for program in ("squeue", "sacct"):
        wrapper = tmp_path / "bin" / program
        wrapper.write_text(f'#!/bin/sh\ndate +%s.%N >> {calls}\nexec {shutil.which(program)} "$@"\n')
        wrapper.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "SLURM_CLUSTER_NAME": "tests",
    }
    words = (sys.executable, "-c", CROWD, str(tmp_path / "slurm"))
    crowd = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    assert [worker.communicate()[0].strip() for worker in crowd] == ["25"] * 8
    moments = [float(line) for line in calls.read_text().split()]
    assert 2 <= len(moments) <= 3
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(moments))
