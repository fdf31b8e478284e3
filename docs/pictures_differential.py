"""The picture of docs/samplers/differential.md, drawn from the sampler itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from panels import Panel, picture

import taut
from taut.samplers.differential import DifferentialSampler

Floats = NDArray[np.float64]

BLUE, RED, GREY = "#1f5fa8", "#cc4e1a", "#b0b0b0"
SPACE = taut.Space(learning_rate=taut.loguniform(1e-5, 1e-1), dropout=taut.uniform(0.0, 0.5))
PLACES = {"10⁻⁵": 0.0, "10⁻⁴": 0.25, "10⁻³": 0.5, "10⁻²": 0.75, "10⁻¹": 1.0}
BEST = np.array([0.62, 0.4])  # in the unit square
MEMBERS, STAGES = 10, (10, 40, 100)  # trials that have ended


def loss(unit: Floats) -> float:
    """A valley askew to both axes."""
    along, across = (unit - BEST) @ np.array([[0.8, 0.6], [-0.6, 0.8]]).T
    return float(along**2 + 6.0 * across**2)


def differential() -> str:
    options = {"population": MEMBERS}
    made = taut.Study(None, SPACE, minimize="loss", sampler={"method": "differential", **options}, seed=3)
    panels = []
    for stage in STAGES:
        while made.snapshot.size < stage:
            trial = made.ask()
            made.tell(trial, loss=loss(SPACE.encode(SPACE.codes([trial.params]))[0]))
        state = DifferentialSampler(**options).state(made.snapshot)
        panel = Panel(f"dropout, {stage} trials", 0.0, 0.5, 170)
        panel.dots(*_drawn(SPACE.encode(made.snapshot.codes)), GREY, "tried", hollow=True)
        panel.dots(*_drawn(state.now.unit), BLUE, "the members")
        panel.dots(*_drawn(BEST[None]), RED, "the least loss")
        panels.append(panel)
    return picture("A population of ten gathers", panels, "learning rate", PLACES)


def _drawn(unit: Floats) -> tuple[Floats, Floats]:
    """Across, and the dropout."""
    return unit[:, 0], 0.5 * unit[:, 1]
