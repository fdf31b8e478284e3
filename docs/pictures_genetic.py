"""The picture of docs/samplers/genetic.md, drawn from the sampler itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from panels import Panel, picture

import taut
from taut.samplers.genetic import GeneticSampler

Floats = NDArray[np.float64]

BLUE, RED, GREY = "#1f5fa8", "#cc4e1a", "#8a8a8a"
SPACE = taut.Space(learning_rate=taut.loguniform(1e-5, 1e-1))
LINE = np.linspace(0.0, 1.0, 401)
PLACES = {"10⁻⁵": 0.0, "10⁻⁴": 0.25, "10⁻³": 0.5, "10⁻²": 0.75, "10⁻¹": 1.0}
STAGES = 12, 24, 60  # trials that have ended


def loss(u: Floats) -> Floats:
    """Two valleys, the deeper one narrow; u from 0 to 1 on the logarithmic scale."""
    return (
        3.0 - 0.5 * np.exp(-(((u - 0.3) / 0.16) ** 2)) - 0.9 * np.exp(-(((u - 0.68) / 0.06) ** 2)) + 0.2 * u
    )


def genetic() -> str:
    sampler = {"method": "genetic", "population": 12, "tournament": 2}
    made, panels = taut.Study(None, SPACE, minimize="loss", sampler=sampler, seed=3), []
    for stage in STAGES:
        while made.snapshot.size < stage:
            trial = made.ask()
            made.tell(trial, loss=float(loss(_places([trial.params]))[0]))
        parents = GeneticSampler(population=12, tournament=2).state(made.snapshot).parents.unit[:, 0]
        numbers = np.arange(stage, stage + 12)
        codes = GeneticSampler(population=12, tournament=2).propose(SPACE, 3, numbers, made.snapshot)
        children = SPACE.encode(codes)[:, 0]
        panel = Panel(f"loss, {stage} trials", 2.0, 3.3, 130)
        panel.line(LINE, loss(LINE), GREY, "the loss")
        panel.dots(parents, loss(parents), BLUE, "the 12 best so far")
        panel.dots(children, loss(children), RED, "what 12 workers would try next", hollow=True)
        panels.append(panel)
    return picture("A population gathers in the better valley", panels, "learning rate", PLACES)


def _places(params: list[dict[str, object]]) -> Floats:
    return np.asarray(SPACE.encode(SPACE.codes(params))[:, 0])
