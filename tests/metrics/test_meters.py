"""Meters by themselves: real processes, real memory, real processor time; what no machine here has is written down as files."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taut
from taut import machine
from taut.errors import InputError
from taut.metrics.meters import Throughput, cuda, nvml
from taut.metrics.meters.lacking import caution, lacking, unmeasured
from taut.metrics.meters.leaks import Leaks
from taut.metrics.meters.own import OwnProcess
from taut.metrics.meters.rapl import Packages
from taut.metrics.meters.tree import Trees
from taut.metrics.meters.watch import ANY, Devices, Watch, merged
from taut.readings import GPU_LEFT, READINGS, own, together

MB = 10**6
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
HOLDS = "import sys; b = bytearray({size}); b[::4096] = b'x' * len(b[::4096]); print(flush=True); {then}"


def touched(size: int) -> bytearray:
    block = bytearray(size)
    block[::4096] = b"x" * len(block[::4096])
    return block


def holding(size: int, then: str = "input()", *arguments: str) -> subprocess.Popen[str]:
    """A process that holds so many bytes, ready when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS.format(size=size, then=then), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


# --- a trial in this very process --------------------------------------------------------------------


@linux
def test_each_trial_has_its_own_peak_and_its_own_processor_time() -> None:
    meter = OwnProcess()
    meter.begin()
    before = meter.end()
    meter.begin()
    touched(150 * MB)
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    large = meter.end()
    meter.begin()
    small = meter.end()
    assert 0.14 < large["peak_memory_gb"] - before["peak_memory_gb"] < 0.2
    assert small["peak_memory_gb"] < large["peak_memory_gb"] - 0.1  # forgotten, and not the most so far
    assert 0.1 <= large["cpu_seconds"] < 1.0 and small["cpu_seconds"] < 0.05
    assert "peak_gpu_memory_gb" not in large and meter.clean() == {}  # absent, not zero


@linux
def test_memory_that_nobody_asks_for_is_not_looked_at_in_tiny_trials() -> None:
    for thrifty, looked in ((True, [True, False, False, True]), (False, [True] * 4)):
        own, found = OwnProcess(thrifty), []
        for seconds in (0.0, 0.0, 0.01, 0.0):
            own.begin()
            time.sleep(seconds) if seconds else None
            found.append("peak_memory_gb" in own.end())
        assert found == looked


def test_processor_time_of_children_counts() -> None:
    meter = OwnProcess()
    meter.begin()
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    assert 0.2 <= meter.end()["cpu_seconds"] < 2.0


@linux
def test_measuring_costs_nearly_nothing() -> None:
    meter = OwnProcess()
    best = math.inf
    for _ in range(5):
        begun = time.process_time()
        for _ in range(200):
            meter.begin()
            meter.end()
            meter.clean()
        best = min(best, (time.process_time() - begun) / 200)
    assert best < 100e-6  # 15 microseconds where nobody else computes


# --- trials seen from outside ------------------------------------------------------------------------


@linux
def test_the_memory_of_a_tree(processes: list[subprocess.Popen[str]]) -> None:
    trees = Trees()
    below = HOLDS.format(size=100 * MB, then="input()")
    child = "import subprocess; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    processes.append(holding(200 * MB, child, below))  # and one below it, in the same session
    apart = "import os; os.setsid() if os.fork() == 0 else None; input()"
    processes.append(holding(50 * MB, apart))  # and one that has left its session, a copy that shares all
    time.sleep(0.5)
    first, second = (process.pid for process in processes)
    found = trees.look([first, second])
    assert len(found[first].pids) == 2 and 295 * MB < found[first].memory < 380 * MB
    assert (
        len(found[second].pids) == 2 and 50 * MB < found[second].memory < 90 * MB
    )  # what is shared counts once
    assert os.getpid() in trees._strangers and set(trees._ours) == {
        *found[first].pids,
        *found[second].pids,
    }
    processes.pop(0).kill()
    assert list(trees.look([second])) == [second]


@linux
def test_what_a_warm_process_has_started_stays_its_own(processes: list[subprocess.Popen[str]]) -> None:
    watch = Watch([ANY, ANY])
    below = HOLDS.format(size=100 * MB, then="time.sleep(60)").replace("import sys", "import sys, time")
    child = "import subprocess; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); input()"
    processes += [holding(20 * MB, child, below), holding(10 * MB)]
    time.sleep(0.3)
    first, second = (process.pid for process in processes)
    watch.begin("serves", 0, first, 0.0)
    watch.begin("other", 1, second, 0.0)
    watch.look(1.0)
    assert watch.end("serves", 1.0)["peak_memory_gb"] > 0.11
    watch.look(100.0)  # the first process rests
    watch.begin("next", 0, first, 200.0)
    watch.look(300.0)
    assert watch.end("next", 300.0)["peak_memory_gb"] > 0.11


@linux
def test_a_watch_finds_a_peak_that_has_passed(processes: list[subprocess.Popen[str]]) -> None:
    shrinks = "import time; time.sleep(0.6); del b; print(flush=True); input()"
    watch = Watch([ANY])
    process = holding(120 * MB, shrinks)
    processes.append(process)
    begun = time.monotonic()
    watch.begin("it", 0, process.pid, begun)
    watch.look(begun)  # not yet: a trial may be over in a moment
    assert watch._runs["it"].memory == 0
    while time.monotonic() - begun < 0.3:
        watch.look(time.monotonic())
        time.sleep(0.02)
    process.stdout.readline()  # type: ignore[union-attr]
    watch.look(time.monotonic() + 10.0)
    found = watch.end("it", time.monotonic())
    assert 0.12 < found["peak_memory_gb"] < 0.16 and "gpu_hours" not in found
    assert watch.end("it", time.monotonic()) == {}


@linux
def test_whether_the_memory_was_looked_at_is_known(processes: list[subprocess.Popen[str]]) -> None:
    processes.append(holding(10 * MB))
    watch = Watch([ANY])
    watch.begin("it", 0, processes[0].pid, 0.0)
    assert not watch.saw("it", 100.0)  # however long it took: nobody looked
    for second in (1.0, 40.0, 80.0):
        watch.look(second)
        assert watch.saw("it", second) == (second == 80.0)
    assert watch.saw("it", 88.0) and not watch.saw("it", 95.0) and not watch.saw("another", 1.0)


@linux
def test_looking_takes_less_than_a_two_hundredth_of_a_core(processes: list[subprocess.Popen[str]]) -> None:
    watch = Watch([ANY])
    processes.append(holding(10 * MB))
    begun, spent, clock = time.monotonic(), time.thread_time(), 0.0
    watch.begin("it", 0, processes[0].pid, begun)
    while clock < 60.0:  # a minute, looked at as often as an executor would
        watch.look(begun + clock)
        clock += 0.1
    assert time.thread_time() - spent < 0.005 * 60.0


def test_gpu_hours_are_the_share_times_the_time() -> None:
    watch = Watch([Devices(("0",), True, 1.0), Devices(("1",), False, 0.5), ANY])
    for slot in range(3):
        watch.begin(slot, slot, None, 100.0)
    assert [watch.end(slot, 460.0).get("gpu_hours") for slot in range(3)] == [0.1, 0.05, None]


V1 = Path("/sys/fs/cgroup/memory")


@pytest.mark.skipif(
    not ((V1 / "release_agent").exists() and os.access(V1, os.W_OK)),
    reason="no control groups that may be written",
)
def test_a_control_group_of_its_own_is_asked(processes: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    group = V1 / f"taut-meters-{os.getpid()}"
    group.mkdir()
    trees = Trees()
    try:
        file = tmp_path / "much"
        file.write_bytes(b"x" * 60 * MB)
        process = subprocess.Popen(
            [sys.executable, "-c", f"input(); b = b'x' * {80 * MB}; open({str(file)!r}, 'rb').read(); print(flush=True); input()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        processes.append(process)
        assert process.stdin is not None and process.stdout is not None
        (group / "cgroup.procs").write_text(str(process.pid))
        print(file=process.stdin, flush=True)
        process.stdout.readline()
        assert machine.memory_group(process.pid) == group
        found = trees.look([process.pid])[process.pid].memory
        assert 79 * MB < found < 100 * MB and found == pytest.approx(machine.held(group), rel=0.05)
        process.kill()
        process.communicate()
    finally:
        group.rmdir()


def test_what_was_seen_from_both_sides() -> None:
    inside = {"cpu_seconds": 3.0, "peak_memory_gb": 1.0, "peak_gpu_memory_gb": 5.0}
    outside = {"peak_memory_gb": 2.0, "peak_gpu_memory_gb": 6.0, "gpu_hours": 0.5}
    found = merged(inside, outside)
    assert found == {"cpu_seconds": 3.0, "peak_memory_gb": 2.0, "peak_gpu_memory_gb": 5.0, "gpu_hours": 0.5}
    assert merged({}, outside) == outside and merged(inside, {}) == inside


# --- energy -------------------------------------------------------------------------------------------


def package(root: Path, name: str, label: str, stand: int, limit: int = 1_000_000_000) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{label}\n")
    (folder / "energy_uj").write_text(f"{stand}\n")
    (folder / "max_energy_range_uj").write_text(f"{limit}\n")
    return folder


def test_the_counters_of_two_packages_one_of_which_begins_anew(tmp_path: Path) -> None:
    first = package(tmp_path, "intel-rapl:0", "package-0", 999_000_000)
    second = package(tmp_path, "intel-rapl:1", "package-1", 5_000_000)
    package(tmp_path, "intel-rapl:0:0", "core", 7)  # a part of the first
    package(tmp_path, "intel-rapl:2", "psys", 7)  # all of the board once more
    packages = Packages(tmp_path)
    before = packages.stand(100.0)
    assert before is not None and packages.readable
    (first / "energy_uj").write_text("2000000")  # 3 J, by way of its limit
    (second / "energy_uj").write_text("6500000")  # 1.5 J
    middle = packages.stand(101.0)
    assert middle is not None and middle.since(before) == pytest.approx(4.5)
    (first / "energy_uj").write_text("12000000")
    after = packages.stand(101.9)
    assert after is not None and after.since(before) == pytest.approx(14.5)
    late = packages.stand(105.0)  # by then the counter may have turned more than once: with 500 W after 2 s
    assert late is not None and late.since(before) is None and late.since(after) is None


def test_counters_that_cannot_be_read(tmp_path: Path) -> None:
    assert Packages(tmp_path / "nowhere").stand(0.0) is None
    package(tmp_path, "intel-rapl:0", "package-0", 5)
    hidden = package(tmp_path, "intel-rapl:1", "package-1", 5)
    (hidden / "energy_uj").unlink()
    assert not Packages(tmp_path).readable  # half of a machine is not the machine


# --- several attempts ------------------------------------------------------------------------------------


def test_what_several_attempts_come_to() -> None:
    first = {"cpu_seconds": 3.0, "peak_memory_gb": 2.0, "gpu_utilisation": 0.5}
    second = {"cpu_seconds": 4.0, "peak_memory_gb": 1.0, "gpu_utilisation": 0.9, "gpu_hours": 0.25}
    found = together([(30.0, first), (10.0, second), (5.0, {})])
    assert found == {  # nobody knows how long the processors worked in the third
        "peak_memory_gb": 2.0,
        "gpu_hours": 0.25 * 4.5,  # as many GPUs at other times
        "gpu_utilisation": pytest.approx(0.6),
    }
    assert together([(30.0, first), (10.0, second)])["cpu_seconds"] == 7.0
    assert together([]) == {} and own(["loss", "cpu_seconds"]) == ["loss"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.1, 100), st.dictionaries(st.sampled_from(sorted(READINGS)), st.floats(0, 1e6))),
        max_size=5,
    )
)
def test_attempts_in_any_order_come_to_the_same(attempts: list[tuple[float, dict[str, float]]]) -> None:
    assert together(attempts[::-1]) == pytest.approx(together(attempts))


# --- throughput -------------------------------------------------------------------------------------------


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_throughput_after_warm_up() -> None:
    hand = Hand()
    meter = Throughput(warmup=2, clock=hand)
    assert meter.values == {}
    for seconds, tokens in ((9.0, 100), (5.0, 100), (1.0, 200), (1.0, 200), (4.0, 200)):
        hand.now += seconds
        meter.tick(tokens=tokens, sequences=4)
    assert meter.values == {"step_seconds": 1.0, "tokens_per_second": 100.0, "sequences_per_second": 2.0}
    hand.now += 1000.0  # an evaluation
    meter.resume()
    hand.now += 2.0
    meter.tick(tokens=200)
    assert meter.values["tokens_per_second"] == 100.0 and meter.values["step_seconds"] == 1.5


def test_what_was_not_counted_is_absent() -> None:
    hand = Hand()
    meter = taut.metrics.meters.Throughput(warmup=1, clock=hand)
    for _ in range(3):
        hand.now += 0.5
        meter.tick(sequences=8)
    assert meter.values == {"step_seconds": 0.5, "sequences_per_second": 16.0}


@pytest.mark.parametrize("warmup", [0, -1, 1.5, True])
def test_a_warm_up_that_cannot_be(warmup: Any) -> None:
    with pytest.raises(InputError, match="whole number from 1"):
        Throughput(warmup=warmup)


def test_a_count_that_cannot_be() -> None:
    with pytest.raises(InputError, match="numbers from 0"):
        Throughput().tick(tokens=-1)


# --- GPUs: none is here, so their libraries are played ------------------------------------------------------


class Played:
    """`torch.cuda` with two devices: what tensors hold, and which calls came."""

    def __init__(self) -> None:
        self.held, self.peaks, self.calls = [10 * MB, 20 * MB], [300 * MB, 700 * MB], list[str]()

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def reset_peak_memory_stats(self, device: int) -> None:
        self.calls.append(f"reset {device}")

    def max_memory_allocated(self, device: int) -> int:
        return self.peaks[device]

    def memory_allocated(self, device: int) -> int:
        return self.held[device]

    def empty_cache(self) -> None:
        self.calls.append("empty")

    def synchronize(self) -> None:
        self.calls.append("wait")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Played:
    torch, played = ModuleType("torch"), Played()
    torch.cuda = played  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    return played


def test_a_trial_on_gpus(gpus: Played) -> None:
    meter = OwnProcess()
    meter.begin()
    assert gpus.calls == ["reset 0", "reset 1"]
    assert meter.end()["peak_gpu_memory_gb"] == 0.7  # of the one that had the most
    assert meter.clean() == {}  # the first may have loaded what all of them use
    assert gpus.calls[2:] == ["empty"]
    meter.begin()
    gpus.held[1] += 400 * MB
    meter.end()
    assert meter.clean() == {GPU_LEFT: 0.4}
    meter.begin()
    meter.end()
    assert meter.clean() == {GPU_LEFT: 0.0}  # what was left stays, and no more came
    Throughput().tick(tokens=1)
    assert gpus.calls[-1] == "wait"


def test_pytorch_without_a_gpu_is_left_alone(gpus: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "is_initialized", lambda: False, raising=False)
    cuda.begin()
    cuda.free()
    assert cuda.peak() is None and cuda.allocated() is None and gpus.calls == []


def test_a_leak_is_told_once_with_its_cure() -> None:
    leaks = Leaks()
    said = [leaks.note(n, {GPU_LEFT: left}) for n, left in enumerate([0.5, 0.0, 0.04, 0.5, 0.5, 0.5])]
    assert [text is not None for text in said] == [False] * 4 + [True, False]
    assert "trials 0, 3, 4 left 1.5 GB" in str(said[4]) and "fresh_process = true" in str(said[4])
    assert leaks.note(9, {}) is None


THERE, HIDDEN = os.getppid(), 1 << 23  # the number of a process, and one that Linux gives to none


class Board:
    """NVIDIA's library with one GPU that draws 300 W."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        self.joules, self.of = 1000.0, {THERE: 3000 * MB, HIDDEN: 500 * MB}

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        return int(self.joules * 1000)

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:
        return SimpleNamespace(gpu=80, memory=10)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in self.of.items()]

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:
        return SimpleNamespace(used=4000 * MB)


def test_a_gpu_is_asked_for_what_is_the_trials_own(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board()
    gpu = nvml.Gpu(board, "the board")
    assert gpu.memory([THERE, 1], alone=False) == 3000 * MB
    assert gpu.memory([1], alone=False) is None is gpu.memory([1], alone=True)  # somebody else is on it
    board.of[THERE] = None  # type: ignore[assignment]  # as under Windows' driver model, and in some containers
    assert gpu.memory([THERE], alone=False) is None and gpu.memory([THERE], alone=True) == 4000 * MB
    del board.of[THERE]  # a container hides whose they are
    assert gpu.memory([1], alone=False) is None and gpu.memory([1], alone=True) == 4000 * MB

    monkeypatch.setattr("taut.metrics.meters.watch.gpu", lambda name: gpu)
    watch = Watch([Devices(("0",), True, 1.0), Devices(("1",), False, 0.5)], alone=False)
    watch.begin("own", 0, None, 0.0)
    watch.begin("shared", 1, None, 0.0)
    board.joules += 3000.0
    found, shared = watch.end("own", 10.0), watch.end("shared", 10.0)
    assert found == {"gpu_hours": pytest.approx(10 / 3600, rel=1e-5), "gpu_energy_joules": 3000.0}
    assert "gpu_energy_joules" not in shared  # the board does not say whose it was
    watch.begin("beside another", 0, None, 10.0)
    board.of[THERE] = 100 * MB
    assert watch.end("beside another", 15.0).keys() == {"gpu_hours"}
    watch.begin("brief", 0, None, 20.0)
    assert "gpu_energy_joules" not in watch.end("brief", 20.5)  # less than the counter can tell


def test_a_question_that_the_library_does_not_answer() -> None:
    board = Board()

    def refuse(handle: str) -> int:
        raise Board.NVMLError("not supported")

    board.nvmlDeviceGetTotalEnergyConsumption = refuse  # type: ignore[method-assign]
    assert nvml.Gpu(board, "it").energy() is None and nvml.Gpu(board, "it").busy() == 0.8


# --- what is not there ------------------------------------------------------------------------------------------


def test_what_is_missing_says_why() -> None:
    none = lacking(gpus=False)
    assert {"gpu_hours", "peak_gpu_memory_gb", "gpu_utilisation"} <= none.keys() <= READINGS.keys()
    assert "no GPU" in none["gpu_hours"] and "wall_seconds" not in none and "cpu_seconds" not in none
    assert "gpu_hours" not in lacking(gpus=True)
    if nvml.reason():
        assert lacking(gpus=True)["gpu_energy_joules"] == nvml.reason()
    assert caution(["loss", "cpu_seconds"], gpus=False) is None
    assert "gpu_hours: this process has no GPU" in str(caution(["loss", "gpu_hours"], gpus=False))


def test_a_trial_that_lacks_what_is_asked_for() -> None:
    asked = ["loss", "wall_seconds", "gpu_hours"]
    assert unmeasured(asked, {"loss", "gpu_hours"}, gpus=False) is None
    problem = unmeasured(asked, {"loss"}, gpus=False)
    assert problem is not None and problem.never
    assert "no GPU" in problem.why and "taut.report(gpu_hours=...)" in problem.why
    missed = unmeasured(["peak_gpu_memory_gb"], set(), gpus=True)
    assert missed is not None and not missed.never and "over too soon" in missed.why
