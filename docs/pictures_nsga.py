"""The picture of docs/samplers/nsga2.md, drawn from the samplers themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from panels import Panel, picture

import taut
from taut.samplers.nsga2 import NSGA2Sampler
from taut.samplers.nsga3 import NSGA3Sampler
from taut.samplers.population.ended import Ended

Floats = NDArray[np.float64]

SPACE = taut.Space({f"x{i}": taut.uniform(0.0, 1.0) for i in range(8)})
STAGES = {
    20: "#c9c9c9",
    80: "#cc4e1a",
    300: "#1f5fa8",
}  # trials that have ended: colour of the population then
LINE = np.linspace(0.0, 1.0, 201)


def objectives(x: Floats) -> tuple[float, float]:
    """Loss against cost: the front is a quarter of a bowl, and seven parameters lead away from it."""
    away = float(((x[1:] - 0.5) ** 2).sum())
    return x[0] * (1.0 + away), (1.0 - x[0]) ** 2 + away


def panel(method: str) -> Panel:
    made = taut.Study(None, SPACE, minimize=["cost", "loss"], sampler=method, seed=2)
    drawn = Panel(f"loss, {method}", -0.05, 1.6, 220)
    drawn.line(LINE, (1.0 - LINE) ** 2, "#2b2b2b", "the best there is")
    for stage, colour in STAGES.items():
        while made.snapshot.size < stage:
            trial = made.ask()
            cost, loss = objectives(np.array(list(trial.params.values())))
            made.tell(trial, cost=cost, loss=loss)
        parents = _parents(method, made)
        inside = parents.loss[:, 0] <= 1.0
        drawn.dots(parents.loss[inside, 0], parents.loss[inside, 1], colour, f"after {stage} trials")
    return drawn


def _parents(method: str, made: taut.Study) -> Ended:
    if method == "nsga2":
        return NSGA2Sampler().state(made.snapshot).parents
    return NSGA3Sampler().state(made.snapshot).stock.parents


def nsga() -> str:
    places = {f"{x:g}": x for x in (0.0, 0.25, 0.5, 0.75, 1.0)}
    return picture(
        "Populations approach a front and spread along it", [panel("nsga2"), panel("nsga3")], "cost", places
    )
