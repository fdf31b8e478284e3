"""What a step costs: report and should_stop, against Optuna's Hyperband pruner in the same run.

python benchmarks/pruning.py              # --trials 1000 --steps 50 --quick

Both sides hold the same finished trials with their reports. Then they take turns: each runs some trials more, step by step, to the
end, whatever it is told. *memory*: a study in memory against Optuna's in-memory storage. *disk*: a study's directory against
Optuna's journal file; taut's reports are appended and not flushed one by one, as by default. Most steps
need no comparison, for either; the mean has those that do. Microseconds of processor time, the system's included: waiting
for the disk, as the journal does after every report, is left out, or the ratio would say how busy the disk is.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import common
import numpy as np
import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

import taut

GOALS = {"memory": 5, "disk": 20}
TURN = 2  # trials in a turn


def curve(rng: np.random.Generator, steps: int) -> list[float]:
    """A loss that falls towards a level of its own."""
    level = rng.random()
    return [float(level + 1.0 / (step + 1) + 0.01 * rng.standard_normal()) for step in range(steps)]


def with_taut(path: Path | None, existing: int, steps: int) -> Callable[[], list[float]]:
    fidelity = {"name": "epoch", "min": 1, "max": steps}
    pruner = {"method": "hyperband", "fidelity": fidelity}
    study = taut.Study(
        path, taut.Space(x=taut.uniform(0, 1)), minimize="loss", sampler="random", pruner=pruner, seed=0
    )
    rng = np.random.default_rng(0)
    for _ in range(existing):
        trial, losses = study.ask(), curve(rng, steps)
        for step, loss in enumerate(losses, start=1):
            trial.report(step=step, loss=loss)
        trial.tell(loss=losses[-1])

    def turn() -> list[float]:
        spent = []
        for _ in range(TURN):
            trial, losses = study.ask(), curve(rng, steps)
            for step, loss in enumerate(losses, start=1):
                begin = time.process_time()
                trial.report(step=step, loss=loss)
                trial.should_stop()
                spent.append(time.process_time() - begin)
            trial.tell(loss=losses[-1])
        return spent

    return turn


def with_optuna(storage: BaseStorage, existing: int, steps: int) -> Callable[[], list[float]]:
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=steps, reduction_factor=3)
    study = optuna.create_study(
        storage=storage, sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner, study_name="steps"
    )
    rng = np.random.default_rng(0)
    distributions = {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}
    trials = []
    for _ in range(existing):
        losses = curve(rng, steps)
        values = dict(enumerate(losses, start=1))
        trials.append(
            optuna.trial.create_trial(
                params={"x": float(rng.random())},
                distributions=distributions,
                value=losses[-1],
                intermediate_values=values,
            )
        )
    study.add_trials(trials)

    def turn() -> list[float]:
        spent = []
        for _ in range(TURN):
            trial, losses = study.ask(), curve(rng, steps)
            trial.suggest_float("x", 0.0, 1.0)
            for step, loss in enumerate(losses, start=1):
                begin = time.process_time()
                trial.report(loss, step)
                trial.should_prune()
                spent.append(time.process_time() - begin)
            study.tell(trial, losses[-1])
        return spent

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000, help="finished trials that both begin with")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="50 trials and two turns")
    options = parser.parse_args()
    existing, turns = (50, 2) if options.quick else (options.trials, options.turns)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    print(common.header("A step of a trial: report and should_stop"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        places: dict[str, tuple[Path | None, BaseStorage]] = {
            "memory": (None, InMemoryStorage()),
            "disk": (Path(folder) / "study", JournalStorage(JournalFileBackend(f"{folder}/journal"))),
        }
        for place, (path, storage) in places.items():
            sides = {
                "optuna": with_optuna(storage, existing, options.steps),
                "taut": with_taut(path, existing, options.steps),
            }
            found = {
                name: list(itertools.chain(*spent)) for name, spent in common.rounds(sides, turns).items()
            }
            median = {name: 1e6 * statistics.median(spent) for name, spent in found.items()}
            mean = {name: 1e6 * statistics.fmean(spent) for name, spent in found.items()}
            ratio = mean["optuna"] / mean["taut"]
            rows.append(
                (
                    place,
                    f"{existing} x {options.steps}",
                    *(f"{mean[name]:.1f} ({median[name]:.1f})" for name in ("optuna", "taut")),
                    f"{ratio:.1f}x ({median['optuna'] / median['taut']:.1f}x)",
                    f">= {GOALS[place]}x",
                    common.met(ratio, GOALS[place]),
                )
            )
    print(
        common.table(
            (
                "a step, mean (median)",
                "trials x steps",
                "HyperbandPruner, us",
                "taut, us",
                "ratio",
                "goal",
                "met",
            ),
            rows,
        )
    )


if __name__ == "__main__":
    main()
