"""The picture of docs/samplers/evolution.md, drawn from the sampler itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from panels import Panel, picture

import taut

COLOURS = {"adam": "#1f5fa8", "sgd": "#cc4e1a", "lion": "#2c7d4f"}
SPACE = taut.Space(
    learning_rate=taut.loguniform(1e-5, 1e-1),
    depth=taut.uniform_int(1, 12),
    optimizer=taut.choice(list(COLOURS)),
)
TRIALS, ALIVE = 150, 20


def loss(params: dict[str, Any]) -> float:
    """Adam is best, at a learning rate of 3e-4 and a depth of 8."""
    best = {"adam": -3.5, "sgd": -1.5, "lion": -4.5}[params["optimizer"]]
    away = abs(math.log10(params["learning_rate"]) - best) + 0.1 * abs(params["depth"] - 8)
    return away + {"adam": 0.0, "sgd": 0.5, "lion": 0.25}[params["optimizer"]]


def evolution() -> str:
    sampler = {"method": "evolution", "population": ALIVE, "tournament": 5}
    made = taut.Study(None, SPACE, minimize="loss", sampler=sampler, seed=1)
    rows = []
    for _ in range(TRIALS):
        trial = made.ask()
        rows.append((trial.params, loss(trial.params)))
        made.tell(trial, loss=rows[-1][1])
    at = (np.arange(TRIALS) + 0.5) / TRIALS
    losses = np.array([value for _, value in rows])
    rate = np.array([math.log10(params["learning_rate"]) for params, _ in rows])
    kind = np.array([params["optimizer"] for params, _ in rows])
    above, below = Panel("log₁₀ learning rate", -5.1, -0.9, 200), Panel("loss", -0.1, 4.0, 150)
    for name, colour in COLOURS.items():
        above.dots(at[kind == name], rate[kind == name], colour, name)
        below.dots(at[kind == name], losses[kind == name], colour)
    living = np.array([losses[max(0, i + 1 - ALIVE) : i + 1].mean() for i in range(TRIALS)])
    below.line(at, living, "#2b2b2b", f"mean of the {ALIVE} alive")
    places = {str(n): n / TRIALS for n in range(0, TRIALS + 1, 25)}
    return picture("Good choices take over, one mutation at a time", [above, below], "trial", places)
