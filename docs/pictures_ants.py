"""The picture of docs/samplers/ants.md, drawn from the sampler itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from panels import Panel, picture

import taut
from taut.samplers.ants import AntsSampler

Floats = NDArray[np.float64]

BLUE, RED, GREY = "#1f5fa8", "#cc4e1a", "#8a8a8a"
SPACE = taut.Space(learning_rate=taut.loguniform(1e-5, 1e-1))
LINE = np.linspace(0.0, 1.0, 401)
PLACES = {"10⁻⁵": 0.0, "10⁻⁴": 0.25, "10⁻³": 0.5, "10⁻²": 0.75, "10⁻¹": 1.0}
OPTIONS = {"archive": 10, "locality": 0.2, "startup": 10}
STAGES = 10, 40, 60  # trials that have ended
ANTS = 20_000  # sent from each archive, to see where they go
_WIDTH = 1 / 80


def loss(u: Floats) -> Floats:
    """Two valleys, the deeper one narrow; u from 0 to 1 on the logarithmic scale."""
    return (
        3.0 - 0.5 * np.exp(-(((u - 0.3) / 0.16) ** 2)) - 0.9 * np.exp(-(((u - 0.68) / 0.06) ** 2)) + 0.2 * u
    )


def ants() -> str:
    made = taut.Study(None, SPACE, minimize="loss", sampler={"method": "ants", **OPTIONS}, seed=1)
    panels = []
    for stage in STAGES:
        while made.snapshot.size < stage:
            trial = made.ask()
            made.tell(trial, loss=float(loss(SPACE.encode(SPACE.codes([trial.params]))[0])[0]))
        sampler = AntsSampler(**OPTIONS)
        archive = sampler.state(made.snapshot).unit[:, 0]
        numbers = np.arange(stage, stage + ANTS)
        where = SPACE.encode(sampler.propose(SPACE, 1, numbers, made.snapshot))[:, 0]
        share, edges = np.histogram(where, bins=np.linspace(0.0, 1.0, round(1 / _WIDTH) + 1))
        x, y = np.repeat(edges, 2)[1:-1], np.repeat(share / share.max(), 2)
        panel = Panel(f"loss, {stage} trials", 1.8, 3.3, 140)
        panel.band(x, np.full(len(x), 1.8), 1.8 + 0.9 * y, RED, "where the next ants go")
        panel.line(LINE, loss(LINE), GREY, "the loss")
        panel.dots(archive, loss(archive), BLUE, "the archive: the ten best trials so far")
        panels.append(panel)
    return picture("An archive draws together, and its ants with it", panels, "learning rate", PLACES)
