"""The picture of docs/samplers/cma.md, drawn from the sampler itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from panels import Panel, picture

import taut
from taut.samplers.cma import CMASampler

Floats = NDArray[np.float64]

BLUE, RED, GREY = "#1f5fa8", "#cc4e1a", "#b0b0b0"
SPACE = taut.Space(learning_rate=taut.loguniform(1e-5, 1e-1), dropout=taut.uniform(0.0, 0.5))
PLACES = {"10⁻⁵": 0.0, "10⁻⁴": 0.25, "10⁻³": 0.5, "10⁻²": 0.75, "10⁻¹": 1.0}
BEST = np.array([0.72, 0.75])  # in the unit square
STAGES, LATEST = (6, 24, 60), 12  # trials that have ended; those of them that are shown
CIRCLE = np.stack([f(np.linspace(0.0, 2.0 * np.pi, 181)) for f in (np.cos, np.sin)])


def loss(unit: Floats) -> float:
    """A long valley askew to both axes."""
    along, across = (unit - BEST) @ np.array([[0.8, 0.6], [-0.6, 0.8]]).T
    return float(along**2 + 60.0 * across**2)


def cma() -> str:
    made = taut.Study(None, SPACE, minimize="loss", sampler="cma", seed=2)
    panels = []
    for stage in STAGES:
        while made.snapshot.size < stage:
            trial = made.ask()
            made.tell(trial, loss=loss(SPACE.encode(SPACE.codes([trial.params]))[0]))
        gaussian = CMASampler().state(made.snapshot).gaussian
        panel = Panel(f"dropout, {stage} trials", 0.0, 0.5, 190)
        panel.dots(
            *_drawn(SPACE.encode(made.snapshot.codes)[-LATEST:]), GREY, "the latest trials", hollow=True
        )
        for deviations in (1.0, 2.0):
            edge = gaussian.mean[:, None] + deviations * gaussian.sigma * (gaussian.root @ CIRCLE)
            name = "one and two deviations" if deviations == 1.0 else ""
            panel.line(*_drawn(np.clip(edge, 0.0, 1.0).T), BLUE, name)
        panel.dots(*_drawn(BEST[None]), RED, "the least loss")
        panels.append(panel)
    return picture("A normal distribution turns into the valley", panels, "learning rate", PLACES)


def _drawn(unit: Floats) -> tuple[Floats, Floats]:
    """Across, and the dropout."""
    return unit[:, 0], 0.5 * unit[:, 1]
