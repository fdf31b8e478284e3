"""A study on disk with a trivial objective: trials per second of 1, 4 and 16 processes.

    python benchmarks/storage.py

Random sampler, two floats. Every process opens the study, waits for the others, and then works for a
fixed time: `study.run` on a taut directory, `study.optimize` on Optuna's journal file. With --each, taut
flushes every result by itself, as it does for `tell` and for trials of more than 2 ms.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import common

GOALS = {1: 5, 4: 10, 16: 20}
CONTESTANTS = ("optuna", "taut")


class Service(NamedTuple):
    """How a group of workers was served: trials/s of all, of the least and of the most served one, and
    the longest time in seconds that any of them spent without a new trial."""

    rate: float
    least: float
    most: float
    gap: float


def work(name: str, path: str, seconds: float, each: bool, start: Any, stamps: Any) -> None:
    """One worker: when each of its trials was evaluated, in seconds after the start.

    It imports what it measures and nothing else, and tries a study in memory first: what is loaded with the
    first trial is not what this is about.
    """
    found: list[float] = []

    def evaluated(x: float, y: float) -> float:
        found.append(time.monotonic())
        return x * x + y

    run: Callable[[], Any]
    if name == "optuna":
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalStorage

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(path))
        loaded = optuna.load_study(
            study_name="study", storage=storage, sampler=optuna.samplers.RandomSampler()
        )

        def objective(trial: Any) -> float:
            return evaluated(trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("y", 0.0, 1.0))

        def run() -> None:
            loaded.optimize(objective, timeout=seconds)

        optuna.create_study(sampler=optuna.samplers.RandomSampler()).optimize(objective, n_trials=3)
    else:
        import taut
        import taut.store

        if each:
            taut.store._TINY = 0.0  # no trial takes less: each result is flushed before the next trial
        study = taut.Study(path)

        def objective(trial: Any) -> float:
            return evaluated(trial.params["x"], trial.params["y"])

        def run() -> None:
            study.run(objective, hours=seconds / 3600)

        taut.Study(None, study.space, minimize="loss", sampler="random").run(objective, trials=3)

    found.clear()
    start.wait()
    begin = time.monotonic()
    run()
    stamps.put([moment - begin for moment in found if moment <= begin + seconds])


def serve(name: str, template: Path, workers: int, seconds: float, each: bool) -> Service:
    """Put `workers` processes to work on a fresh copy of the study in `template`."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="taut-benchmark-", dir=template.parent) as folder:
        path = Path(folder) / "study"
        if template.is_dir():
            shutil.copytree(template, path, symlinks=True)
        else:
            shutil.copy(template, path)
        start, stamps = context.Barrier(workers), context.Queue()
        arguments = (name, str(path), seconds, each, start, stamps)
        processes = [context.Process(target=work, args=arguments) for _ in range(workers)]
        for process in processes:
            process.start()
        found = [stamps.get(timeout=300 + seconds) for _ in processes]
        for process in processes:
            process.join()
    counts = [len(moments) for moments in found]
    gap = max(b - a for moments in found for a, b in itertools.pairwise([0.0, *moments, seconds]))
    return Service(sum(counts) / seconds, min(counts) / seconds, max(counts) / seconds, gap)


def main() -> None:
    from builders import build_optuna, build_taut  # imports both, which the measured processes must not

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=list(GOALS))
    parser.add_argument("--existing", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long the processes work")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--dir", default=None, help="file system to measure; default: the temporary directory"
    )
    parser.add_argument("--each", action="store_true", help="a flush for each of taut's results")
    options = parser.parse_args()

    medians: dict[tuple[str, int, int], Service] = {}
    with tempfile.TemporaryDirectory(prefix="taut-benchmark-", dir=options.dir) as folder:
        templates = {}
        for existing in options.existing:
            for name, build in (("optuna", build_optuna), ("taut", build_taut)):
                templates[name, existing] = Path(folder) / f"{name}-{existing}"
                build(templates[name, existing], existing)
        for workers in options.workers:
            # Both sizes take turns as well, since they are compared with each other.
            found = common.rounds(
                {
                    (name, existing): partial(
                        serve, name, templates[name, existing], workers, options.seconds, options.each
                    )
                    for existing in options.existing
                    for name in CONTESTANTS
                },
                options.rounds,
                warm_up=0,  # each process warms up by itself, before the start
            )
            for (name, existing), services in found.items():
                medians[name, workers, existing] = Service(
                    *map(statistics.median, zip(*services, strict=True))
                )

    kind = ", a flush for each result" if options.each else ""
    print(common.header(f"A study on disk, trivial objective, {options.seconds:g} s a run{kind}"))
    print(common.table(_COLUMNS, _rows(medians, options.workers, options.existing)))
    if len(options.existing) > 1:
        print()
        print(common.table(_LATER, _later(medians, options.workers, options.existing)))


_COLUMNS = (
    "processes",
    "existing",
    "",
    "trials/s",
    "least served",
    "most served",
    "longest gap, s",
    "ratio",
    "goal",
    "met",
)
_LATER = ("processes", "", "few existing, trials/s", "many existing, trials/s", "many/few", "goal", "met")


def _rows(
    medians: dict[tuple[str, int, int], Service], workers: list[int], sizes: list[int]
) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for count, existing in itertools.product(workers, sizes):
        ratio = medians["taut", count, existing].rate / medians["optuna", count, existing].rate
        for name in CONTESTANTS:
            s = medians[name, count, existing]
            goal = GOALS.get(count)
            verdict: tuple[object, ...] = ("", "", "")
            if name == "taut":
                reached = common.met(ratio, goal) if goal and s.least > 0 else "NO" if goal else ""
                verdict = (f"{ratio:.1f}x", f">= {goal}x" if goal else "", reached)
            figures = (f"{s.rate:.0f}", f"{s.least:.0f}", f"{s.most:.0f}", f"{s.gap:.2f}")
            rows.append((count, existing, name, *figures, *verdict))
    return rows


def _later(
    medians: dict[tuple[str, int, int], Service], workers: list[int], sizes: list[int]
) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for count, name in itertools.product(workers, CONTESTANTS):
        few, many = (medians[name, count, size].rate for size in (min(sizes), max(sizes)))
        verdict = (">= 0.80", common.met(many / few, 0.8)) if name == "taut" else ("", "")
        rows.append((count, name, f"{few:.0f}", f"{many:.0f}", f"{many / few:.2f}", *verdict))
    return rows


if __name__ == "__main__":
    main()
