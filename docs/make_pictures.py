"""The pictures of the pages on samplers, pruners and planning, drawn from these themselves.

python docs/make_pictures.py              # --to docs/pictures

Each shows a study of one parameter, a learning rate, with a loss that is known here, so that a model can be put beside the
truth, and a learning curve is a formula. Needs nothing but taut.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from panels import Panel, picture
from pictures_ants import ants
from pictures_cma import cma
from pictures_differential import differential
from pictures_evolution import evolution
from pictures_genetic import genetic
from pictures_nsga import nsga
from pictures_pbt import pbt
from pictures_queue import pictures as queue
from pictures_swarm import swarm

import taut
from taut.samplers.conjugate.candidates import Points
from taut.samplers.conjugate.sampler import ConjugateSampler
from taut.samplers.geometry import Geometry
from taut.samplers.gp import GPSampler
from taut.samplers.history import History
from taut.samplers.tpe import TPESampler
from taut.samplers.tpe.axes import Axes
from taut.samplers.tpe.density import Cloud, Density
from taut.samplers.tpe.model import Model
from taut.samplers.tpe.split import Kernels, split

Floats = NDArray[np.float64]

BLUE, RED, GREEN, GREY, BLACK = "#1f5fa8", "#cc4e1a", "#2c7d4f", "#8a8a8a", "#2b2b2b"
SPACE = taut.Space(learning_rate=taut.loguniform(1e-5, 1e-1))
LINE = np.linspace(0.0, 1.0, 401)
UNIT = LINE[:, None]
_MARGIN = 0.03  # of a panel, left of the first epoch and right of the last one
PLACES = {"10⁻⁵": 0.0, "10⁻⁴": 0.25, "10⁻³": 0.5, "10⁻²": 0.75, "10⁻¹": 1.0}


def loss(u: Floats) -> Floats:
    """A valley, a lesser one beside it, and a cliff where training diverges; u from 0 to 1 on the logarithmic scale."""
    valleys = 2.5 + 2.5 * (u - 0.55) ** 2 - 0.35 * np.cos(4.6 * np.pi * (u - 0.66))
    return np.asarray(valleys + 0.8 / (1.0 + np.exp(-50.0 * (u - 0.85))))


def study(sampler: dict[str, Any], trials: int, pending: int = 0, seed: int = 1) -> taut.Study:
    """Some trials that have ended, and some that run."""
    made = taut.Study(None, SPACE, minimize="loss", sampler=sampler, seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        trial = made.ask()
        u = SPACE.encode(SPACE.codes([trial.params]))[:, 0]
        made.tell(trial, loss=float(loss(u)[0] + 0.02 * rng.standard_normal()))
    for _ in range(pending):
        made.ask()
    return made


def following(sampler: GPSampler | TPESampler, made: taut.Study) -> Floats:
    """(1,) where the next trial will be."""
    snapshot = made.snapshot
    codes = sampler.propose(SPACE, snapshot.definition.seed, np.array([snapshot.size]), snapshot)
    return np.asarray(SPACE.encode(codes)[:, 0])


def gp() -> str:
    sampler, made = GPSampler(), study({"method": "gp"}, 5, pending=1, seed=0)
    history, model = History.of(made.snapshot), sampler.model(made.snapshot)
    mean, variance = model.predict(UNIT, None)
    width = 2.0 * np.sqrt(variance)
    pending = history.unit(history.pending)[:, 0]
    tried, outputs = history.unit(history.done)[model.learned[0].rows, 0], model.learned[0].outputs

    above = Panel("loss, transformed", -3.0, 3.0, 250)
    above.band(LINE, mean - width, mean + width, BLUE, "mean ± 2 deviations")
    above.line(LINE, mean, BLUE, "posterior mean")
    above.dots(tried, outputs, BLACK, "tried")
    above.dots(pending, np.interp(pending, LINE, mean), RED, "pending", hollow=True)
    score = model.score(UNIT, None)
    below = Panel("logarithm", np.floor(score.max() - 10.0), np.ceil(score.max() + 0.5), 130)
    below.line(LINE, score, GREEN, "score: log expected improvement")
    below.stems(following(sampler, made), RED, "next trial", dashes="5 4")
    return picture("A Gaussian process and its expected improvement", [above, below], "learning rate", PLACES)


def tpe() -> str:
    sampler, made = TPESampler(startup=30), study({"method": "tpe", "startup": 30}, 30)
    history, axes = History.of(made.snapshot), Axes.of(SPACE)
    parts = split(history, sampler.good)

    def cloud(kernels: Kernels) -> Cloud:
        return Cloud(history.unit(kernels.numbers), history.active(kernels.numbers), kernels.weights)

    good = Density(axes, axes.prior(len(history)), cloud(parts.good), adaptive=True)
    bad = Density(axes, axes.plain, cloud(parts.bad))
    score = Model(history, sampler.good).score(UNIT, None)
    assert np.allclose(score, good.log(UNIT) - bad.log(UNIT))  # these are the densities that it uses

    densities = np.exp(good.log(UNIT)), np.exp(bad.log(UNIT))
    above = Panel("density", 0.0, 1.1 * max(each.max() for each in densities), 200)
    above.line(LINE, densities[0], BLUE, "of good trials, l")
    above.line(LINE, densities[1], GREY, "of bad trials, g")
    above.stems(history.unit(parts.bad.numbers)[:, 0], GREY, "bad", share=0.07)
    above.stems(history.unit(parts.good.numbers)[:, 0], BLUE, "good", share=0.12)
    below = Panel("logarithm", np.floor(score.min()), np.ceil(score.max() + 0.2), 130)
    below.line(LINE, score, GREEN, "score: log l \N{MINUS SIGN} log g")
    below.stems(following(sampler, made), RED, "next trial", dashes="5 4")
    return picture("The two densities of TPE and their ratio", [above, below], "learning rate", PLACES)


def conjugate() -> str:
    made = study({"method": "conjugate", "initial": 8}, 8)
    history = History.of(made.snapshot)
    posterior = ConjugateSampler().posterior(SPACE, made.snapshot)
    codes = SPACE.decode(UNIT)
    mean, deviation = (found[:, 0] for found in posterior.predict(SPACE.params(codes)))
    points = Points.of(Geometry.of(SPACE), codes)
    drawn = np.empty((len(points), 3))
    for which, values in posterior.draws(points, drawn.shape[1], np.random.default_rng(4)):
        drawn[:, which] = values[:, :, 0] * posterior.scaling.scale[0] + posterior.scaling.centre[0]

    panel = Panel("loss", 1.4, 4.2, 300)
    panel.band(LINE, mean - 2.0 * deviation, mean + 2.0 * deviation, BLUE, "mean ± 2 deviations")
    panel.line(LINE, loss(LINE), GREY, "truth", dashes="6 4", width=1.5)
    for i, curve in enumerate(drawn.T):
        panel.line(LINE, curve, GREEN, "" if i else "draws", width=1.4)
    best = drawn.argmin(axis=0)
    panel.dots(LINE[best], drawn[best, np.arange(len(best))], RED, "where each is least", hollow=True)
    panel.dots(history.unit(history.done)[:, 0], history.loss[:, 0], BLACK, "tried")
    return picture("Thompson sampling: functions drawn from a posterior", [panel], "learning rate", PLACES)


def learning(u: Floats, epoch: float, rng: np.random.Generator) -> float:
    """The loss after some epochs: large learning rates come down sooner, and not always further."""
    return float(loss(u[0]) + 3.0 * (1.0 + epoch) ** (-0.4 - 1.2 * u[0]) + 0.02 * rng.standard_normal())


def trained(epochs: int, pruner: dict[str, Any], seed: int = 0) -> taut.Study:
    """As many trials as epochs, at random, one after the other; one that is promoted goes on from where it was."""
    made = taut.Study(None, SPACE, minimize="loss", sampler="random", pruner=pruner, seed=seed)

    def train(trial: taut.Trial) -> None:
        u = SPACE.encode(SPACE.codes([trial.params]))[0]
        begin = 0 if trial.resumed_step is None else int(trial.resumed_step)
        rng = np.random.default_rng([seed, trial.number, begin])
        for epoch in range(begin + 1, epochs + 1):
            trial.report(step=epoch, loss=learning(u, epoch, rng))
            if trial.should_stop():
                break

    return made.run(train, trials=epochs)


def asha() -> str:
    fidelity = {"name": "epoch", "min": 1, "max": 27, "resume": True}
    made = trained(27, {"method": "asha", "fidelity": fidelity})
    rungs = np.array([1.0, 3.0, 9.0, 27.0])
    curves = [made.snapshot.curves.of(trial.number) for trial in made.trials]

    def across(steps: Floats) -> Floats:
        return _MARGIN + (1.0 - 2.0 * _MARGIN) * np.log(steps) / np.log(27.0)

    panel = Panel("loss", 2.0, 6.0, 300)
    panel.stems(across(rungs), GREY, dashes="3 4")
    for rung, colour in zip(rungs.tolist(), (GREY, BLUE, GREEN, RED), strict=True):
        last = [curve for curve in curves if curve[-1].s == rung]
        for i, curve in enumerate(last):
            steps = across(np.array([event.s for event in curve]))
            values = np.array([event.y["loss"] for event in curve])
            if len(curve) > 1:
                panel.line(steps, values, colour, width=2.6 if rung == rungs[-1] else 1.6)
            name = "" if i else f"{len(last)} to epoch {rung:g}"
            panel.dots(steps[-1:], values[-1:], colour, name, hollow=rung < rungs[-1])
    places = {f"{rung:g}": float(across(np.array([rung]))[0]) for rung in rungs}
    return picture("Learning curves of 27 trials under ASHA", [panel], "epoch", places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "pictures")
    to = parser.parse_args().to
    to.mkdir(parents=True, exist_ok=True)
    for draw in (gp, tpe, conjugate, asha, ants, cma, differential, evolution, genetic, nsga, pbt, swarm):
        (to / f"{draw.__name__}.svg").write_text(draw(), encoding="utf-8")
    for name, drawn in queue().items():
        (to / f"{name}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
