"""Ask and tell in memory, random sampler, one process: microseconds for each trial.

python benchmarks/ask_tell.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import common
import optuna

import taut

LEVELS = ["a", "b", "c", "d"]
Suggest = Callable[[optuna.Trial], dict[str, Any]]


def spaces() -> dict[str, tuple[taut.Space, Suggest]]:
    """The same parameters for both, by the case's name."""

    def case(floats: int, ints: int = 0, choices: int = 0) -> tuple[taut.Space, Suggest]:
        f, i, c = (
            [f"{kind}{k}" for k in range(n)] for kind, n in (("f", floats), ("i", ints), ("c", choices))
        )
        space = taut.Space(
            {n: taut.uniform(0.0, 1.0) for n in f}
            | {n: taut.uniform_int(0, 100) for n in i}
            | {n: taut.choice(LEVELS) for n in c}
        )

        def suggest(trial: optuna.Trial) -> dict[str, Any]:
            params: dict[str, Any] = {n: trial.suggest_float(n, 0.0, 1.0) for n in f}
            params |= {n: trial.suggest_int(n, 0, 100) for n in i}
            return params | {n: trial.suggest_categorical(n, LEVELS) for n in c}

        return space, suggest

    return {"5 floats": case(5), "20 floats": case(20), "10 floats, 5 ints, 5 choices": case(10, 5, 5)}


def optuna_study() -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def one_by_one(space: taut.Space, suggest: Suggest, trials: int) -> dict[str, Callable[[], float]]:
    """Ask, read the parameters, tell; a new study each time, its first trials not counted."""

    def with_optuna() -> float:
        study = optuna_study()
        for k in range(trials + 100):
            if k == 100:
                begin = time.perf_counter()
            trial = study.ask()
            study.tell(trial, suggest(trial)["f0"])
        return (time.perf_counter() - begin) / trials

    def with_taut() -> float:
        study = taut.Study(None, space, minimize="loss", sampler="random")
        for k in range(trials + 100):
            if k == 100:
                begin = time.perf_counter()
            trial = study.ask()
            study.tell(trial, loss=trial.params["f0"])
        return (time.perf_counter() - begin) / trials

    return {"optuna": with_optuna, "taut": with_taut}


def many(space: taut.Space, suggest: Suggest, count: int) -> dict[str, Callable[[], float]]:
    """`count` trials that are all to run at once, with the parameters of each."""

    def with_optuna() -> float:
        study = optuna_study()
        begin = time.perf_counter()
        params = [suggest(study.ask()) for _ in range(count)]
        spent = time.perf_counter() - begin
        assert len(params) == count
        return spent / count

    def with_taut() -> float:
        study = taut.Study(None, space, minimize="loss", sampler="random")
        begin = time.perf_counter()
        params = [trial.params for trial in study.ask(count)]
        spent = time.perf_counter() - begin
        assert len(params) == count
        return spent / count

    return {"optuna": with_optuna, "taut": with_taut}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="trials in each timing of ask and tell")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    rows = []
    for name, (space, suggest) in spaces().items():
        for label, contestants, goal in (
            ("ask + tell", one_by_one(space, suggest, options.trials), 5),
            ("ask(1000)", many(space, suggest, 1000), 50),
        ):
            found = common.times(contestants, options.rounds)
            ratio = found["optuna"] / found["taut"]
            figures = (f"{found[who] * 1e6:.1f}" for who in ("optuna", "taut"))
            rows.append((label, name, *figures, f"{ratio:.1f}x", f">= {goal}x", common.met(ratio, goal)))
    rows.sort(key=lambda row: row[0] != "ask + tell")
    print(common.header("Ask and tell in memory, random sampler, one process"))
    print(common.table(("", "space", "Optuna us/trial", "taut us/trial", "ratio", "goal", "met"), rows))


if __name__ == "__main__":
    main()
