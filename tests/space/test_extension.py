"""Extending the space of a running study."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from space_strategies import spaces

from taut.space import (
    Parameter,
    Space,
    choice,
    expr,
    lognormal,
    loguniform,
    loguniform_int,
    normal,
    ordinal,
    uniform,
    uniform_int,
)


@given(spaces)
def test_a_space_extends_itself(space: Space) -> None:
    assert space.extension_problem(space) is None
    codes = space.quantile(np.random.default_rng(0).random((9, len(space))))
    assert np.array_equal(space.recode(codes, space), codes)


@pytest.mark.parametrize(
    "old, new",
    [
        (uniform(0, 1), uniform(-1, 2)),
        (uniform(0, 1), uniform(0, 1, start=0.5, belief="weak")),
        (uniform(0, 1, step=0.1), uniform(0, 2, step=0.1)),
        (uniform(0, 1, step=0.1), uniform(-0.05, 1, step=0.05)),
        (uniform(0, 1, step=0.1), uniform(0, 1)),
        (loguniform(1e-4, 1e-3), loguniform(1e-5, 1e-2)),
        (normal(0, 1), normal(0, 2)),
        (lognormal(0, 1, low=1, high=2), lognormal(0, 1)),
        (uniform_int(1, 9, step=4), uniform_int(-1, 11, step=2)),
        (loguniform_int(2, 8), loguniform_int(1, 16)),
        (choice(["a", "b"]), choice(["c", "b", "a"])),
        (ordinal([8, 32]), ordinal([4, 8, 16, 32, 64])),
    ],
)
def test_wider_is_an_extension_and_keeps_every_value(old: Parameter, new: Parameter) -> None:
    before, after = Space(x=old), Space(x=new)
    assert after.extension_problem(before) is None
    codes = before.quantile(np.linspace(0, 1, 33)[:, None])
    recoded = after.recode(codes, before)
    assert after.params(recoded) == before.params(codes)
    assert np.array_equal(after.codes(before.params(codes)), recoded)


END = "; keep every old value, or start a new study."


@pytest.mark.parametrize(
    "old, new, message",
    [
        (uniform(0, 1), uniform(0.5, 2), "its range 0.5 to 2.0 does not hold the old one, 0.0 to 1.0"),
        (uniform(1, 2), loguniform(1, 2), "it was uniform and would be loguniform"),
        (uniform(0, 1), uniform(0, 1, step=0.1), "it has steps of 0.1 now, and had none"),
        (uniform(0, 1, step=0.1), uniform(0, 1, step=0.2),
         "its steps of 0.2 from 0.0 miss old values (steps of 0.1 from 0.0)"),
        (uniform_int(1, 9), uniform_int(2, 9), "its range 2 to 9 does not hold the old one, 1 to 9"),
        (uniform_int(1, 9, step=2), uniform_int(0, 10, step=2), "its steps of 2 from 0 miss old values (steps of 2 from 1)"),
        (normal(0, 1), normal(1, 1), "its range -3.0 to 5.0 does not hold the old one, -4.0 to 4.0"),
        (choice(["a", "b"]), choice(["b", "c"]), "it no longer has 'a'"),
        (choice([1]), choice([True, 1.0]), "it no longer has 1"),
        (choice([["a"], "b"]), choice(["b"]), "it no longer has ['a']"),
        (ordinal([8, 16]), ordinal([16, 8]), "its old values stand in another order"),
        (uniform(0, 1), uniform(0, 1, when="y > 0.5"), "its condition was None and would be 'y > 0.5'"),
        (uniform(0, 1, when="y > 0.5"), uniform(0, 1, when="y > 0.4"), "its condition was 'y > 0.5' and would be 'y > 0.4'"),
        (expr("2 * y"), expr("3 * y"), "it was '2 * y' and would be '3 * y'"),
    ],
)  # fmt: skip
def test_what_loses_old_values_is_no_extension(old: Parameter, new: Parameter, message: str) -> None:
    after, before = Space(y=uniform(0, 1), x=new), Space(y=uniform(0, 1), x=old)
    assert after.extension_problem(before) == f"x cannot change: {message}{END}"


def test_spelling_of_conditions_does_not_matter() -> None:
    old = Space(y=uniform(0, 1), x=uniform(0, 1, when="y>0.5"), z=expr("2*y"))
    new = Space(y=uniform(0, 1), x=uniform(0, 1, when="(y > 0.5)"), z=expr("2 * y"))
    assert new.extension_problem(old) is None


def test_removed_and_added_parameters() -> None:
    old = Space(optim=choice(["adam", "sgd"]), lr=uniform(0, 1))
    without = Space(optim=old.parameters["optim"])
    assert without.extension_problem(old) == "lr is gone; keep it, or start a new study."
    grown = Space(
        beta=uniform(0, 1, when="optim == 'lion'"),
        lr=uniform(0, 2),
        optim=choice(["lion", "adam", "sgd"]),
        twice=expr("2 * lr"),
    )
    assert grown.extension_problem(old) is None
    codes = old.quantile(np.random.default_rng(1).random((20, 2)))
    recoded = grown.recode(codes, old)
    assert np.isnan(recoded[:, 0]).all()
    assert [{k: p[k] for k in ("optim", "lr")} for p in grown.params(recoded)] == old.params(codes)
    needy = (
        "beta is new and old trials have no value for it; give it a condition that only new choices fulfil,"
        " or start a new study."
    )
    for beta in (uniform(0, 1), uniform(0, 1, when="optim == 'sgd'")):
        assert Space(**dict(old.parameters), beta=beta).extension_problem(old) == needy


def test_recoding_keeps_inactive_and_unknown_values_nan() -> None:
    old = Space(a=choice(["x", "y"]), b=choice([1, 2], when="a == 'x'"))
    new = Space(a=choice(["y", "x"]), b=choice([2, 3], when="a == 'x'"))
    got = new.recode(np.array([[0, 0], [0, 1], [1, np.nan]]), old)
    assert np.array_equal(got, np.array([[1, np.nan], [1, 0], [0, np.nan]]), equal_nan=True)
