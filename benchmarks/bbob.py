"""Population methods on continuous standard functions, each beside a well-kept implementation of the same method.

    pip install coco-experiment pymoo mealpy cmaes
    python benchmarks/bbob.py                # --methods cma swarm --dims 2 5 --functions 1 8 15 --instances 1 2 3 --pending 8

The functions are the 24 of BBOB (Hansen et al., Optimization Methods and Software 36, 2021) through COCO, on [-5, 5]^d. Each method
gets 100 d evaluations. The score is the area under COCO's runtime profile: the share of 51 targets, from 100 down to 1e-8 above the
optimum, that were reached, averaged over the logarithm of the number of evaluations from d to 100 d. So it counts both how near a method
comes and how soon. Methods are paired by function, dimension and instance (which is also the seed); the ratio of the mean areas has a
95 % interval from a bootstrap over functions. `--pending` lets so many of our trials be under way at once (ended first in, first out);
references are sequential.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import table
from numpy.typing import NDArray

import taut
from taut.definition import Budget, Definition, Method, Objective
from taut.events import Finished, Started
from taut.samplers import registry
from taut.snapshot import Snapshot

warnings.filterwarnings("ignore")

Floats = NDArray[np.float64]
TARGETS = 10.0 ** np.linspace(2, -8, 51)
BOUND = 5.0
PER_DIMENSION = 100


class Counted:
    """A function that keeps the best value after each evaluation, and no more of them than the budget."""

    def __init__(self, problem: Any) -> None:
        self.d = int(problem.dimension)
        self.budget = PER_DIMENSION * self.d
        self.best: list[float] = []
        self._problem = problem
        self._optimum = float(problem(_optimum(problem)))

    def __call__(self, x: Sequence[float]) -> float:
        value = float(self._problem(np.asarray(x, float))) - self._optimum
        if len(self.best) < self.budget:
            self.best.append(min(value, self.best[-1]) if self.best else value)
        return value

    @property
    def full(self) -> bool:
        return len(self.best) >= self.budget

    def area(self) -> float:
        """The share of the targets reached, averaged over the logarithm of evaluations."""
        best = np.array(self.best + self.best[-1:] * (self.budget - len(self.best)))
        at = np.unique(np.geomspace(self.d, self.budget, 60).astype(int)) - 1
        reached = (best[at, None] <= TARGETS).mean(axis=1)
        logs = np.log(at + 1.0)
        middle = (reached[1:] + reached[:-1]) / 2
        return float(middle @ np.diff(logs) / (logs[-1] - logs[0]))


def _optimum(problem: Any) -> Floats:
    """Where the least value is: COCO writes that into a file, and tells nobody."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            problem._best_parameter("print")
        finally:
            os.chdir(home)
        return np.loadtxt(next(Path(place).glob("*best_parameter*"))).reshape(-1)


def ours(method: str, options: dict[str, Any], pending: int) -> Callable[[Counted, int], None]:
    def run(function: Counted, seed: int) -> None:
        space = taut.Space({f"x{i}": taut.uniform(-BOUND, BOUND) for i in range(function.d)})
        budget = Budget(trials=function.budget)
        asked = Definition("bbob", space.to_json(), [Objective("f", True)], seed=seed, budget=budget)
        snapshot, sampler = Snapshot(asked, space), registry.make(Method(method, options))
        under_way: deque[tuple[int, dict[str, float]]] = deque()
        for n in range(function.budget):
            codes, notes = sampler.propose_noted(space, seed, np.array([n]), snapshot)
            params, note = space.params(codes)[0], notes[0]
            memo = {} if note is None else {"m": note}
            snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n), **memo)])
            under_way.append((n, params))
            if len(under_way) > pending:
                _end(snapshot, function, *under_way.popleft())
        while under_way:
            _end(snapshot, function, *under_way.popleft())

    return run


def _end(snapshot: Snapshot, function: Counted, n: int, params: dict[str, float]) -> None:
    value = function(list(params.values()))
    snapshot.apply(0, [Finished(n=n, a=0, state="complete", y={"f": value}, t=snapshot.started[n] + 0.5)])


def cmaes_itself(function: Counted, seed: int) -> None:
    """`cmaes` with increasing populations (IPOP), as its README shows it."""
    from cmaes import CMA

    d, bounds = function.d, np.array([[-BOUND, BOUND]] * function.d)
    rng = np.random.default_rng(seed)
    optimizer = CMA(mean=np.zeros(d), sigma=BOUND * 0.4, bounds=bounds, seed=seed)
    while not function.full:
        told = []
        for _ in range(optimizer.population_size):
            x = optimizer.ask()
            told.append((x, function(x)))
        optimizer.tell(told)
        if optimizer.should_stop():
            mean = bounds[:, 0] + rng.random(d) * 2 * BOUND
            size = optimizer.population_size * 2
            optimizer = CMA(mean=mean, sigma=BOUND * 0.4, bounds=bounds, seed=seed, population_size=size)


def of_pymoo(kind: str, **options: Any) -> Callable[[Counted, int], None]:
    def run(function: Counted, seed: int) -> None:
        from importlib import import_module

        from pymoo.core.problem import ElementwiseProblem
        from pymoo.optimize import minimize

        class Problem(ElementwiseProblem):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(n_var=function.d, n_obj=1, xl=-BOUND, xu=BOUND)

            def _evaluate(self, x: Floats, out: dict[str, Any], *_: Any, **__: Any) -> None:
                out["F"] = function(x)

        path = "moo" if kind.startswith("NSGA") else "soo.nonconvex"
        algorithm = getattr(import_module(f"pymoo.algorithms.{path}.{kind.lower()}"), kind)(**options)
        minimize(Problem(), algorithm, ("n_eval", function.budget), seed=seed, verbose=False)

    return run


def of_mealpy(module: str, name: str, size: int) -> Callable[[Counted, int], None]:
    def run(function: Counted, seed: int) -> None:
        from importlib import import_module

        from mealpy import FloatVar

        kind = getattr(import_module(f"mealpy.{module}"), name)
        bounds = FloatVar(lb=(-BOUND,) * function.d, ub=(BOUND,) * function.d)
        problem = {"obj_func": function, "bounds": bounds, "minmax": "min", "log_to": None}
        optimizer = kind(epoch=10**5, pop_size=min(size, function.budget // 4))
        optimizer.solve(problem, termination={"max_fe": function.budget}, seed=seed)

    return run


def of_nevergrad(name: str) -> Callable[[Counted, int], None]:
    def run(function: Counted, seed: int) -> None:
        import nevergrad as ng

        values = ng.p.Array(shape=(function.d,)).set_bounds(-BOUND, BOUND)
        values.random_state.seed(seed)
        optimizer = ng.optimizers.registry[name](values, budget=function.budget)
        for _ in range(function.budget):
            candidate = optimizer.ask()
            optimizer.tell(candidate, function(candidate.value))

    return run


def random_search(function: Counted, seed: int) -> None:
    for x in np.random.default_rng(seed).uniform(-BOUND, BOUND, (function.budget, function.d)):
        function(x)


REFERENCES: dict[str, dict[str, Callable[[Counted, int], None]]] = {
    "cma": {"cmaes, IPOP": cmaes_itself},
    "differential": {"pymoo DE": of_pymoo("DE"), "mealpy L-SHADE": of_mealpy("evolutionary_based.SHADE", "L_SHADE", 50)},
    "swarm": {"pymoo PSO": of_pymoo("PSO"), "nevergrad PSO": of_nevergrad("PSO")},
    "ants": {"mealpy ACOR": of_mealpy("swarm_based.ACOR", "OriginalACOR", 50)},
    "genetic": {"pymoo GA": of_pymoo("GA", pop_size=50)},
    "evolution": {"pymoo GA": of_pymoo("GA", pop_size=50)},
    "nsga2": {"pymoo NSGA2": of_pymoo("NSGA2", pop_size=50)},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(REFERENCES), help="of taut")
    parser.add_argument("--dims", nargs="+", type=int, default=[2, 5, 10, 20])
    parser.add_argument("--functions", nargs="+", type=int, default=list(range(1, 25)))
    parser.add_argument("--instances", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument(
        "--pending", type=int, default=0, help="trials of ours under way besides the one that is asked for"
    )
    parser.add_argument("--options", type=json.loads, default={}, help="of our methods, as JSON")
    parser.add_argument("--out", type=Path, help="also every area, as JSON lines")
    given = parser.parse_args()
    rows = [row for method in given.methods for row in compare(method, given)]
    print(table(["method", "reference", "d", "area", "of reference", "ratio", "95 %", "ms/ask"], rows))


def compare(method: str, given: argparse.Namespace) -> list[list[str]]:
    contestants = {"ours": ours(method, given.options, given.pending), "random search": random_search}
    contestants |= REFERENCES.get(method, {})
    found: dict[str, dict[tuple[int, int, int], float]] = {name: {} for name in contestants}
    spent, asks = 0.0, 0
    for d in given.dims:
        for key, problem in _problems(d, given):
            for name, run in contestants.items():
                function = Counted(problem)
                begin = time.process_time()
                run(function, key[2])
                if name == "ours":
                    spent, asks = spent + time.process_time() - begin, asks + function.budget
                found[name][key] = function.area()
                if given.out:
                    line = {"method": method, "who": name, "key": key, "area": function.area()}
                    with given.out.open("a") as file:
                        file.write(json.dumps(line) + "\n")
    rows = []
    for name in contestants:
        for d in [*given.dims, 0] if name != "ours" else []:
            keys = [key for key in found["ours"] if d in (0, key[0])]
            mine, theirs = (np.array([found[who][key] for key in keys]) for who in ("ours", name))
            low, high = _interval(mine, theirs, np.array([key[1] for key in keys]))
            means = f"{mine.mean():.3f}", f"{theirs.mean():.3f}", f"{mine.mean() / theirs.mean():.2f}"
            rows.append(
                [
                    method,
                    name,
                    str(d or "all"),
                    *means,
                    f"{low:.2f} to {high:.2f}",
                    f"{1e3 * spent / asks:.2f}",
                ]
            )
    return rows


def _problems(d: int, given: argparse.Namespace) -> Iterator[tuple[tuple[int, int, int], Any]]:
    import cocoex

    chosen = ",".join(map(str, given.functions)), ",".join(map(str, given.instances))
    suite = cocoex.Suite("bbob", f"instances: {chosen[1]}", f"dimensions: {d} function_indices: {chosen[0]}")
    for problem in suite:  # one at a time: COCO gives each back to itself when it makes the next
        yield (d, problem.id_function, problem.id_instance), problem


def _interval(mine: Floats, theirs: Floats, function: NDArray[np.int64]) -> tuple[float, float]:
    """Of the ratio of means, from a bootstrap over functions."""
    rng, each = np.random.default_rng(0), np.unique(function)
    sums = np.array([[mine[function == f].sum(), theirs[function == f].sum()] for f in each])
    drawn = sums[rng.integers(0, len(each), (2000, len(each)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
