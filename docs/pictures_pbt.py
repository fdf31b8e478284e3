"""The picture of docs/pruners/pbt.md, drawn from the pruner itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from panels import Panel, picture

import taut

Floats = NDArray[np.float64]

RED, GREY = "#cc4e1a", "#8a8a8a"
_MARGIN = 0.03  # of a panel, left of the first epoch and right of the last one


def pbt() -> str:
    """Noisy descent in a valley, whose best rate falls with time."""
    scales = np.geomspace(1.0, 0.02, 20)
    space = taut.Space(rate=taut.loguniform(1e-3, 1.0))
    fidelity = {"name": "epoch", "min": 1, "max": 40, "resume": True}
    pruner = {"method": "pbt", "population": 8, "fidelity": fidelity}
    made = taut.Study(None, space, minimize="loss", sampler="random", pruner=pruner, seed=3)
    kept: dict[tuple[int, int], Floats] = {}

    def train(trial: taut.Trial) -> None:
        number = trial.number if trial.attempt else trial.parent
        begin = (
            0
            if number is None
            else max(e for n, e in kept if n == number and (trial.attempt or e == trial.resumed_step))
        )
        weights = kept[number, begin] if number is not None else np.full(20, 3.0)
        rng = np.random.default_rng([trial.number, begin])
        for epoch in range(begin + 1, 41):
            for _ in range(20):
                weights = weights - trial.params["rate"] * (scales * weights + rng.normal(size=20))
            kept[trial.number, epoch] = weights
            trial.report(step=epoch, loss=float(np.log10(0.5 * (scales @ weights**2))))
            if trial.should_stop():
                break

    made.run(train)
    losses, rates = Panel("log10 loss", -1.5, 2.5, 260), Panel("log10 learning rate", -3.0, 0.0, 120)

    def across(steps: Floats) -> Floats:
        return _MARGIN + (1.0 - 2.0 * _MARGIN) * steps / 40.0

    def curve(number: int, begin: float, end: float) -> tuple[Floats, Floats]:
        """Of a trial, from the last step of the one before."""
        rows = [e for e in made.snapshot.curves.of(number) if begin <= e.s <= end]
        return np.array([e.s for e in rows]), np.array([e.y["loss"] for e in rows])

    for i, trial in enumerate(made.trials):
        steps, values = curve(trial.number, 0.0, 40.0)
        losses.line(across(steps), values, GREY, "" if i else "members", width=1.0)
    line = made.lineage(made.best)
    for i, part in enumerate(line):
        end = part.end or 40.0
        steps, values = curve(part.number, part.begin, end)
        losses.line(across(steps), values, RED, "" if i else "the line of the best", width=2.6)
        rate = np.full(2, np.log10(part.params["rate"]))
        rates.line(across(np.array([part.begin, end])), rate, RED, "" if i else "of that line", width=2.6)
    places = {f"{step}": float(across(np.array([float(step)]))[0]) for step in range(0, 41, 8)}
    return picture("A population of 8 under population-based training", [losses, rates], "epoch", places)
