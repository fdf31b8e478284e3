"""Several objectives: the hypervolume of NSGA-II and NSGA-III beside pymoo's, and what an ask costs beside Optuna's.

    pip install pymoo optuna
    python benchmarks/fronts.py              # --only volume|speed --population 50 --seeds 1 2 3 --pending 8

Functions: ZDT1 to 3 (Zitzler, Deb & Thiele, Evolutionary Computation 8, 2000), d = 30, and DTLZ2 with three and
five objectives (Deb, Thiele, Laumanns & Zitzler, CEC 2002), d = m + 9, all on the unit cube. Both sides have
the same population and number of evaluations; the volume is that of all points evaluated, over a fixed
reference that a random point of the first ones is hardly beyond. The ratio's 95 % interval is from a bootstrap
over seeds. `--pending` lets so many of our trials be under way at once; pymoo makes whole generations.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from common import met, table
from numpy.typing import NDArray

import taut
from taut.definition import Budget, Definition, Method, Objective
from taut.events import Finished, Note, Started
from taut.metrics.hypervolume import affordable, hypervolume
from taut.samplers import registry
from taut.samplers.quasirandom import halton
from taut.snapshot import Snapshot
from taut.standing import non_dominated

warnings.filterwarnings("ignore")

Floats = NDArray[np.float64]
SPEEDS = [(name, 1) for name in ("genetic", "evolution", "differential", "cma", "swarm", "ants")]
SPEEDS += [("nsga2", 2), ("nsga3", 2)]  # methods, and with how many objectives
FINISHED, DIMENSION = 10_000, 20  # of the asks that are timed
GOAL = 0.9, 10.0  # of the reference's volume; times as quick


def zdt(which: int) -> Callable[[Floats], Floats]:
    def f(x: Floats) -> Floats:
        g = 1.0 + 9.0 * x[1:].mean()
        share = x[0] / g
        wave = share * np.sin(10.0 * np.pi * x[0])
        shape = {1: 1.0 - np.sqrt(share), 2: 1.0 - share**2, 3: 1.0 - np.sqrt(share) - wave}[which]
        return np.array([x[0], g * shape])

    return f


def dtlz2(m: int) -> Callable[[Floats], Floats]:
    def f(x: Floats) -> Floats:
        angles = x[: m - 1] * np.pi / 2.0
        cosines = np.concatenate(([1.0], np.cumprod(np.cos(angles))))[::-1]
        sines = np.concatenate(([1.0], np.sin(angles)[::-1]))
        return np.asarray((1.0 + ((x[m - 1 :] - 0.5) ** 2).sum()) * cosines * sines)

    return f


class Problem(NamedTuple):
    f: Callable[[Floats], Floats]
    d: int
    reference: list[float]


PROBLEMS = {
    "ZDT1": Problem(zdt(1), 30, [1.1, 6.0]),
    "ZDT2": Problem(zdt(2), 30, [1.1, 6.0]),
    "ZDT3": Problem(zdt(3), 30, [1.1, 6.0]),
    "DTLZ2, 3 objectives": Problem(dtlz2(3), 12, [1.5] * 3),
    "DTLZ2, 5 objectives": Problem(dtlz2(5), 14, [1.5] * 5),
}


def ours(problem: Problem, method: str, given: argparse.Namespace, seed: int) -> Floats:
    m, population = len(problem.reference), {"population": given.population}
    space = taut.Space({f"x{i}": taut.uniform(0.0, 1.0) for i in range(problem.d)})
    budget, goals = Budget(trials=given.evaluations), [Objective(f"f{i}") for i in range(m)]
    asked = Definition("fronts", space.to_json(), goals, seed=seed, budget=budget)
    snapshot, sampler = Snapshot(asked, space), registry.make(Method(method, population))
    under_way: deque[tuple[int, dict[str, float]]] = deque()
    points: list[Floats] = []

    def end(n: int, params: dict[str, float]) -> None:
        points.append(problem.f(np.array(list(params.values()))))
        y = {f"f{i}": float(value) for i, value in enumerate(points[-1])}
        snapshot.apply(0, [Finished(n=n, a=0, state="complete", y=y, t=snapshot.started[n] + 0.5)])

    for n in range(given.evaluations):
        params = space.params(sampler.propose(space, seed, np.array([n]), snapshot))[0]
        snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n))])
        under_way.append((n, params))
        if len(under_way) > given.pending:
            end(*under_way.popleft())
    while under_way:
        end(*under_way.popleft())
    return np.array(points)


def of_pymoo(problem: Problem, method: str, given: argparse.Namespace, seed: int) -> Floats:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.optimize import minimize

    from taut.samplers.population.niches import directions

    points: list[Floats] = []

    class Counted(ElementwiseProblem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(n_var=problem.d, n_obj=len(problem.reference), xl=0.0, xu=1.0)

        def _evaluate(self, x: Floats, out: dict[str, Any], *_: Any, **__: Any) -> None:
            out["F"] = problem.f(x)
            points.append(out["F"])

    algorithm = (
        NSGA2(pop_size=given.population)
        if method == "nsga2"
        else NSGA3(directions(len(problem.reference), given.population), given.population)
    )
    minimize(Counted(), algorithm, ("n_eval", given.evaluations), seed=seed, verbose=False)
    return np.array(points[: given.evaluations])


def _volume(points: Floats, reference: Floats) -> float:
    """Exact, or the share of 20,000 places between 0 and the reference that some point dominates."""
    if affordable(len(points), len(reference)):
        return hypervolume(points, reference)
    places = halton(np.arange(20_000), len(reference), 0) * reference
    front = points[non_dominated(points)]
    return float(np.mean([(front <= place).all(axis=1).any() for place in places]) * reference.prod())


def volumes(given: argparse.Namespace) -> list[tuple[object, ...]]:
    rows = []
    for method in given.methods:
        reference = method.upper()
        for name, problem in [(name, PROBLEMS[name]) for name in given.functions]:
            found = np.array(
                [
                    [
                        _volume(run(problem, method, given, seed), np.array(problem.reference))
                        for run in (ours, of_pymoo)
                    ]
                    for seed in given.seeds
                ]
            )
            drawn = found[np.random.default_rng(0).integers(0, len(found), (2000, len(found)))].mean(axis=1)
            low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
            mine, theirs = found.mean(axis=0).tolist()
            ratio = mine / theirs
            row = f"{mine:.4g}", f"{theirs:.4g}", f"{ratio:.3f}", f"{low:.3f} to {high:.3f}"
            rows.append((method, name, f"pymoo {reference}", *row, met(ratio, GOAL[0])))
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    return rows


def speeds() -> list[tuple[object, ...]]:
    """Milliseconds for an ask after 10,000 finished trials, with a tell before each; of processor time."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = [f"x{i}" for i in range(DIMENSION)]
    points = np.random.default_rng(0).random((FINISHED, DIMENSION))
    kinds = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
    sampler_there = optuna.samplers.NSGAIISampler(seed=0)
    peer = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_there)
    generation = sampler_there._get_generation_key()  # or the trials would count as nobody's parents
    for i, x in enumerate(points.tolist()):
        params, attrs = dict(zip(names, x, strict=True)), {generation: i // sampler_there.population_size}
        peer.add_trial(
            optuna.trial.create_trial(params=params, distributions=kinds, values=both(x), system_attrs=attrs)
        )
    theirs = []
    for _ in range(60):
        begin = time.process_time()
        trial = peer.ask(kinds)
        theirs.append(time.process_time() - begin)
        peer.tell(trial, both(list(trial.params.values())))
    rows = []
    for method, objectives in SPEEDS:
        space = taut.Space({name: taut.uniform(0.0, 1.0) for name in names})
        wanted = [Objective(f"f{j}") for j in range(objectives)]
        asked = Definition("fronts", space.to_json(), wanted, seed=0)
        snapshot, sampler = Snapshot(asked, space), registry.make(Method(method))

        def end(n: int, x: dict[str, float], note: Note | None = None, to: Snapshot = snapshot) -> None:
            y = dict(zip(("f0", "f1"), both(list(x.values())), strict=True))
            memo = msgspec.UNSET if note is None else note
            to.apply(0, [Started(n=n, a=0, x=x, r=0, c=n + 1, t=float(n), m=memo)])
            to.apply(0, [Finished(n=n, a=0, state="complete", y=y, t=n + 0.5)])

        for n, x in enumerate(points.tolist()):
            end(n, dict(zip(names, x, strict=True)))
        mine = []
        for n in range(FINISHED, FINISHED + 101):
            begin = time.process_time()
            codes, notes = sampler.propose_noted(space, 0, np.array([n]), snapshot)
            params = space.params(codes)[0]
            mine.append(time.process_time() - begin)
            end(n, params, notes[0])
        # The first ask of each meets the history for the first time.
        taken, peers = (1e3 * statistics.median(spent[1:]) for spent in (mine, theirs))
        ratio = peers / taken
        rows.append(
            (
                method,
                f"{1e3 * mine[0]:.0f}",
                f"{taken:.2f}",
                f"{peers:.1f}",
                f"{ratio:.0f}x",
                met(ratio, GOAL[1]),
            )
        )
    return rows


def both(x: list[float]) -> list[float]:
    """Two bowls."""
    return [sum((value - middle) ** 2 for value in x) for middle in (0.3, 0.6)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["volume", "speed"])
    parser.add_argument("--methods", nargs="+", default=["nsga2", "nsga3"], help="whose volume")
    parser.add_argument("--functions", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--population", type=int, default=100)
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument(
        "--pending", type=int, default=0, help="trials of ours under way besides the one that is asked for"
    )
    given = parser.parse_args()
    if given.only in (None, "volume"):
        columns = (
            "method",
            "function",
            "reference",
            "volume",
            "of reference",
            "ratio",
            "95 %",
            f">= {GOAL[0]:g}",
        )
        print(table(columns, volumes(given)), end="\n\n")
    if given.only in (None, "speed"):
        columns = (
            "method",
            "first ask, ms",
            "ask, ms",
            "Optuna NSGAIISampler, ms",
            "ratio",
            f">= {GOAL[1]:g}x",
        )
        print(table(columns, speeds()))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
