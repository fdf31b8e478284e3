"""Which method for which study: what `auto` has to decide, measured.

    python benchmarks/choosing.py --methods gp tpe cma gp:250:cma --trials 500 --workers 1 --seeds 3
    python benchmarks/choosing.py --methods gp tpe nsga2 gp:250:nsga2 --trials 500 --only front

Functions of 5 and 10 numbers with their optimum in a random place, rotated where rotating matters, and a mixed space; and fronts of two
and three objectives. Each is minimised by every method with `workers` trials under way all the time. Shown is the mean of log10 of what
is left to the optimum, or of the share of the largest hypervolume that is missing (less is better; one less is a tenth), and the milliseconds that a suggestion took.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np
from common import table
from numpy.typing import NDArray

from taut.definition import Definition, Method, Objective
from taut.events import Finished, Started
from taut.metrics.hypervolume import hypervolume
from taut.samplers import registry
from taut.samplers.base import Codes, Note, Numbers, Sampler
from taut.snapshot import Snapshot
from taut.space import Space, choice, uniform, uniform_int

__all__ = ["PROBLEMS", "main", "run"]

Floats = NDArray[np.float64]
Loss = Callable[[Mapping[str, Any]], Sequence[float]]
FLOOR = 1e-8  # nearer than this to the optimum is there
EVENLY = np.linspace(0.0, 1.0, 101)


class Problem(NamedTuple):
    """best: parameters that are optimal, in such number that they show the whole front; needed with several objectives alone."""

    space: Space
    loss: Loss
    best: list[dict[str, Any]] = []  # noqa: RUF012 - never changed


def numbers(d: int, shape: Callable[[Floats], float], rotated: bool) -> Callable[[int], Problem]:
    """A function of d numbers from -5 to 5, 0 at its optimum, which lies somewhere from -3 to 3."""

    def made(seed: int) -> Problem:
        rng = np.random.default_rng([seed, d])
        place = rng.uniform(-3, 3, size=d)
        turn = np.linalg.qr(rng.normal(size=(d, d)))[0] if rotated else np.eye(d)
        space = Space({f"x{j}": uniform(-5, 5) for j in range(d)})
        return Problem(space, lambda params: [shape(turn @ (np.array(list(params.values())) - place))])

    return made


def mixed(seed: int) -> Problem:
    """Choices that interact, whole numbers, a condition."""
    rng = np.random.default_rng([seed, 77])
    place, worth = rng.uniform(0.2, 0.8, size=4), rng.random((4, 3))
    best = float(worth.min())
    space = Space(
        a=choice(["p", "q", "r", "s"]),
        b=choice(["u", "v", "w"]),
        n=uniform_int(1, 40),
        x=uniform(0, 1),
        y=uniform(0, 1),
        z=uniform(0, 1, when="a in ['p', 'q']"),
    )

    def loss(p: Mapping[str, Any]) -> Sequence[float]:
        far = (p["n"] / 40 - round(40 * place[0]) / 40) ** 2
        far += (p["x"] - place[1]) ** 2 + (p["y"] - place[2] * p["x"]) ** 2
        far += (p["z"] - place[3]) ** 2 if "z" in p else 0.1
        return [float(far + worth["pqrs".index(p["a"]), "uvw".index(p["b"])] - best)]

    return Problem(space, loss)


def ellipsoid(z: Floats) -> float:
    return float((10.0 ** (4 * np.arange(len(z)) / (len(z) - 1)) * z * z).sum())


def rosenbrock(z: Floats) -> float:
    z = z + 1.0
    return float((100.0 * (z[1:] - z[:-1] ** 2) ** 2 + (1.0 - z[:-1]) ** 2).sum())


def rastrigin(z: Floats) -> float:
    return float((z * z + 10.0 * (1.0 - np.cos(2 * np.pi * z))).sum())


def ridge(z: Floats) -> float:
    return float(abs(z[0]) + 10.0 * np.sqrt((z[1:] ** 2).sum()))


def zdt(kind: int) -> Callable[[int], Problem]:
    """Two objectives over 10 numbers (Zitzler, Deb & Thiele, Evol. Comput. 8, 2000)."""

    def loss(params: Mapping[str, Any]) -> Sequence[float]:
        x = np.array(list(params.values()))
        g = 1.0 + x[1:].mean()  # an easier valley than the paper's 1 + 9 mean: these are hundreds of trials
        ratio = x[0] / g
        wave = ratio * np.sin(10 * np.pi * x[0]) if kind == 3 else 0.0
        return [float(x[0]), float(g * (1.0 - (ratio**2 if kind == 2 else np.sqrt(ratio)) - wave))]

    best = [{f"x{j}": x if j == 0 else 0.0 for j in range(10)} for x in EVENLY.tolist()]
    return lambda seed: Problem(Space({f"x{j}": uniform(0, 1) for j in range(10)}), loss, best)


def sphere(m: int) -> Callable[[int], Problem]:
    """DTLZ2 (Deb, Thiele, Laumanns & Zitzler, 2002): m objectives whose front is a part of a sphere; m + 4 numbers."""

    def loss(params: Mapping[str, Any]) -> Sequence[float]:
        x = np.array(list(params.values()))
        angle, far = np.pi / 2 * x[: m - 1], 1.0 + float(((x[m - 1 :] - 0.5) ** 2).sum())
        sides = np.append(np.cos(angle), 1.0)
        return [
            float(far * np.prod(sides[: m - 1 - i]) * (np.sin(angle[m - 1 - i]) if i else 1.0))
            for i in range(m)
        ]

    angles = itertools.product(EVENLY[:: 1 if m == 2 else 4].tolist(), repeat=m - 1)
    best = [{f"x{j}": each[j] if j < m - 1 else 0.5 for j in range(m + 4)} for each in angles]
    return lambda seed: Problem(Space({f"x{j}": uniform(0, 1) for j in range(m + 4)}), loss, best)


def training(seed: int) -> Problem:
    """A loss and a cost, with a choice, whole numbers and a condition."""
    rng = np.random.default_rng([seed, 78])
    rate, worth = rng.uniform(-4, -1), rng.random(3) / 2
    space = Space(
        kind=choice(["p", "q", "r"]),
        layers=uniform_int(1, 24),
        width=uniform_int(1, 64),
        rate=uniform(-5, 0),
        extra=uniform(0, 1, when="kind == 'q'"),
    )

    def loss(p: Mapping[str, Any]) -> Sequence[float]:
        size = p["layers"] * p["width"] / (24 * 64)
        miss = (p["rate"] - rate + p["layers"] / 24) ** 2 / 9 + worth["pqr".index(p["kind"])]
        return [float(miss + 0.3 * (0.02 + size) ** -0.25 - 0.3 + 0.1 * p.get("extra", 0.5)), float(size)]

    best = [
        {"kind": kind, "layers": layers, "width": width, "rate": rate - layers / 24, "extra": 0.0}
        for kind in "pqr"
        for layers in range(1, 25)
        for width in range(1, 65)
    ]
    for params in best:
        if params["kind"] != "q":
            del params["extra"]
    return Problem(space, loss, best)


REFERENCES = {"zdt": [1.0, 2.0], "sphere2": [1.5] * 2, "sphere3": [1.5] * 3, "training": [1.5, 1.0]}
PROBLEMS: dict[str, Callable[[int], Problem]] = {
    **{
        f"{name}{d}": numbers(d, shape, rotated)
        for d in (5, 10)
        for name, shape, rotated in (
            ("ellipsoid", ellipsoid, True),
            ("rosenbrock", rosenbrock, False),
            ("rastrigin", rastrigin, False),
            ("ridge", ridge, True),
        )
    },
    "mixed": mixed,
    **{f"front-zdt{kind}": zdt(kind) for kind in (1, 2, 3)},
    **{f"front-sphere{m}": sphere(m) for m in (2, 3)},
    "front-training": training,
}


def run(sampler: Sampler, problem: Problem, seed: int, trials: int, workers: int) -> tuple[Floats, float]:
    """(trials, objectives) losses in the order in which trials began and ended, and the seconds a suggestion took."""
    space, loss = problem.space, problem.loss
    found: list[Sequence[float]] = []
    waiting: list[tuple[int, dict[str, Any]]] = []
    names = [
        f"loss{i}" for i in range(len(loss(space.params(space.decode(np.full((1, len(space)), 0.5)))[0])))
    ]
    snapshot = Snapshot(
        Definition("a study", space.to_json(), [Objective(name, True) for name in names]), space
    )
    spent = 0.0
    for n in range(trials + workers):
        if n >= workers:
            number, params = waiting.pop(0)
            found.append(loss(params))
            y: dict[str, float | None] = dict(zip(names, found[-1], strict=True))
            snapshot.apply(0, [Finished(n=number, a=0, state="complete", y=y, t=n + 0.5)])
        if n < trials:
            began = time.perf_counter()
            codes, notes = sampler.propose_noted(space, seed, np.array([n]), snapshot)
            spent += time.perf_counter() - began
            (params,) = space.params(codes)
            note = notes[0] or msgspec.UNSET
            snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n), m=note)])
            waiting.append((n, params))
    return np.array(found), spent / trials


def left(name: str, problem: Problem, losses: Floats) -> float:
    """log10 of what is left to the optimum, or of the share of the largest hypervolume that is missing."""
    if losses.shape[1] == 1:
        return float(np.log10(max(losses.min(), FLOOR)))
    reference = np.array(next(of for part, of in REFERENCES.items() if part in name))
    most = hypervolume(np.array([problem.loss(params) for params in problem.best]), reference)
    return float(np.log10(max(1.0 - hypervolume(losses, reference) / most, FLOOR)))


@dataclasses.dataclass(frozen=True)
class Relay(Sampler):
    """One method up to a trial, and then another, which knows the trials of both."""

    uses_history: ClassVar[bool] = True
    first: Sampler
    until: int
    second: Sampler

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        return self.propose_noted(space, seed, numbers, snapshot)[0]

    def propose_noted(
        self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None
    ) -> tuple[Codes, Sequence[Note | None]]:
        (number,) = numbers
        runner = self.first if number < self.until else self.second
        return runner.propose_noted(space, seed, numbers, snapshot)


def method_of(text: str) -> Sampler:
    """A method by name, or one up to a trial and another from there: ``gp:250:cma``."""
    first, *rest = text.split(":")
    sampler = registry.make(Method(first, {}))
    return Relay(sampler, int(rest[0]), registry.make(Method(rest[1], {}))) if rest else sampler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["gp", "tpe", "cma", "auto"])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--marks", type=int, nargs="+", help="trials to show (default: the last)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], help="parts of names of problems")
    options = parser.parse_args()
    marks = options.marks or [options.trials]
    problems = [name for name in PROBLEMS if not options.only or any(part in name for part in options.only)]
    rows: list[list[Any]] = []
    everything = np.empty((len(options.methods), len(problems), options.seeds, len(marks)))
    for i, name in enumerate(problems):
        cost = []
        for j, method in enumerate(options.methods):
            taken = []
            for seed in range(options.seeds):
                problem = PROBLEMS[name](seed)
                losses, seconds = run(method_of(method), problem, seed, options.trials, options.workers)
                everything[j, i, seed] = [left(name, problem, losses[:mark]) for mark in marks]
                taken.append(seconds)
            cost.append(f"{1e3 * np.mean(taken):.1f}")
        rows += [
            [
                name if k == 0 else "",
                mark,
                *(f"{v:+.2f}" for v in everything[:, i, :, k].mean(axis=1)),
                *(cost if k == 0 else [""] * len(cost)),
            ]
            for k, mark in enumerate(marks)
        ]
        print(*rows[-1], flush=True)
    for k, mark in enumerate(marks):
        rows.append(
            [
                "mean",
                mark,
                *(f"{v:+.2f}" for v in everything[..., k].mean(axis=(1, 2))),
                *[""] * len(options.methods),
            ]
        )
    print(table(["problem", "trials", *options.methods, *(f"{m}, ms" for m in options.methods)], rows))


if __name__ == "__main__":
    main()
