"""What a suggestion costs: milliseconds for each ask, on one core, against Optuna's samplers in the same run.

python benchmarks/suggest.py              # --only gp|tpe|imports --quick --gp METHOD --tpe METHOD

Both sides have the same finished trials with the same values, a smooth function and a little noise. Then they take turns:
Optuna asks once, taut five times, and each ask is followed by a tell, so that every ask has news to learn from. The first turn of
each does not count: it meets the history for the first time, as a resumed study does. An ask includes reading the parameters.
Milliseconds are of processor time, over all threads: on a quiet machine the same as waiting, and on a busy one still comparable.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import common
import msgspec
import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

import taut
from taut.definition import Method
from taut.samplers import registry

ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
LEVELS = ["a", "b", "c", "d"]
OURS = 5  # asks of ours in a turn, so that the mean has seen what is not done in every ask
IMPORT = """
import json, sys, time
import numpy, taut.study
from taut.definition import Method
from taut.samplers import registry
options = {"resolution": 3} if sys.argv[1] == "grid" else {}
begin = time.perf_counter()
registry.make(Method(sys.argv[1], options))
spent = time.perf_counter() - begin
import taut
space = taut.Space(x=taut.uniform(0, 1), n=taut.loguniform_int(1, 9), kind=taut.choice(["a", "b", "c"]))
study = taut.Study(None, space, minimize="loss", sampler={"method": sys.argv[1], **options})
for _ in range(25):
    trial = study.ask()
    study.tell(trial, loss=trial.params["x"] ** 2)
print(json.dumps([spent * 1e3, "scipy.stats" in sys.modules]))
"""


class Case(NamedTuple):
    """The same space for both."""

    name: str
    floats: int
    ints: int = 0
    choices: int = 0

    def space(self) -> taut.Space:
        return taut.Space(
            {f"f{i}": taut.uniform(0.0, 1.0) for i in range(self.floats)}
            | {f"i{i}": taut.uniform_int(0, 100) for i in range(self.ints)}
            | {f"c{i}": taut.choice(LEVELS) for i in range(self.choices)}
        )

    def distributions(self) -> dict[str, BaseDistribution]:
        return (
            {f"f{i}": FloatDistribution(0.0, 1.0) for i in range(self.floats)}
            | {f"i{i}": IntDistribution(0, 100) for i in range(self.ints)}
            | {f"c{i}": CategoricalDistribution(LEVELS) for i in range(self.choices)}
        )


CASES = [Case("5 floats", 5), Case("20 floats", 20), Case("10 floats, 5 ints, 5 choices", 10, 5, 5)]
PEERS: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
    "gp": lambda: optuna.samplers.GPSampler(seed=0),
    "tpe": lambda: optuna.samplers.TPESampler(seed=0),
}
SIZES = {"gp": {100: 9, 300: 7, 1000: 3}, "tpe": {1000: 25, 10_000: 15}}  # finished trials: turns
QUICK = {"gp": {100: 3}, "tpe": {1000: 5}}


def goal(kind: str, existing: int, case: Case) -> int:
    """How many times less than Optuna's an ask of ours may take."""
    if kind == "tpe":
        return 10 if existing <= 1000 else 50
    if existing >= 1000:
        return 20
    return 25 if case.choices else 10


def loss(params: Mapping[str, Any], rng: np.random.Generator) -> float:
    """A bowl with a valley, an effect of each choice, and a little noise."""
    unit = np.array(
        [
            v / 100 if k.startswith("i") else LEVELS.index(v) / 3 if k.startswith("c") else v
            for k, v in params.items()
        ]
    )
    bowl = np.sum((unit - 0.3) ** 2 * np.linspace(2.0, 0.1, len(unit)))
    return float(bowl + 0.5 * (unit[0] - unit[1] ** 2) ** 2 + 0.01 * rng.standard_normal())


def contestants(kind: str, method: str, case: Case, existing: int) -> dict[str, Callable[[], list[float]]]:
    """One turn of each side: seconds of its asks. Both have the same history."""
    rng = np.random.default_rng(1)
    study = taut.Study(None, case.space(), minimize="loss", sampler="random", seed=0)
    trials = study.ask(existing)
    losses = [loss(trial.params, rng) for trial in trials]
    study.tell(trials, loss=losses)
    study.store.revise(lambda now: msgspec.structs.replace(now, sampler=Method(method)))

    distributions = case.distributions()
    peer = optuna.create_study(sampler=PEERS[kind]())
    peer.add_trials(
        [
            optuna.trial.create_trial(params=trial.params, distributions=distributions, value=value)
            for trial, value in zip(trials, losses, strict=True)
        ]
    )

    def with_optuna() -> list[float]:
        begin = time.process_time()
        trial = peer.ask()
        params = {name: trial._suggest(name, kind) for name, kind in distributions.items()}
        spent = time.process_time() - begin
        peer.tell(trial, loss(params, rng))
        return [spent]

    def with_taut() -> list[float]:
        spent = []
        for _ in range(OURS):
            begin = time.process_time()
            trial = study.ask()
            params = dict(trial.params)
            spent.append(time.process_time() - begin)
            study.tell(trial, loss=loss(params, rng))
        return spent

    return {"optuna": with_optuna, "taut": with_taut}


def measure(kind: str, method: str, sizes: Mapping[int, int]) -> None:
    rows = []
    for existing, turns in sizes.items():
        for case in CASES:
            found = {
                name: [1e3 * spent for turn in result for spent in turn]
                for name, result in common.rounds(contestants(kind, method, case, existing), turns).items()
            }
            median = {name: statistics.median(spent) for name, spent in found.items()}
            mean = {name: statistics.fmean(spent) for name, spent in found.items()}
            ratio, wanted = median["optuna"] / median["taut"], goal(kind, existing, case)
            rows.append(
                (
                    case.name,
                    existing,
                    *(f"{median[name]:.4g} ({mean[name]:.4g})" for name in ("optuna", "taut")),
                    f"{ratio:.1f}x ({mean['optuna'] / mean['taut']:.1f}x)",
                    f">= {wanted}x",
                    common.met(ratio, wanted),
                )
            )
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    peer = type(PEERS[kind]()).__name__
    print(
        common.table(
            (
                f"{method}, median (mean)",
                "finished trials",
                f"{peer}, ms",
                "taut, ms",
                "ratio",
                "goal",
                "met",
            ),
            rows,
        )
    )
    print()


def imports() -> None:
    """What choosing a sampler costs a process that has NumPy and a study, and whether it brings scipy.stats."""
    rows = []
    for name in registry.names():
        ran = [
            subprocess.run([sys.executable, "-c", IMPORT, name], capture_output=True, text=True, check=False)
            for _ in range(3)
        ]
        if any(process.returncode for process in ran):
            rows.append((name, "does not run", ""))
            continue
        found = [msgspec.json.decode(process.stdout) for process in ran]
        rows.append((name, f"{min(spent for spent, _ in found):.0f}", "YES" if found[0][1] else "no"))
    print(common.table(("sampler", "import, ms", "scipy.stats loaded after 25 asks (goal: no)"), rows))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["gp", "tpe", "imports"])
    parser.add_argument("--quick", action="store_true", help="the smallest histories and few turns")
    parser.add_argument("--gp", default="gp", help="taut's method to put against GPSampler")
    parser.add_argument("--tpe", default="tpe", help="taut's method to put against TPESampler")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    print(common.header("Suggestions, one core"))
    if importlib.util.find_spec("greenlet") is None:
        print("Without greenlet (pip install greenlet) GPSampler is slower than it can be.\n")
    for kind, sizes in (QUICK if options.quick else SIZES).items():
        if options.only in (None, kind):
            measure(kind, getattr(options, kind), sizes)
    if options.only in (None, "imports"):
        imports()


if __name__ == "__main__":
    if ONE_CORE.items() <= os.environ.items():
        main()
    else:  # libraries have read these by now
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_CORE})
