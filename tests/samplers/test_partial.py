"""What trials that stopped on the way teach: carried losses, and samplers that use them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import taut
from taut.definition import Definition, Method, Objective
from taut.events import Event, Released, Reported, Started
from taut.fidelity import Fidelity
from taut.samplers import registry
from taut.samplers.gp import GPSampler
from taut.samplers.history import History
from taut.samplers.partial import carried
from taut.snapshot import Snapshot

SPACE = taut.Space(x=taut.uniform(0, 1))
RUNGS = [1.0, 3.0, 9.0, 27.0]
NAN = float("nan")


def study(curves: Sequence[tuple[float, Sequence[float]]], failed: Sequence[int] = ()) -> Snapshot:
    """Trials at x that wait on the highest rung that they have a value for."""
    definition = Definition(
        "s",
        SPACE.to_json(),
        [Objective("loss")],
        pruner=Method("asha"),
        fidelity=Fidelity("epoch", 27.0, resume=True),
    )
    snapshot = Snapshot(definition, SPACE)
    for n, (x, values) in enumerate(curves):
        steps = list(zip(RUNGS, values, strict=False))
        events: list[Event] = [Started(n=n, a=0, x={"x": x}, r=0, c=n + 1, t=float(n), f=27.0)]
        events += [Reported(n=n, a=0, s=step, y={"loss": v}, t=n + step / 100) for step, v in steps]
        if steps:
            at = steps[-1][0]
            events.append(Released(n=n, a=0, why="waits", blame=False, t=n + 0.5, kept=True, had=0.5, at=at))
        snapshot.apply(0, events)
    return snapshot


def test_losses_are_carried_along_the_line_of_those_that_went_on() -> None:
    # From the first rung to the second everything falls by 0.5; three pairs and the prior agree that the slope is 1.
    table = np.array([[0.9, 0.4], [0.8, 0.3], [1.0, 0.5], [1.4, NAN]])[:, :, None]
    assert carried(table, np.array([1, 1, 1, 0]))[:, 0] == pytest.approx([0.4, 0.3, 0.5, 0.9])


def test_many_pairs_outweigh_the_prior_of_the_slope() -> None:
    low = np.linspace(0, 1, 101)
    table = np.stack((low, 0.2 * low), axis=1)
    table[-1, 1] = NAN
    top = np.array([1] * 100 + [0])
    assert carried(table[:, :, None], top)[-1, 0] == pytest.approx(0.2, abs=0.03)


def test_without_pairs_losses_stay() -> None:
    table = np.array([[0.9, NAN], [0.8, NAN]])[:, :, None]
    assert carried(table, np.array([0, 0]))[:, 0].tolist() == [0.9, 0.8]


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=1, max_size=12))
def test_the_order_on_a_rung_is_kept(pairs: list[tuple[float, float]]) -> None:
    table = np.array([[*pair] for pair in pairs] + [[0.0, NAN], [1.0, NAN]])[:, :, None]
    top = np.array([1] * len(pairs) + [0, 0])
    one, two = carried(table, top)[-2:, 0]
    assert one <= two + 1e-12


def test_a_history_has_trials_of_every_rung() -> None:
    snapshot = study([(0.1, [0.9, 0.5]), (0.2, [0.8]), (0.3, []), (0.4, [0.7])])
    history = History.of(snapshot)
    assert history.done.tolist() == [0, 1, 3] and history.pending.tolist() == [2]
    assert history.whole.tolist() == [True, False, False]
    assert history.loss[:, 0] == pytest.approx([0.5, 0.4, 0.3])
    steps = history.steps
    assert steps.who.tolist() == [0, 0, 1, 2]
    assert steps.grade == pytest.approx([-1, -2 / 3, -1, -1])
    assert steps.last.tolist() == [False, True, True, True]


def test_without_a_pruner_only_complete_trials_count() -> None:
    made = taut.Study(None, SPACE, minimize="loss", sampler="random")
    trial = made.ask()
    trial.report(step=1, loss=0.5)
    history = History.of(made.snapshot)
    assert len(history) == 0 and history.pending.tolist() == [0] and not history.graded


@pytest.mark.parametrize("method", ["gp", "tpe", "auto"])
def test_samplers_learn_from_the_first_rung(method: str) -> None:
    curves = [(x, [(x - 0.7) ** 2]) for x in np.linspace(0, 1, 24).tolist()]
    snapshot = study(curves)
    sampler = registry.make(Method(method))
    found = [sampler.propose(SPACE, seed, np.array([24]), snapshot)[0, 0] for seed in range(12)]
    assert np.median(np.abs(np.array(found) - 0.7)) < 0.15


def test_the_model_tells_rungs_apart() -> None:
    """Where trials that went on show that the first rung misleads, the model follows them."""
    xs = np.linspace(0, 1, 16)
    curves = [(float(x), [float(x), 0.9, 1 - float(x)] if i % 2 else [float(x)]) for i, x in enumerate(xs)]
    model = GPSampler().model(study(curves))
    mean, _ = model.predict(np.array([[0.05], [0.95]]), None)
    assert mean[1] < mean[0]
