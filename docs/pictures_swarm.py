"""The picture of docs/samplers/swarm.md, drawn from the sampler itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from panels import Panel, picture

import taut
from taut.samplers.swarm import SwarmSampler

Floats = NDArray[np.float64]

BLUE, RED, GREEN, GREY = "#1f5fa8", "#cc4e1a", "#2c7d4f", "#b0b0b0"
SPACE = taut.Space(learning_rate=taut.loguniform(1e-5, 1e-1), dropout=taut.uniform(0.0, 0.5))
PLACES = {"10⁻⁵": 0.0, "10⁻⁴": 0.25, "10⁻³": 0.5, "10⁻²": 0.75, "10⁻¹": 1.0}
BEST = np.array([0.62, 0.4])  # in the unit square
PARTICLES, STAGES, TAIL = 8, (16, 48, 128), 3  # trials that have ended; moves that are shown of each particle


def loss(unit: Floats) -> float:
    """A valley askew to both axes."""
    along, across = (unit - BEST) @ np.array([[0.8, 0.6], [-0.6, 0.8]]).T
    return float(along**2 + 6.0 * across**2)


def swarm() -> str:
    options = {"particles": PARTICLES}
    made = taut.Study(None, SPACE, minimize="loss", sampler={"method": "swarm", **options}, seed=4)
    moves: list[list[Floats]] = [[] for _ in range(PARTICLES)]
    panels = []
    for stage in STAGES:
        while made.snapshot.size < stage:
            trial = made.ask()
            unit = SPACE.encode(SPACE.codes([trial.params]))[0]
            moves[trial.number % PARTICLES].append(unit)
            made.tell(trial, loss=loss(unit))
        state = SwarmSampler(**options).state(made.snapshot)
        panel = Panel(f"dropout, {stage} trials", 0.0, 0.5, 170)
        for track in moves:
            panel.line(*_drawn(np.array(track[-1 - TAIL :])), GREY, width=1.6)
        panel.dots(*_drawn(BEST[None]), RED, "the least loss")
        panel.dots(*_drawn(state.best.unit), GREEN, "where each was best", hollow=True)
        panel.dots(*_drawn(state.latest.unit), BLUE, f"the particles, and their last {TAIL} moves")
        panels.append(panel)
    return picture("A swarm of eight particles closes in", panels, "learning rate", PLACES)


def _drawn(unit: Floats) -> tuple[Floats, Floats]:
    """Across, and the dropout."""
    return unit[:, 0], 0.5 * unit[:, 1]
