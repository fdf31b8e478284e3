"""What a belief is worth, and what a wrong one costs: mean regret with start values near the optimum and far from it.

python benchmarks/beliefs.py              # --method gp --seeds 20 --marks 8 15 30 60 --quick

Each study of a function has one of these beliefs, which each parameter has: none at all; a *right* start value,
a tenth of the range beside the optimum; a *wrong* one, half of the range away, and another choice. A start value is tried first
in any case; "weak" and "strong" say how far the sampler leans towards it afterwards.

Regret is (best so far - optimum) / (median of random search after 10 trials - optimum): 1 is what 10 random trials give, 0 the
optimum. Differences are paired by function and seed; their 95 % intervals come from a bootstrap over the seeds of each function, and so
speak of these functions.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import common
import numpy as np
from numpy.typing import NDArray

import taut

Floats = NDArray[np.float64]


class Function(NamedTuple):
    """A function to minimise, on the unit cube, and how a user would have written its parameters.

    kinds: for each parameter a constructor with its bounds (or its values). optimum: where it is least, in the unit cube
    (in the geometry of the parameter: a half is the geometric mean of a logarithmic one). least: the value there.
    """

    name: str
    kinds: Sequence[tuple[Any, ...]]
    value: Callable[[Floats], float]
    optimum: Floats
    least: float

    def space(self, start: Floats | None = None, belief: str | None = None) -> taut.Space:
        plain = taut.Space({f"x{i}": make(*bounds) for i, (make, *bounds) in enumerate(self.kinds)})
        if start is None:
            return plain
        values = plain.params(plain.decode(start[None]))[0]
        return taut.Space(
            {
                f"x{i}": make(*bounds, start=values[f"x{i}"], belief=belief)
                for i, (make, *bounds) in enumerate(self.kinds)
            }
        )

    def __call__(self, space: taut.Space, params: Mapping[str, Any]) -> float:
        return self.value(space.encode(space.codes([params]))[0])


# ---------------------------------------------------------------------- functions, from the usual collections


def branin(u: Floats) -> float:
    """Dixon & Szego (1978). The parameters are read from the unit square, as in all of these."""
    x, y = 15 * u[0] - 5, 15 * u[1]
    bent = y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6
    return float(bent**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10)


_HEIGHT = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTH = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_PLACE = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(u: Floats) -> float:
    """Hartmann's function in six dimensions, Dixon & Szego (1978)."""
    return float(-_HEIGHT @ np.exp(-(_WIDTH * (u - _PLACE) ** 2).sum(axis=1)))


_MIDDLE = np.array([0.3, 0.62, 0.55, 0.41])


def ackley(u: Floats) -> float:
    """Ackley (1987), with its optimum moved off the middle, on [-5, 5] at most."""
    x = 10 * (u - _MIDDLE)
    waves = np.exp(np.cos(2 * np.pi * x).mean())
    return float(20 - 20 * np.exp(-0.2 * np.sqrt((x**2).mean())) + np.e - waves)


def rosenbrock(u: Floats) -> float:
    """Rosenbrock (1960) on [-2, 2], on a logarithmic scale."""
    x = 4 * u - 2
    return float(np.log1p((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()))


_TRAINING = np.array([0.55, 0.4, 0.5, 0.25, 0.5])


def training(u: Floats) -> float:
    """Like the loss of a training: a valley of learning rate and batch size, a cliff above it, the rest matters less."""
    rate, batch, decay, dropout = u[:4] - _TRAINING[:4]
    optimizer = 0.3 * abs(u[4] - 0.5)
    cliff = 3.0 / (1.0 + np.exp(-100 * (rate - 0.25)))
    return float(
        8 * (rate - 0.5 * batch) ** 2 + 0.5 * batch**2 + 0.2 * decay**2 + 0.3 * dropout**2 + optimizer + cliff
    )


FUNCTIONS = [
    Function(
        "branin",
        [(taut.uniform, -5, 10), (taut.uniform, 0, 15)],
        branin,
        np.array([0.5428, 0.1517]),
        0.397887,
    ),
    Function(
        "hartmann",
        [(taut.uniform, 0, 1)] * 6,
        hartmann,
        np.array([0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]),
        -3.32237,
    ),
    Function("ackley", [(taut.uniform, -5, 5)] * 4, ackley, _MIDDLE, 0.0),
    Function("rosenbrock", [(taut.loguniform, 1e-4, 1.0)] * 3, rosenbrock, np.full(3, 0.75), 0.0),
    Function(
        "training",
        [
            (taut.loguniform, 1e-5, 1e-1),
            (taut.loguniform, 8.0, 512.0),
            (taut.loguniform, 1e-6, 1.0),
            (taut.uniform, 0.0, 0.8),
            (taut.choice, ["sgd", "adam", "lion"]),
        ],
        training,
        _TRAINING,
        training(_TRAINING),
    ),
]

# Name: how far from the optimum the start is, as a part of the range (None: no start), and the belief in it.
BELIEFS: dict[str, tuple[float | None, str | None]] = {
    "none": (None, None),
    "right start, no belief": (0.1, None),
    "right, weak": (0.1, "weak"),
    "right, strong": (0.1, "strong"),
    "wrong start, no belief": (0.5, None),
    "wrong, weak": (0.5, "weak"),
    "wrong, strong": (0.5, "strong"),
}


def start(function: Function, away: float, seed: int) -> Floats:
    """A point `away` from the optimum in every coordinate, to a side that the seed chooses; inside the cube."""
    rng = np.random.default_rng([seed, 7])
    side = np.where(rng.random(len(function.optimum)) < 0.5, -1.0, 1.0)
    point = function.optimum + side * away
    point = np.where((point < 0) | (point > 1), function.optimum - side * away, point)
    levels = np.array([make is taut.choice for make, *_ in function.kinds])
    return np.asarray(np.where(levels & (away < 0.3), function.optimum, np.clip(point, 0.0, 1.0)))


def curve(function: Function, method: str, belief: str, trials: int, seed: int) -> Floats:
    """The best value so far after each trial."""
    away, strength = BELIEFS[belief]
    space = function.space(None if away is None else start(function, away, seed), strength)
    study = taut.Study(None, space, minimize="loss", trials=trials, sampler=method, seed=seed)
    losses = []
    for _ in range(trials):
        trial = study.ask()
        losses.append(function(space, trial.params))
        study.tell(trial, loss=losses[-1])
    return np.asarray(np.minimum.accumulate(losses))


def scale(function: Function) -> float:
    """How far above the optimum 10 random trials end up, in the median of 401 times."""
    space, rng = function.space(), np.random.default_rng(0)
    best = [
        min(function(space, params) for params in space.params(space.quantile(rng.random((10, len(space))))))
        for _ in range(401)
    ]
    return float(np.median(best)) - function.least


def spread(regrets: Floats, draws: int = 10_000) -> tuple[float, float]:
    """95 % interval of the mean of (functions, seeds), which draws the seeds of each function anew."""
    rng = np.random.default_rng(0)
    functions, seeds = regrets.shape
    drawn = rng.integers(seeds, size=(draws, functions, seeds))
    means = np.take_along_axis(np.broadcast_to(regrets, drawn.shape), drawn, axis=2).mean(axis=(1, 2))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", default="gp")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--marks", type=int, nargs="+", default=[8, 15, 30, 60])
    parser.add_argument("--quick", action="store_true", help="3 seeds, 15 trials")
    options = parser.parse_args()
    seeds, marks = (3, [15]) if options.quick else (options.seeds, sorted(options.marks))

    regrets: dict[str, Floats] = {name: np.empty((len(FUNCTIONS), seeds, len(marks))) for name in BELIEFS}
    begin = time.perf_counter()
    for i, function in enumerate(FUNCTIONS):
        unit = scale(function)
        for name, table in regrets.items():
            for seed in range(seeds):
                best = curve(function, options.method, name, marks[-1], seed)
                table[i, seed] = (best[np.array(marks) - 1] - function.least) / unit
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(common.header(f"Beliefs, method {options.method}: {len(FUNCTIONS)} functions, {seeds} seeds"))
    print(common.table(["mean regret", *(f"after {m}" for m in marks)], _means(regrets)))
    print()
    print(common.table(["minus none", *(f"after {m}" for m in marks)], _differences(regrets)))
    print()
    names = list(BELIEFS)
    rows = [
        [f.name, *(f"{regrets[name][i, :, -1].mean():.3f}" for name in names)]
        for i, f in enumerate(FUNCTIONS)
    ]
    print(common.table([f"after {marks[-1]}", *names], rows))
    print(f"\n{time.perf_counter() - begin:.0f} s")


def _means(regrets: Mapping[str, Floats]) -> list[list[str]]:
    rows = []
    for name, found in regrets.items():
        cells = [found[:, :, j] for j in range(found.shape[2])]
        rows.append(
            [name, *(f"{c.mean():.3f} ({low:.3f} .. {high:.3f})" for c in cells for low, high in [spread(c)])]
        )
    return rows


def _differences(regrets: Mapping[str, Floats]) -> list[list[str]]:
    rows = []
    for name, found in regrets.items():
        if name != "none":
            cells = np.moveaxis(found - regrets["none"], 2, 0)
            rows.append(
                [
                    name,
                    *(
                        f"{c.mean():+.3f} ({low:+.3f} .. {high:+.3f})"
                        for c in cells
                        for low, high in [spread(c)]
                    ),
                ]
            )
    return rows


if __name__ == "__main__":
    main()
