"""Conditions, read off what trials had."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taut.space import Space, choice, uniform, uniform_int
from taut.space.branches import branches

SPACES = [
    Space(
        kind=choice(["a", "b", None, True]),
        n=uniform_int(1, 6),
        x=uniform(0, 1, when="kind in ['a', True]"),
        deep=choice([1, 2], when="n > 3"),
        y=uniform(0, 1, when="deep == 2"),
        few=uniform(0, 1, when="n < 3"),
    ),
    Space(
        kind=choice(["a", "b"]), inner=choice([0, 1], when="kind == 'a'"), z=uniform(0, 1, when="kind == 'a'")
    ),
]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SPACES), st.integers(0, 2**32 - 1))
def test_enough_trials_tell_the_conditions(space: Space, seed: int) -> None:
    """Whatever the true conditions are, those that are found say the same of every trial that was and will be."""
    rng = np.random.default_rng(seed)
    codes = space.quantile(rng.random((300, len(space))))
    columns = {name: p for name, p in zip(space.searched, space.columns, strict=True)}
    found = branches(columns, codes)
    assert found.keys() == space.conditions.when.keys()
    learned = Space({name: type(p)(*p.arguments(), when=found.get(name)) for name, p in columns.items()})
    later = space.quantile(rng.random((300, len(space))), conditions=False)
    assert (learned.conditions.activity(later) == space.conditions.activity(later)).all()


def test_what_no_single_value_explains_has_no_condition() -> None:
    space = Space(a=choice([0, 1]), b=choice([0, 1]), x=uniform(0, 1, when="a == b"), y=uniform(0, 1))
    codes = space.quantile(np.random.default_rng(0).random((60, 4)))
    assert branches(dict(zip(space.searched, space.columns, strict=True)), codes) == {}


@pytest.mark.parametrize("rows", [0, 1])
def test_few_trials_tell_nothing(rows: int) -> None:
    space = SPACES[0]
    codes = space.quantile(np.full((rows, len(space)), 0.9))
    assert branches(dict(zip(space.searched, space.columns, strict=True)), codes) == {}


@pytest.mark.parametrize("name", ["a-b", "lambda", "model.if", "many"])
def test_what_no_expression_can_say_is_no_condition(name: str) -> None:
    values = list(range(400)) if name == "many" else [0, 1]
    columns = {name: choice(values), "x": uniform(0, 1)}
    codes = np.array([[float(i), 0.5 if i == 0 else np.nan] for i in range(len(values))])
    found = branches(columns, codes)
    assert found == {}
    assert Space({k: type(p)(*p.arguments(), when=found.get(k)) for k, p in columns.items()})
