"""Objectives that end by themselves before a whole trial: their results count, and how far they came is said."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

import taut
from taut.cli.pruning import best_text
from taut.savings import savings
from taut.trial import Trial

FIDELITY = {"name": "epoch", "min": 1, "max": 27, "resume": True}


def run(steps: Sequence[int], pruner: str = "asha") -> taut.Study:
    """One trial that reports at these steps, asks nobody, and returns."""

    def train(trial: Trial) -> float:
        for step in steps:
            trial.report(step, loss=1.0 / step)
        return 0.5

    made = taut.Study(
        None,
        taut.Space(x=taut.uniform(0, 1)),
        minimize="loss",
        sampler="random",
        pruner={"method": pruner, "fidelity": FIDELITY},
    )
    return made.run(train, trials=1)


@pytest.mark.parametrize("pruner", ["median", "asha"])
def test_how_far_it_came_is_said_with_its_values(pruner: str) -> None:
    goal = 27 if pruner == "median" else 1
    made = run([1, 2] if goal == 27 else [0.5], pruner)  # type: ignore[list-item]
    last = 2 if goal == 27 else 0.5
    assert made.best.state == "complete" and made.best.step == last
    assert best_text(made, made.best).endswith(f"(its last report: epoch {last} of 27)")
    assert msgspec.to_builtins(made.best)["step"] == last


def test_a_whole_one_has_nothing_to_say() -> None:
    made = run(range(1, 28), "median")
    assert made.best.step == 27 and best_text(made, made.best) == "trial 0  loss=0.5"
    assert run([], "median").best.step is None


@pytest.mark.parametrize(
    "steps, ran",
    [
        ([1, 2], 2),
        (range(1, 10), 9),
        (range(1, 28), 27),
        (range(5, 26, 5), 27),  # the next report would have come after the end
        ([10], 10),
        ([20], 27),
        ([], 27),
    ],
)
def test_the_account_counts_it_as_far_as_it_came(steps: Sequence[int], ran: int) -> None:
    made = run(steps, "median")
    found = savings(made.snapshot, made.store.proposals.pruner, made.store.clock.now())
    assert found.equivalents == pytest.approx(ran / 27)
    assert [rung.reached for rung in found.rungs] == [int(rung.step <= ran) for rung in found.rungs]
