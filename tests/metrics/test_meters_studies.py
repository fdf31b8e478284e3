"""Meters in studies: what is measured without any code of the user may be an objective or a constraint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import taut
from processes import SOURCE, begin, output, script
from taut.definition import Definition, Objective
from taut.errors import InputError, StudyError
from taut.events import Finished, Released, Started, decode, encode
from taut.executors.base import Executor, Outcome, Task
from taut.opening import make_proposals
from taut.snapshot import Snapshot
from taut.verify import verify
from taut.worker import Worker

SPACE = taut.Space(x=taut.uniform(0, 1))
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")


def works(x: float) -> float:
    until = time.process_time() + 0.01 + 0.03 * x
    while time.process_time() < until:
        pass
    return x


@pytest.mark.parametrize("workers", [1, 2])
def test_a_meter_as_an_objective_and_as_a_constraint(workers: int, tmp_path: Path) -> None:
    path = tmp_path / "study"
    with taut.Study(
        path,
        SPACE,
        minimize=["loss", "cpu_seconds"],
        subject_to=["wall_seconds <= 30", "peak_memory_gb < 8"],
    ) as study:
        study.run(works, trials=8, workers=workers)
        assert all(trial.state == "complete" for trial in study.trials)
        for trial in study.trials:
            assert trial.values["loss"] == trial.params["x"]
            assert 0.01 <= trial.values["cpu_seconds"] == trial.meters["cpu_seconds"] < 1.0
            assert 0.01 <= trial.values["wall_seconds"] == pytest.approx(trial.spent)
            assert 0.01 < trial.values["peak_memory_gb"] < 8
        assert len(study.ranking) == 8 and len(study.pareto) >= 1
        assert set(study.snapshot.metrics) == {"loss", "cpu_seconds", "wall_seconds", "peak_memory_gb"}
    found = verify(path, make_proposals)
    assert (
        found.good and found.suggestions == 8
    )  # what was measured is in the log, and so decisions can be derived again


def test_what_a_study_does_not_ask_for_is_beside_its_metrics() -> None:
    study = taut.Study(None, SPACE, minimize="loss", sampler="random")
    study.run(lambda x: x, trials=3)
    record = study.trials[0]
    assert list(record.values) == ["loss"] and {"wall_seconds", "cpu_seconds"} <= record.meters.keys()
    assert study.snapshot.metrics == ("loss",) and "cpu_seconds" in study.snapshot.meters
    assert study.snapshot.values("cpu_seconds")[0] == record.meters["cpu_seconds"]  # for a sampler's cost


def test_what_a_trial_tells_itself_goes_first() -> None:
    study = taut.Study(None, SPACE, minimize=["loss", "cpu_seconds"], subject_to="gpu_hours <= 2")
    with pytest.warns(UserWarning, match="gpu_hours"):
        study.run(lambda x: {"loss": x, "cpu_seconds": 1234.0, "gpu_hours": 1.0}, trials=2)
    assert study.trials[0].values == {
        "loss": study.trials[0].params["x"],
        "cpu_seconds": 1234.0,
        "gpu_hours": 1.0,
    }
    assert study.trials[0].meters["cpu_seconds"] < 100 and len(study.ranking) == 2


def test_a_number_alone_is_the_objective_that_is_not_measured() -> None:
    study = taut.Study(None, SPACE, minimize=["wall_seconds", "loss"])
    study.run(lambda x: x, trials=2)
    assert study.trials[1].values["loss"] == study.trials[1].params["x"]
    both = taut.Study(None, SPACE, minimize=["wall_seconds", "loss"])
    both.run(lambda x: (7.0, x), trials=1)
    assert both.trials[0].values["wall_seconds"] == 7.0
    alone = taut.Study(None, SPACE, minimize="wall_seconds")
    alone.run(lambda x: None, trials=2)
    assert alone.best.values["wall_seconds"] == alone.best.duration


def test_what_is_missing_stops_the_study_and_says_why(tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", SPACE, minimize="loss", subject_to="peak_gpu_memory_gb <= 40")
    with (
        pytest.warns(UserWarning, match="not measured here.*peak_gpu_memory_gb: this process has no GPU"),
        pytest.raises(StudyError, match=r"peak_gpu_memory_gb was neither reported nor measured.*taut doctor"),
    ):
        study.run(lambda x: x, trials=3)
    assert study.trials[0].state == "waiting"  # it goes on where there is one
    with pytest.warns(UserWarning, match="not measured here"):
        study.run(lambda x: {"loss": x, "peak_gpu_memory_gb": 3.0}, trials=3)
    assert len(study.ranking) == 3


def test_trials_that_were_asked_for_are_measured_by_whoever_runs_them() -> None:
    study = taut.Study(None, SPACE, minimize=["loss", "cpu_seconds"])
    trial = study.ask()
    with pytest.raises(
        InputError, match=r"trial 0 cannot be told: cpu_seconds is not measured.*study\.tell\(0, cpu"
    ):
        study.tell(trial, loss=1.0)
    study.tell(trial, loss=1.0, cpu_seconds=2.0)
    assert study.trials[0].state == "complete"
    for trial in study.work():
        works(0.5)
        trial.tell(loss=2.0)
        if trial.number == 2:
            break
    assert [trial.meters.get("cpu_seconds", 0.0) > 0.02 for trial in study.trials] == [False, True, True]


def test_a_sampler_may_weigh_a_meter() -> None:
    study = taut.Study(None, SPACE, minimize="loss", sampler={"method": "gp", "cost": "cpu_seconds"})
    study.run(works, trials=9)
    price = study.store.proposals.sampler._price  # type: ignore[attr-defined]
    from taut.samplers.history import History

    logs = price(History.of(study.snapshot), 9).logs
    assert len(logs) == 9 and logs.min() < logs.max() < 0.0


BELOW = "b = bytearray(150_000_000); b[::4096] = b'x' * len(b[::4096]); import time; time.sleep(1)"


@linux
def test_memory_of_what_a_warm_process_has_started() -> None:
    def train(x: float) -> float:
        subprocess.run([sys.executable, "-c", BELOW], check=True)
        return x

    study = taut.Study(None, SPACE, minimize="loss", sampler="random")
    study.run(train, trials=2, workers=2)
    assert all(0.15 < trial.meters["peak_memory_gb"] < 0.3 for trial in study.trials)


def test_a_name_that_trials_tell_themselves_is_theirs(tmp_path: Path) -> None:
    def train(trial: taut.Trial) -> dict[str, float]:
        return {"peak_memory": 9.0} if trial.number == 2 else {"peak_memory_gb": 30.0 + trial.number}

    path = tmp_path / "s"
    with taut.Study(path, SPACE, minimize="peak_memory_gb") as study:
        study.run(train, trials=12)
        states = [trial.state for trial in study.trials]
        assert states == ["complete"] * 2 + ["failed"] + ["complete"] * 9
        forgot = study.trials[2]
        assert forgot.values == {"peak_memory": 9.0} and "no value for 'peak_memory_gb'" in str(forgot.error)
        assert "cpu_seconds" in forgot.meters and study.best.values == {"peak_memory_gb": 30.0}
    assert verify(path, make_proposals).good


@pytest.mark.parametrize("order", [1, -1])
def test_what_was_measured_before_a_trial_told_it_does_not_count(order: int) -> None:
    x = {"x": 0.5}
    measured = [
        Started(0, 0, x, 0, 1, 100.0),
        Finished(0, 0, "complete", {"loss": 1.0}, 110.0, u={"cpu_seconds": 9.0}),
    ]
    told = [
        Started(1, 0, x, 0, 1, 100.0),
        Finished(1, 0, "complete", {"loss": 1.0, "cpu_seconds": 2.0}, 110.0),
    ]
    failed = [
        Started(2, 0, x, 0, 1, 100.0),
        Finished(2, 0, "failed", {}, 110.0, "no", u={"cpu_seconds": 1.0}),
    ]
    before = folded(*measured, *failed, order=order)
    assert before.values("cpu_seconds")[0] == 9.0 == before.records([0])[0].values["cpu_seconds"]
    assert before.records([2])[0].values == {}
    after = folded(*measured, *told, *failed, order=order)
    assert after.theirs == {"cpu_seconds"} and list(after.values("cpu_seconds"))[1] == 2.0
    assert (
        after.records([0])[0].values == {"loss": 1.0} and after.records([0])[0].meters["cpu_seconds"] == 9.0
    )
    assert after.value(0, "cpu_seconds") != after.value(0, "cpu_seconds")


# --- several attempts ------------------------------------------------------------------------------------


def folded(*events: Any, order: int = 1) -> Snapshot:
    snapshot = Snapshot(Definition("s", SPACE.to_json(), [Objective("loss"), Objective("cpu_seconds")]))
    for writer, event in list(enumerate(events))[::order]:
        snapshot.apply(writer, [decode(encode(event)[:-1])])
    return snapshot


@pytest.mark.parametrize("order", [1, -1])
def test_attempts_of_a_trial_add_up_in_whatever_order_they_are_read(order: int) -> None:
    x = {"x": 0.5}
    first = Started(0, 0, x, 0, 1, 100.0)
    waits = Released(
        0, 0, "waits", False, 110.0, had=10.0, at=1.0, u={"cpu_seconds": 9.0, "peak_memory_gb": 2.0}
    )
    second = Started(0, 1, x, 0, 1, 200.0)
    ends = Finished(0, 1, "complete", {"loss": 1.0}, 205.0, u={"cpu_seconds": 4.0, "peak_memory_gb": 1.0})
    snapshot = folded(first, waits, second, ends, order=order)
    (record,) = snapshot.records([0])
    assert record.meters == {"wall_seconds": 15.0, "cpu_seconds": 13.0, "peak_memory_gb": 2.0}
    assert (
        record.values
        == {"loss": 1.0, "cpu_seconds": 13.0}
        == {"loss": 1.0, "cpu_seconds": snapshot.value(0, "cpu_seconds")}
    )
    assert folded(first, waits, order=order).meters == ()  # it has not finished


@pytest.mark.parametrize("order", [1, -1])
def test_of_attempts_that_add_up_each_has_to_be_measured(order: int) -> None:
    x = {"x": 0.5}
    events = [
        Started(0, 0, x, 0, 1, 100.0),
        Released(0, 0, "it was interrupted", False, 110.0, had=10.0),
        Started(0, 1, x, 0, 1, 200.0),
        Finished(0, 1, "complete", {"loss": 1.0}, 205.0, u={"cpu_seconds": 4.0, "peak_memory_gb": 1.0}),
    ]
    snapshot = folded(*events, order=order)
    assert snapshot.records([0])[0].meters == {"wall_seconds": 15.0, "peak_memory_gb": 1.0}
    assert snapshot.value(0, "cpu_seconds") != snapshot.value(0, "cpu_seconds")


INTERRUPTED = """
    import os, subprocess, sys, time

    import taut

    if os.environ["TAUT_ATTEMPT"] == "0":
        while time.process_time() < 0.5:
            pass
        taut.report(loss=1.0)
        open("busy", "w").close()
        time.sleep(60)
    taut.report(loss=1.0)
"""


def test_what_an_interrupted_attempt_took_is_kept(tmp_path: Path) -> None:
    script(tmp_path, INTERRUPTED, "train.py")
    text = f'command = "{sys.executable} train.py {{args}}"\nminimize = "loss"\n[space]\nx = {{ uniform = [0, 1] }}'
    (tmp_path / "study.toml").write_text(text + "\n[budget]\ntrials = 1\n")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    words = [sys.executable, "-m", "taut", "run", str(tmp_path / "study.toml")]
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        until = time.monotonic() + 30.0
        while not list(tmp_path.rglob("busy")) and time.monotonic() < until:
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
    cli("run", tmp_path / "study.toml")
    (trial,) = json.loads(cli("trials", tmp_path / "study.toml", "--json"))
    assert trial["attempts"] == 2 and trial["meters"]["cpu_seconds"] > 0.5


@pytest.mark.parametrize("order", [1, -1])
def test_a_later_attempt_takes_back_what_was_read_of_an_earlier_end(order: int) -> None:
    x = {"x": 0.5}
    events = [
        Started(0, 0, x, 0, 1, 100.0),
        Finished(0, 0, "complete", {"loss": 1.0}, 110.0, u={"cpu_seconds": 9.0}),
        Started(0, 1, x, 0, 1, 105.0),  # by who took the first for dead
        Finished(0, 1, "complete", {"loss": 2.0}, 120.0),
    ]
    snapshot = folded(*events, order=order)
    assert snapshot.records([0])[0].meters == {"wall_seconds": 15.0}
    assert snapshot.value(0, "cpu_seconds") != snapshot.value(0, "cpu_seconds")


def test_a_trial_that_was_given_up_shows_what_it_took() -> None:
    x, events = {"x": 0.5}, list[Any]()
    for a in range(4):
        events += [
            Started(0, a, x, 0, 1, 100.0 * a),
            Released(
                0, a, "ran out of memory", True, 100.0 * a + 5.0, had=5.0, u={"peak_memory_gb": 40.0 + a}
            ),
        ]
    (record,) = folded(*events).records([0])
    assert record.state == "failed" and record.meters == {"wall_seconds": 20.0, "peak_memory_gb": 43.0}


PAUSES = """
    import sys, time
    import taut

    def train(trial):
        for epoch in range(int(trial.resumed_step or 0), 9):
            until = time.process_time() + 0.01
            while time.process_time() < until:
                pass
            if trial.checkpoint_dir is not None:
                (trial.checkpoint_dir / "epoch").write_text(str(epoch + 1))
            trial.report(epoch + 1, loss=trial.params["x"])
            if trial.should_stop():
                break
        return trial.params["x"]

    fidelity = {"name": "epoch", "min": 1, "max": 9, "resume": True}
    study = taut.Study(
        sys.argv[1], taut.Space(x=taut.uniform(0, 1)), minimize="loss", sampler="random",
        subject_to="cpu_seconds <= 100", pruner={"method": "asha", "fidelity": fidelity},
    )
    study.run(train, trials=12)
"""


def test_a_trial_that_waits_on_rungs_is_charged_for_all_of_its_attempts(tmp_path: Path) -> None:
    output(begin(script(tmp_path, PAUSES), tmp_path / "s"), 60.0)
    whole = [trial for trial in taut.Study(tmp_path / "s").trials if trial.state == "complete"]
    assert whole and all(0.085 < trial.meters["cpu_seconds"] < 2.0 for trial in whole)  # nine epochs
    assert any(trial.attempts > 1 for trial in whole)


# --- commands, and what people see -----------------------------------------------------------------------


TRAIN = """
    import json, os, subprocess, sys, time

    size = int(json.loads(os.environ["TAUT_PARAMS"])["size"])
    block = bytearray(size << 20)
    block[::4096] = b"x" * len(block[::4096])
    subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.2: pass"], check=True)
    time.sleep(1.2)
    print(json.dumps({"loss": 1 / size}), file=open(os.environ["TAUT_REPORT"], "a"))
"""

STUDY = """
    command = "{python} train.py {{args}}"
    minimize = "loss"
    subject_to = ["peak_memory_gb <= 0.2"]
    [space]
    size = {{ ordinal = [300, 30] }}
    [budget]
    trials = 2
    [sampler]
    method = "grid"
    [on.local]
    workers = 2
"""


def cli(*words: object) -> str:
    """What the command line says."""
    done = subprocess.run(
        [sys.executable, "-m", "taut", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux
def test_an_unchanged_command(tmp_path: Path) -> None:
    script(tmp_path, TRAIN, "train.py")
    file = script(tmp_path, STUDY.format(python=sys.executable), "study.toml")
    cli("run", file)
    large, small = sorted(
        json.loads(cli("trials", file, "--json")), key=lambda trial: -trial["params"]["size"]
    )
    assert large["state"] == small["state"] == "complete"
    assert 0.31 < large["values"]["peak_memory_gb"] == large["meters"]["peak_memory_gb"] < 0.4
    assert 0.03 < small["values"]["peak_memory_gb"] < 0.1
    for trial in (large, small):
        assert 0.2 <= trial["meters"]["cpu_seconds"] < 5.0 and trial["meters"]["wall_seconds"] > 1.2
    assert (
        json.loads(cli("best", file, "--json"))["params"]["size"] == 30
    )  # the better one breaks the constraint
    assert "cpu_seconds=" in cli("trials", file, "--meters")
    assert "meters.cpu_seconds" in cli("trials", file, "--csv").partition("\n")[0]


def test_scripts_have_throughput_without_another_import() -> None:
    code = (
        "import sys, taut\n"
        "meter = taut.metrics.meters.Throughput(warmup=1)\n"
        "[meter.tick(tokens=5) for _ in range(3)]\n"
        "print(*meter.values); print(*{'numpy', 'msgspec'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "step_seconds tokens_per_second\n\n"


# --- what one trial lacks, and what all do ---------------------------------------------------------------


@pytest.mark.parametrize("way", ["run", "work"])
def test_a_trial_without_a_reading_fails_alone(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taut.metrics.meters.lacking.lacking", lambda gpus: {})  # a machine that measures all
    study = taut.Study(None, SPACE, minimize="loss", subject_to="energy_joules <= 100")

    def told(n: int, x: float) -> dict[str, float]:
        return {"loss": x} if n == 0 else {"loss": x, "energy_joules": 1.0}

    if way == "run":
        study.run(lambda trial: told(trial.number, trial.params["x"]), trials=3)
    else:
        for trial in study.work():
            trial.tell(**told(trial.number, trial.params["x"]))
            if trial.number == 2:
                break
    assert [trial.state for trial in study.trials] == ["failed", "complete", "complete"]
    assert "energy_joules was neither reported nor measured: it was over too soon" in str(
        study.trials[0].error
    )


def test_what_has_ended_well_is_kept_where_the_study_stops() -> None:
    study = taut.Study(None, SPACE, minimize="loss", subject_to="peak_gpu_memory_gb <= 40")
    worker = Worker(study.store, PoolLike([{"loss": 1.0}, {"loss": 1.0, "peak_gpu_memory_gb": 1.0}]))
    with pytest.raises(StudyError, match="trial 0 has ended well, but peak_gpu_memory_gb was neither"):
        worker.run()
    assert [trial.state for trial in study.trials] == ["waiting", "complete"]


class PoolLike(Executor):
    """Its trials end all at once, each with what is given for it."""

    def __init__(self, told: list[dict[str, float]]) -> None:
        self.slots, self._told, self._tasks = len(told), told, list[Task]()

    def start(self, task: Task) -> None:
        self._tasks.append(task)

    def poll(self, timeout: float) -> list[Outcome]:
        tasks, self._tasks = self._tasks, []
        return [Outcome(task.number, task.attempt, dict(self._told[task.number])) for task in tasks]

    def stop(self, kill: bool = False) -> None:
        self._tasks = []

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "asked", [{"minimize": "gpu_memory_left_gb"}, {"minimize": "a", "subject_to": "gpu_memory_left_gb < 1"}]
)
def test_what_no_trial_can_be_judged_by(asked: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="tells of the process that trials share"):
        taut.Study(None, SPACE, **asked)
