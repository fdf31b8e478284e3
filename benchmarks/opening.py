"""Opening a study of 50,000 trials with three reports each: until the best value and the count are known.

python benchmarks/opening.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import common

GOAL = 10


class Opening(NamedTuple):
    """Seconds to open and to answer, the process's growth in MB, and the answers."""

    seconds: float
    memory: float
    trials: int
    best: float


def open_study(name: str, path: Path, answer: Any) -> None:
    """In a process of its own, which imports beforehand what it measures and nothing else."""
    if name == "optuna":
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalStorage

        before, begin = resident(), time.perf_counter()
        loaded = optuna.load_study(study_name="study", storage=JournalStorage(JournalFileBackend(str(path))))
        best, trials = loaded.best_value, len(loaded.get_trials(deepcopy=False))
    else:
        import taut

        taut.Study  # noqa: B018 - loads what the name stands for
        before, begin = resident(), time.perf_counter()
        study = taut.Study(path)
        best, trials = study.best.values["loss"], study.snapshot.n_finished
    seconds = time.perf_counter() - begin
    answer.put(Opening(seconds, resident() - before, trials, best))


def resident() -> float:
    """This process's memory in MB; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 1e6


def measure(name: str, path: Path) -> Opening:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=open_study, args=(name, path, answer))
    process.start()
    found: Opening = answer.get(timeout=600)
    process.join()
    return found


def main() -> None:
    from builders import build_optuna, build_taut  # imports both, which the measured processes must not

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=50_000)
    parser.add_argument("--reports", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--dir", default=None, help="file system to measure; default: the temporary directory"
    )
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="taut-benchmark-", dir=options.dir) as folder:
        paths = {name: Path(folder) / name for name in ("optuna", "taut")}
        sizes, builds = {}, {}
        for name, build in (("optuna", build_optuna), ("taut", build_taut)):
            begin = time.perf_counter()
            build(paths[name], options.trials, options.reports)
            builds[name] = time.perf_counter() - begin
            sizes[name] = (
                sum(f.stat().st_size for f in (paths[name], *paths[name].rglob("*")) if f.is_file()) / 1e6
            )
        found = common.rounds(
            {name: lambda n=name: measure(n, paths[n]) for name in paths}, options.rounds, warm_up=0
        )

    seconds = {name: statistics.median(o.seconds for o in openings) for name, openings in found.items()}
    rows = []
    for name, openings in found.items():
        assert all(o.trials == options.trials for o in openings), openings
        memory = statistics.median(o.memory for o in openings)
        ratio = seconds["optuna"] / seconds["taut"]
        verdict = (
            (f"{ratio:.1f}x", f">= {GOAL}x", common.met(ratio, GOAL)) if name == "taut" else ("", "", "")
        )
        figures = (f"{seconds[name]:.2f}", f"{memory:.0f}", f"{sizes[name]:.0f}", f"{builds[name]:.0f}")
        rows.append((name, *figures, *verdict))
    print(common.header(f"Opening a study of {options.trials} trials with {options.reports} reports each"))
    columns = ("", "open, s", "memory, MB", "on disk, MB", "made in, s", "ratio", "goal", "met")
    print(common.table(columns, rows))


if __name__ == "__main__":
    main()
