"""The storm: workers on one study directory, a random one killed every 0.4 s and replaced.

    python tests/storm.py --seconds 60

Nothing that was acknowledged may be lost, no number may count twice, no trial may lie about for more than
ten seconds, and the study ends with exactly as many trials as were asked for.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parent.parent / "src"
sys.path.insert(0, str(SOURCE))

import numpy as np  # noqa: E402

import taut  # noqa: E402
from taut.events import Finished, Opened, Released, Started  # noqa: E402
from taut.log import LogReader  # noqa: E402
from taut.opening import make_proposals  # noqa: E402
from taut.verify import verify  # noqa: E402

WORKERS = 8
PAUSE = 0.4
STUCK = 10.0


class Acknowledged(NamedTuple):
    """What `tell` returned from, as the process that told it kept it on its own."""

    number: int
    attempt: int
    loss: float


class Outcome(NamedTuple):
    """What became of a storm. waits: seconds from the death of a worker until somebody took what it left."""

    trials: int
    kills: int
    started: int
    acknowledged: list[Acknowledged]
    waits: list[float]


def work(path: Path, side: Path) -> None:
    """A worker: what a user's script does, and a note of each result after it was told."""
    notes = os.open(side / f"{os.getpid()}-{time.time_ns()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for trial in taut.Study(path).work():
        time.sleep(trial.params["seconds"])
        loss = trial.params["x"] + trial.number
        trial.tell(loss=loss)
        os.write(notes, f"{trial.number} {trial.attempt} {loss!r}\n".encode())


def begin(path: Path, side: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--worker", str(path), str(side)])


def storm(folder: Path, seconds: float, seed: int = 0) -> Outcome:
    """Let it rage for `seconds`, then have one more worker finish the study; check all of it."""
    path, side, rng = folder / "study", folder / "side", random.Random(seed)
    side.mkdir()
    space = taut.Space(x=taut.uniform(0, 1), seconds=taut.loguniform(0.003, 0.3))
    with taut.Study(path, space, minimize="loss", sampler="random", trials=10**6, retries=100) as study:
        study.store.save()
    deaths: dict[int, float] = {}
    workers = [begin(path, side) for _ in range(WORKERS)]
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.5, 1.5) * PAUSE)
            slot = rng.randrange(WORKERS)
            kill(workers[slot], deaths)
            workers[slot] = begin(path, side)
    finally:
        for worker in workers:
            kill(worker, deaths)
    kills = len(deaths)

    with taut.Study(path) as study:
        size = study.snapshot.size
    with taut.Study(path, trials=size + 20):  # the budget only now, so that the storm never runs out of work
        pass
    last = begin(path, side)
    assert last.wait(timeout=60 + seconds) == 0
    return examine(path, side, size + 20, deaths, kills)


def kill(worker: subprocess.Popen[bytes], deaths: dict[int, float]) -> None:
    assert worker.poll() is None, f"a worker ended by itself with {worker.returncode}"
    deaths[worker.pid] = time.time()
    worker.send_signal(signal.SIGKILL)
    worker.wait()


def examine(path: Path, side: Path, trials: int, deaths: dict[int, float], kills: int) -> Outcome:
    """Compare the notes of the workers, the raw log and the reopened study."""
    acknowledged = []
    for notes in side.iterdir():
        for line in notes.read_text().splitlines():
            number, attempt, loss = line.split()
            acknowledged.append(Acknowledged(int(number), int(attempt), float(loss)))

    with taut.Study(path) as study:
        snapshot = study.snapshot
        assert not study.store.journal.problems, study.store.journal.problems
        assert snapshot.n_finished == trials == len(study.trials), (snapshot.counts, trials)
        assert [record.number for record in study.trials] == list(range(trials))
        assert all(record.state == "complete" for record in study.trials)
        lost = [told for told in acknowledged if not counts(snapshot, told)]
        assert not lost, f"acknowledged and not counted: {lost}"
        numbers = [told.number for told in acknowledged]
        assert len(numbers) == len(set(numbers)), "a number was acknowledged twice"

    checked = verify(path, make_proposals)
    assert checked.good, (checked.differences[:3], checked.damaged)
    waits, started = taken_over(path, trials, deaths)
    assert all(wait > 0 for _, wait in waits), f"taken from the living: {waits}"
    late = [f"trial {n}: {wait:.1f} s" for n, wait in waits if wait > STUCK]
    assert not late, f"stuck after the death of a worker: {late}"
    return Outcome(trials, kills, started, acknowledged, [wait for _, wait in waits])


def counts(snapshot: taut.snapshot.Snapshot, told: Acknowledged) -> bool:  # type: ignore[name-defined]
    same = snapshot.attempt[told.number] == told.attempt
    return bool(same and snapshot.values("loss")[told.number] == told.loss)


def taken_over(path: Path, trials: int, deaths: dict[int, float]) -> tuple[list[tuple[int, float]], int]:
    """For each trial that a killed worker had begun, or claimed and not begun: how long it lay about."""
    begun: dict[int, list[Started]] = {}
    ended: dict[int, list[Finished]] = {}
    closed: set[tuple[int, int]] = set()
    by_writer: dict[int, list[Started]] = {}
    pids: dict[int, int] = {}
    started = 0
    for batch in LogReader(path / "log").poll():
        for event in batch.events:
            if isinstance(event, Opened):
                pids[batch.writer] = event.pid
            elif isinstance(event, Started):
                started += 1
                begun.setdefault(event.n, []).append(event)
                by_writer.setdefault(batch.writer, []).append(event)
            elif isinstance(event, Finished):
                ended.setdefault(event.n, []).append(event)
                closed.add((event.n, event.a))
            elif isinstance(event, Released) and not event.blame:
                closed.add((event.n, event.a))
    for n, finishes in ended.items():
        final = max(start.a for start in begun[n])
        assert sum(finish.a == final for finish in finishes) == 1, f"trial {n} ended {len(finishes)} times"

    waits: list[tuple[int, float]] = []
    for writer, pid in pids.items():
        death = deaths.get(pid)
        if death is None:
            continue
        for start in by_writer.get(writer, ()):
            if (start.n, start.a) not in closed:
                waits.append((start.n, min(each.t for each in begun[start.n] if each.a > start.a) - death))
    for claim in (path / "claims").iterdir():
        name, (writer, size) = claim.name, map(int, os.readlink(claim).split("+"))
        death = deaths.get(pids[writer])
        if death is None or "." in name:
            continue
        for n in range(int(name), min(int(name) + size, trials)):
            first = min(start.t for start in begun[n])
            if first > death:
                waits.append((n, first - death))
    return waits, started


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill workers at random and see that nothing is lost.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        outcome = storm(Path(folder), options.seconds, options.seed)
    print(
        f"{outcome.kills} workers killed in {options.seconds:.0f} s; {outcome.trials} trials, {outcome.started} starts, "
        f"{len(outcome.acknowledged)} acknowledged, all counted once; taken over after "
        f"{np.mean(outcome.waits):.1f} s on average, {max(outcome.waits):.1f} s at most"
    )


if __name__ == "__main__":
    main()
