"""The picture of docs/samplers/cma.md, drawn from the sampler itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from panels import Panel, picture

import taut
from taut.samplers.cma import CMASampler

Floats = NDArray[np.float64]

BLUE, RED, GREY = "#1f5fa8", "#cc4e1a", "#b0b0b0"
SPACE = taut.Space(
    learning_rate=taut.loguniform(1e-5, 1e-1, start=1e-4), dropout=taut.uniform(0.0, 0.5, start=0.1)
)
PLACES = {"10⁻⁵": 0.0, "10⁻⁴": 0.25, "10⁻³": 0.5, "10⁻²": 0.75, "10⁻¹": 1.0}
BEST = np.array([0.72, 0.62])  # in the unit square
AXES = np.array([[0.8, 0.6], [-0.6, 0.8]])  # along the valley, and across
STAGES = 6, 24, 48  # trials that have ended
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 91)), np.sin(np.linspace(0, 2 * np.pi, 91))])


def loss(unit: Floats) -> float:
    """A valley askew to both axes, four times as long as it is wide."""
    along, across = AXES @ (unit - BEST)
    return float(along**2 + 16.0 * across**2)


def cma() -> str:
    made = taut.Study(None, SPACE, minimize="loss", sampler={"method": "cma"}, seed=2)
    panels = []
    for stage in STAGES:
        while made.snapshot.size < stage:
            trial = made.ask()
            made.tell(trial, loss=loss(SPACE.encode(SPACE.codes([trial.params]))[0]))
        gaussian = CMASampler().state(made.snapshot).gaussian
        numbers = np.arange(stage, stage + 12)
        following = SPACE.encode(CMASampler().propose(SPACE, 2, numbers, made.snapshot))
        panel = Panel(f"dropout, {stage} trials", 0.0, 0.5, 170)
        for k, size in enumerate((0.1, 0.25, 0.45)):
            ring = BEST[:, None] + size * AXES.T @ (np.array([[1.0], [0.25]]) * CIRCLE)
            panel.line(*_drawn(ring.T), GREY, "" if k else "losses that are equal", width=1.2)
        bound = gaussian.mean[:, None] + 2.0 * gaussian.sigma * gaussian.root @ CIRCLE
        panel.line(*_drawn(bound.T), BLUE, "the distribution, two deviations")
        panel.dots(*_drawn(following), RED, "what 12 workers would try next", hollow=True)
        panels.append(panel)
    return picture("A normal distribution turns into a valley", panels, "learning rate", PLACES)


def _drawn(unit: Floats) -> tuple[Floats, Floats]:
    """Across, and the dropout."""
    return unit[:, 0], 0.5 * unit[:, 1]
