"""Shares of an allocation: computed, and as the processes of each slot really see them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import taut
from processes import SOURCE, begin, output, script, until
from taut.definition import Evaluation
from taut.errors import InputError
from taut.executors import places
from taut.executors.base import Executor, Outcome, Task
from taut.executors.command import CommandExecutor
from taut.executors.places import devices, here, installed, of_job, pinned, quietest, room, share
from taut.executors.pool import PoolExecutor

CPUS = sorted(os.sched_getaffinity(0))
two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs to keep apart")


@pytest.mark.parametrize(
    ("slots", "gpus", "expected"),
    [
        (1, "0123", ["0123"]),
        (4, "0123", ["0", "1", "2", "3"]),
        (2, "0123", ["01", "23"]),
        (2, "01234", ["01", "23"]),  # 4 stays idle
        (4, "01", ["0", "1", "0", "1"]),
        (3, "01", ["0", "1", "0"]),
        (2, "", ["", ""]),
    ],
)
def test_gpus(slots: int, gpus: str, expected: list[str]) -> None:
    assert [place.gpus for place in share(slots, list(gpus), None)] == [tuple(text) for text in expected]


@pytest.mark.parametrize(
    ("slots", "gpus", "each", "expected"),
    [
        (2, "0123", 1.0, ["0", "1"]),  # the other two stay idle
        (1, "0123", 1.0, ["0"]),
        (2, "01234", 2.0, ["01", "23"]),
        (2, "01", 0.5, ["0", "1"]),
        (4, "01", 0.5, ["0", "1", "0", "1"]),
        (2, "0123", 0.5, ["0", "1"]),
        (3, "0", 1 / 3, ["0", "0", "0"]),
        (3, "0", 0.333333333333, ["0", "0", "0"]),  # as it stands in a job script
    ],
)
def test_what_each_gets(slots: int, gpus: str, each: float, expected: list[str]) -> None:
    places = share(slots, list(gpus), None, each)
    assert [place.gpus for place in places] == [tuple(text) for text in expected]


@pytest.mark.parametrize(
    ("slots", "gpus", "each", "room"),
    [(3, "01", 1.0, 2), (2, "012", 2.0, 1), (5, "01", 0.4, 4), (1, "", 0.5, 0)],
)
def test_what_each_cannot_get(slots: int, gpus: str, each: float, room: int) -> None:
    with pytest.raises(
        InputError, match=f"this process has {len(gpus)} GPUs .*, enough for {room}; start fewer"
    ):
        share(slots, list(gpus), None, each)


def test_where_the_gpus_are_not_known_all_see_all() -> None:
    assert [place.gpus for place in share(3, None, None, 1.0)] == [None] * 3


@pytest.mark.parametrize(
    ("slots", "cpus", "expected"),
    [
        (1, [3, 5], [(3, 5)]),
        (2, [0, 1, 2, 3], [(0, 1), (2, 3)]),
        (3, [0, 1, 2, 3, 4], [(0,), (1, 2), (3, 4)]),
        (2, [7], [None, None]),
        (2, None, [None, None]),
    ],
)
def test_cpus(slots: int, cpus: list[int] | None, expected: list[Any]) -> None:
    assert [place.cpus for place in share(slots, None, cpus)] == expected
    assert [place.gpus for place in share(slots, None, cpus)] == [None] * slots


def test_what_the_allocation_says() -> None:
    uuids = "GPU-8a2f, MIG-GPU-1/2/0"
    first, second = here(2, False, {"CUDA_VISIBLE_DEVICES": uuids})
    assert first.environment == {"CUDA_VISIBLE_DEVICES": "GPU-8a2f"}
    assert second.environment == {"CUDA_VISIBLE_DEVICES": "MIG-GPU-1/2/0"} and second.cpus is None
    assert [place.environment for place in here(2, False, {})] == [{}, {}]
    assert [place.environment for place in here(1, False, {"CUDA_VISIBLE_DEVICES": ""})] == [
        {"CUDA_VISIBLE_DEVICES": ""}
    ]
    every = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
    assert here(2, False, dict.fromkeys(every, "2,3"))[1].environment == dict.fromkeys(every, "3")
    amd = here(2, False, {"ROCR_VISIBLE_DEVICES": "2,3"})
    assert [place.environment for place in amd] == [
        {"ROCR_VISIBLE_DEVICES": "2"},
        {"ROCR_VISIBLE_DEVICES": "3"},
    ]


def test_the_affinity_mask_is_divided() -> None:
    (whole,) = here(1, True, {})
    assert sorted(whole.cpus or ()) == CPUS
    if len(CPUS) > 1:
        parts = [set(place.cpus or ()) for place in here(2, True, {})]
        assert parts[0] | parts[1] == set(CPUS) and not parts[0] & parts[1]


def test_the_next_trial_goes_to_the_quietest_gpu() -> None:
    places = share(4, ["0", "1"], None)
    assert quietest(places, [0, 1, 2, 3]) == 0
    assert quietest(places, [1, 2, 3]) == 1
    assert quietest(places, [0, 1, 3]) == 1  # the other slot of GPU 0 is busy
    assert quietest(places, {0}) == 0


def test_pinning_ends() -> None:
    with pytest.raises(KeyboardInterrupt), pinned(CPUS[:1]):
        assert os.sched_getaffinity(0) == set(CPUS[:1])
        raise KeyboardInterrupt
    assert sorted(os.sched_getaffinity(0)) == CPUS


LOOKING = """
    import json, os, pathlib, sys, time
    meeting, number = pathlib.Path(sys.argv[1]), os.environ["TAUT_TRIAL"]
    at_import = sorted(os.sched_getaffinity(0))
    (meeting / number).touch()
    while len(list(meeting.iterdir())) < 2: time.sleep(0.01)
    names = {"gpu": os.environ["CUDA_VISIBLE_DEVICES"], "threads": os.environ.get("OMP_NUM_THREADS", "0")}
    seen = {name: float(text) for name, text in names.items()}
    open(os.environ["TAUT_REPORT"], "a").write(json.dumps({"loss": at_import[0], "n": len(at_import), **seen}) + "\\n")
"""


def both(executor: Executor) -> list[dict[str, Any]]:
    """What two trials say that run at once."""
    return together(executor, [Task(number, 0, {"x": 1}, None) for number in range(2)])


def together(executor: Executor, tasks: list[Task]) -> list[dict[str, Any]]:
    """What trials say that are started one after the other, without waiting."""
    for task in tasks:
        executor.start(task)
    found: dict[int, dict[str, Any]] = {}
    end = time.monotonic() + 20
    while len(found) < len(tasks):
        assert time.monotonic() < end
        for message in executor.poll(0.5):
            assert isinstance(message, Outcome) and message.error is None
            found[message.number] = message.values
    return [found[task.number] for task in tasks]


@two_cpus
@pytest.mark.parametrize("limit", [None, "7"])
def test_two_commands_at_once(limit: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if limit is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
    script(tmp_path, LOOKING, "train.py")
    (tmp_path / "meeting").mkdir()
    evaluation = Evaluation(command=[sys.executable, "train.py", str(tmp_path / "meeting")])
    places = share(2, ["4", "5"], CPUS[:2])
    executor = CommandExecutor(evaluation, base=tmp_path, slots=2, objectives=["loss"], places=places)
    try:
        tasks = [Task(number, 0, {}, str(tmp_path / "trials" / str(number))) for number in range(2)]
        threads = 1.0 if limit is None else 7.0
        assert together(executor, tasks) == [
            {"loss": float(CPUS[0]), "n": 1.0, "gpu": 4.0, "threads": threads},
            {"loss": float(CPUS[1]), "n": 1.0, "gpu": 5.0, "threads": threads},
        ]
        assert sorted(os.sched_getaffinity(0)) == CPUS
    finally:
        executor.close()


@two_cpus
def test_two_warm_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    text = """
        import os
        cpus, gpu = sorted(os.sched_getaffinity(0)), os.environ["CUDA_VISIBLE_DEVICES"]
        def train(trial):
            if trial.params["x"] < 0: os._exit(1)
            return {"loss": cpus[0], "n": len(cpus), "gpu": float(gpu), "threads": float(os.environ["OMP_NUM_THREADS"])}
    """
    script(tmp_path, text, "placed_module.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    places = share(2, ["4", "5"], CPUS[:2])
    expected = [
        {"loss": float(CPUS[0]), "n": 1.0, "gpu": 4.0, "threads": 1.0},
        {"loss": float(CPUS[1]), "n": 1.0, "gpu": 5.0, "threads": 1.0},
    ]
    executor = PoolExecutor("placed_module:train", slots=2, names=["x"], main=["loss"], places=places)
    try:
        assert both(executor) == expected
        executor.start(Task(7, 0, {"x": -1}, None))  # ends its process; the next one has the same place
        until(lambda: bool(executor.poll(0.1)))
        assert both(executor) == expected
    finally:
        executor.close()


def test_places_are_free_again(tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        import os
        gpu = os.environ["CUDA_VISIBLE_DEVICES"]
        open(os.environ["TAUT_REPORT"], "a").write(f'{{"loss": {gpu}}}\\n')
        """,
        "train.py",
    )
    evaluation = Evaluation(command=[sys.executable, "train.py"])
    executor = CommandExecutor(
        evaluation, base=tmp_path, slots=2, objectives=["loss"], places=share(2, ["4", "5"], None)
    )
    try:
        for number in range(3):
            task = Task(number, 0, {}, str(tmp_path / "trials" / str(number)))
            assert together(executor, [task]) == [{"loss": 4.0}]
    finally:
        executor.close()


ALLOCATED = """
    import os, sys, time
    import taut

    def look(trial):
        trial.directory.mkdir(parents=True, exist_ok=True)
        while len(list(trial.directory.parent.iterdir())) < 2: time.sleep(0.01)  # both run at once
        cpus = sorted(os.sched_getaffinity(0))
        return {"loss": 1.0, "gpu": float(os.environ["CUDA_VISIBLE_DEVICES"]), "cpu": cpus[0], "cpus": len(cpus)}

    study = taut.Study(sys.argv[1], taut.Space(x=taut.uniform(0, 1)), minimize="loss")
    study.run(look, trials=2, workers=2)
    for trial in study.trials:
        print(*(int(trial.values[name]) for name in ("gpu", "cpu", "cpus")))
"""


@two_cpus
def test_a_study_shares_out_the_users_own_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "node1", "SLURM_CPUS_ON_NODE": str(len(CPUS))}
    for name, value in {**job, "CUDA_VISIBLE_DEVICES": "4,5"}.items():
        monkeypatch.setenv(name, value)
    told = output(begin(script(tmp_path, ALLOCATED), tmp_path / "study"), 60.0)
    first, second = sorted([int(word) for word in line.split()] for line in told.splitlines())
    half = len(CPUS) // 2
    assert (first, second) == ([4, CPUS[0], half], [5, CPUS[half], len(CPUS) - half])


def test_a_study_needs_no_places() -> None:
    study = taut.Study(None, taut.Space(x=taut.uniform(0, 1)), minimize="loss")
    study.run(lambda trial: trial.params["x"], trials=4, workers=2)
    assert len(study.trials) == 4


def test_what_a_trial_stands_for() -> None:
    def parts(*given: Any) -> list[float]:
        return [place.part for place in share(*given)]

    assert parts(2, list("0123"), None) == [2.0, 2.0]
    assert parts(2, list("012"), None) == [1.5, 1.5]  # what stays idle is held all the same
    assert parts(4, list("01"), None, 0.5) == [0.5] * 4
    assert parts(2, None, None) == parts(2, [], None) == [0.0, 0.0]
    alone = [device.alone for device in devices(share(2, list("0123"), None))]
    assert alone == [True, True]
    assert not any(device.alone for device in devices(share(3, list("01"), None)))
    assert not devices(share(1, ["0"], None, 0.5))[0].alone  # another worker may have the other half


def test_gpus_of_a_machine_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("0000:17:00.0", "0000:65:00.0"):  # as NVIDIA's driver shows them
        (tmp_path / name).mkdir()
    assert installed(tmp_path) == 2 and installed(tmp_path / "nowhere") == 0
    monkeypatch.setattr(places, "installed", lambda: 2)
    for name in places._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert [place.gpus for place in of_job(4, 0.5)] == [("0",), ("1",), ("0",), ("1",)]
    assert room(0.5) == 4 and room(1.0) == 2 and room(2.0) == 1
    with pytest.raises(InputError, match="a trial is to have 4 GPUs, and this process has 2"):
        room(4.0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")  # somebody has said which to use
    assert [place.gpus for place in of_job(2)] == [("7",), ("7",)] and room(0.5) == 2


LOCAL = """
    command = "{python} sees.py {{args}}"
    minimize = "loss"
    [space]
    x = {{ uniform = [0, 1] }}
    [budget]
    trials = 4
    [on.local]
    per_trial = {{ gpus = {gpus} }}
"""


def test_several_trials_share_a_gpu_on_this_machine(tmp_path: Path) -> None:
    text = 'import os, json, time; time.sleep(0.3); v = os.environ["CUDA_VISIBLE_DEVICES"]\n'
    text += 'print(json.dumps({"loss": 1.0, "gpu": int(v)}), file=open(os.environ["TAUT_REPORT"], "a"))\n'
    (tmp_path / "sees.py").write_text(text)

    def run(gpus: str) -> subprocess.CompletedProcess[str]:
        file = script(tmp_path, LOCAL.format(python=sys.executable, gpus=gpus), "study.toml")
        env = {**os.environ, "PYTHONPATH": str(SOURCE), "CUDA_VISIBLE_DEVICES": "3,5"}
        return subprocess.run(
            [sys.executable, "-m", "taut", "run", str(file)], env=env, capture_output=True, text=True
        )

    wrong = run("3")
    assert wrong.returncode == 2 and "a trial is to have 3 GPUs, and this process has 2" in wrong.stderr
    wrong = run("1.5")
    assert wrong.returncode == 2 and "whole GPUs, or a part of one" in wrong.stderr
    assert not (tmp_path / "runs").exists()
    done = run("0.5")
    assert done.returncode == 0, done.stderr
    trials = taut.Study(tmp_path / "runs" / tmp_path.name).trials
    assert sorted(trial.values["gpu"] for trial in trials) == [3.0, 3.0, 5.0, 5.0]  # four at once
    for trial in trials:
        assert trial.meters["gpu_hours"] == pytest.approx(0.5 * trial.spent / 3600, rel=0.3)
