"""How far trials are taken: rungs, shares, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taut.errors import InputError
from taut.fidelity import Fidelity


@pytest.mark.parametrize(
    "fidelity, eta, rungs",
    [
        (Fidelity("epoch", 27), 3, [1, 3, 9, 27]),
        (Fidelity("epoch", 50), 3, [2, 6, 17, 50]),  # downwards from the whole
        (Fidelity("epoch", 50, min=5), 3, [6, 17, 50]),
        (Fidelity("epoch", 4), 4, [1, 4]),
        (Fidelity("epoch", 1), 3, [1]),
        (Fidelity("part", 1.0, min=0.1), 3, [1 / 9, 1 / 3, 1.0]),
        (Fidelity("size", 1.0, min=0.05, levels=[0.05, 0.1, 0.4, 1.0]), 3, [0.1, 0.4, 1.0]),
    ],
)
def test_rungs(fidelity: Fidelity, eta: float, rungs: list[float]) -> None:
    assert fidelity.rungs(eta) == pytest.approx(rungs)


@given(st.floats(0.01, 100), st.floats(1.0, 1e6), st.floats(1.5, 10))
def test_rungs_grow_to_the_whole(low: float, factor: float, eta: float) -> None:
    fidelity = Fidelity("step", low * factor, min=low)
    rungs = fidelity.rungs(eta)
    assert rungs == sorted(set(rungs)) and rungs[-1] == fidelity.max and rungs[0] >= fidelity.min


def test_shares_follow_the_cost() -> None:
    assert Fidelity("epoch", 10).share(2) == pytest.approx(0.2)
    assert Fidelity("epoch", 10).share(0) == 0.0
    assert Fidelity("epoch", 10).share(20) == 1.0
    assert Fidelity("layers", 10, cost="layers ** 2").share(5) == pytest.approx(0.25)


def test_a_step_in_words() -> None:
    assert Fidelity("epoch", 27).told(3) == "epoch 3 of 27"
    assert Fidelity("tokens", 100, unit="1e9 tokens").told(4) == "tokens 4 of 100 1e9 tokens"


@pytest.mark.parametrize(
    "fidelity, at, problem",
    [
        (Fidelity("1st", 3), "name", "'1st' is not a name"),
        (Fidelity("epoch", 0), "max", "0 must be above 0"),
        (Fidelity("epoch", float("inf")), "max", "must be above 0 and finite"),
        (Fidelity("epoch", 3, min=-1), "min", "-1 must be above 0"),
        (Fidelity("epoch", 3, min=4), "min", "min = 4 is above max = 3"),
        (Fidelity("epoch", 3, levels=[1, 3, 2]), "levels", "levels must grow"),
        (Fidelity("epoch", 9, levels=[1, 3]), "levels", "the first of levels must be min"),
        (Fidelity("epoch", 3, cost="steps * 2"), "cost", "steps"),
        (Fidelity("epoch", 3, cost="epoch > 1"), "cost", "must be a number above 0"),
        (Fidelity("epoch", 3, cost="epoch - 2"), "cost", "must be a number above 0"),
    ],
)
def test_what_is_refused(fidelity: Fidelity, at: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        fidelity.check()
    assert problem in caught.value.message and at in caught.value.at
